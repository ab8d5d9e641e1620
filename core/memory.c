#include "core/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

#define LARGE_BLOCK ((size_t)8 * 1024 * 1024)
#define PAGE        ((uintptr_t)4096)

void guard_large_pages(void *memory, size_t size)
{
    uintptr_t start = ((uintptr_t)memory + PAGE - 1) & ~(PAGE - 1), end = ((uintptr_t)memory + size) & ~(PAGE - 1);
    if (memory && size >= LARGE_BLOCK)
        madvise((void *)start, end - start, MADV_HUGEPAGE);
}

/* Below it is quick anyway; above glibc maps blocks one by one, without its arenas, and realloc moves no octets. */
#define COPIED_FROM ((size_t)256 * 1024)
#define COPIED_TO   ((size_t)32 * 1024 * 1024)

void *guard_regrow(void *block, size_t used, size_t size)
{
    if (used < COPIED_FROM || used > COPIED_TO)
        return realloc(block, size);
    void *copy = malloc(size);
    if (!copy)
        return NULL;
    guard_large_pages(copy, size);
    memcpy(copy, block, used);
    free(block);
    return copy;
}
