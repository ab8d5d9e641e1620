/*
 * The connections a store thread holds, tied together: `data` reads, `push` hears what changed (client-side caching of
 * RESP2, tracking of `data` redirected to it), `watch` hears a Sentinel. If any of them fails, all are closed.
 */
#ifndef GUARD_STORE_LINK_H
#define GUARD_STORE_LINK_H

#include "store/pending.h"
#include "store/redis_server.h"

/* Zero-initialise and set server, url and settings; guard_link_close releases the connections. */
struct guard_link {
    struct guard_redis_server server;
    struct guard_redis *data, *push, *watch;
    struct guard_pending pending;
};

/*
 * Finds the server, opens data and push, and turns tracking on: from then on every change of a key with the prefix is
 * heard. 0, or -1 and fault (everything closed).
 */
int guard_link_open(struct guard_link *link, struct guard_redis_fault *fault);
void guard_link_close(struct guard_link *link);

/* Takes what push has, without waiting, into link->pending. 0, or -1 and fault. */
int guard_link_drain(struct guard_link *link, struct guard_redis_fault *fault);

/*
 * Returns once everything the server said on push up to now was taken into link->pending: a PING there and its answer.
 * 0, or -1 and fault.
 */
int guard_link_barrier(struct guard_link *link, struct guard_redis_fault *fault);

/*
 * Checks that all is as it should be: push and data answer, tracking is not broken, the server still has its role.
 * 0, or -1 and fault.
 */
int guard_link_check(struct guard_link *link, struct guard_redis_fault *fault);

/*
 * Waits until a connection has something, the wake descriptor is readable or timeout_ms is over, and takes what push
 * has. 0, or -1 and fault (also: data was closed, Sentinel named another master).
 */
int guard_link_wait(struct guard_link *link, int timeout_ms, struct guard_redis_fault *fault);

#endif
