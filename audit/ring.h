/*
 * A ring of bytes between one producer and one consumer (docs/architecture.md, "Threads"). Records are contiguous, a
 * multiple of eight bytes, and begin with their size; the end of the memory is skipped by a pad record.
 */
#ifndef GUARD_AUDIT_RING_H
#define GUARD_AUDIT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUDIT_CACHE_LINE 64

struct audit_ring {
    /* constant after init */
    char *memory;
    size_t size; /* a power of two */

    /* the producer's line */
    _Alignas(AUDIT_CACHE_LINE) _Atomic uint64_t head; /* bytes ever written */
    uint64_t cached_tail;                             /* a tail the producer has seen */
    uint64_t reserved;                                /* where head goes with the next commit */

    /* the consumer's line */
    _Alignas(AUDIT_CACHE_LINE) _Atomic uint64_t tail; /* bytes ever released */
    uint64_t cached_head;
};

/* size must be a power of two. False when out of memory. */
bool audit_ring_init(struct audit_ring *ring, size_t size);
void audit_ring_destroy(struct audit_ring *ring);

/* Reads the consumer's progress anew and returns the bytes in use. Producer only. */
size_t audit_ring_refresh(struct audit_ring *ring);

/*
 * Room for a record of size bytes (a multiple of 8, at most a quarter of the ring), or NULL when it would take more
 * than limit bytes of the ring. Producer only; nothing is visible before audit_ring_commit.
 */
void *audit_ring_reserve(struct audit_ring *ring, size_t size, size_t limit);

/* The usual case of it, inline: the tail seen last leaves room enough, and the end of the memory is not near. */
static inline void *audit_ring_take(struct audit_ring *ring, size_t size, size_t limit)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    size_t offset = (size_t)head & (ring->size - 1);
    if (__builtin_expect(offset + size > ring->size || head - ring->cached_tail + size > limit, 0))
        return NULL;
    ring->reserved = head + size;
    return ring->memory + offset;
}

/*
 * The lines of the next record are fetched already now: between two pushes the consumer has had them, and waiting for
 * them would be most of what a push costs.
 */
static inline void audit_ring_commit(struct audit_ring *ring)
{
    uint64_t head = ring->reserved;
    atomic_store_explicit(&ring->head, head, memory_order_release);
    __builtin_prefetch(ring->memory + ((head + AUDIT_CACHE_LINE) & (ring->size - 1)), 1);
    __builtin_prefetch(ring->memory + ((head + 2 * AUDIT_CACHE_LINE) & (ring->size - 1)), 1);
}

/* The oldest record, or NULL. Consumer only; it stays valid until audit_ring_release with its size. */
void *audit_ring_peek(struct audit_ring *ring);
void audit_ring_release(struct audit_ring *ring, size_t size);

/* Bytes in use, as anybody may read it. */
size_t audit_ring_used(const struct audit_ring *ring);

#endif
