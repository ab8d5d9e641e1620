#include "store/redis_connection.h"

#include "core/buffer.h"
#include "core/clock.h"
#include "core/memory.h"
#include "store/redis_parse.h"
#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE      (16 * 1024) /* hiredis moves what it holds of unread octets now and then: keep that small */
#define CALL_WORDS_MAX 64

struct guard_redis {
    int fd;
    struct guard_redis_settings settings;
    struct guard_redis_tls_session *tls;
    struct guard_redis_parser *parser;
    struct guard_buffer out; /* for the socket; sent octets of it are gone */
    size_t sent;
    char where[300];
};

static const struct {
    const char *word;
    enum guard_reason reason;
} server_errors[] = {
    {"NOAUTH", GUARD_REASON_STORE_AUTH_FAILED},
    {"WRONGPASS", GUARD_REASON_STORE_AUTH_FAILED},
    {"NOPERM", GUARD_REASON_STORE_AUTH_FAILED},
    {"LOADING", GUARD_REASON_STORE_LOADING},
    {"READONLY", GUARD_REASON_STORE_READONLY},
    {"MISCONF", GUARD_REASON_STORE_READONLY},
    {"OOM", GUARD_REASON_STORE_READONLY},
    {"NOREPLICAS", GUARD_REASON_STORE_READONLY},
    {"WRONGTYPE", GUARD_REASON_STORE_PROTOCOL_ERROR},
    {"DENIED", GUARD_REASON_STORE_AUTH_FAILED},
};

int guard_redis_server_fault(const struct guard_reply *error, struct guard_redis_fault *fault)
{
    size_t word = strcspn(error->text, " ");
    enum guard_reason reason = GUARD_REASON_STORE_UNAVAILABLE;
    for (size_t i = 0; i < sizeof server_errors / sizeof server_errors[0]; i++)
        if (strlen(server_errors[i].word) == word && strncmp(error->text, server_errors[i].word, word) == 0)
            reason = server_errors[i].reason;
    if (strncmp(error->text, "ERR invalid password", 20) == 0 || strstr(error->text, "AUTH"))
        reason = GUARD_REASON_STORE_AUTH_FAILED;
    if (strncmp(error->text, "ERR max number of clients", 25) == 0)
        reason = GUARD_REASON_STORE_REFUSED;
    guard_redis_fail(fault, reason, "the server says: %.200s", error->text);
    for (char *c = fault->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' '; /* it goes into logs */
    return -1;
}

int guard_redis_fd(const struct guard_redis *redis)
{
    return redis->fd;
}

void guard_redis_close(struct guard_redis **redis)
{
    if (!*redis)
        return;
    if ((*redis)->fd >= 0)
        close((*redis)->fd);
    guard_redis_tls_session_free(&(*redis)->tls);
    guard_redis_parser_free(&(*redis)->parser);
    guard_buffer_free(&(*redis)->out);
    free(*redis);
    *redis = NULL;
}

static int no_memory(struct guard_redis_fault *fault)
{
    return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "out of memory");
}

/* Moves what TLS wants to send into the socket's queue. */
static void collect_tls(struct guard_redis *redis)
{
    char *room;
    size_t count;
    do {
        room = guard_buffer_reserve(&redis->out, READ_SIZE);
        count = room ? guard_redis_tls_to_send(redis->tls, room, READ_SIZE) : 0;
        redis->out.length += count;
    } while (count == READ_SIZE);
}

/* Sends what the socket takes now. */
static int flush(struct guard_redis *redis, struct guard_redis_fault *fault)
{
    char text[96];
    if (redis->tls)
        collect_tls(redis);
    if (redis->out.failed)
        return no_memory(fault);
    while (redis->sent < redis->out.length) {
        ssize_t count = send(redis->fd, redis->out.data + redis->sent, redis->out.length - redis->sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (count < 0)
            return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "%.100s: the connection broke: %s",
                                    redis->where, strerror_r(errno, text, sizeof text));
        redis->sent += (size_t)count;
    }
    guard_buffer_clear(&redis->out);
    redis->sent = 0;
    return 0;
}

static int closed_by_peer(struct guard_redis *redis, struct guard_redis_fault *fault)
{
    return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "%.100s closed the connection", redis->where);
}

static int feed(struct guard_redis *redis, const char *octets, size_t length, struct guard_redis_fault *fault)
{
    char clear[READ_SIZE];
    ssize_t count;
    if (!redis->tls)
        return guard_redis_parser_feed(redis->parser, octets, length) ? 0 : no_memory(fault);
    if (!guard_redis_tls_received(redis->tls, octets, length))
        return no_memory(fault);
    while ((count = guard_redis_tls_read(redis->tls, clear, sizeof clear)) > 0)
        if (!guard_redis_parser_feed(redis->parser, clear, (size_t)count))
            return no_memory(fault);
    return count == 0 ? 0 : closed_by_peer(redis, fault);
}

