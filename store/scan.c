#include "store/scan.h"

#include "store/keys.h"

#include <string.h>

#define SCAN_COUNT "2000"

static int no_memory(struct guard_redis_fault *fault)
{
    return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "out of memory");
}

int guard_keys_add(struct guard_keys *keys, const char *before, const char *name, struct guard_redis_fault *fault)
{
    guard_buffer_text(&keys->text, before);
    guard_buffer_append(&keys->text, name, strlen(name) + 1);
    keys->count++;
    return keys->text.failed ? no_memory(fault) : 0;
}

void guard_keys_clear(struct guard_keys *keys)
{
    guard_buffer_clear(&keys->text);
    keys->count = 0;
}

void guard_scan_pattern(struct guard_buffer *pattern, const char *prefix, const char *beginning)
{
    const char *const parts[] = {prefix, beginning};
    for (int i = 0; i < 2; i++)
        for (const char *c = parts[i]; *c; c++) {
            if (strchr("*?[]\\^", *c))
                guard_buffer_byte(pattern, '\\');
            guard_buffer_byte(pattern, *c);
        }
    guard_buffer_byte(pattern, '*');
}

int guard_scan_ask(struct guard_redis *redis, const char *prefix, const char *cursor, struct guard_redis_fault *fault)
{
    struct guard_buffer pattern = {0};
    guard_scan_pattern(&pattern, prefix, "");
    const char *argv[] = {"SCAN", cursor, "MATCH", pattern.data, "COUNT", SCAN_COUNT};
    int rc = pattern.failed ? no_memory(fault) : guard_redis_queue(redis, 6, argv, NULL, fault);
    guard_buffer_free(&pattern);
    return rc;
}

int guard_scan_take(struct guard_redis *redis, const char *prefix, struct guard_keys *keys,
                    char cursor[GUARD_SCAN_CURSOR], struct guard_redis_fault *fault)
{
    const struct guard_reply *reply;
    size_t length = strlen(prefix);
    guard_keys_clear(keys);
    if (guard_redis_read(redis, &reply, fault) != 0)
        return -1;
    if (reply->type == GUARD_REPLY_ERROR)
        return guard_redis_server_fault(reply, fault);
    const char *next = guard_reply_text(reply, 0);
    if (!next || strlen(next) >= GUARD_SCAN_CURSOR || reply->count != 2 || reply->items[1]->type != GUARD_REPLY_ARRAY)
        return guard_redis_fail(fault, GUARD_REASON_STORE_PROTOCOL_ERROR, "SCAN was answered in a way not understood");
    strcpy(cursor, next);
    for (size_t i = 0; i < reply->items[1]->count; i++) {
        const char *key = guard_reply_text(reply->items[1], i);
        if (!key || strncmp(key, prefix, length) != 0 || !guard_key_is_read(key + length))
            continue;
        if (guard_keys_add(keys, "", key + length, fault) != 0)
            return -1;
    }
    return 0;
}
