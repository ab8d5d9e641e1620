/* Making maps: shards are copied when they are first changed, and packed at the end. */
#include "core/shard_map_private.h"

#include <stdlib.h>
#include <string.h>

struct guard_shard_builder {
    struct guard_shard_map *map;
    uint8_t owned[SHARDS / 8];               /* shards no finished map refers to: these may be changed */
    uint32_t expected_count, expected_bytes; /* of a new shard */
};

static struct shard *shard_new(uint32_t slot_count, uint32_t size)
{
    struct shard *shard = calloc(1, sizeof *shard);
    if (!shard)
        return NULL;
    atomic_init(&shard->references, 1);
    shard->slot_count = slot_count;
    shard->size = size;
    shard->slots = calloc(slot_count, sizeof *shard->slots);
    shard->bytes = malloc(size ? size : 1);
    if (!shard->slots || !shard->bytes) {
        guard_shard_unref(shard);
        return NULL;
    }
    return shard;
}

/* key is not in the shard, slot is where its probe ended, and there is room. */
static void shard_append(struct shard *shard, uint32_t slot, const struct guard_shard_entry *entry)
{
    char *at = shard->bytes + shard->used;
    memcpy(at, &entry->key_length, 4);
    memcpy(at + 4, &entry->value_length, 4);
    memcpy(at + 8, entry->key, entry->key_length);
    at[8 + entry->key_length] = '\0';
    if (entry->value_length)
        memcpy(at + 8 + entry->key_length + 1, entry->value, entry->value_length);
    shard->slots[slot] = shard->used + 1;
    shard->used += 8 + entry->key_length + 1 + entry->value_length;
    shard->occupied++;
    shard->count++;
}

/* Slots for count entries at a load of at most 3/4. */
static uint32_t slots_for(uint32_t count)
{
    uint32_t slots = 4;
    while (slots / 4 * 3 < count)
        slots *= 2;
    return slots;
}

static uint32_t live_bytes(const struct shard *shard)
{
    uint32_t bytes = 0;
    for (uint32_t s = 0; s < shard->slot_count; s++) {
        struct guard_shard_entry entry;
        if (shard->slots[s] == EMPTY || shard->slots[s] == REMOVED)
            continue;
        guard_shard_entry_at(shard, shard->slots[s] - 1, &entry);
        bytes += 8 + entry.key_length + 1 + entry.value_length;
    }
    return bytes;
}

/* A copy without holes, with room for more entries and extra bytes. NULL: out of memory. */
static struct shard *shard_repack(const struct shard *from, const struct guard_siphash_key *key, uint32_t more,
                                  uint32_t extra)
{
    struct shard *to = shard_new(slots_for((from ? from->count : 0) + more), (from ? live_bytes(from) : 0) + extra);
    for (uint32_t s = 0; to && from && s < from->slot_count; s++) {
        struct guard_shard_entry entry;
        if (from->slots[s] == EMPTY || from->slots[s] == REMOVED)
            continue;
        guard_shard_entry_at(from, from->slots[s] - 1, &entry);
        uint64_t hash = guard_siphash(key, entry.key, entry.key_length);
        shard_append(to, guard_shard_probe(to, hash, entry.key, entry.key_length), &entry);
    }
    return to;
}

static struct guard_shard_map *map_new(const struct guard_shard_map *base)
{
    struct guard_shard_map *map = calloc(1, sizeof *map);
    if (!map)
        return NULL;
    map->hash_key = base ? base->hash_key : guard_siphash_random_key();
    atomic_init(&map->references, 1);
    for (size_t i = 0; base && i < SHARDS; i++) {
        map->shards[i] = base->shards[i];
        if (map->shards[i])
            atomic_fetch_add_explicit(&map->shards[i]->references, 1, memory_order_relaxed);
    }
    map->count = base ? base->count : 0;
    return map;
}

struct guard_shard_builder *guard_shard_builder_new(const struct guard_shard_map *base)
{
    struct guard_shard_builder *builder = calloc(1, sizeof *builder);
    if (!builder)
        return NULL;
    builder->map = map_new(base);
    if (!builder->map) {
        free(builder);
        return NULL;
    }
    return builder;
}

struct guard_shard_builder *guard_shard_builder_new_keyed(const struct guard_siphash_key *key, size_t count,
                                                          size_t bytes)
{
    struct guard_shard_builder *builder = guard_shard_builder_new(NULL);
    size_t entries = count / SHARDS, octets = bytes / SHARDS;
    if (!builder)
        return NULL;
    builder->map->hash_key = *key;
    if (entries < SHARD_MAX / 64 && octets < SHARD_MAX / 4) { /* a quarter more: shards are not equally full */
        builder->expected_count = (uint32_t)(entries + entries / 4);
        builder->expected_bytes = (uint32_t)(octets + octets / 4);
    }
    return builder;
}

void guard_shard_builder_free(struct guard_shard_builder **builder)
{
    if (*builder)
        guard_shard_map_unref(&(*builder)->map);
    free(*builder);
    *builder = NULL;
}

