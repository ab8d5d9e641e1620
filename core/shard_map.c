#include "core/shard_map_private.h"

#include "core/memory.h"
#include "core/slab.h"

#include <stdlib.h>
#include <string.h>

void guard_shard_unref(struct shard *shard)
{
    if (!shard || atomic_fetch_sub_explicit(&shard->references, 1, memory_order_acq_rel) != 1)
        return;
    if (!shard->slab) {
        if (shard->bytes)
            guard_wipe(shard->bytes, shard->used);
        free(shard->bytes);
        free(shard->slots);
    }
    guard_slab_unref(&shard->slab);
    free(shard);
}

void guard_shard_entry_at(const struct shard *shard, uint32_t offset, struct guard_shard_entry *entry)
{
    const char *at = shard->bytes + offset;
    memcpy(&entry->key_length, at, 4);
    memcpy(&entry->value_length, at + 4, 4);
    entry->key = at + ENTRY_HEAD;
    entry->value = at + ENTRY_HEAD + entry->key_length + 1;
}

uint32_t guard_shard_probe(const struct shard *shard, uint32_t hash, const char *key, size_t length)
{
    uint32_t slot = guard_shard_slot(shard, hash);
    for (; shard->slots[slot].at != EMPTY; slot = guard_shard_next(shard, slot)) {
        struct guard_shard_entry entry;
        if (shard->slots[slot].hash != hash || shard->slots[slot].at == REMOVED)
            continue;
        guard_shard_entry_at(shard, shard->slots[slot].at - 1, &entry);
        if (entry.key_length == length && memcmp(entry.key, key, length) == 0)
            break;
    }
    return slot;
}

struct guard_shard_map *guard_shard_map_ref(struct guard_shard_map *map)
{
    atomic_fetch_add_explicit(&map->references, 1, memory_order_relaxed);
    return map;
}

void guard_shard_map_unref(struct guard_shard_map **map)
{
    struct guard_shard_map *old = *map;
    *map = NULL;
    if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < SHARDS; i++)
        guard_shard_unref(old->shards[i]);
    free(old);
}

bool guard_shard_map_find(const struct guard_shard_map *map, const char *key, size_t length,
                          struct guard_shard_entry *entry)
{
    if (!map)
        return false;
    uint64_t hash = guard_siphash(&map->hash_key, key, length);
    const struct shard *shard = map->shards[hash >> SHARD_SHIFT];
    if (!shard)
        return false;
    uint32_t slot = guard_shard_probe(shard, (uint32_t)hash, key, length);
    if (shard->slots[slot].at == EMPTY)
        return false;
    guard_shard_entry_at(shard, shard->slots[slot].at - 1, entry);
    return true;
}

size_t guard_shard_map_count(const struct guard_shard_map *map)
{
    return map ? map->count : 0;
}

size_t guard_shard_map_memory(const struct guard_shard_map *map)
{
    size_t bytes = map ? sizeof *map : 0;
    for (size_t i = 0; map && i < SHARDS; i++)
        if (map->shards[i])
            bytes +=
                sizeof(struct shard) + map->shards[i]->size + map->shards[i]->slot_count * sizeof(struct shard_slot);
    return bytes;
}

void guard_shard_map_each(const struct guard_shard_map *map,
                          bool (*visit)(void *context, const struct guard_shard_entry *entry), void *context)
{
    for (size_t i = 0; map && i < SHARDS; i++) {
        const struct shard *shard = map->shards[i];
        for (uint32_t s = 0; shard && s < shard->slot_count; s++) {
            struct guard_shard_entry entry;
            if (!guard_shard_holds(shard, s))
                continue;
            guard_shard_entry_at(shard, shard->slots[s].at - 1, &entry);
            if (!visit(context, &entry))
                return;
        }
    }
}

static bool same_shard(const struct guard_shard_map *a, const struct guard_shard_map *b, size_t index)
{
    return a && b && a->hash_key.k0 == b->hash_key.k0 && a->hash_key.k1 == b->hash_key.k1 &&
           a->shards[index] == b->shards[index];
}

/* The entries of a shard of `map` that `other` lacks or, if values are compared, has with another value. */
static bool diff_shard(const struct guard_shard_map *map, size_t index, const struct guard_shard_map *other,
                       bool compare,
                       bool (*visit)(void *, const struct guard_shard_entry *, const struct guard_shard_entry *),
                       void *context)
{
    const struct shard *shard = map->shards[index];
    for (uint32_t s = 0; shard && s < shard->slot_count; s++) {
        struct guard_shard_entry entry, twin;
        if (!guard_shard_holds(shard, s))
            continue;
        guard_shard_entry_at(shard, shard->slots[s].at - 1, &entry);
        bool there = guard_shard_map_find(other, entry.key, entry.key_length, &twin);
        if (there && (!compare || (twin.value_length == entry.value_length &&
                                   memcmp(twin.value, entry.value, entry.value_length) == 0)))
            continue;
        if (!(compare ? visit(context, there ? &twin : NULL, &entry) : visit(context, &entry, NULL)))
            return false;
    }
    return true;
}

bool guard_shard_map_diff(const struct guard_shard_map *from, const struct guard_shard_map *to,
                          bool (*visit)(void *context, const struct guard_shard_entry *before,
                                        const struct guard_shard_entry *after),
                          void *context)
{
    for (size_t i = 0; i < SHARDS; i++) {
        if (same_shard(from, to, i))
            continue;
        if (to && !diff_shard(to, i, from, true, visit, context))
            return false;
        if (from && !diff_shard(from, i, to, false, visit, context))
            return false;
    }
    return true;
}
