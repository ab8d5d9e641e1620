/* Lists of keys, and finding them by SCAN. */
#ifndef GUARD_STORE_SCAN_H
#define GUARD_STORE_SCAN_H

#include "core/buffer.h"
#include "store/redis_connection.h"

#define GUARD_SCAN_CURSOR 24 /* bytes of a cursor with its NUL */

/* Keys without prefix. Zero-initialise; guard_buffer_free(&keys->text) releases. */
struct guard_keys {
    struct guard_buffer text; /* NUL-terminated one behind the other */
    size_t count;
};

/* Appends before + name. 0, or -1 and fault (out of memory). */
int guard_keys_add(struct guard_keys *keys, const char *before, const char *name, struct guard_redis_fault *fault);
void guard_keys_clear(struct guard_keys *keys);

/* Appends the pattern of keys that begin with prefix and beginning, what a glob reads otherwise escaped. */
void guard_scan_pattern(struct guard_buffer *pattern, const char *prefix, const char *beginning);

/* Sends one SCAN for keys of that prefix from cursor ("0" at first) on. 0, or -1 and fault. */
int guard_scan_ask(struct guard_redis *redis, const char *prefix, const char *cursor, struct guard_redis_fault *fault);

/*
 * Takes its answer: the keys brokers read, in place of what keys held, and the cursor to go on with ("0": that was
 * all). A key may come more than once. 0, or -1 and fault.
 */
int guard_scan_take(struct guard_redis *redis, const char *prefix, struct guard_keys *keys,
                    char cursor[GUARD_SCAN_CURSOR], struct guard_redis_fault *fault);

#endif
