#include "plugin/metrics_server.h"

#include "core/buffer.h"
#include "core/clock.h"
#include "core/thread.h"
#include "plugin/metrics.h"
#include "plugin/metrics_request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_NS 2000000000LL /* for a request, and for its answer */
#define BACKLOG    8

struct guard_metrics_server {
    const char *where; /* the option; of the starter, until it has begun */
    int listener;      /* the thread's own */
    int stop_fd;
    char unix_path[sizeof((struct sockaddr_un *)NULL)->sun_path]; /* "" = none */
    const struct audit *audit;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of the next two */
    struct guard_metrics metrics;
    bool filled;
};

/* ---- where ---- */

struct place {
    struct sockaddr_storage address;
    socklen_t length;
};

static bool parse_port(const char *text, in_port_t *port)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    *port = htons((uint16_t)number);
    return *text >= '0' && *text <= '9' && !*end && number >= 1 && number <= 65535;
}

/* ADDRESS:PORT or [ADDRESS]:PORT of this machine itself. */
static bool parse_loopback(const char *where, struct place *place)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&place->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&place->address;
    char host[64];
    const char *colon = strrchr(where, ':');
    size_t length = colon ? (size_t)(colon - where) : 0;
    if (!length || length >= sizeof host)
        return false;
    memcpy(host, where, length);
    host[length] = '\0';
    if (strcmp(host, "[::1]") == 0) {
        v6->sin6_family = AF_INET6;
        v6->sin6_addr = in6addr_loopback;
        place->length = sizeof *v6;
        return parse_port(colon + 1, &v6->sin6_port);
    }
    v4->sin_family = AF_INET;
    place->length = sizeof *v4;
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1 && ntohl(v4->sin_addr.s_addr) >> 24 == 127 &&
           parse_port(colon + 1, &v4->sin_port);
}

static bool parse_place(const char *where, struct place *place)
{
    struct sockaddr_un *local = (struct sockaddr_un *)&place->address;
    memset(place, 0, sizeof *place);
    if (strncmp(where, "unix:", 5) != 0)
        return parse_loopback(where, place);
    local->sun_family = AF_UNIX;
    place->length = sizeof *local;
    return where[5] == '/' &&
           snprintf(local->sun_path, sizeof local->sun_path, "%s", where + 5) < (int)sizeof local->sun_path;
}

/* A socket's file stays when its process is killed: nobody listens there. */
static void remove_dead_socket(const struct place *place)
{
    const struct sockaddr_un *local = (const struct sockaddr_un *)&place->address;
    struct stat status;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return;
    if (lstat(local->sun_path, &status) == 0 && S_ISSOCK(status.st_mode) &&
        connect(probe, (const struct sockaddr *)local, place->length) != 0 && errno == ECONNREFUSED)
        unlink(local->sun_path);
    close(probe);
}

static void stop_listening(struct guard_metrics_server *server)
{
    if (server->unix_path[0])
        unlink(server->unix_path);
    if (server->listener >= 0)
        close(server->listener);
}

static int listen_at(struct guard_metrics_server *server, const char *where, struct guard_error *err)
{
    struct place place;
    int on = 1;
    if (!parse_place(where, &place))
        return guard_fail(err, GUARD_ERR_INVALID,
                          "option metrics_listen: expected 127.0.0.1:PORT, [::1]:PORT or unix:/PATH, not '%.100s'",
                          where);
    bool local = place.address.ss_family == AF_UNIX;
    if (local)
        remove_dead_socket(&place);
    server->listener = socket(place.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->listener >= 0 && !local)
        setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (server->listener < 0 || bind(server->listener, (const struct sockaddr *)&place.address, place.length) != 0)
        return guard_fail(err, GUARD_ERR_IO, "option metrics_listen: '%.100s' cannot be used: %s", where,
                          strerror(errno));
    if (local) {
        snprintf(server->unix_path, sizeof server->unix_path, "%s",
                 ((const struct sockaddr_un *)&place.address)->sun_path);
        chmod(server->unix_path, 0660);
    }
    if (listen(server->listener, BACKLOG) != 0)
        return guard_fail(err, GUARD_ERR_IO, "option metrics_listen: '%.100s': %s", where, strerror(errno));
    return GUARD_OK;
}

/* ---- one request ---- */

/* Waits until the client is ready; false when its time is over, or the plugin ends. */
static bool wait_for(const struct guard_metrics_server *server, int client, short events, int64_t until)
{
    int64_t left = (until - guard_clock_monotonic_ns()) / 1000000;
    struct pollfd ready[] = {{.fd = client, .events = events}, {.fd = server->stop_fd, .events = POLLIN}};
    return left > 0 && poll(ready, 2, (int)left + 1) > 0 && !ready[1].revents && ready[0].revents;
}

/* The status of the answer; 0: no request came. */
static int read_request(const struct guard_metrics_server *server, int client)
{
    char octets[GUARD_REQUEST_MAX];
    size_t length = 0;
    int64_t until = guard_clock_monotonic_ns() + TIMEOUT_NS;
    while (wait_for(server, client, POLLIN, until)) {
        ssize_t got = recv(client, octets + length, sizeof octets - length, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0)
            return 0;
        length += (size_t)got;
        int status = guard_metrics_request(octets, length);
        if (status)
            return status;
    }
    return 0;
}

