/*
 * Redis Streams: XADD <stream> MAXLEN ~ <n> <base_ms>-<sequence> e <line>. The id is made from the line's own number,
 * so that a line that is sent again is refused as already there. Spoken without a client library: hiredis belongs to
 * store/.
 */
#include "audit/sink.h"

#include "audit/connection.h"
#include "audit/out.h"
#include "audit/resp.h"
#include "core/file.h"
#include "core/memory.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_MS  5000
#define REPLY_MS    5000
#define MAX_DEFAULT 1000000
#define BUFFER      ((size_t)512 * 1024)
#define SECRET_MAX  4096

struct redis_state {
    struct audit_endpoint endpoint;
    struct audit_connection connection;
    struct resp_stream replies;
    SSL_CTX *tls;
    char *stream, *username;
    const char *password_file; /* the configuration's; it is read again for every connection, so that it can change */
    char max_length[24], database[16];
    char *buffer;
    uint64_t reported_ms, reported_sequence; /* up to here trimming was reported */
};

static int create(const struct audit *audit, const struct audit_sink_config *config, const atomic_bool *stop,
                  void **out, struct guard_error *err)
{
    struct redis_state *state = calloc(1, sizeof *state);
    *out = state;
    if (!state || !(state->buffer = malloc(BUFFER)))
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    state->connection = (struct audit_connection){.fd = -1, .stop = stop};
    if (config->stream)
        state->stream = strdup(config->stream);
    else if (asprintf(&state->stream, "audit:%s", audit->set.is.broker_id) < 0)
        state->stream = NULL;
    state->username = config->username ? strdup(config->username) : NULL;
    if (!state->stream || (config->username && !state->username))
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    state->password_file = config->password_file;
    uint64_t max = config->max_length ? config->max_length : MAX_DEFAULT;
    snprintf(state->max_length, sizeof state->max_length, "%llu", (unsigned long long)max);
    snprintf(state->database, sizeof state->database, "%u", config->database);
    int rc = audit_endpoint_parse(config->target, &state->endpoint, err);
    if (rc == GUARD_OK && state->endpoint.kind == AUDIT_ENDPOINT_TLS)
        rc = audit_tls_context(config->ca_file, config->cert_file, config->key_file, &state->tls, err);
    return rc;
}

/* Sends a command and reads its reply. False: the connection is broken, or Redis says no. */
static bool ask(struct redis_state *state, const char *const *parts, size_t count, struct resp_value *reply)
{
    size_t length = resp_command(state->buffer, BUFFER, parts, NULL, count);
    memset(reply, 0, sizeof *reply);
    return length && audit_connection_send(&state->connection, state->buffer, length, REPLY_MS) &&
           resp_read(&state->replies, reply) && reply->type != RESP_ERROR;
}

static bool command(struct redis_state *state, const char *const *parts, size_t count)
{
    struct resp_value reply;
    bool good = ask(state, parts, count, &reply);
    resp_free(&reply);
    return good;
}

static bool authenticate(struct redis_state *state)
{
    char *password = NULL;
    size_t length = 0;
    if (!state->password_file)
        return true;
    if (guard_file_read(state->password_file, GUARD_FILE_SECRET, SECRET_MAX, &password, &length, NULL) != GUARD_OK)
        return false;
    password[strcspn(password, "\r\n")] = '\0';
    const char *with_user[] = {"AUTH", state->username, password}, *without[] = {"AUTH", password};
    bool good = state->username ? command(state, with_user, 3) : command(state, without, 2);
    guard_free_secret(&password, length);
    guard_wipe(state->buffer, 2 * SECRET_MAX);
    return good;
}

static bool connect_redis(void *context)
{
    struct redis_state *state = context;
    const char *select[] = {"SELECT", state->database};
    if (!audit_connection_open(&state->connection, &state->endpoint, false, state->tls, CONNECT_MS))
        return false;
    resp_stream_begin(&state->replies, &state->connection, REPLY_MS);
    return authenticate(state) && (strcmp(state->database, "0") == 0 || command(state, select, 2));
}

static size_t put_line(struct redis_state *state, size_t used, const struct audit_sink_line *line)
{
    char id[48];
    int length =
        snprintf(id, sizeof id, "%llu-%llu", (unsigned long long)line->base_ms, (unsigned long long)line->sequence);
    const char *parts[] = {"XADD", state->stream, "MAXLEN", "~", state->max_length, id, "e", line->text};
    const size_t lengths[] = {4, strlen(state->stream), 6, 1, strlen(state->max_length), (size_t)length,
                              1, line->length};
    return resp_command(state->buffer + used, BUFFER - used, parts, lengths, 8);
}

