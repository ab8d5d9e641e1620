/* Reading the policy out of Redis as it was written there. */
#include "core/utf8.h"
#include "store/home_internal.h"
#include "store/scan.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 2000

static enum guard_policy_section section_of(enum guard_key_kind kind)
{
    return kind == GUARD_KEY_ROLE     ? GUARD_SECTION_ROLE
           : kind == GUARD_KEY_CLIENT ? GUARD_SECTION_CLIENT
           : kind == GUARD_KEY_ASSIGN ? GUARD_SECTION_ASSIGN
                                      : GUARD_SECTION_DEFAULT;
}

static bool is_text(const struct guard_reply *reply)
{
    if (reply->type != GUARD_REPLY_STRING || !guard_utf8_valid(reply->text, reply->length))
        return false;
    for (size_t i = 0; i < reply->length; i++)
        if ((unsigned char)reply->text[i] < 0x20 && reply->text[i] != '\t')
            return false;
    return true;
}

static int compare_lines(const void *a, const void *b)
{
    const struct guard_policy_line *left = a, *right = b;
    return strcmp(left->field, right->field);
}

/* The answer to HGETALL of a key as lines. */
static int take_hash(const struct guard_home *home, const char *key, const struct guard_reply *reply,
                     struct guard_policy_text *text, struct guard_problems *problems)
{
    const char *name;
    struct guard_buffer place = {0};
    enum guard_key_kind kind = guard_key_parse(key, &name);
    size_t first = text->count;
    int rc = GUARD_OK;
    guard_buffer_text(&place, home->prefix);
    guard_buffer_text(&place, key);
    if (place.failed)
        return GUARD_ERR_NOMEM;
    if (reply->type != GUARD_REPLY_ARRAY)
        guard_problems_add(problems, GUARD_PROBLEM_ERROR, place.data, 0, 0, "is not a hash");
    for (size_t i = 0; reply->type == GUARD_REPLY_ARRAY && i + 1 < reply->count && rc == GUARD_OK; i += 2) {
        if (!is_text(reply->items[i]) || !is_text(reply->items[i + 1])) {
            guard_problems_add(problems, GUARD_PROBLEM_ERROR, place.data, 0, 0,
                               "a field or value holds control characters or is not valid UTF-8");
            continue;
        }
        struct guard_policy_line line = {.section = section_of(kind),
                                         .name = name,
                                         .field = reply->items[i]->text,
                                         .value = reply->items[i + 1]->text,
                                         .place = place.data};
        rc = guard_policy_text_add(text, &line);
    }
    if (text->count - first > 1)
        qsort(text->lines + first, text->count - first, sizeof *text->lines, compare_lines);
    guard_buffer_free(&place);
    return rc;
}

static int ask(struct guard_home *home, const char *key, struct guard_redis_fault *fault)
{
    struct guard_buffer whole = {0};
    guard_buffer_text(&whole, home->prefix);
    guard_buffer_text(&whole, key);
    const char *argv[] = {"HGETALL", whole.data};
    int rc = whole.failed ? guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "out of memory")
                          : guard_redis_queue(home->redis, 2, argv, NULL, fault);
    guard_buffer_free(&whole);
    return rc;
}

/* Reads keys[0..count), some at a time. */
static int read_keys(struct guard_home *home, char **keys, size_t count, struct guard_policy_text *text,
                     struct guard_problems *problems, struct guard_error *err)
{
    struct guard_redis_fault fault = {0};
    for (size_t start = 0; start < count; start += BATCH) {
        size_t end = count - start < BATCH ? count : start + BATCH;
        for (size_t i = start; i < end; i++)
            if (ask(home, keys[i], &fault) != 0)
                return guard_home_fault(home, &fault, err);
        for (size_t i = start; i < end; i++) {
            const struct guard_reply *reply;
            if (guard_redis_read(home->redis, &reply, &fault) != 0)
                return guard_home_fault(home, &fault, err);
            if (reply->type == GUARD_REPLY_ERROR && strncmp(reply->text, "WRONGTYPE", 9) != 0) {
                guard_redis_server_fault(reply, &fault);
                return guard_home_fault(home, &fault, err);
            }
            if (take_hash(home, keys[i], reply, text, problems) != GUARD_OK)
                return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
        }
    }
    return GUARD_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const char *left = *(char *const *)a, *right = *(char *const *)b, *name;
    int by_kind = (int)guard_key_parse(left, &name) - (int)guard_key_parse(right, &name);
    return by_kind ? by_kind : strcmp(left, right);
}

/* Splits keys, sorts them (roles, clients, assign, default) and drops doubles. NULL: out of memory. */
static char **sorted(struct guard_keys *keys, size_t *count)
{
    char **list = reallocarray(NULL, keys->count + 1, sizeof *list);
    char *at = keys->text.data;
    size_t unique = 0;
    if (!list)
        return NULL;
    for (size_t i = 0; i < keys->count; i++, at += strlen(at) + 1)
        list[i] = at;
    qsort(list, keys->count, sizeof *list, compare_keys);
    for (size_t i = 0; i < keys->count; i++)
        if (!i || strcmp(list[i], list[unique - 1]) != 0)
            list[unique++] = list[i];
    *count = unique;
    return list;
}

