/* A map as octets, and octets as a map. */
#include "core/shard_map_private.h"

#include <stdlib.h>
#include <string.h>

#define UNIT 8

/* The image: this, SHARDS heads, then of each shard its slots and its bytes, up to a multiple of UNIT. */
struct image_head {
    char magic[8];
    struct guard_siphash_key hash_key;
    uint64_t count;
};

struct shard_head {
    uint32_t count, slot_count, used;
};

static const char magic[8] = "SHARDS\1";

static int put_head(const struct guard_shard_map *map, const struct guard_sink *sink)
{
    struct image_head head = {.count = guard_shard_map_count(map)};
    struct shard_head heads[SHARDS] = {0};
    if (map)
        head.hash_key = map->hash_key;
    memcpy(head.magic, magic, sizeof magic);
    for (size_t i = 0; map && i < SHARDS; i++)
        if (map->shards[i])
            heads[i] = (struct shard_head){map->shards[i]->count, map->shards[i]->slot_count, map->shards[i]->used};
    int rc = sink->put(sink->context, &head, sizeof head);
    return rc == GUARD_OK ? sink->put(sink->context, heads, sizeof heads) : rc;
}

int guard_shard_map_write(const struct guard_shard_map *map, const struct guard_sink *sink)
{
    int rc = put_head(map, sink);
    for (size_t i = 0; map && i < SHARDS && rc == GUARD_OK; i++) {
        const struct shard *shard = map->shards[i];
        if (!shard)
            continue;
        size_t written = shard->slot_count * sizeof *shard->slots + shard->used;
        rc = sink->put(sink->context, shard->slots, shard->slot_count * sizeof *shard->slots);
        if (rc == GUARD_OK)
            rc = sink->put(sink->context, shard->bytes, shard->used);
        if (rc == GUARD_OK)
            rc = guard_sink_pad(sink, &written, UNIT);
    }
    return rc;
}

/* One entry of a shard whose bytes are not trusted; its length, or 0. */
static uint32_t entry_size(const struct shard *shard, uint32_t at, struct guard_shard_entry *entry)
{
    if (at > shard->used || shard->used - at < ENTRY_HEAD + 1)
        return 0;
    guard_shard_entry_at(shard, at, entry);
    uint64_t size = (uint64_t)ENTRY_HEAD + entry->key_length + 1 + entry->value_length;
    if (size > shard->used - at || shard->bytes[at + ENTRY_HEAD + entry->key_length])
        return 0;
    return (uint32_t)size;
}

/* Every entry is inside, and together they are what is said: copying them needs no more room than the shard has. */
static bool is_sound(const struct shard *shard, bool (*check)(const struct guard_shard_entry *entry))
{
    uint32_t found = 0;
    uint64_t bytes = 0;
    for (uint32_t s = 0; s < shard->slot_count; s++) {
        struct guard_shard_entry entry;
        uint32_t size;
        if (shard->slots[s].at == EMPTY)
            continue;
        size = entry_size(shard, shard->slots[s].at - 1, &entry); /* REMOVED is far outside */
        if (!size || (check && !check(&entry)))
            return false;
        found++;
        bytes += size;
    }
    return found == shard->count && bytes == shard->used && found < shard->slot_count;
}

static int load_shard(struct guard_slab *slab, const char *at, const struct shard_head *head, struct shard **out)
{
    struct shard *shard = calloc(1, sizeof *shard);
    if (!shard)
        return GUARD_ERR_NOMEM;
    atomic_init(&shard->references, 1);
    shard->count = shard->occupied = head->count;
    shard->slot_count = head->slot_count;
    shard->used = shard->size = head->used;
    shard->slots = (struct shard_slot *)(void *)(uintptr_t)at; /* at is a multiple of UNIT */
    shard->bytes = (char *)(uintptr_t)at + shard->slot_count * sizeof *shard->slots;
    shard->slab = guard_slab_ref(slab);
    *out = shard;
    return GUARD_OK;
}

static uint64_t size_of(const struct shard_head *head)
{
    uint64_t size = (uint64_t)head->slot_count * sizeof(struct shard_slot) + head->used;
    return (size + UNIT - 1) / UNIT * UNIT;
}

static int load_shards(struct guard_slab *slab, size_t length, bool (*check)(const struct guard_shard_entry *entry),
                       struct guard_shard_map *map)
{
    struct shard_head head;
    size_t at = sizeof(struct image_head) + SHARDS * sizeof head, count = 0;
    int rc = GUARD_OK;
    for (size_t i = 0; i < SHARDS && rc == GUARD_OK; i++) {
        memcpy(&head, slab->bytes + sizeof(struct image_head) + i * sizeof head, sizeof head);
        if (!head.slot_count && !head.count && !head.used)
            continue;
        if (head.used > SHARD_MAX || !head.count || size_of(&head) > length - at)
            return GUARD_ERR_INVALID;
        rc = load_shard(slab, slab->bytes + at, &head, &map->shards[i]);
        if (rc == GUARD_OK && !is_sound(map->shards[i], check))
            rc = GUARD_ERR_INVALID;
        at += (size_t)size_of(&head);
        count += head.count;
    }
    return rc == GUARD_OK && (at != length || count != map->count) ? GUARD_ERR_INVALID : rc;
}

int guard_shard_map_load(struct guard_slab *slab, size_t length, bool (*check)(const struct guard_shard_entry *entry),
                         struct guard_shard_map **out)
{
    struct image_head head;
    *out = NULL;
    if (length > slab->size || length < sizeof head + SHARDS * sizeof(struct shard_head))
        return GUARD_ERR_INVALID;
    memcpy(&head, slab->bytes, sizeof head);
    if (memcmp(head.magic, magic, sizeof magic) != 0)
        return GUARD_ERR_INVALID;
    struct guard_shard_map *map = calloc(1, sizeof *map);
    if (!map)
        return GUARD_ERR_NOMEM;
    atomic_init(&map->references, 1);
    map->hash_key = head.hash_key;
    map->count = (size_t)head.count;
    int rc = load_shards(slab, length, check, map);
    if (rc == GUARD_OK)
        *out = map;
    else
        guard_shard_map_unref(&map);
    return rc;
}
