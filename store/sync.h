/* Reading the Redis home into content: all of it, or what was reported as changed. */
#ifndef GUARD_STORE_SYNC_H
#define GUARD_STORE_SYNC_H

#include "store/content.h"
#include "store/link.h"

/* Everything is borrowed. */
struct guard_sync {
    struct guard_link *link;
    const struct guard_content_checks *checks;
    const struct guard_content *good; /* last good versions */
    bool use_index;                   /* find keys by the index sets, not by SCAN */
};

/*
 * Reads everything into *content (zeroed by the caller). What changes meanwhile is read again until nothing does, so
 * that content is what the server held at one moment. 0, or -1 and fault.
 */
int guard_sync_all(const struct guard_sync *sync, struct guard_content *content, struct guard_redis_fault *fault);

/*
 * Makes *next (zeroed) out of base and the keys in link->pending, and of those that change meanwhile. 0, or -1 and
 * fault; if everything may have changed (FLUSHALL), 1: read all.
 */
int guard_sync_changes(const struct guard_sync *sync, const struct guard_content *base, struct guard_content *next,
                       struct guard_redis_fault *fault);

#endif
