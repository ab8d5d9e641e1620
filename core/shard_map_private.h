/* How a map lies in memory. Private to core/shard_map.c, core/shard_builder.c and core/shard_image.c. */
#ifndef GUARD_CORE_SHARD_MAP_PRIVATE_H
#define GUARD_CORE_SHARD_MAP_PRIVATE_H

#include "core/shard_map.h"

#include <stdatomic.h>

#define SHARDS      4096
#define SHARD_SHIFT 52 /* the hash's top 12 bits choose the shard, its low 32 the slot */
#define EMPTY       0u
#define REMOVED     UINT32_MAX
#define SHARD_MAX   (UINT32_MAX / 2)
#define ENTRY_HEAD  8 /* bytes: uint32 key length, uint32 value length; then key, NUL, value */

struct shard_slot {
    uint32_t hash; /* so that a meeting of two keys need not be settled where their entries lie */
    uint32_t at;   /* offset of the entry in bytes, plus 1; or EMPTY, REMOVED */
};

struct shard {
    atomic_uint references;
    uint32_t count;      /* entries that are in */
    uint32_t occupied;   /* slots that are not EMPTY; some always are */
    uint32_t slot_count; /* any number */
    uint32_t used, size; /* of bytes */
    struct shard_slot *slots;
    char *bytes;             /* entries */
    struct guard_slab *slab; /* that slots and bytes lie in; NULL: they are the shard's own */
};

struct guard_shard_map {
    atomic_uint references;
    struct guard_siphash_key hash_key;
    size_t count;
    struct shard *shards[SHARDS]; /* NULL: nothing in it */
};

void guard_shard_unref(struct shard *shard); /* NULL is allowed */

/* The entry whose bytes begin at offset. */
void guard_shard_entry_at(const struct shard *shard, uint32_t offset, struct guard_shard_entry *entry);

/* Where the search for a hash begins, and goes on. */
static inline uint32_t guard_shard_slot(const struct shard *shard, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash * shard->slot_count >> 32);
}

static inline uint32_t guard_shard_next(const struct shard *shard, uint32_t slot)
{
    return slot + 1 == shard->slot_count ? 0 : slot + 1;
}

static inline bool guard_shard_holds(const struct shard *shard, uint32_t slot)
{
    return shard->slots[slot].at != EMPTY && shard->slots[slot].at != REMOVED;
}

/* The slot that holds key, or the one where its probe ends (EMPTY). */
uint32_t guard_shard_probe(const struct shard *shard, uint32_t hash, const char *key, size_t length);

#endif
