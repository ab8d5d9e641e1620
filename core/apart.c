#include "core/apart.h"

#include "core/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifndef GUARD_APART_POOL
#ifdef NDEBUG
#define GUARD_APART_POOL 1
#else
#define GUARD_APART_POOL 0
#endif
#endif

#if GUARD_APART_POOL

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define UNIT        ((size_t)64) /* sizes are multiples of a line of memory */
#define UNITS_MAX   ((size_t)64) /* larger blocks are malloc's */
#define FIRST_CHUNK ((size_t)64 * 1024)
#define LARGE_PAGE  ((size_t)2 * 1024 * 1024) /* each chunk is twice as large as the one before, up to this */

struct block {
    size_t units;       /* of UNIT octets, this header included; 0: malloc's */
    size_t size;        /* that was asked for; while free: */
    struct block *next; /* the next free block of as many units. Content begins here */
};

#define HEADER offsetof(struct block, next)
_Static_assert(HEADER % _Alignof(max_align_t) == 0, "content is aligned as malloc's is");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *freed[UNITS_MAX + 1]; /* by units */
static char *chunk;                        /* what blocks are cut from; those before it live in their blocks */
static size_t chunk_size, chunk_used;

static bool new_chunk(void)
{
    size_t size = chunk_size ? chunk_size * 2 : FIRST_CHUNK;
    size = size < LARGE_PAGE ? size : LARGE_PAGE;
    char *fresh = aligned_alloc(size < LARGE_PAGE ? UNIT : LARGE_PAGE, size);
    if (!fresh)
        return false;
    if (size == LARGE_PAGE)
        madvise(fresh, size, MADV_HUGEPAGE); /* only advice */
    chunk = fresh;
    chunk_size = size;
    chunk_used = 0;
    return true;
}

static struct block *take(size_t units)
{
    struct block *block = freed[units];
    if (block) {
        freed[units] = block->next;
        return block;
    }
    if (chunk_size - chunk_used < units * UNIT && !new_chunk())
        return NULL;
    block = (struct block *)(void *)(chunk + chunk_used);
    chunk_used += units * UNIT;
    return block;
}

static struct block *take_any(size_t size)
{
    size_t units = size / UNIT + (size % UNIT + HEADER + UNIT - 1) / UNIT;
    if (units > UNITS_MAX) {
        struct block *block = size < SIZE_MAX - HEADER ? malloc(HEADER + size) : NULL;
        if (block)
            block->units = 0;
        return block;
    }
    pthread_mutex_lock(&lock);
    struct block *block = take(units);
    pthread_mutex_unlock(&lock);
    if (block)
        block->units = units;
    return block;
}

void *guard_apart_alloc(size_t size)
{
    struct block *block = take_any(size);
    if (!block)
        return NULL;
    block->size = size;
    return memset((char *)block + HEADER, 0, size);
}

void guard_apart_free(void *memory)
{
    if (!memory)
        return;
    struct block *block = (struct block *)(void *)((char *)memory - HEADER);
    guard_wipe(memory, block->size);
    if (!block->units) {
        free(block);
        return;
    }
    pthread_mutex_lock(&lock);
    block->next = freed[block->units];
    freed[block->units] = block;
    pthread_mutex_unlock(&lock);
}

#else

#include <malloc.h>

void *guard_apart_alloc(size_t size)
{
    return calloc(1, size ? size : 1);
}

void guard_apart_free(void *memory)
{
    if (memory)
        guard_wipe(memory, malloc_usable_size(memory));
    free(memory);
}

#endif

char *guard_apart_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = guard_apart_alloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

void guard_apart_drop(void *memory_pointer)
{
    void *memory;
    memcpy(&memory, memory_pointer, sizeof memory);
    guard_apart_free(memory);
    memset(memory_pointer, 0, sizeof memory);
}
