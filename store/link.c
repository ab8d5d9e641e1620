#include "store/link.h"

#include "core/clock.h"
#include "store/keys.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVALIDATIONS "__redis__:invalidate"
#define PREFIXES_MAX  16

void guard_link_close(struct guard_link *link)
{
    guard_redis_close(&link->data);
    guard_redis_close(&link->push);
    guard_redis_close(&link->watch);
    guard_pending_free(&link->pending);
}

/* CLIENT TRACKING ON REDIRECT id BCAST PREFIX guard:role PREFIX … */
static int turn_tracking_on(struct guard_link *link, long long id, struct guard_redis_fault *fault)
{
    char number[24], prefixes[PREFIXES_MAX][GUARD_STORE_PREFIX_MAX + 16];
    const char *argv[6 + 2 * PREFIXES_MAX] = {"CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST"};
    const struct guard_reply *reply;
    int argc = 6;
    snprintf(number, sizeof number, "%lld", id);
    for (size_t i = 0; i < guard_key_watched_count() && i < PREFIXES_MAX; i++) {
        snprintf(prefixes[i], sizeof prefixes[i], "%s%s", link->server.prefix, guard_key_watched(i));
        argv[argc++] = "PREFIX";
        argv[argc++] = prefixes[i];
    }
    if (guard_redis_queue(link->data, argc, argv, NULL, fault) != 0 || guard_redis_read(link->data, &reply, fault) != 0)
        return -1;
    if (reply->type == GUARD_REPLY_ERROR)
        return guard_redis_server_fault(reply, fault);
    return guard_reply_is(reply, "OK") ? 0
                                       : guard_redis_fail(fault, GUARD_REASON_STORE_PROTOCOL_ERROR,
                                                          "CLIENT TRACKING was answered in a way not understood");
}

static int open_push(struct guard_link *link, struct guard_redis_fault *fault)
{
    if (guard_redis_open(&link->server.endpoint, link->server.settings, &link->push, fault) != 0)
        return -1;
    const struct guard_reply *reply = guard_redis_call(link->push, fault, "CLIENT", "ID", NULL);
    if (!reply)
        return -1;
    if (reply->type != GUARD_REPLY_INTEGER)
        return guard_redis_fail(fault, GUARD_REASON_STORE_PROTOCOL_ERROR, "CLIENT ID was not answered by a number");
    long long id = reply->integer;
    if (!guard_redis_call(link->push, fault, "SUBSCRIBE", INVALIDATIONS, NULL))
        return -1;
    return turn_tracking_on(link, id, fault);
}

int guard_link_open(struct guard_link *link, struct guard_redis_fault *fault)
{
    int rc = guard_redis_server_connect(&link->server, &link->data, fault);
    if (rc == 0)
        rc = open_push(link, fault);
    if (rc == 0 && link->server.url->mode == GUARD_REDIS_SENTINEL)
        rc = guard_redis_server_watch(&link->server, &link->watch, fault);
    if (rc != 0)
        guard_link_close(link);
    return rc;
}

/* A message of push; *pong is set if it is the answer to PING. */
static int take_message(struct guard_link *link, const struct guard_reply *message, bool *pong,
                        struct guard_redis_fault *fault)
{
    const char *what = guard_reply_text(message, 0), *channel = guard_reply_text(message, 1);
    if (message->type == GUARD_REPLY_ERROR)
        return guard_redis_server_fault(message, fault);
    if (what && strcmp(what, "pong") == 0) {
        *pong = true;
        return 0;
    }
    if (!what || strcmp(what, "message") != 0 || !channel || strcmp(channel, INVALIDATIONS) != 0 || message->count != 3)
        return guard_redis_fail(fault, GUARD_REASON_STORE_PROTOCOL_ERROR, "a message of the server is not understood");
    if (!guard_pending_add(&link->pending, link->server.prefix, message->items[2]))
        return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "out of memory");
    return 0;
}

int guard_link_drain(struct guard_link *link, struct guard_redis_fault *fault)
{
    const struct guard_reply *message;
    bool pong;
    int rc;
    while ((rc = guard_redis_try_read(link->push, &message, fault)) > 0)
        if (take_message(link, message, &pong, fault) != 0)
            return -1;
    return rc;
}

