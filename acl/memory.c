#include "acl/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 * 1024 * 1024)
#define PAGE      ((uintptr_t)4096)

static bool is_large(size_t size)
{
    return size >= 4 * HUGE_PAGE;
}

/* Only advice: nothing is lost if it is not taken. */
static void advise(void *memory, size_t size)
{
    uintptr_t start = ((uintptr_t)memory + PAGE - 1) & ~(PAGE - 1), end = ((uintptr_t)memory + size) & ~(PAGE - 1);
    if (memory && is_large(size))
        madvise((void *)start, end - start, MADV_HUGEPAGE);
}

bool acl_grow(void *array_pointer, uint32_t *capacity, size_t element, size_t need)
{
    if (need <= *capacity)
        return true;
    size_t wanted = *capacity ? *capacity : 16;
    while (wanted < need)
        wanted *= 2;
    if (wanted > UINT32_MAX - 1)
        return false;
    void *array;
    memcpy(&array, array_pointer, sizeof array);
    array = reallocarray(array, wanted, element);
    if (!array)
        return false;
    advise(array, wanted * element);
    memcpy(array_pointer, &array, sizeof array);
    *capacity = (uint32_t)wanted;
    return true;
}

void *acl_zeroed(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    advise(memory, count * size);
    return memory;
}

void *acl_allocate(size_t size)
{
    size_t unit = is_large(size) ? HUGE_PAGE : 64;
    void *memory = aligned_alloc(unit, (size + unit - 1) / unit * unit);
    advise(memory, size);
    return memory;
}
