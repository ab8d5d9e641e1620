/* Making maps: shards are copied when they are first changed, and packed at the end. */
#include "core/shard_map_private.h"

#include <stdlib.h>
#include <string.h>

struct guard_shard_builder {
    struct guard_shard_map *map;
    uint8_t owned[SHARDS / 8]; /* shards no finished map refers to: these may be changed */
    uint8_t **seen;            /* of a refresh: by shard, a bit for each slot whose entry was put again; NULL: none */
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

static uint32_t free_slot(const struct shard *shard, uint32_t hash)
{
    uint32_t slot = guard_shard_slot(shard, hash);
    while (shard->slots[slot].at != EMPTY)
        slot = guard_shard_next(shard, slot);
    return slot;
}

/* The key is not in the shard, and there is room. Returns its slot. */
static uint32_t shard_append(struct shard *shard, uint32_t hash, const struct guard_shard_entry *entry)
{
    char *at = shard->bytes + shard->used;
    uint32_t slot = free_slot(shard, hash);
    memcpy(at, &entry->key_length, 4);
    memcpy(at + 4, &entry->value_length, 4);
    memcpy(at + ENTRY_HEAD, entry->key, entry->key_length);
    at[ENTRY_HEAD + entry->key_length] = '\0';
    if (entry->value_length)
        memcpy(at + ENTRY_HEAD + entry->key_length + 1, entry->value, entry->value_length);
    shard->slots[slot] = (struct shard_slot){hash, shard->used + 1};
    shard->used += ENTRY_HEAD + entry->key_length + 1 + entry->value_length;
    shard->occupied++;
    shard->count++;
    return slot;
}

/* Slots for count entries: one in four stays empty. */
static uint32_t slots_for(uint32_t count)
{
    return count + count / 3 + 2;
}

/* How many of a shard's slots may be taken. */
static uint32_t room_of(const struct shard *shard)
{
    return (uint32_t)((uint64_t)shard->slot_count * 3 / 4);
}

static bool has_holes(const struct shard *shard)
{
    return shard->count != shard->occupied;
}

static uint32_t live_bytes(const struct shard *shard)
{
    uint32_t bytes = 0;
    if (!has_holes(shard))
        return shard->used;
    for (uint32_t s = 0; s < shard->slot_count; s++) {
        struct guard_shard_entry entry;
        if (!guard_shard_holds(shard, s))
            continue;
        guard_shard_entry_at(shard, shard->slots[s].at - 1, &entry);
        bytes += ENTRY_HEAD + entry.key_length + 1 + entry.value_length;
    }
    return bytes;
}

/* ---- a refresh: what was put again ---- */

static bool is_seen(const struct guard_shard_builder *builder, size_t index, uint32_t slot)
{
    return builder->seen && builder->seen[index] && builder->seen[index][slot / 8] >> slot % 8 & 1;
}

/* False: out of memory. */
static bool mark(struct guard_shard_builder *builder, size_t index, uint32_t slot, bool seen)
{
    if (!builder->seen || (!seen && !builder->seen[index]))
        return true;
    if (!builder->seen[index])
        builder->seen[index] = calloc(builder->map->shards[index]->slot_count / 8 + 1, 1);
    if (!builder->seen[index])
        return false;
    uint8_t bit = (uint8_t)(1 << slot % 8), *byte = &builder->seen[index][slot / 8];
    *byte = (uint8_t)(seen ? *byte | bit : *byte & ~bit);
    return true;
}

static uint32_t seen_count(const struct guard_shard_builder *builder, size_t index)
{
    uint32_t count = 0;
    if (builder->seen[index])
        for (uint32_t byte = 0; byte <= builder->map->shards[index]->slot_count / 8; byte++)
            count += (uint32_t)__builtin_popcount(builder->seen[index][byte]);
    return count;
}

/* ---- builders ---- */

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

struct guard_shard_builder *guard_shard_builder_refresh(const struct guard_shard_map *base)
{
    struct guard_shard_builder *builder = guard_shard_builder_new(base);
    if (!builder || !base)
        return builder;
    builder->seen = calloc(SHARDS, sizeof *builder->seen);
    if (!builder->seen)
        guard_shard_builder_free(&builder);
    return builder;
}

void guard_shard_builder_free(struct guard_shard_builder **builder)
{
    struct guard_shard_builder *b = *builder;
    *builder = NULL;
    if (!b)
        return;
    for (size_t i = 0; b->seen && i < SHARDS; i++)
        free(b->seen[i]);
    free(b->seen);
    guard_shard_map_unref(&b->map);
    free(b);
}

static bool is_owned(const struct guard_shard_builder *builder, size_t index)
{
    return builder->owned[index / 8] >> (index % 8) & 1;
}

/* Puts a new shard (NULL: none) in the place of one. */
static void adopt(struct guard_shard_builder *builder, size_t index, struct shard *shard, uint8_t *seen)
{
    guard_shard_unref(builder->map->shards[index]);
    builder->map->shards[index] = shard;
    builder->owned[index / 8] |= (uint8_t)(1 << (index % 8));
    if (builder->seen) {
        free(builder->seen[index]);
        builder->seen[index] = seen;
    }
}

/* What a copy of a shard is to have room for, and whether only what was seen goes there. */
struct room {
    uint32_t entries, bytes;
    bool seen_only;
};

/* Makes a shard our own, without holes. False: out of memory, nothing changed. */
static bool repack(struct guard_shard_builder *builder, size_t index, const struct room *room)
{
    const struct shard *from = builder->map->shards[index];
    struct shard *to =
        shard_new(slots_for((from ? from->count : 0) + room->entries), (from ? live_bytes(from) : 0) + room->bytes);
    uint8_t *seen = to && builder->seen ? calloc(to->slot_count / 8 + 1, 1) : NULL;
    if (!to || (builder->seen && !seen)) {
        guard_shard_unref(to);
        return false;
    }
    for (uint32_t s = 0; from && s < from->slot_count; s++) {
        struct guard_shard_entry entry;
        bool was_seen = is_seen(builder, index, s);
        if (!guard_shard_holds(from, s) || (room->seen_only && !was_seen))
            continue;
        guard_shard_entry_at(from, from->slots[s].at - 1, &entry);
        uint32_t slot = shard_append(to, from->slots[s].hash, &entry);
        if (was_seen)
            seen[slot / 8] |= (uint8_t)(1 << slot % 8);
    }
    adopt(builder, index, to, seen);
    return true;
}

/* Makes sure of a shard of ours with room for one more entry of that many bytes. False: out of memory. */
static bool make_room(struct guard_shard_builder *builder, size_t index, uint32_t bytes)
{
    const struct shard *shard = builder->map->shards[index];
    struct room room = {.entries = 1, .bytes = bytes};
    if (shard && is_owned(builder, index)) {
        if (shard->occupied + 1 <= room_of(shard) && shard->size - shard->used >= bytes)
            return true;
        /* doubling when it grows again; the slack is given back by finish */
        room.entries += shard->count;
        room.bytes += shard->used < SHARD_MAX / 2 ? shard->used : 0;
    }
    return repack(builder, index, &room);
}

/* Whether that very entry is in: then it is only marked. *failed: out of memory. */
static bool is_put_again(struct guard_shard_builder *builder, size_t index, uint32_t hash,
                         const struct guard_shard_entry *entry, bool *failed)
{
    const struct shard *shard = builder->map->shards[index];
    struct guard_shard_entry there;
    if (!builder->seen || !shard)
        return false;
    uint32_t slot = guard_shard_probe(shard, hash, entry->key, entry->key_length);
    if (shard->slots[slot].at == EMPTY)
        return false;
    guard_shard_entry_at(shard, shard->slots[slot].at - 1, &there);
    if (there.value_length != entry->value_length || memcmp(there.value, entry->value, entry->value_length) != 0)
        return false;
    *failed = !mark(builder, index, slot, true);
    return true;
}

/* The old bytes stay as a hole until the shard is packed. */
static void vacate(struct guard_shard_builder *builder, size_t index, uint32_t slot)
{
    struct shard *shard = builder->map->shards[index];
    mark(builder, index, slot, false);
    shard->slots[slot].at = REMOVED;
    shard->count--;
    builder->map->count--;
}

int guard_shard_builder_put(struct guard_shard_builder *builder, const char *key, size_t key_length, const char *value,
                            size_t value_length)
{
    uint64_t hash = guard_siphash(&builder->map->hash_key, key, key_length);
    size_t index = hash >> SHARD_SHIFT;
    const struct shard *now = builder->map->shards[index];
    struct guard_shard_entry entry = {key, value, (uint32_t)key_length, (uint32_t)value_length};
    bool failed = false;
    if (key_length > SHARD_MAX / 4 || value_length > SHARD_MAX / 4 ||
        (now && now->used > SHARD_MAX - key_length - value_length - 16))
        return GUARD_ERR_LIMIT;
    if (is_put_again(builder, index, (uint32_t)hash, &entry, &failed))
        return failed ? GUARD_ERR_NOMEM : GUARD_OK;
    if (!make_room(builder, index, ENTRY_HEAD + entry.key_length + 1 + entry.value_length))
        return GUARD_ERR_NOMEM;
    struct shard *shard = builder->map->shards[index];
    uint32_t slot = guard_shard_probe(shard, (uint32_t)hash, key, key_length);
    if (shard->slots[slot].at != EMPTY)
        vacate(builder, index, slot);
    mark(builder, index, shard_append(shard, (uint32_t)hash, &entry), true); /* the bits are there: it was repacked */
    builder->map->count++;
    return GUARD_OK;
}

int guard_shard_builder_remove(struct guard_shard_builder *builder, const char *key, size_t length)
{
    struct guard_shard_entry entry;
    if (!guard_shard_map_find(builder->map, key, length, &entry))
        return GUARD_ERR_NOT_FOUND;
    uint64_t hash = guard_siphash(&builder->map->hash_key, key, length);
    size_t index = hash >> SHARD_SHIFT;
    if (!make_room(builder, index, 0))
        return GUARD_ERR_NOMEM;
    vacate(builder, index, guard_shard_probe(builder->map->shards[index], (uint32_t)hash, key, length));
    return GUARD_OK;
}

bool guard_shard_builder_find(const struct guard_shard_builder *builder, const char *key, size_t length,
                              struct guard_shard_entry *entry)
{
    return guard_shard_map_find(builder->map, key, length, entry);
}

/* ---- the end ---- */

/* Takes out what was not put again. False: out of memory. */
static bool sweep(struct guard_shard_builder *builder, size_t index)
{
    uint32_t before = builder->map->shards[index]->count, kept = seen_count(builder, index);
    if (kept == before)
        return true;
    if (!kept)
        adopt(builder, index, NULL, NULL);
    else if (!repack(builder, index, &(struct room){.seen_only = true}))
        return false;
    builder->map->count -= before - kept;
    return true;
}

/* Fewer slots for a shard that was made for growing. */
static bool shrink_slots(struct shard *shard)
{
    struct shard old = *shard;
    uint32_t slot_count = slots_for(shard->count);
    struct shard_slot *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return false;
    shard->slots = slots;
    shard->slot_count = slot_count;
    for (uint32_t s = 0; s < old.slot_count; s++)
        if (old.slots[s].at != EMPTY)
            shard->slots[free_slot(shard, old.slots[s].hash)] = old.slots[s];
    free(old.slots);
    return true;
}

/* Gives back what a shard has too much; one with holes is made anew. False: out of memory. */
static bool pack(struct guard_shard_builder *builder, size_t index)
{
    struct shard *shard = builder->map->shards[index];
    if (!shard->count) {
        adopt(builder, index, NULL, NULL);
        return true;
    }
    if (has_holes(shard))
        return repack(builder, index, &(struct room){0});
    if (shard->size > shard->used) {
        char *bytes = realloc(shard->bytes, shard->used); /* smaller: stays where it is */
        shard->bytes = bytes ? bytes : shard->bytes;
        shard->size = bytes ? shard->used : shard->size;
    }
    return shard->slot_count <= slots_for(shard->count) || shrink_slots(shard);
}

struct guard_shard_map *guard_shard_builder_finish(struct guard_shard_builder **builder)
{
    struct guard_shard_builder *done = *builder;
    struct guard_shard_map *map = NULL;
    bool fine = true;
    for (size_t i = 0; i < SHARDS && fine; i++) {
        if (done->seen && done->map->shards[i])
            fine = sweep(done, i);
        if (fine && done->map->shards[i] && is_owned(done, i))
            fine = pack(done, i);
    }
    if (fine) {
        map = done->map;
        done->map = NULL;
    }
    guard_shard_builder_free(builder);
    return map;
}