/* Receives what is there: 1 something, 0 nothing, -1 fault. */
static int receive(struct guard_redis *redis, struct guard_redis_fault *fault)
{
    char octets[READ_SIZE], text[96];
    ssize_t count;
    do
        count = recv(redis->fd, octets, sizeof octets, 0);
    while (count < 0 && errno == EINTR);
    if (count == 0)
        return closed_by_peer(redis, fault);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (count < 0)
        return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "%.100s: the connection broke: %s", redis->where,
                                strerror_r(errno, text, sizeof text));
    return feed(redis, octets, (size_t)count, fault) == 0 ? 1 : -1;
}

/* A reply out of what was received: 1, 0 or -1. */
static int next_reply(struct guard_redis *redis, const struct guard_reply **reply, struct guard_redis_fault *fault)
{
    bool failed;
    *reply = guard_redis_parser_next(redis->parser, &failed);
    if (failed)
        return guard_redis_fail(fault, GUARD_REASON_STORE_PROTOCOL_ERROR, "%.100s does not speak Redis' protocol",
                                redis->where);
    return *reply != NULL;
}

int guard_redis_try_read(struct guard_redis *redis, const struct guard_reply **reply, struct guard_redis_fault *fault)
{
    int rc = next_reply(redis, reply, fault);
    while (rc == 0) {
        rc = receive(redis, fault);
        if (rc <= 0)
            return rc;
        rc = next_reply(redis, reply, fault);
    }
    return rc;
}

static int64_t deadline_in(unsigned ms)
{
    return guard_clock_monotonic_ns() + (int64_t)ms * 1000000;
}

static int wait_for(struct guard_redis *redis, int64_t deadline, struct guard_redis_fault *fault)
{
    short ready, events = (short)(POLLIN | (redis->sent < redis->out.length ? POLLOUT : 0));
    int rc = guard_redis_wait(redis->fd, events, redis->settings.wake_fd, deadline, &ready, fault);
    if (rc != 0 && fault->reason == GUARD_REASON_STORE_TIMEOUT)
        guard_redis_fail(fault, GUARD_REASON_STORE_TIMEOUT, "%.100s did not answer within %u ms", redis->where,
                         redis->settings.command_timeout_ms);
    return rc;
}

static void count_request(struct guard_redis *redis, bool answered, int64_t waited_ns)
{
    static const int64_t bounds[GUARD_STORE_BUCKETS] = {1000000, 10000000, 100000000, 1000000000, INT64_MAX};
    struct guard_store_requests *requests = redis->settings.requests;
    unsigned bucket = 0;
    while (waited_ns > bounds[bucket])
        bucket++;
    requests->bucket[bucket]++;
    requests->waited_ns += (uint64_t)waited_ns;
    *(answered ? &requests->answered : &requests->failed) += 1;
}

/* *began: when waiting began, 0 = there was none. */
static int wait_reply(struct guard_redis *redis, const struct guard_reply **reply, int64_t *began,
                      struct guard_redis_fault *fault)
{
    int64_t deadline = 0;
    for (;;) {
        if (flush(redis, fault) != 0)
            return -1;
        int rc = guard_redis_try_read(redis, reply, fault);
        if (rc != 0)
            return rc > 0 ? 0 : -1;
        if (!deadline) {
            deadline = deadline_in(redis->settings.command_timeout_ms);
            *began = deadline - (int64_t)redis->settings.command_timeout_ms * 1000000;
        }
        if (wait_for(redis, deadline, fault) != 0)
            return -1;
    }
}

int guard_redis_read(struct guard_redis *redis, const struct guard_reply **reply, struct guard_redis_fault *fault)
{
    int64_t began = 0;
    int rc = wait_reply(redis, reply, &began, fault);
    if (redis->settings.requests && !(rc != 0 && fault->interrupted))
        count_request(redis, rc == 0 && (*reply)->type != GUARD_REPLY_ERROR,
                      began ? guard_clock_monotonic_ns() - began : 0);
    return rc;
}

static void append_count(struct guard_buffer *out, char sign, size_t count)
{
    char text[24], *at = text + sizeof text;
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + count % 10);
    while ((count /= 10));
    *--at = sign;
    guard_buffer_append(out, at, (size_t)(text + sizeof text - at));
}

/* An array of bulk strings, as RESP has commands. (hiredis' own formatter allocates and prints for each.) */
static void append_command(struct guard_buffer *out, int argc, const char *const *argv, const size_t *lengths)
{
    size_t room = 32;
    for (int i = 0; i < argc; i++)
        room += (lengths ? lengths[i] : strlen(argv[i])) + 32;
    guard_buffer_reserve(out, room); /* at once: growing would leave pieces of a password behind */
    append_count(out, '*', (size_t)argc);
    for (int i = 0; i < argc; i++) {
        size_t length = lengths ? lengths[i] : strlen(argv[i]);
        append_count(out, '$', length);
        guard_buffer_append(out, argv[i], length);
        guard_buffer_append(out, "\r\n", 2);
    }
}

