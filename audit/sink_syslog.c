/*
 * Syslog: RFC 5424 messages whose MSG is the line. unix: datagrams to the local daemon; tcp: octet counting (RFC 6587
 * §3.4.1); tls: RFC 5425. Neither has an acknowledgement: what the receiver's system has taken counts as delivered.
 */
#include "audit/sink.h"

#include "audit/connection.h"
#include "audit/line_end.h"
#include "audit/out.h"
#include "core/clock.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define SEND_MS    5000
#define FACILITY   13 /* log audit */
#define HEADER_MAX 512
#define BUFFER     ((size_t)256 * 1024)

struct syslog_state {
    struct audit_endpoint endpoint;
    struct audit_connection connection;
    SSL_CTX *tls;
    char host[256];
    char *buffer;
};

static int create(const struct audit *audit, const struct audit_sink_config *config, const atomic_bool *stop,
                  void **out, struct guard_error *err)
{
    (void)audit;
    struct syslog_state *state = calloc(1, sizeof *state);
    *out = state;
    if (!state || !(state->buffer = malloc(BUFFER)))
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    state->connection = (struct audit_connection){.fd = -1, .stop = stop};
    int rc = audit_endpoint_parse(config->target, &state->endpoint, err);
    if (rc == GUARD_OK && state->endpoint.kind == AUDIT_ENDPOINT_TLS)
        rc = audit_tls_context(config->ca_file, config->cert_file, config->key_file, &state->tls, err);
    if (gethostname(state->host, sizeof state->host - 1) != 0 || !*state->host)
        strcpy(state->host, "-");
    for (char *c = state->host; *c; c++)
        if (*c <= ' ' || *c > '~')
            *c = '?'; /* HOSTNAME is PRINTUSASCII */
    return rc;
}

static bool connect_syslog(void *context)
{
    struct syslog_state *state = context;
    return audit_connection_open(&state->connection, &state->endpoint, true, state->tls, CONNECT_MS);
}

/* info, notice … by log.level of the line. */
static unsigned severity_of(const struct audit_sink_line *line)
{
    static const char level[] = "\"log.level\":\"";
    size_t reach = line->length < 160 ? line->length : 160;
    const char *found = memmem(line->text, reach, level, sizeof level - 1);
    char first = found ? found[sizeof level - 1] : 'i';
    return first == 'e' ? 3 : first == 'w' ? 4 : 6;
}

/* TIMESTAMP: the line's own, or of OCSF lines (which have milliseconds there) that of sending. */
static void time_of(const struct audit_sink_line *line, char time[GUARD_TIMESTAMP_SIZE])
{
    static const char key[] = "{\"@timestamp\":\"";
    if (line->length > sizeof key + GUARD_TIMESTAMP_SIZE && memcmp(line->text, key, sizeof key - 1) == 0) {
        memcpy(time, line->text + sizeof key - 1, GUARD_TIMESTAMP_SIZE - 1);
        time[GUARD_TIMESTAMP_SIZE - 1] = '\0';
    } else {
        guard_timestamp(guard_clock_real_ns(), time);
    }
}

/* MSGID: the action. */
static void action_of(const struct audit_sink_line *line, char action[33])
{
    struct audit_line_end end;
    size_t length = 0;
    if (audit_line_end_parse(line->text, line->length, &end) && end.action)
        while (length < 32 && ((end.action[length] >= 'a' && end.action[length] <= 'z') || end.action[length] == '-'))
            length++;
    memcpy(action, length ? end.action : "-", length ? length : 1);
    action[length ? length : 1] = '\0';
}

static int put_header(const struct syslog_state *state, const struct audit_sink_line *line, char header[HEADER_MAX])
{
    char time[GUARD_TIMESTAMP_SIZE], action[33];
    time_of(line, time);
    action_of(line, action);
    return snprintf(header, HEADER_MAX, "<%u>1 %s %s mosquitto-guard %ld %s - ", FACILITY * 8 + severity_of(line), time,
                    state->host, (long)getpid(), action);
}

/* One message in the buffer; *used grows. False: it is full. */
static bool put_message(struct syslog_state *state, const struct audit_sink_line *line, size_t *used)
{
    char header[HEADER_MAX], count[24];
    int header_length = put_header(state, line, header);
    int count_length = snprintf(count, sizeof count, "%zu ", (size_t)header_length + line->length);
    if (*used + (size_t)count_length + (size_t)header_length + line->length > BUFFER)
        return false;
    memcpy(state->buffer + *used, count, (size_t)count_length);
    *used += (size_t)count_length;
    memcpy(state->buffer + *used, header, (size_t)header_length);
    *used += (size_t)header_length;
    memcpy(state->buffer + *used, line->text, line->length);
    *used += line->length;
    return true;
}

static size_t send_stream(struct syslog_state *state, const struct audit_sink_line *lines, size_t count)
{
    size_t used = 0, sent = 0;
    if (audit_connection_is_closed(&state->connection))
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (put_message(state, &lines[i], &used))
            continue;
        if (!used || !audit_connection_send(&state->connection, state->buffer, used, SEND_MS))
            return sent;
        sent = i--; /* this one begins the next buffer */
        used = 0;
    }
    return !used || audit_connection_send(&state->connection, state->buffer, used, SEND_MS) ? count : sent;
}

/* A local daemon that is behind makes the socket full: it gets some time, and then we come again later. */
static size_t send_datagrams(struct syslog_state *state, const struct audit_sink_line *lines, size_t count)
{
    int64_t until = guard_clock_monotonic_ns() + (int64_t)SEND_MS * 1000000;
    for (size_t i = 0; i < count;) {
        int length = put_header(state, &lines[i], state->buffer);
        memcpy(state->buffer + length, lines[i].text, lines[i].length);
        if (send(state->connection.fd, state->buffer, (size_t)length + lines[i].length, MSG_NOSIGNAL) >= 0) {
            i++;
            continue;
        }
        struct pollfd ready = {.fd = state->connection.fd, .events = POLLOUT};
        if ((errno != EAGAIN && errno != ENOBUFS && errno != EINTR) || guard_clock_monotonic_ns() > until ||
            atomic_load_explicit(state->connection.stop, memory_order_relaxed))
            return i;
        poll(&ready, 1, 20);
    }
    return count;
}

static size_t send_lines(void *context, const struct audit_sink_line *lines, size_t count)
{
    struct syslog_state *state = context;
    return state->endpoint.kind == AUDIT_ENDPOINT_UNIX ? send_datagrams(state, lines, count)
                                                       : send_stream(state, lines, count);
}

static bool settled(void *context)
{
    struct syslog_state *state = context;
    return state->endpoint.kind == AUDIT_ENDPOINT_UNIX ||
           (!audit_connection_is_closed(&state->connection) && audit_connection_is_settled(&state->connection));
}

static void close_syslog(void *context)
{
    struct syslog_state *state = context;
    audit_connection_close(&state->connection);
}

static void free_syslog(void *context)
{
    struct syslog_state *state = context;
    audit_connection_close(&state->connection);
    SSL_CTX_free(state->tls);
    free(state->buffer);
    free(state);
}

const struct audit_sink_backend audit_sink_syslog = {"syslog", create, connect_syslog, send_lines,
                                                     settled,  NULL,   close_syslog,   free_syslog};
