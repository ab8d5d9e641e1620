#include "acl/memory.h"

#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

#define HUGE_PAGE ((size_t)2 * 1024 * 1024)

static bool is_large(size_t size)
{
    return size >= 4 * HUGE_PAGE;
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
    array = wanted <= SIZE_MAX / element ? guard_regrow(array, *capacity * element, wanted * element) : NULL;
    if (!array)
        return false;
    guard_large_pages(array, wanted * element);
    memcpy(array_pointer, &array, sizeof array);
    *capacity = (uint32_t)wanted;
    return true;
}

void *acl_zeroed(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    guard_large_pages(memory, count * size);
    return memory;
}

void *acl_allocate(size_t size)
{
    size_t unit = is_large(size) ? HUGE_PAGE : 64;
    void *memory = aligned_alloc(unit, (size + unit - 1) / unit * unit);
    guard_large_pages(memory, size);
    return memory;
}
