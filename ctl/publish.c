#include "ctl/publish.h"

#include "core/clock.h"
#include "core/json.h"
#include "store/policy_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_FROM 200 /* changed sections: fewer do not hold Redis up */
#define DRAFT      "draft:guardctl:"

static enum guard_key_kind kind_of(enum guard_policy_section section)
{
    return section == GUARD_SECTION_ROLE     ? GUARD_KEY_ROLE
           : section == GUARD_SECTION_CLIENT ? GUARD_KEY_CLIENT
           : section == GUARD_SECTION_ASSIGN ? GUARD_KEY_ASSIGN
                                             : GUARD_KEY_DEFAULT;
}

static bool same_section(const struct guard_policy_line *a, const struct guard_policy_line *b)
{
    return a->section == b->section && strcmp(a->name, b->name) == 0;
}

static const struct guard_policy_line *line_of(const struct ctl_difference *d)
{
    return d->after ? d->after : d->before;
}

/* The lines of the section that line belongs to, in a sorted text. */
static const struct guard_policy_line *section_lines(const struct guard_policy_text *text,
                                                     const struct guard_policy_line *line, size_t *count)
{
    size_t low = 0, high = text->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct guard_policy_line *at = &text->lines[middle];
        int order =
            at->section != line->section ? (at->section < line->section ? -1 : 1) : strcmp(at->name, line->name);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *count = 0;
    while (low + *count < text->count && same_section(&text->lines[low + *count], line))
        ++*count;
    return text->lines + low;
}

static size_t changed_sections(const struct ctl_diff *diff)
{
    size_t count = 0;
    for (size_t i = 0; i < diff->count; i++)
        count += !i || !same_section(line_of(&diff->items[i]), line_of(&diff->items[i - 1]));
    return count;
}

/* The section under a draft's name now, and the rename for later. */
static void stage(struct guard_home_change *now, struct guard_home_change *later, const char *draft,
                  enum guard_key_kind kind, const struct guard_policy_line *lines, size_t count)
{
    struct guard_buffer key = {0};
    guard_buffer_text(&key, GUARD_HOME_KEY);
    guard_buffer_text(&key, draft);
    guard_buffer_text(&key, guard_key_text(kind));
    guard_buffer_text(&key, lines->name);
    if (key.failed) {
        now->words.failed = true;
        return;
    }
    guard_home_change_add(now, "DEL", key.data, NULL);
    guard_home_change_begin(now);
    guard_home_change_word(now, "HSET");
    guard_home_change_word(now, key.data);
    for (size_t i = 0; i < count; i++) {
        guard_home_change_word(now, lines[i].field);
        guard_home_change_word(now, lines[i].value);
    }
    guard_home_change_end(now);
    guard_home_change_begin(later);
    guard_home_change_word(later, "RENAME");
    guard_home_change_word(later, key.data);
    guard_home_change_key(later, kind, lines->name);
    guard_home_change_end(later);
    if (kind == GUARD_KEY_ROLE || kind == GUARD_KEY_CLIENT)
        guard_home_change_add(later, "SADD", kind == GUARD_KEY_ROLE ? GUARD_HOME_KEY "roles" : GUARD_HOME_KEY "clients",
                              lines->name, NULL);
    guard_buffer_free(&key);
}

/* Every changed section into change; draft not NULL: by way of drafts. */
static void add_sections(const struct ctl_publish *publish, const char *draft, struct guard_home_change *drafts,
                         struct guard_home_change *change)
{
    for (size_t i = 0; i < publish->diff->count; i++) {
        const struct guard_policy_line *line = line_of(&publish->diff->items[i]);
        size_t count;
        if (i && same_section(line, line_of(&publish->diff->items[i - 1])))
            continue;
        const struct guard_policy_line *lines = section_lines(publish->after, line, &count);
        if (draft && count)
            stage(drafts, change, draft, kind_of(line->section), lines, count);
        else
            guard_home_change_section(change, kind_of(line->section), line->name, lines, count);
    }
}

/* Drafts that a push of an older version left behind. */
static int add_leftovers(struct ctl_redis *redis, uint64_t version, struct guard_home_change *drafts,
                         struct guard_error *err)
{
    struct guard_buffer keys = {0}, key = {0};
    size_t count = 0;
    int rc = guard_home_list(redis->home, DRAFT, &keys, &count, err);
    const char *at = keys.data;
    for (size_t i = 0; rc == GUARD_OK && i < count; i++, at += strlen(at) + 1) {
        if (strtoull(at + strlen(DRAFT), NULL, 10) >= version)
            continue;
        guard_buffer_clear(&key);
        guard_buffer_text(&key, GUARD_HOME_KEY);
        guard_buffer_text(&key, at);
        guard_home_change_add(drafts, "DEL", key.data, NULL);
    }
    guard_buffer_free(&keys);
    guard_buffer_free(&key);
    return rc;
}

/* One version into guard:history. What cannot be written as a policy file (a damaged key) is not kept. */
static void add_version(struct ctl_redis *redis, struct guard_home_change *change, uint64_t version, const char *action,
                        const struct guard_policy_text *text)
{
    struct guard_buffer file = {0};
    char number[24], key[64], now[GUARD_TIMESTAMP_SIZE];
    snprintf(number, sizeof number, "%" PRIu64, version);
    snprintf(key, sizeof key, GUARD_HOME_KEY "history:%" PRIu64, version);
    guard_timestamp(guard_clock_real_ns(), now);
    if (guard_policy_file_write(text, &file, NULL) == GUARD_OK && !file.failed) {
        guard_buffer_append(&file, "", 0);
        guard_home_change_add(change, "HSET", key, "text", file.data, "who", redis->who, "time", now, "action", action,
                              NULL);
        guard_home_change_add(change, "ZADD", GUARD_HOME_KEY "history", number, number, NULL);
    }
    guard_buffer_free(&file);
}

