/* Keys that were reported as changed and are not read yet. */
#ifndef GUARD_STORE_PENDING_H
#define GUARD_STORE_PENDING_H

#include "core/buffer.h"
#include "store/redis_reply.h"

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise; guard_pending_free releases. */
struct guard_pending {
    struct guard_buffer keys; /* NUL-terminated, without prefix, with doubles */
    bool flushed;             /* everything may have changed: FLUSHALL, or too many keys to tell */
    bool changed;             /* something was reported */
};

/*
 * Takes a message of __redis__:invalidate: an array of keys, or nil. Keys without the prefix, and those brokers do not
 * read, are passed over. False: out of memory.
 */
bool guard_pending_add(struct guard_pending *pending, const char *prefix, const struct guard_reply *keys);
bool guard_pending_add_key(struct guard_pending *pending, const char *key);

/*
 * The keys, sorted and each once: *list (count of them, free() it) points into *held (guard_buffer_free it); pending is
 * empty afterwards. False: out of memory, nothing changed.
 */
bool guard_pending_take(struct guard_pending *pending, struct guard_buffer *held, const char ***list, size_t *count);
void guard_pending_free(struct guard_pending *pending);

#endif
