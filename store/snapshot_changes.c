/* Changes of content as entries: listed, and applied to what they are changes of. */
#include "store/snapshot_format.h"

#include <stdlib.h>

/* An entry: uint32 key length, uint32 value length or GONE, area, key, value. */
enum area { AREA_SECTION = 'S', AREA_CLIENT = 'C', AREA_REVOCATION = 'R' };
#define GONE UINT32_MAX

struct listing {
    struct guard_buffer *entries;
    size_t limit;
    const struct guard_clients *clients; /* those to come to */
};

/* False: enough. */
static bool list_entry(const struct listing *listing, enum area area, const struct guard_shard_entry *entry)
{
    struct guard_buffer *entries = listing->entries;
    uint32_t lengths[] = {entry->key_length, entry->value ? entry->value_length : GONE};
    guard_buffer_append(entries, lengths, sizeof lengths);
    guard_buffer_byte(entries, (char)area);
    guard_buffer_append(entries, entry->key, entry->key_length);
    if (entry->value)
        guard_buffer_append(entries, entry->value, entry->value_length);
    return !entries->failed && entries->length <= listing->limit;
}

static bool list_section(void *context, const struct guard_shard_entry *before, const struct guard_shard_entry *after)
{
    struct guard_shard_entry gone;
    if (!after) {
        gone = *before;
        gone.value = NULL;
        after = &gone;
    }
    return list_entry(context, AREA_SECTION, after);
}

static bool list_client(void *context, const char *username, bool present)
{
    const struct listing *listing = context;
    struct guard_shard_entry entry = {.key = username, .key_length = (uint32_t)strlen(username)};
    struct guard_client_view view;
    size_t length;
    if (present && guard_clients_find(listing->clients, username, entry.key_length, &view)) {
        entry.value = guard_client_packed(&view, &length);
        entry.value_length = (uint32_t)length;
    }
    return list_entry(listing, AREA_CLIENT, &entry);
}

static bool list_revocation(void *context, enum guard_revocation_kind kind, const char *name, const char *value)
{
    const struct listing *listing = context;
    struct guard_buffer key = {0};
    guard_buffer_byte(&key, (char)kind);
    guard_buffer_text(&key, name);
    struct guard_shard_entry entry = {.key = key.data,
                                      .value = value,
                                      .key_length = (uint32_t)key.length,
                                      .value_length = value ? (uint32_t)strlen(value) : 0};
    listing->entries->failed = listing->entries->failed || key.failed;
    bool more = !key.failed && list_entry(listing, AREA_REVOCATION, &entry);
    guard_buffer_free(&key);
    return more;
}

void guard_snapshot_list(struct guard_buffer *entries, const struct guard_content *from, const struct guard_content *to,
                         size_t limit)
{
    struct listing listing = {entries, limit, to->clients};
    guard_shard_map_diff(from->sections, to->sections, list_section, &listing);
    guard_clients_diff(from->clients, to->clients, list_client, &listing);
    guard_revocations_diff(from->revocations, to->revocations, list_revocation, &listing);
}

/* ---- applying ---- */

bool guard_snapshot_section_fits(const struct guard_shard_entry *entry)
{
    if (!entry->key_length || memchr(entry->key + 1, 0, entry->key_length - 1))
        return false;
    enum guard_key_kind kind = guard_content_section_kind(entry);
    if (kind == GUARD_KEY_JWKS)
        return entry->value_length && !entry->value[entry->value_length - 1];
    if ((kind != GUARD_KEY_ROLE && kind != GUARD_KEY_ASSIGN && kind != GUARD_KEY_DEFAULT) ||
        entry->value_length < sizeof(uint32_t))
        return false;
    size_t texts = guard_content_section_count(entry) * 2;
    const char *at = entry->value + sizeof(uint32_t), *end = entry->value + entry->value_length;
    for (; texts && at < end; texts--) {
        const char *nul = memchr(at, 0, (size_t)(end - at));
        if (!nul)
            return false;
        at = nul + 1;
    }
    return !texts && at == end;
}

struct applying {
    struct guard_shard_builder *sections;
    struct guard_clients_builder *clients;
    struct guard_revocations_builder *revocations;
};

static int no_matter_if_gone(int rc)
{
    return rc == GUARD_ERR_NOT_FOUND ? GUARD_OK : rc;
}