int guard_redis_queue(struct guard_redis *redis, int argc, const char *const *argv, const size_t *lengths,
                      struct guard_redis_fault *fault)
{
    bool fine = true;
    if (redis->tls) {
        struct guard_buffer command = {0};
        append_command(&command, argc, argv, lengths);
        fine = !command.failed && guard_redis_tls_write(redis->tls, command.data, command.length);
        guard_buffer_free(&command); /* wiped: AUTH goes this way as well */
    } else {
        append_command(&redis->out, argc, argv, lengths);
    }
    if (!fine || redis->out.failed)
        return no_memory(fault);
    return redis->out.length < READ_SIZE ? 0 : flush(redis, fault);
}

static const struct guard_reply *call(struct guard_redis *redis, int argc, const char *const *argv,
                                      struct guard_redis_fault *fault)
{
    const struct guard_reply *reply;
    if (guard_redis_queue(redis, argc, argv, NULL, fault) != 0 || guard_redis_read(redis, &reply, fault) != 0)
        return NULL;
    if (reply->type != GUARD_REPLY_ERROR)
        return reply;
    guard_redis_server_fault(reply, fault);
    return NULL;
}

const struct guard_reply *guard_redis_call(struct guard_redis *redis, struct guard_redis_fault *fault, ...)
{
    const char *argv[CALL_WORDS_MAX];
    int argc = 0;
    va_list args;
    va_start(args, fault);
    while (argc < CALL_WORDS_MAX && (argv[argc] = va_arg(args, const char *)))
        argc++;
    va_end(args);
    return call(redis, argc, argv, fault);
}

static int shake_hands(struct guard_redis *redis, const char *host, int64_t deadline, struct guard_redis_fault *fault)
{
    char text[160], octets[READ_SIZE];
    redis->tls = guard_redis_tls_session_new(redis->settings.tls, host);
    if (!redis->tls)
        return guard_redis_fail(fault, GUARD_REASON_STORE_TLS_FAILED, "TLS cannot be set up");
    for (;;) {
        int rc = guard_redis_tls_handshake(redis->tls, text, sizeof text);
        if (flush(redis, fault) != 0)
            return -1;
        if (rc != 0)
            return rc > 0 ? 0 : guard_redis_fail(fault, GUARD_REASON_STORE_TLS_FAILED, "%.80s: %s", redis->where, text);
        if (wait_for(redis, deadline, fault) != 0)
            return -1;
        ssize_t count = recv(redis->fd, octets, sizeof octets, 0);
        if (count == 0)
            return guard_redis_fail(fault, GUARD_REASON_STORE_TLS_FAILED,
                                    "%.80s closed the connection during the handshake", redis->where);
        if (count > 0 && !guard_redis_tls_received(redis->tls, octets, (size_t)count))
            return no_memory(fault);
    }
}

static int log_in(struct guard_redis *redis, struct guard_redis_fault *fault)
{
    const struct guard_redis_settings *s = &redis->settings;
    char number[16];
    if (s->password && !(s->username ? guard_redis_call(redis, fault, "AUTH", s->username, s->password, NULL)
                                     : guard_redis_call(redis, fault, "AUTH", s->password, NULL)))
        return -1;
    snprintf(number, sizeof number, "%u", s->database);
    if (s->database && !guard_redis_call(redis, fault, "SELECT", number, NULL))
        return -1;
    if (s->client_name) {
        const char *argv[] = {"CLIENT", "SETNAME", s->client_name};
        const struct guard_reply *reply;
        if (guard_redis_queue(redis, 3, argv, NULL, fault) != 0 || guard_redis_read(redis, &reply, fault) != 0)
            return -1;
        if (reply->type == GUARD_REPLY_ERROR && strncmp(reply->text, "NOPERM", 6) != 0) /* a name is a courtesy */
            return guard_redis_server_fault(reply, fault);
        if (reply->type != GUARD_REPLY_ERROR && !guard_reply_is(reply, "OK"))
            return guard_redis_fail(fault, GUARD_REASON_STORE_PROTOCOL_ERROR,
                                    "CLIENT SETNAME was answered in a way not understood");
    }
    return 0;
}

int guard_redis_open(const struct guard_redis_endpoint *endpoint, const struct guard_redis_settings *settings,
                     struct guard_redis **out, struct guard_redis_fault *fault)
{
    int64_t deadline = deadline_in(settings->connect_timeout_ms);
    struct guard_redis *redis = calloc(1, sizeof *redis);
    *out = NULL;
    if (!redis)
        return no_memory(fault);
    redis->settings = *settings;
    guard_redis_endpoint_text(endpoint, redis->where, sizeof redis->where);
    redis->fd = guard_redis_dial(endpoint, settings->wake_fd, deadline, fault);
    redis->parser = redis->fd >= 0 ? guard_redis_parser_new() : NULL;
    if (redis->fd >= 0 && !redis->parser)
        no_memory(fault);
    if (redis->parser && (!settings->tls || shake_hands(redis, endpoint->host, deadline, fault) == 0) &&
        log_in(redis, fault) == 0) {
        *out = redis;
        return 0;
    }
    guard_redis_close(&redis);
    return -1;
}
