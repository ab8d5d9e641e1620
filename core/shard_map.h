/*
 * An immutable map from octet strings to octet strings in 4,096 shards, shared by reference. A builder made from a map
 * copies only the shards it changes; the rest is shared. Entries lie packed behind one another: about 20 bytes on top
 * of key and value. Hashing is keyed (SipHash), since strangers choose user names.
 */
#ifndef GUARD_CORE_SHARD_MAP_H
#define GUARD_CORE_SHARD_MAP_H

#include "core/error.h"
#include "core/siphash.h"
#include "core/slab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guard_shard_map;

struct guard_shard_entry {
    const char *key; /* NUL behind key_length octets */
    const char *value;
    uint32_t key_length, value_length;
};

struct guard_shard_map *guard_shard_map_ref(struct guard_shard_map *map); /* returns map */
void guard_shard_map_unref(struct guard_shard_map **map);                 /* the last one wipes and frees; sets NULL */

/* Finds key; entry's pointers are good until the map is released. map may be NULL. No allocation. */
bool guard_shard_map_find(const struct guard_shard_map *map, const char *key, size_t length,
                          struct guard_shard_entry *entry);
size_t guard_shard_map_count(const struct guard_shard_map *map);
size_t guard_shard_map_memory(const struct guard_shard_map *map);
/* Calls visit for each entry, in no order, until it returns false. */
void guard_shard_map_each(const struct guard_shard_map *map,
                          bool (*visit)(void *context, const struct guard_shard_entry *entry), void *context);

/*
 * Calls visit for each key whose value differs: before NULL: it is new; after NULL: it is gone. Shards both share are
 * not looked at, so that comparing a map with its edited copy costs what was edited. Either map may be NULL. False if
 * visit returned false, which ends it.
 */
bool guard_shard_map_diff(const struct guard_shard_map *from, const struct guard_shard_map *to,
                          bool (*visit)(void *context, const struct guard_shard_entry *before,
                                        const struct guard_shard_entry *after),
                          void *context);

/* Writes the map's image (core/slab.h); map may be NULL, which is an empty one. GUARD_OK, or what the sink returned. */
int guard_shard_map_write(const struct guard_shard_map *map, const struct guard_sink *sink);
/*
 * Uses the image in slab->bytes[0..length) as a map; it keeps references of slab. Nothing in the image is relied on
 * before it was looked at, so that a forged one reads no memory but the slab's; check is asked for each entry (NULL:
 * all are good). Not looked at is whether an entry stands where its hash leads: it is not found then. GUARD_OK,
 * GUARD_ERR_INVALID or GUARD_ERR_NOMEM.
 */
int guard_shard_map_load(struct guard_slab *slab, size_t length, bool (*check)(const struct guard_shard_entry *entry),
                         struct guard_shard_map **out);

struct guard_shard_builder;

/* Starts with what base holds (NULL: nothing); base itself is never changed. NULL: out of memory. */
struct guard_shard_builder *guard_shard_builder_new(const struct guard_shard_map *base);
/*
 * Starts likewise, but of what base holds only what is put again stays. Putting what is there already copies nothing:
 * reading everything anew costs what changed, and the shards in which nothing did stay base's own. NULL: out of memory.
 */
struct guard_shard_builder *guard_shard_builder_refresh(const struct guard_shard_map *base);
void guard_shard_builder_free(struct guard_shard_builder **builder);
/* GUARD_OK, GUARD_ERR_NOMEM, or GUARD_ERR_LIMIT (a shard would outgrow 2 GiB); unless GUARD_OK nothing is changed. */
int guard_shard_builder_put(struct guard_shard_builder *builder, const char *key, size_t key_length, const char *value,
                            size_t value_length);
/* GUARD_OK, GUARD_ERR_NOT_FOUND, GUARD_ERR_NOMEM. */
int guard_shard_builder_remove(struct guard_shard_builder *builder, const char *key, size_t length);
/* entry is good until the builder is changed. */
bool guard_shard_builder_find(const struct guard_shard_builder *builder, const char *key, size_t length,
                              struct guard_shard_entry *entry);
/* Packs and hands out the map; frees the builder and sets it to NULL. NULL: out of memory (the builder is freed as
 * well). */
struct guard_shard_map *guard_shard_builder_finish(struct guard_shard_builder **builder);

#endif