/* Whether the reply to an XADD says that the line is in the stream, now or before. */
static bool is_stored(const struct resp_value *reply)
{
    return reply->type == RESP_BULK || (reply->type == RESP_ERROR && strstr(reply->text, "equal or smaller"));
}

/* One pipeline: as many lines as fit into the buffer. Returns how many are stored, from the first on. */
static size_t pipeline(struct redis_state *state, const struct audit_sink_line *lines, size_t count)
{
    size_t used = 0, sent = 0, stored = 0;
    for (size_t length; sent < count && (length = put_line(state, used, &lines[sent])) > 0; sent++)
        used += length;
    if (!sent || !audit_connection_send(&state->connection, state->buffer, used, REPLY_MS))
        return 0;
    bool good = true;
    for (size_t i = 0; i < sent; i++) {
        struct resp_value reply;
        bool read = resp_read(&state->replies, &reply);
        good = good && read && is_stored(&reply);
        stored += good;
        resp_free(&reply);
        if (!read)
            break;
    }
    return stored;
}

static size_t send_lines(void *context, const struct audit_sink_line *lines, size_t count)
{
    struct redis_state *state = context;
    size_t done = 0;
    while (done < count) {
        size_t stored = pipeline(state, lines + done, count - done);
        done += stored;
        if (!stored)
            break;
    }
    return done;
}

static bool settled(void *context)
{
    (void)context;
    return true; /* send waits for the replies */
}

/* ---- trimming ---- */

struct stream_id {
    uint64_t ms, sequence;
};

static bool parse_id(const struct resp_value *value, struct stream_id *id)
{
    unsigned long long ms, sequence;
    if (!value || !value->text || sscanf(value->text, "%llu-%llu", &ms, &sequence) != 2)
        return false;
    *id = (struct stream_id){ms, sequence};
    return true;
}

static bool before(struct stream_id a, struct stream_id b)
{
    return a.ms != b.ms ? a.ms < b.ms : a.sequence < b.sequence;
}

/* The first entry that is still in the stream. */
static bool first_entry(struct redis_state *state, struct stream_id *id)
{
    const char *parts[] = {"XRANGE", state->stream, "-", "+", "COUNT", "1"};
    struct resp_value reply;
    bool good = ask(state, parts, 6, &reply) && reply.count == 1 && reply.items[0].count == 2 &&
                parse_id(&reply.items[0].items[0], id);
    resp_free(&reply);
    return good;
}

/* What the slowest group has read. Consumers without a group leave no trace that could be looked at. */
static bool slowest_group(struct redis_state *state, struct stream_id *id)
{
    const char *parts[] = {"XINFO", "GROUPS", state->stream};
    struct resp_value reply;
    struct stream_id read;
    bool found = false;
    if (ask(state, parts, 3, &reply))
        for (size_t i = 0; i < reply.count; i++)
            if (parse_id(resp_get(&reply.items[i], "last-delivered-id"), &read) && (!found || before(read, *id))) {
                *id = read;
                found = true;
            }
    resp_free(&reply);
    return found;
}

static bool trimmed(void *context, uint64_t *first, uint64_t *last)
{
    struct redis_state *state = context;
    struct stream_id oldest = {0}, read = {0};
    if (!slowest_group(state, &read) || !first_entry(state, &oldest))
        return false;
    if (!read.ms)
        read.ms = oldest.ms; /* a group that has read nothing yet, from the beginning of the stream on */
    if (read.ms != oldest.ms)
        return false; /* different runs: there is no range to name */
    if (read.ms == state->reported_ms && read.sequence < state->reported_sequence)
        read.sequence = state->reported_sequence;
    if (read.sequence + 1 >= oldest.sequence)
        return false;
    *first = read.sequence + 1;
    *last = oldest.sequence - 1;
    state->reported_ms = oldest.ms;
    state->reported_sequence = *last;
    return true;
}

static void close_redis(void *context)
{
    struct redis_state *state = context;
    audit_connection_close(&state->connection);
}

static void free_redis(void *context)
{
    struct redis_state *state = context;
    audit_connection_close(&state->connection);
    SSL_CTX_free(state->tls);
    free(state->stream);
    free(state->username);
    free(state->buffer);
    free(state);
}

const struct audit_sink_backend audit_sink_redis = {"redis", create,  connect_redis, send_lines,
                                                    settled, trimmed, close_redis,   free_redis};