static int apply_section(struct applying *a, const struct guard_shard_entry *entry)
{
    if (!entry->value)
        return no_matter_if_gone(guard_shard_builder_remove(a->sections, entry->key, entry->key_length));
    return guard_snapshot_section_fits(entry)
               ? guard_shard_builder_put(a->sections, entry->key, entry->key_length, entry->value, entry->value_length)
               : GUARD_ERR_INVALID;
}

/* With copies that end where they should. */
static int apply_named(struct applying *a, enum area area, const struct guard_shard_entry *entry)
{
    bool failed = false;
    int rc = GUARD_ERR_INVALID;
    size_t skip = area == AREA_REVOCATION ? 1 : 0;
    if (entry->key_length <= skip)
        return rc;
    char *name = strndup(entry->key + skip, entry->key_length - skip);
    char *value = entry->value ? strndup(entry->value, entry->value_length) : NULL;
    if (!name || (entry->value && !value)) {
        rc = GUARD_ERR_NOMEM;
    } else if (area == AREA_CLIENT) {
        guard_clients_builder_remove(a->clients, name, &failed);
        rc = failed ? GUARD_ERR_NOMEM : GUARD_OK;
    } else if ((unsigned char)entry->key[0] < GUARD_REVOCATION_KINDS) {
        enum guard_revocation_kind kind = (enum guard_revocation_kind)entry->key[0];
        rc = value ? guard_revocations_builder_put(a->revocations, kind, name, value, NULL)
                   : guard_revocations_builder_remove(a->revocations, kind, name);
    }
    free(name);
    free(value);
    return rc;
}

static int apply_entry(struct applying *a, char area, const struct guard_shard_entry *entry)
{
    switch (area) {
    case AREA_SECTION:
        return apply_section(a, entry);
    case AREA_CLIENT:
        return entry->value ? guard_clients_builder_put_packed(a->clients, entry->key, entry->key_length, entry->value,
                                                               entry->value_length)
                            : apply_named(a, AREA_CLIENT, entry);
    case AREA_REVOCATION:
        return apply_named(a, AREA_REVOCATION, entry);
    default:
        return GUARD_ERR_INVALID;
    }
}

static int apply_all(struct applying *a, const char *at, size_t left)
{
    int rc = GUARD_OK;
    while (left && rc == GUARD_OK) {
        uint32_t lengths[2];
        struct guard_shard_entry entry = {0};
        if (left < sizeof lengths + 1)
            return GUARD_ERR_INVALID;
        memcpy(lengths, at, sizeof lengths);
        entry.key = at + sizeof lengths + 1;
        entry.key_length = lengths[0];
        entry.value_length = lengths[1] == GONE ? 0 : lengths[1];
        entry.value = lengths[1] == GONE ? NULL : entry.key + entry.key_length;
        uint64_t size = sizeof lengths + 1 + (uint64_t)entry.key_length + entry.value_length;
        if (size > left)
            return GUARD_ERR_INVALID;
        rc = apply_entry(a, at[sizeof lengths], &entry);
        at += size;
        left -= (size_t)size;
    }
    return rc;
}

int guard_snapshot_apply(const struct guard_content *from, const char *entries, size_t length, struct guard_content *to)
{
    struct applying a = {guard_shard_builder_new(from->sections), guard_clients_builder_new(from->clients),
                         guard_revocations_builder_new(from->revocations)};
    int rc = a.sections && a.clients && a.revocations ? apply_all(&a, entries, length) : GUARD_ERR_NOMEM;
    if (rc == GUARD_OK) {
        to->version = from->version;
        to->sections = guard_shard_builder_finish(&a.sections);
        to->clients = guard_clients_builder_finish(&a.clients);
        to->revocations = guard_revocations_builder_finish(&a.revocations);
        guard_content_count(to);
        if (!to->sections || !to->clients || !to->revocations) {
            guard_content_free(to);
            rc = GUARD_ERR_NOMEM;
        }
    }
    guard_shard_builder_free(&a.sections);
    guard_clients_builder_free(&a.clients);
    guard_revocations_builder_free(&a.revocations);
    return rc;
}

bool guard_snapshot_chain(unsigned char digest[GUARD_SNAPSHOT_DIGEST], const struct snapshot_change *head,
                          const char *entries)
{
    struct guard_sha256 *sha = guard_sha256_begin();
    if (!sha)
        return false;
    guard_sha256_add(sha, digest, GUARD_SNAPSHOT_DIGEST);
    guard_sha256_add(sha, head, sizeof *head);
    guard_sha256_add(sha, entries, head->length);
    return guard_sha256_end(&sha, digest);
}
