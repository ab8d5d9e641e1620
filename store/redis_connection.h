/*
 * One connection to one Redis (or Sentinel): commands out, replies in, each wait limited. Used by one thread. hiredis
 * reads the replies (what its 0.14 and 1.x have in common); commands, sockets, TLS and time limits are ours.
 */
#ifndef GUARD_STORE_REDIS_CONNECTION_H
#define GUARD_STORE_REDIS_CONNECTION_H

#include "store/redis_net.h"
#include "store/redis_reply.h"
#include "store/redis_tls.h"

#include <stddef.h>

struct guard_redis;
struct guard_store_requests;

/* What connections have in common. Strings may be NULL; all is borrowed. */
struct guard_redis_settings {
    const char *username, *password;       /* AUTH, if there is a password */
    const char *client_name;               /* CLIENT SETNAME; a refusal of that is ignored */
    struct guard_redis_tls *tls;           /* NULL: in the clear */
    unsigned database;                     /* SELECT, if not 0 */
    unsigned connect_timeout_ms;           /* until the connection is ready for commands */
    unsigned command_timeout_ms;           /* for each reply */
    struct guard_store_requests *requests; /* counts there; NULL: nowhere */
    int wake_fd;                           /* readable: give up waiting at once; -1: none */
};

/* Connects, shakes hands, logs in. 0, or -1 and fault. What settings points to must outlive
 * the connection. */
int guard_redis_open(const struct guard_redis_endpoint *endpoint, const struct guard_redis_settings *settings,
                     struct guard_redis **out, struct guard_redis_fault *fault);
void guard_redis_close(struct guard_redis **redis); /* *redis may be NULL */
int guard_redis_fd(const struct guard_redis *redis);

/*
 * Queues a command of argc words, each of any octets (lengths NULL: NUL-terminated), and sends what the socket takes.
 * Nothing is ever pasted into a command. 0, or -1 and fault (the connection is of no further use).
 */
int guard_redis_queue(struct guard_redis *redis, int argc, const char *const *argv, const size_t *lengths,
                      struct guard_redis_fault *fault);

/*
 * Waits for the next reply, errors of the server included, at most the command time-out; sends what is still queued
 * meanwhile. The reply is good until the next read. 0, or -1 and fault (the connection is of no further use).
 */
int guard_redis_read(struct guard_redis *redis, const struct guard_reply **reply, struct guard_redis_fault *fault);

/* The same without waiting: 1 and *reply, 0 if there is none yet, -1 and fault. */
int guard_redis_try_read(struct guard_redis *redis, const struct guard_reply **reply, struct guard_redis_fault *fault);

/*
 * One command and its reply: words behind fault, NULL at the end. An error of the server is a fault as well (the
 * connection goes on). NULL and fault on failure.
 */
const struct guard_reply *guard_redis_call(struct guard_redis *redis, struct guard_redis_fault *fault, ...)
    __attribute__((sentinel));

/* Puts the server's error into fault, with the reason its code word stands for (NOAUTH, LOADING, READONLY …); returns
 * -1. */
int guard_redis_server_fault(const struct guard_reply *error, struct guard_redis_fault *fault);

#endif
