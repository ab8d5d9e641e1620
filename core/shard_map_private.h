/* How a map lies in memory. Private to core/shard_map.c and core/shard_builder.c. */
#ifndef GUARD_CORE_SHARD_MAP_PRIVATE_H
#define GUARD_CORE_SHARD_MAP_PRIVATE_H

#include "core/shard_map.h"

#include <stdatomic.h>

#define SHARDS      4096
#define SHARD_SHIFT 52 /* the hash's top 12 bits choose the shard, its low bits the slot */
#define EMPTY       0u
#define REMOVED     UINT32_MAX
#define SHARD_MAX   (UINT32_MAX / 2)

struct shard {
    atomic_uint references;
    uint32_t count;      /* entries that are in */
    uint32_t occupied;   /* slots that are not EMPTY */
    uint32_t slot_count; /* a power of two */
    uint32_t used, size; /* of bytes */
    uint32_t *slots;     /* offset of the entry in bytes, plus 1 */
    char *bytes;         /* entries: uint32 key length, uint32 value length, key, NUL, value */
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

/* The slot that holds key, or the one where its probe ends (EMPTY). */
uint32_t guard_shard_probe(const struct shard *shard, uint64_t hash, const char *key, size_t length);

#endif