static void send_all(const struct guard_metrics_server *server, int client, const char *octets, size_t length)
{
    int64_t until = guard_clock_monotonic_ns() + TIMEOUT_NS;
    while (length && wait_for(server, client, POLLOUT, until)) {
        ssize_t sent = send(client, octets, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return;
        octets += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
}

/* The figures as they are now. False: there are none yet, or no memory. */
static bool render(struct guard_metrics_server *server, struct guard_buffer *body)
{
    struct guard_metrics *copy = malloc(sizeof *copy);
    if (!copy)
        return false;
    pthread_mutex_lock(&server->lock);
    bool filled = server->filled;
    *copy = server->metrics;
    pthread_mutex_unlock(&server->lock);
    copy->has_audit = server->audit != NULL;
    if (server->audit)
        audit_metrics_read(server->audit, &copy->audit);
    if (filled)
        guard_metrics_render(copy, body);
    free(copy);
    return filled && !body->failed;
}

static const char *phrase_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Bad Request";
    }
}

static void answer(struct guard_metrics_server *server, int client, int status)
{
    struct guard_buffer body = {0}, head = {0};
    if (status == 200 && !render(server, &body))
        status = 503;
    if (status != 200) {
        guard_buffer_clear(&body);
        guard_buffer_printf(&body, "%s\n", phrase_of(status));
    }
    guard_buffer_printf(&head, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n", status,
                        phrase_of(status));
    guard_buffer_printf(&head, "Content-Length: %zu\r\nConnection: close\r\n%s\r\n", body.length,
                        status == 405 ? "Allow: GET\r\n" : "");
    if (!head.failed && !body.failed) {
        send_all(server, client, head.data, head.length);
        send_all(server, client, body.data, body.length);
    }
    guard_buffer_free(&head);
    guard_buffer_free(&body);
}

/* Closing while octets of the request are unread would take the answer back. */
static void hang_up(const struct guard_metrics_server *server, int client)
{
    char rest[1024];
    int64_t until = guard_clock_monotonic_ns() + TIMEOUT_NS / 4;
    shutdown(client, SHUT_WR);
    while (wait_for(server, client, POLLIN, until) && recv(client, rest, sizeof rest, 0) > 0)
        ;
    close(client);
}

static void serve(struct guard_metrics_server *server)
{
    int client = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    int status = read_request(server, client);
    if (status)
        answer(server, client, status);
    hang_up(server, client);
}

static void run(void *context)
{
    struct guard_metrics_server *server = context;
    struct pollfd ready[] = {{.fd = server->listener, .events = POLLIN}, {.fd = server->stop_fd, .events = POLLIN}};
    while (!ready[1].revents)
        if (poll(ready, 2, -1) > 0 && ready[0].revents && !ready[1].revents)
            serve(server);
    stop_listening(server);
}

/* ---- its life ---- */

static int begin(void *context, struct guard_error *err)
{
    struct guard_metrics_server *server = context;
    int rc = listen_at(server, server->where, err);
    if (rc != GUARD_OK)
        stop_listening(server);
    return rc;
}

static int start_thread(struct guard_metrics_server *server, struct guard_error *err)
{
    struct guard_thread thread = {
        .name = "guard-metrics", .begin = begin, .run = run, .context = server, .wake_fd = server->stop_fd};
    int rc = guard_thread_start(&thread, &server->thread, err);
    server->running = rc == GUARD_OK;
    return rc;
}

int guard_metrics_server_start(const char *where, const struct audit *audit, struct guard_metrics_server **out,
                               struct guard_error *err)
{
    struct guard_metrics_server *server = calloc(1, sizeof *server);
    *out = NULL;
    if (!server)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    server->where = where;
    server->audit = audit;
    server->listener = -1;
    server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&server->lock, NULL);
    int rc = server->stop_fd >= 0 ? start_thread(server, err)
                                  : guard_fail(err, GUARD_ERR_INTERNAL, "no event descriptor for metrics_listen");
    if (rc != GUARD_OK)
        guard_metrics_server_stop(&server);
    *out = server;
    return rc;
}

void guard_metrics_server_stop(struct guard_metrics_server **pointer)
{
    struct guard_metrics_server *server = *pointer;
    const uint64_t one = 1;
    *pointer = NULL;
    if (!server)
        return;
    if (server->running) {
        ssize_t ignored = write(server->stop_fd, &one, sizeof one);
        (void)ignored;
        pthread_join(server->thread, NULL);
    }
    if (server->stop_fd >= 0)
        close(server->stop_fd);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

void guard_metrics_server_offer(struct guard_metrics_server *server, const struct guard_metrics *metrics)
{
    if (pthread_mutex_trylock(&server->lock) != 0)
        return; /* the broker does not wait for a scraper: the next ones do */
    server->metrics = *metrics;
    server->filled = true;
    pthread_mutex_unlock(&server->lock);
}
