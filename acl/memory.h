/* Large arrays: on large pages where the system has them, since with small ones nearly every look-up misses the TLB. */
#ifndef GUARD_ACL_MEMORY_H
#define GUARD_ACL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Doubles *array (of *capacity elements of that size) until it holds need. False when out of memory or above 2^32 - 2.
 */
bool acl_grow(void *array_pointer, uint32_t *capacity, size_t element, size_t need);

/* calloc; free() frees it. */
void *acl_zeroed(size_t count, size_t size);

/* Room that look-ups touch at random, not zeroed and aligned to a line at least; free() frees it. */
void *acl_allocate(size_t size);

#endif