int guard_link_barrier(struct guard_link *link, struct guard_redis_fault *fault)
{
    static const char *const argv[] = {"PING"};
    const struct guard_reply *message;
    bool pong = false;
    if (guard_redis_queue(link->push, 1, argv, NULL, fault) != 0)
        return -1;
    while (!pong)
        if (guard_redis_read(link->push, &message, fault) != 0 || take_message(link, message, &pong, fault) != 0)
            return -1;
    return guard_link_drain(link, fault); /* what came right behind the answer is in our buffer: poll would not tell */
}

/* CLIENT TRACKINGINFO: ["flags", [flag …], "redirect", id, "prefixes", […]] */
static int check_tracking(struct guard_link *link, struct guard_redis_fault *fault)
{
    const struct guard_reply *reply = guard_redis_call(link->data, fault, "CLIENT", "TRACKINGINFO", NULL);
    if (!reply)
        return -1;
    const struct guard_reply *flags = reply->type == GUARD_REPLY_ARRAY && reply->count >= 2 ? reply->items[1] : NULL;
    bool on = false, broken = false;
    for (size_t i = 0; flags && flags->type == GUARD_REPLY_ARRAY && i < flags->count; i++) {
        on = on || guard_reply_is(flags->items[i], "on");
        broken = broken || guard_reply_is(flags->items[i], "broken_redirect");
    }
    return on && !broken
               ? 0
               : guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "the server stopped tracking changes");
}

int guard_link_check(struct guard_link *link, struct guard_redis_fault *fault)
{
    enum guard_redis_role role;
    if (guard_link_barrier(link, fault) != 0 || check_tracking(link, fault) != 0 ||
        guard_redis_server_role(link->data, &role, fault) != 0)
        return -1;
    if (role == GUARD_ROLE_DETACHED)
        return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE,
                                "the server is a replica that has lost its master: what it holds may be old");
    if (role == GUARD_ROLE_REPLICA && link->server.url->mode != GUARD_REDIS_DIRECT)
        return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "the server is no longer the master");
    return 0;
}

/* A message of the Sentinel: +switch-master "<name> <old ip> <old port> <new ip> <new port>". */
static int take_watch(struct guard_link *link, struct guard_redis_fault *fault)
{
    const struct guard_reply *message;
    const char *service = link->server.url->service;
    size_t length = strlen(service);
    int rc;
    while ((rc = guard_redis_try_read(link->watch, &message, fault)) > 0) {
        const char *text = guard_reply_text(message, 2);
        if (text && strncmp(text, service, length) == 0 && text[length] == ' ')
            return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "Sentinel named another master");
    }
    return rc;
}

/* data speaks only when asked: anything that comes by itself is its end. */
static int take_data(struct guard_link *link, struct guard_redis_fault *fault)
{
    const struct guard_reply *reply;
    int rc = guard_redis_try_read(link->data, &reply, fault);
    return rc <= 0 ? rc : guard_redis_fail(fault, GUARD_REASON_STORE_PROTOCOL_ERROR, "an answer nobody asked for");
}

int guard_link_wait(struct guard_link *link, int timeout_ms, struct guard_redis_fault *fault)
{
    struct pollfd fds[] = {{.fd = guard_redis_fd(link->push), .events = POLLIN},
                           {.fd = guard_redis_fd(link->data), .events = POLLIN},
                           {.fd = link->watch ? guard_redis_fd(link->watch) : -1, .events = POLLIN},
                           {.fd = link->server.settings->wake_fd, .events = POLLIN}};
    int count = poll(fds, 4, timeout_ms);
    if (count < 0 && errno != EINTR)
        return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "poll failed");
    if (count <= 0)
        return 0;
    if (fds[3].revents) {
        guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "interrupted");
        fault->interrupted = true;
        return -1;
    }
    if (fds[1].revents && take_data(link, fault) != 0)
        return -1;
    if (fds[2].revents && take_watch(link, fault) != 0)
        return -1;
    return fds[0].revents ? guard_link_drain(link, fault) : 0;
}
