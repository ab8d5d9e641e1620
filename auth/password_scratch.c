#include "auth/password_scratch.h"

#include "auth/password.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

struct auth_password_scratch {
    void *memory; /* NULL = none mapped */
    size_t size;
    bool in_use;
};

/*
 * libargon2 calls back without a context, so the thread itself has to carry the pointer. It owns nothing: what it
 * points to belongs to whoever lent it.
 */
static __thread struct auth_password_scratch *lent;

struct auth_password_scratch *auth_password_scratch_new(void)
{
    return calloc(1, sizeof(struct auth_password_scratch));
}

void auth_password_scratch_lend(struct auth_password_scratch *scratch)
{
    lent = scratch;
}

void auth_password_scratch_trim(struct auth_password_scratch *scratch)
{
    if (scratch->memory)
        munmap(scratch->memory, scratch->size);
    scratch->memory = NULL;
    scratch->size = 0;
}

void auth_password_scratch_free(struct auth_password_scratch **scratch)
{
    if (!*scratch)
        return;
    auth_password_scratch_trim(*scratch);
    free(*scratch);
    *scratch = NULL;
}

/* Mapped once and kept: the page faults of fresh memory cost more than the hash, and stall the process's other threads.
 */
static bool grow(struct auth_password_scratch *scratch, size_t size)
{
    if (size <= scratch->size)
        return true;
    auth_password_scratch_trim(scratch);
    size_t rounded = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    (void)madvise(memory, rounded, MADV_HUGEPAGE); /* a wish */
    scratch->memory = memory;
    scratch->size = rounded;
    return true;
}

int password_scratch_allocate(uint8_t **memory, size_t size)
{
    if (lent && !lent->in_use && grow(lent, size)) {
        lent->in_use = true;
        *memory = lent->memory;
    } else {
        *memory = malloc(size);
    }
    return *memory ? 0 : -1;
}

void password_scratch_release(uint8_t *memory, size_t size)
{
    (void)size; /* libargon2 has wiped it */
    if (lent && memory == lent->memory)
        lent->in_use = false;
    else
        free(memory);
}
