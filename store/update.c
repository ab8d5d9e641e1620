#include "store/update.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for one more element of an array; false: out of memory. */
static bool grow(void *array_pointer, size_t count, size_t *capacity, size_t size)
{
    void *array;
    if (count < *capacity)
        return true;
    size_t more = *capacity ? *capacity * 2 : 16;
    memcpy(&array, array_pointer, sizeof array);
    void *grown = guard_regrow(array, count * size, more * size);
    if (!grown)
        return false;
    memcpy(array_pointer, &grown, sizeof grown);
    *capacity = more;
    return true;
}

static bool add_jwks(struct guard_update *u, const struct guard_shard_entry *entry, bool present)
{
    if (!grow(&u->jwks, u->jwks_count, &u->jwks_capacity, sizeof *u->jwks))
        return false;
    u->jwks[u->jwks_count++] =
        (struct guard_store_jwks){.issuer = entry->key + 1, .json = present ? entry->value : NULL};
    return true;
}

static enum guard_store_kind store_kind(enum guard_key_kind kind)
{
    return kind == GUARD_KEY_ROLE     ? GUARD_STORE_ROLE
           : kind == GUARD_KEY_ASSIGN ? GUARD_STORE_ASSIGN
                                      : GUARD_STORE_DEFAULT;
}

/* Sections and their entries; the lines follow when it is known how many there are. */
static bool add_section(void *context, const struct guard_shard_entry *before, const struct guard_shard_entry *after)
{
    struct guard_update *u = context;
    const struct guard_shard_entry *entry = after ? after : before;
    enum guard_key_kind kind = guard_content_section_kind(entry);
    size_t capacity = u->section_capacity;
    u->failed = true;
    if (kind == GUARD_KEY_JWKS)
        return u->failed = !add_jwks(u, entry, after != NULL), !u->failed;
    if (!grow(&u->entries, u->section_count, &capacity, sizeof *u->entries) ||
        !grow(&u->sections, u->section_count, &u->section_capacity, sizeof *u->sections))
        return false;
    u->sections[u->section_count] = (struct guard_store_section){
        .kind = store_kind(kind), .name = entry->key + 1, .count = after ? guard_content_section_count(after) : 0};
    u->entries[u->section_count] = *entry;
    u->line_count += u->sections[u->section_count].count;
    u->section_count++;
    u->failed = false;
    return true;
}

static bool add_client(void *context, const char *username, bool present)
{
    struct guard_update *u = context;
    (void)present;
    u->failed = !grow(&u->clients, u->client_count, &u->client_capacity, sizeof *u->clients);
    if (!u->failed)
        u->clients[u->client_count++] = username;
    return !u->failed;
}

static bool add_revocation(void *context, enum guard_revocation_kind kind, const char *name, const char *value)
{
    struct guard_update *u = context;
    u->failed = !grow(&u->revocations, u->revocation_count, &u->revocation_capacity, sizeof *u->revocations);
    if (!u->failed)
        u->revocations[u->revocation_count++] = (struct guard_store_revocation){kind, name, value};
    return !u->failed;
}

static char *section_place(const struct guard_update *u, size_t index, const char *prefix)
{
    char *place;
    const struct guard_shard_entry *entry = &u->entries[index];
    int rc = asprintf(&place, "%s%s%s", prefix, guard_key_text(guard_content_section_kind(entry)), entry->key + 1);
    return rc < 0 ? NULL : place;
}

static bool fill_lines(struct guard_update *u, const char *prefix)
{
    size_t at = 0;
    u->lines = reallocarray(NULL, u->line_count + 1, sizeof *u->lines);
    u->places = calloc(u->section_count + 1, sizeof *u->places);
    if (!u->lines || !u->places)
        return false;
    for (size_t i = 0; i < u->section_count; i++) {
        u->sections[i].lines = u->lines + at;
        if (!u->sections[i].count)
            continue;
        u->places[i] = section_place(u, i, prefix);
        if (!u->places[i])
            return false;
        guard_content_section_lines(&u->entries[i], u->places[i], u->lines + at);
        at += u->sections[i].count;
    }
    return true;
}

static int finish(struct guard_update *u, const struct guard_content *after, bool full, const char *prefix)
{
    if (u->failed || !fill_lines(u, prefix))
        return GUARD_ERR_NOMEM;
    u->update = (struct guard_store_update){.full = full,
                                            .version = after->version,
                                            .sections = u->sections,
                                            .section_count = u->section_count,
                                            .clients = full || u->client_count ? after->clients : NULL,
                                            .changed_clients = u->clients,
                                            .changed_client_count = u->client_count,
                                            .revocations = full || u->revocation_count ? after->revocations : NULL,
                                            .changed_revocations = u->revocations,
                                            .changed_revocation_count = u->revocation_count,
                                            .jwks = u->jwks,
                                            .jwks_count = u->jwks_count};
    return GUARD_OK;
}

int guard_update_make(struct guard_update *u, const struct guard_content *before, const struct guard_content *after,
                      bool full, const char *prefix)
{
    guard_shard_map_diff(full ? NULL : before->sections, after->sections, add_section, u);
    if (!u->failed && !full) {
        guard_clients_diff(before->clients, after->clients, add_client, u);
        if (!u->failed)
            guard_revocations_diff(before->revocations, after->revocations, add_revocation, u);
    }
    return finish(u, after, full, prefix);
}

static bool add_changed_role(void *context, const struct guard_shard_entry *before,
                             const struct guard_shard_entry *after)
{
    bool is_role = guard_content_section_kind(after ? after : before) == GUARD_KEY_ROLE;
    return !is_role || add_section(context, before, after);
}

static bool add_other_section(void *context, const struct guard_shard_entry *entry)
{
    return guard_content_section_kind(entry) == GUARD_KEY_ROLE || add_section(context, NULL, entry);
}

int guard_update_restore(struct guard_update *u, const struct guard_content *base, const struct guard_content *after,
                         const char *prefix)
{
    guard_shard_map_diff(base->sections, after->sections, add_changed_role, u);
    if (!u->failed)
        guard_shard_map_each(after->sections, add_other_section, u);
    return finish(u, after, true, prefix);
}

bool guard_update_has_changes(const struct guard_update *u)
{
    return u->update.full || u->section_count || u->client_count || u->revocation_count || u->jwks_count;
}

void guard_update_free(struct guard_update *u)
{
    for (size_t i = 0; u->places && i < u->section_count; i++)
        free(u->places[i]);
    free(u->places);
    free(u->sections);
    free(u->entries);
    free(u->lines);
    free(u->clients);
    free(u->revocations);
    free(u->jwks);
    *u = (struct guard_update){0};
}
