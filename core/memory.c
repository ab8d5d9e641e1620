#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

void guard_wipe(void *memory, size_t size)
{
    explicit_bzero(memory, size);
}

void guard_free_string(char **text)
{
    if (*text)
        guard_wipe(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void guard_free_secret(void *memory_pointer, size_t size)
{
    void *memory;
    memcpy(&memory, memory_pointer, sizeof memory);
    if (memory)
        guard_wipe(memory, size);
    free(memory);
    memset(memory_pointer, 0, sizeof memory);
}
