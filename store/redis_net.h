/* Non-blocking sockets with time limits, and the fault type of everything that talks to Redis. */
#ifndef GUARD_STORE_REDIS_NET_H
#define GUARD_STORE_REDIS_NET_H

#include "core/reason.h"
#include "store/redis_url.h"

#include <stdbool.h>
#include <stdint.h>

/* Why something with Redis did not work: a reason of the closed list (store_*) and a sentence without credentials. */
struct guard_redis_fault {
    enum guard_reason reason;
    bool interrupted; /* the wake descriptor became readable: somebody wants the thread; no fault of the server */
    char text[256];
};

/* Fills fault and returns -1. */
int guard_redis_fail(struct guard_redis_fault *fault, enum guard_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Waits until fd is ready for events (POLLIN, POLLOUT), or deadline (CLOCK_MONOTONIC ns), or wake_fd (-1: none) is
 * readable. 0 and *ready, or -1 and fault (store_timeout, or interrupted).
 */
int guard_redis_wait(int fd, short events, int wake_fd, int64_t deadline, short *ready,
                     struct guard_redis_fault *fault);

/*
 * Resolves and connects until deadline; tries each address of a name in turn. The descriptor (the caller closes it), or
 * -1 and fault: store_dns_failed, store_refused, store_timeout, store_unavailable.
 */
int guard_redis_dial(const struct guard_redis_endpoint *endpoint, int wake_fd, int64_t deadline,
                     struct guard_redis_fault *fault);

#endif