static bool is_wanted(const char *key, unsigned what)
{
    const char *name;
    switch (guard_key_parse(key, &name)) {
    case GUARD_KEY_ROLE:
    case GUARD_KEY_ASSIGN:
    case GUARD_KEY_DEFAULT:
        return what & GUARD_HOME_POLICY;
    case GUARD_KEY_CLIENT:
        return what & GUARD_HOME_CLIENTS;
    default:
        return false;
    }
}

/* All keys of the home that are wanted. */
static int find_keys(struct guard_home *home, unsigned what, struct guard_keys *found, struct guard_error *err)
{
    struct guard_keys some = {0};
    struct guard_redis_fault fault = {0};
    char cursor[GUARD_SCAN_CURSOR] = "0";
    int rc = 0;
    do {
        rc = guard_scan_ask(home->redis, home->prefix, cursor, &fault);
        if (rc == 0)
            rc = guard_scan_take(home->redis, home->prefix, &some, cursor, &fault);
        const char *key = some.text.data;
        for (size_t i = 0; rc == 0 && i < some.count; i++, key += strlen(key) + 1)
            if (is_wanted(key, what))
                rc = guard_keys_add(found, "", key, &fault);
    } while (rc == 0 && strcmp(cursor, "0") != 0);
    guard_buffer_free(&some.text);
    return rc == 0 ? GUARD_OK : guard_home_fault(home, &fault, err);
}

int guard_home_read(struct guard_home *home, unsigned what, struct guard_policy_text *text,
                    struct guard_problems *problems, struct guard_error *err)
{
    struct guard_keys keys = {0};
    size_t count = 0;
    char **list = NULL;
    int rc = find_keys(home, what, &keys, err);
    if (rc == GUARD_OK) {
        list = sorted(&keys, &count);
        rc = list ? read_keys(home, list, count, text, problems, err)
                  : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    free(list);
    guard_buffer_free(&keys.text);
    return rc;
}

int guard_home_read_one(struct guard_home *home, enum guard_key_kind kind, const char *name,
                        struct guard_policy_text *text, struct guard_problems *problems, struct guard_error *err)
{
    struct guard_buffer key = {0};
    guard_buffer_text(&key, guard_key_text(kind));
    guard_buffer_text(&key, name);
    int rc = key.failed ? guard_fail(err, GUARD_ERR_NOMEM, "out of memory")
                        : read_keys(home, &key.data, 1, text, problems, err);
    guard_buffer_free(&key);
    return rc;
}

int guard_home_read_clients(struct guard_home *home, const char *const *names, size_t count,
                            struct guard_policy_text *text, struct guard_problems *problems, struct guard_error *err)
{
    struct guard_keys keys = {0};
    struct guard_redis_fault fault = {0};
    size_t unique = 0;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = guard_keys_add(&keys, guard_key_text(GUARD_KEY_CLIENT), names[i], &fault);
    char **list = rc == 0 ? sorted(&keys, &unique) : NULL;
    int result =
        list ? read_keys(home, list, unique, text, problems, err) : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    free(list);
    guard_buffer_free(&keys.text);
    return result;
}

/* Takes the keys of one SCAN answer: [cursor, [key …]]. */
static const char *take_list(const struct guard_home *home, const struct guard_reply *reply, struct guard_buffer *keys,
                             size_t *count)
{
    size_t prefix = strlen(home->prefix);
    for (size_t i = 0; reply->count == 2 && i < reply->items[1]->count; i++) {
        const char *key = guard_reply_text(reply->items[1], i);
        if (!key || strncmp(key, home->prefix, prefix) != 0)
            continue;
        guard_buffer_append(keys, key + prefix, strlen(key + prefix) + 1);
        ++*count;
    }
    return guard_reply_text(reply, 0);
}

int guard_home_list(struct guard_home *home, const char *beginning, struct guard_buffer *keys, size_t *count,
                    struct guard_error *err)
{
    struct guard_buffer pattern = {0};
    char cursor[GUARD_SCAN_CURSOR] = "0";
    int rc = GUARD_OK;
    *count = 0;
    guard_scan_pattern(&pattern, home->prefix, beginning);
    if (pattern.failed)
        rc = guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    do {
        const struct guard_reply *reply =
            rc == GUARD_OK ? guard_home_call(home, err, "SCAN", cursor, "MATCH", pattern.data, "COUNT", "2000", NULL)
                           : NULL;
        const char *next = reply ? take_list(home, reply, keys, count) : NULL;
        if (!next || strlen(next) >= sizeof cursor || keys->failed)
            rc = reply ? guard_fail(err, GUARD_ERR_IO, "SCAN was answered in a way not understood") : GUARD_ERR_IO;
        else
            strcpy(cursor, next);
    } while (rc == GUARD_OK && strcmp(cursor, "0") != 0);
    guard_buffer_free(&pattern);
    return rc;
}
