#include "audit/ring.h"

#include <stdlib.h>
#include <string.h>

#define PAD 0x80000000u /* in a record's size: skip that many bytes */

bool audit_ring_init(struct audit_ring *ring, size_t size)
{
    memset(ring, 0, sizeof *ring);
    ring->memory = aligned_alloc(AUDIT_CACHE_LINE, size);
    if (!ring->memory)
        return false;
    memset(ring->memory, 0, size); /* the page faults happen here, not on the broker thread */
    ring->size = size;
    return true;
}

void audit_ring_destroy(struct audit_ring *ring)
{
    free(ring->memory);
    ring->memory = NULL;
}

size_t audit_ring_refresh(struct audit_ring *ring)
{
    ring->cached_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return (size_t)(atomic_load_explicit(&ring->head, memory_order_relaxed) - ring->cached_tail);
}

void *audit_ring_reserve(struct audit_ring *ring, size_t size, size_t limit)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    size_t offset = (size_t)head & (ring->size - 1);
    size_t to_end = ring->size - offset;
    size_t pad = size <= to_end ? 0 : to_end;
    if (head - ring->cached_tail + pad + size > limit) {
        ring->cached_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head - ring->cached_tail + pad + size > limit)
            return NULL;
    }
    if (pad) {
        uint32_t mark = PAD | (uint32_t)pad;
        memcpy(ring->memory + offset, &mark, sizeof mark);
        offset = 0;
    }
    ring->reserved = head + pad + size;
    return ring->memory + offset;
}

void *audit_ring_peek(struct audit_ring *ring)
{
    for (;;) {
        uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        if (tail == ring->cached_head) {
            ring->cached_head = atomic_load_explicit(&ring->head, memory_order_acquire);
            if (tail == ring->cached_head)
                return NULL;
        }
        char *record = ring->memory + ((size_t)tail & (ring->size - 1));
        uint32_t size;
        memcpy(&size, record, sizeof size);
        if (!(size & PAD))
            return record;
        audit_ring_release(ring, size & ~PAD);
    }
}

void audit_ring_release(struct audit_ring *ring, size_t size)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + size, memory_order_release);
}

size_t audit_ring_used(const struct audit_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    return (size_t)(head - tail); /* tail was read first: never negative */
}