static bool is_owned(const struct guard_shard_builder *builder, size_t index)
{
    return builder->owned[index / 8] >> (index % 8) & 1;
}

static void adopt(struct guard_shard_builder *builder, size_t index, struct shard *shard)
{
    guard_shard_unref(builder->map->shards[index]);
    builder->map->shards[index] = shard;
    builder->owned[index / 8] |= (uint8_t)(1 << (index % 8));
}

/* A shard of ours with room for one more entry of that many bytes. NULL: out of memory, nothing changed. */
static struct shard *writable(struct guard_shard_builder *builder, size_t index, uint32_t bytes)
{
    struct shard *shard = builder->map->shards[index];
    if (shard && is_owned(builder, index) && (shard->occupied + 1) <= shard->slot_count / 4 * 3 &&
        shard->size - shard->used >= bytes)
        return shard;
    /* doubling when it grows again; the slack is given back by finish */
    uint32_t more = 1, extra = bytes;
    if (shard && is_owned(builder, index)) { /* no `c ? a->n + 1 : 1` here: gcc 14.2 reads a->n whatever c is */
        more += shard->count;
        extra += shard->used < SHARD_MAX / 2 ? shard->used : 0;
    }
    struct shard *grown = shard_repack(shard, &builder->map->hash_key, more, extra);
    if (grown)
        adopt(builder, index, grown);
    return grown;
}

int guard_shard_builder_put(struct guard_shard_builder *builder, const char *key, size_t key_length, const char *value,
                            size_t value_length)
{
    uint64_t hash = guard_siphash(&builder->map->hash_key, key, key_length);
    size_t index = hash >> SHARD_SHIFT;
    const struct shard *now = builder->map->shards[index];
    if (key_length > SHARD_MAX / 4 || value_length > SHARD_MAX / 4 ||
        (now && now->used > SHARD_MAX - key_length - value_length - 16))
        return GUARD_ERR_LIMIT;
    uint32_t bytes = (uint32_t)(8 + key_length + 1 + value_length);
    struct shard *shard = writable(builder, index, bytes);
    if (!shard)
        return GUARD_ERR_NOMEM;
    uint32_t slot = guard_shard_probe(shard, hash, key, key_length);
    if (shard->slots[slot] != EMPTY) { /* the old bytes stay as a hole until it is packed */
        shard->slots[slot] = REMOVED;
        shard->count--;
        builder->map->count--;
        slot = guard_shard_probe(shard, hash, key, key_length);
    }
    struct guard_shard_entry entry = {key, value, (uint32_t)key_length, (uint32_t)value_length};
    shard_append(shard, slot, &entry);
    builder->map->count++;
    return GUARD_OK;
}

int guard_shard_builder_remove(struct guard_shard_builder *builder, const char *key, size_t length)
{
    struct guard_shard_entry entry;
    if (!guard_shard_map_find(builder->map, key, length, &entry))
        return GUARD_ERR_NOT_FOUND;
    uint64_t hash = guard_siphash(&builder->map->hash_key, key, length);
    struct shard *shard = writable(builder, hash >> SHARD_SHIFT, 0);
    if (!shard)
        return GUARD_ERR_NOMEM;
    shard->slots[guard_shard_probe(shard, hash, key, length)] = REMOVED;
    shard->count--;
    builder->map->count--;
    return GUARD_OK;
}

bool guard_shard_builder_find(const struct guard_shard_builder *builder, const char *key, size_t length,
                              struct guard_shard_entry *entry)
{
    return guard_shard_map_find(builder->map, key, length, entry);
}

/* Gives back what a shard has too much; one with holes is made anew. False: out of memory. */
static bool pack(struct guard_shard_builder *builder, size_t index)
{
    struct shard *shard = builder->map->shards[index], *packed = NULL;
    if (shard->count && shard->count == shard->occupied && shard->slot_count <= 2 * slots_for(shard->count)) {
        char *bytes = realloc(shard->bytes, shard->used); /* smaller: stays where it is */
        shard->bytes = bytes ? bytes : shard->bytes;
        shard->size = bytes ? shard->used : shard->size;
        return true;
    }
    if (shard->count) {
        packed = shard_repack(shard, &builder->map->hash_key, 0, 0);
        if (!packed)
            return false;
    }
    guard_shard_unref(shard);
    builder->map->shards[index] = packed;
    return true;
}

struct guard_shard_map *guard_shard_builder_finish(struct guard_shard_builder **builder)
{
    struct guard_shard_builder *done = *builder;
    struct guard_shard_map *map = NULL;
    bool fine = true;
    for (size_t i = 0; i < SHARDS && fine; i++)
        if (done->map->shards[i] && is_owned(done, i))
            fine = pack(done, i);
    if (fine) {
        map = done->map;
        done->map = NULL;
    }
    guard_shard_builder_free(builder);
    return map;
}
