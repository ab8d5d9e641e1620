/*
 * What a server may send: the octets go through the reader, and each reply that comes out is offered as the value of
 * every kind of key and as an invalidation. The first line of the input is the key's name.
 */
#include "store/content.h"
#include "store/pending.h"
#include "store/redis_parse.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const beginnings[] = {
    "role:",   "client:",     "assign", "default", "revoked:jti:",  "revoked:cert:", "revoked:before:",
    "ban:ip:", "ban:client:", "jwks:",  "version", "confirm-empty", "draft:"};

#define BEGINNINGS (sizeof beginnings / sizeof beginnings[0])

static int check(void *context, const struct guard_policy_line *lines, size_t count, struct guard_problems *problems)
{
    (void)context;
    (void)problems;
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += strlen(lines[i].name) + strlen(lines[i].field) + strlen(lines[i].value) + strlen(lines[i].place);
    return length % 3 ? GUARD_OK : GUARD_ERR_SYNTAX;
}

static void take_reply(struct guard_content_edit *edit, const char *name, const struct guard_reply *reply)
{
    char key[300];
    struct guard_pending pending = {0};
    for (size_t i = 0; i < BEGINNINGS; i++) {
        size_t length = strlen(beginnings[i]);
        memcpy(key, beginnings[i], length);
        strcpy(key + length, name);
        if (guard_content_edit_take(edit, key, reply) != GUARD_OK)
            abort();
    }
    if (!guard_pending_add(&pending, "guard:", reply))
        abort();
    guard_pending_free(&pending);
}

static void take_all(struct guard_content_edit *edit, const char *name, const uint8_t *octets, size_t size)
{
    struct guard_redis_parser *parser = guard_redis_parser_new();
    const struct guard_reply *reply;
    bool failed = !guard_redis_parser_feed(parser, (const char *)octets, size);
    while (!failed && (reply = guard_redis_parser_next(parser, &failed)))
        take_reply(edit, name, reply);
    guard_redis_parser_free(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard_store_callbacks callbacks = {.check = check};
    struct guard_faults faults = {0};
    struct guard_content_checks checks = {.callbacks = &callbacks, .prefix = "guard:", .faults = &faults};
    struct guard_content good = {0}, next = {0};
    char name[256] = "";
    const uint8_t *line_end = memchr(data, '\n', size);
    size_t length = line_end ? (size_t)(line_end - data) : 0;
    if (!length || length >= sizeof name || memchr(data, 0, length))
        return 0;
    memcpy(name, data, length);
    for (int round = 0; round < 2; round++) { /* the second time there are last good versions */
        struct guard_content_edit edit = {0};
        if (guard_content_edit_begin(&edit, round ? &good : NULL, &good, &checks) != GUARD_OK)
            abort();
        take_all(&edit, name, line_end + 1, size - length - 1);
        if (guard_content_edit_finish(&edit, &next) != GUARD_OK)
            abort();
        guard_content_free(&good);
        good = next;
    }
    guard_content_free(&good);
    guard_faults_free(&faults);
    return 0;
}