static void drop_version(struct guard_home_change *change, uint64_t version)
{
    char number[24], key[64];
    snprintf(number, sizeof number, "%" PRIu64, version);
    snprintf(key, sizeof key, GUARD_HOME_KEY "history:%" PRIu64, version);
    guard_home_change_add(change, "DEL", key, NULL);
    guard_home_change_add(change, "ZREM", GUARD_HOME_KEY "history", number, NULL);
}

/* The state before, unless it is kept already; the new one; and the oldest go. */
static int add_history(struct ctl_redis *redis, const struct ctl_publish *publish, uint64_t version,
                       struct guard_home_change *change, struct guard_error *err)
{
    uint64_t *versions = NULL;
    size_t count = 0, kept;
    int rc = ctl_history_versions(redis, &versions, &count, err);
    if (rc != GUARD_OK)
        return rc;
    bool known = count && versions[count - 1] == publish->expected;
    if (!known && publish->before->count)
        add_version(redis, change, publish->expected, "before a push", publish->before);
    add_version(redis, change, version, publish->action, publish->after);
    kept = count + (known || !publish->before->count ? 1 : 2);
    for (size_t i = 0; i < count && kept > publish->keep; i++, kept--)
        drop_version(change, versions[i]);
    free(versions);
    return GUARD_OK;
}

int ctl_publish_run(struct ctl_redis *redis, const struct ctl_publish *publish, uint64_t *version,
                    struct guard_error *err)
{
    struct guard_home_change drafts = {0}, change = {0};
    struct guard_home_note note = {
        .who = redis->who, .action = publish->action, .detail = publish->detail, .expected = publish->expected};
    uint64_t highest = 0;
    char draft[64];
    bool staged = changed_sections(publish->diff) > STAGE_FROM;
    int rc = ctl_highest_broker_version(redis, &highest, err);
    *version = (publish->expected > highest ? publish->expected : highest) + 1;
    snprintf(draft, sizeof draft, DRAFT "%" PRIu64 ":", *version);
    if (rc == GUARD_OK && staged)
        rc = add_leftovers(redis, *version, &drafts, err);
    if (rc == GUARD_OK) {
        add_sections(publish, staged ? draft : NULL, &drafts, &change);
        rc = add_history(redis, publish, *version, &change, err);
    }
    if (rc == GUARD_OK && drafts.count)
        rc = guard_home_run(redis->home, &drafts, err);
    note.at_least = highest;
    if (rc == GUARD_OK)
        rc = guard_home_commit(redis->home, &change, &note, version, err);
    guard_home_change_free(&drafts);
    guard_home_change_free(&change);
    return rc;
}

int ctl_history_versions(struct ctl_redis *redis, uint64_t **versions, size_t *count, struct guard_error *err)
{
    const struct guard_reply *reply =
        guard_home_call(redis->home, err, "ZRANGE", GUARD_HOME_KEY "history", "0", "-1", NULL);
    *count = 0;
    *versions = reply ? calloc(reply->count + 1, sizeof **versions) : NULL;
    if (!reply)
        return GUARD_ERR_IO;
    if (!*versions)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < reply->count; i++) {
        const char *text = guard_reply_text(reply, i);
        if (text)
            (*versions)[(*count)++] = strtoull(text, NULL, 10);
    }
    return GUARD_OK;
}

char *ctl_history_text(struct ctl_redis *redis, uint64_t version, struct guard_error *err)
{
    char key[64];
    snprintf(key, sizeof key, GUARD_HOME_KEY "history:%" PRIu64, version);
    const struct guard_reply *reply = guard_home_call(redis->home, err, "HGET", key, "text", NULL);
    if (!reply)
        return NULL;
    char *text = reply->type == GUARD_REPLY_STRING ? strndup(reply->text, reply->length) : NULL;
    if (!text)
        guard_fail(err, GUARD_ERR_NOT_FOUND, "version %" PRIu64 " is not kept (guardctl history lists those that are)",
                   version);
    return text;
}

int ctl_highest_broker_version(struct ctl_redis *redis, uint64_t *version, struct guard_error *err)
{
    struct guard_buffer keys = {0}, key = {0};
    size_t count = 0;
    int rc = guard_home_list(redis->home, "status:", &keys, &count, err);
    const char *at = keys.data;
    *version = 0;
    for (size_t i = 0; rc == GUARD_OK && i < count; i++, at += strlen(at) + 1) {
        struct guard_json *status = NULL;
        int64_t seen = 0;
        guard_buffer_clear(&key);
        guard_buffer_text(&key, GUARD_HOME_KEY);
        guard_buffer_text(&key, at);
        const struct guard_reply *reply = guard_home_call(redis->home, err, "GET", key.data, NULL);
        if (!reply)
            rc = GUARD_ERR_IO;
        else if (reply->type == GUARD_REPLY_STRING &&
                 guard_json_parse(reply->text, reply->length, 8, &status, NULL) == GUARD_OK &&
                 guard_json_integer(guard_json_get(status, "policy_version"), &seen) && (uint64_t)seen > *version)
            *version = (uint64_t)seen;
        guard_json_free(&status);
    }
    guard_buffer_free(&keys);
    guard_buffer_free(&key);
    return rc;
}
