#include "store/content.h"

#include <stdlib.h>
#include <string.h>

void guard_content_copy(struct guard_content *to, const struct guard_content *from)
{
    *to = *from;
    if (to->sections)
        guard_shard_map_ref(to->sections);
    if (to->clients)
        guard_clients_ref(to->clients);
    if (to->revocations)
        guard_revocations_ref(to->revocations);
}

void guard_content_free(struct guard_content *content)
{
    guard_shard_map_unref(&content->sections);
    guard_clients_unref(&content->clients);
    guard_revocations_unref(&content->revocations);
    *content = (struct guard_content){0};
}

static bool stop_at_policy(void *context, const struct guard_shard_entry *entry)
{
    bool *found = context;
    *found = guard_content_section_kind(entry) != GUARD_KEY_JWKS;
    return !*found;
}

bool guard_content_is_empty(const struct guard_content *content)
{
    bool found = false;
    if (guard_clients_count(content->clients))
        return false;
    guard_shard_map_each(content->sections, stop_at_policy, &found);
    return !found;
}

static bool stop_at_section(void *context, const struct guard_shard_entry *before,
                            const struct guard_shard_entry *after)
{
    (void)context;
    (void)before;
    (void)after;
    return false;
}

static bool stop_at_client(void *context, const char *username, bool present)
{
    (void)username;
    (void)present;
    *(bool *)context = true;
    return false;
}

bool guard_content_same_policy(const struct guard_content *a, const struct guard_content *b)
{
    bool differs = false;
    if (!guard_shard_map_diff(a->sections, b->sections, stop_at_section, NULL))
        return false;
    guard_clients_diff(a->clients, b->clients, stop_at_client, &differs);
    return !differs;
}

enum guard_key_kind guard_content_section_kind(const struct guard_shard_entry *entry)
{
    return (enum guard_key_kind)entry->key[0];
}

size_t guard_content_section_count(const struct guard_shard_entry *entry)
{
    uint32_t count;
    memcpy(&count, entry->value, sizeof count);
    return count;
}

static bool count_section(void *context, const struct guard_shard_entry *entry)
{
    struct guard_content *content = context;
    if (guard_content_section_kind(entry) == GUARD_KEY_ROLE) {
        content->roles++;
        content->rules += guard_content_section_count(entry);
    }
    return true;
}

void guard_content_count(struct guard_content *content)
{
    content->roles = content->rules = 0;
    guard_shard_map_each(content->sections, count_section, content);
}

static enum guard_policy_section policy_section(enum guard_key_kind kind)
{
    return kind == GUARD_KEY_ROLE     ? GUARD_SECTION_ROLE
           : kind == GUARD_KEY_CLIENT ? GUARD_SECTION_CLIENT
           : kind == GUARD_KEY_ASSIGN ? GUARD_SECTION_ASSIGN
                                      : GUARD_SECTION_DEFAULT;
}

void guard_content_section_lines(const struct guard_shard_entry *entry, const char *place,
                                 struct guard_policy_line *lines)
{
    const char *at = entry->value + sizeof(uint32_t);
    size_t count = guard_content_section_count(entry);
    for (size_t i = 0; i < count; i++) {
        lines[i] = (struct guard_policy_line){.section = policy_section(guard_content_section_kind(entry)),
                                              .name = entry->key + 1,
                                              .field = at,
                                              .place = place};
        at += strlen(at) + 1;
        lines[i].value = at;
        at += strlen(at) + 1;
    }
}
