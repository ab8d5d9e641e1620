#include "store/pending.h"

#include "store/keys.h"

#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (64u << 20) /* beyond that, reading everything anew is the better way */

bool guard_pending_add_key(struct guard_pending *pending, const char *key)
{
    pending->changed = true;
    if (pending->keys.length > BYTES_MAX)
        pending->flushed = true;
    if (pending->flushed)
        return true;
    guard_buffer_append(&pending->keys, key, strlen(key) + 1);
    return !pending->keys.failed;
}

static bool add_one(struct guard_pending *pending, const char *prefix, const struct guard_reply *key)
{
    size_t length = strlen(prefix);
    if (key->type != GUARD_REPLY_STRING || key->length < length || memcmp(key->text, prefix, length) != 0 ||
        memchr(key->text, 0, key->length)) /* a name with U+0000 names nobody */
        return true;
    if (!guard_key_is_read(key->text + length))
        return true;
    return guard_pending_add_key(pending, key->text + length);
}

bool guard_pending_add(struct guard_pending *pending, const char *prefix, const struct guard_reply *keys)
{
    if (keys->type != GUARD_REPLY_ARRAY) {
        pending->flushed = pending->changed = true;
        return true;
    }
    for (size_t i = 0; i < keys->count; i++)
        if (!add_one(pending, prefix, keys->items[i]))
            return false;
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t count_keys(const struct guard_buffer *keys)
{
    size_t count = 0;
    for (size_t i = 0; i < keys->length; i++)
        count += keys->data[i] == '\0';
    return count;
}

bool guard_pending_take(struct guard_pending *pending, struct guard_buffer *held, const char ***list, size_t *count)
{
    size_t all = count_keys(&pending->keys), unique = 0;
    const char **keys = reallocarray(NULL, all + 1, sizeof *keys);
    if (!keys)
        return false;
    *held = pending->keys;
    *pending = (struct guard_pending){0};
    const char *at = held->data;
    for (size_t i = 0; i < all; i++) {
        keys[i] = at;
        at += strlen(at) + 1;
    }
    qsort(keys, all, sizeof *keys, compare);
    for (size_t i = 0; i < all; i++)
        if (!i || strcmp(keys[i], keys[unique - 1]) != 0)
            keys[unique++] = keys[i];
    *list = keys;
    *count = unique;
    return true;
}

void guard_pending_free(struct guard_pending *pending)
{
    guard_buffer_free(&pending->keys);
    *pending = (struct guard_pending){0};
}
