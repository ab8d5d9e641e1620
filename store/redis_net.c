#include "store/redis_net.h"

#include "core/clock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)

int guard_redis_fail(struct guard_redis_fault *fault, enum guard_reason reason, const char *format, ...)
{
    va_list args;
    fault->reason = reason;
    fault->interrupted = false;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    return -1;
}

int guard_redis_wait(int fd, short events, int wake_fd, int64_t deadline, short *ready, struct guard_redis_fault *fault)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = wake_fd, .events = POLLIN}};
    for (;;) {
        int64_t left = deadline - guard_clock_monotonic_ns();
        int ms = left <= 0 ? 0 : (int)(left / NS_PER_MS) + 1;
        int count = poll(fds, 2, ms);
        if (count < 0 && errno == EINTR)
            continue;
        if (fds[1].revents) {
            guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "interrupted");
            fault->interrupted = true;
            return -1;
        }
        if (count > 0) {
            *ready = fds[0].revents;
            return 0;
        }
        if (count < 0 || left <= 0)
            return guard_redis_fail(fault, GUARD_REASON_STORE_TIMEOUT, "no answer in time");
    }
}

static int fail_errno(struct guard_redis_fault *fault, int error, const char *where)
{
    char text[96];
    enum guard_reason reason = error == ECONNREFUSED || error == ENOENT ? GUARD_REASON_STORE_REFUSED
                               : error == ETIMEDOUT                     ? GUARD_REASON_STORE_TIMEOUT
                                                                        : GUARD_REASON_STORE_UNAVAILABLE;
    return guard_redis_fail(fault, reason, "cannot connect to %.100s: %s", where, strerror_r(error, text, sizeof text));
}

static int connect_address(const struct sockaddr *address, socklen_t length, int wake_fd, int64_t deadline,
                           const char *where, struct guard_redis_fault *fault)
{
    short ready;
    int error = 0, one = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof error;
    if (fd < 0)
        return fail_errno(fault, errno, where);
    if (address->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, address, length) == 0)
        return fd;
    if (errno != EINPROGRESS) {
        fail_errno(fault, errno, where);
    } else if (guard_redis_wait(fd, POLLOUT, wake_fd, deadline, &ready, fault) == 0) {
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
            return fd;
        fail_errno(fault, error ? error : errno, where);
    }
    close(fd);
    return -1;
}

static int dial_path(const struct guard_redis_endpoint *endpoint, int wake_fd, int64_t deadline,
                     struct guard_redis_fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(endpoint->host) >= sizeof address.sun_path)
        return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "the path of the socket is too long");
    strcpy(address.sun_path, endpoint->host);
    return connect_address((const struct sockaddr *)&address, sizeof address, wake_fd, deadline, endpoint->host, fault);
}

static int fail_name(struct guard_redis_fault *fault, const struct guard_redis_endpoint *endpoint, int error)
{
    return guard_redis_fail(fault, GUARD_REASON_STORE_DNS_FAILED, "cannot resolve %.100s: %s", endpoint->host,
                            gai_strerror(error));
}

#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__) /* which cannot follow the thread libc makes for it */
/* Everything a look-up refers to, in one piece: one that does not end in time is left to itself with it. */
struct look_up {
    struct gaicb request;
    struct addrinfo hints;
    char host[256], port[16];
};

/* getaddrinfo cannot be given a time limit, and a resolver that does not answer must not hold the broker's shutdown up.
 */
static int resolve(const struct guard_redis_endpoint *endpoint, const struct addrinfo *hints, int64_t deadline,
                   struct addrinfo **result, struct guard_redis_fault *fault)
{
    struct look_up *look_up = calloc(1, sizeof *look_up);
    if (!look_up)
        return guard_redis_fail(fault, GUARD_REASON_STORE_DNS_FAILED, "out of memory");
    look_up->hints = *hints;
    strcpy(look_up->host, endpoint->host);
    snprintf(look_up->port, sizeof look_up->port, "%u", endpoint->port);
    look_up->request =
        (struct gaicb){.ar_name = look_up->host, .ar_service = look_up->port, .ar_request = &look_up->hints};
    struct gaicb *list[] = {&look_up->request};
    int64_t left = deadline - guard_clock_monotonic_ns();
    struct timespec limit = {.tv_sec = left > 0 ? left / 1000000000 : 0, .tv_nsec = left > 0 ? left % 1000000000 : 0};
    int rc = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
    if (rc == 0) {
        gai_suspend((const struct gaicb *const *)list, 1, &limit);
        rc = gai_error(&look_up->request);
    }
    if (rc == EAI_INPROGRESS && gai_cancel(&look_up->request) != EAI_CANCELED)
        return guard_redis_fail(fault, GUARD_REASON_STORE_DNS_FAILED, "cannot resolve %.100s: no answer in time",
                                endpoint->host); /* look_up stays: the resolver may still write to it */
    *result = look_up->request.ar_result;
    free(look_up);
    return rc == 0 ? 0 : fail_name(fault, endpoint, rc);
}
#else
static int resolve(const struct guard_redis_endpoint *endpoint, const struct addrinfo *hints, int64_t deadline,
                   struct addrinfo **result, struct guard_redis_fault *fault)
{
    char port[16];
    (void)deadline;
    snprintf(port, sizeof port, "%u", endpoint->port);
    int rc = getaddrinfo(endpoint->host, port, hints, result);
    return rc == 0 ? 0 : fail_name(fault, endpoint, rc);
}
#endif

static int look_up(const struct guard_redis_endpoint *endpoint, int64_t deadline, struct addrinfo **result,
                   struct guard_redis_fault *fault)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    char port[16];
    snprintf(port, sizeof port, "%u", endpoint->port);
    if (getaddrinfo(endpoint->host, port, &hints, result) == 0) /* an address: nobody is asked */
        return 0;
    hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
    return resolve(endpoint, &hints, deadline, result, fault);
}

int guard_redis_dial(const struct guard_redis_endpoint *endpoint, int wake_fd, int64_t deadline,
                     struct guard_redis_fault *fault)
{
    struct addrinfo *addresses = NULL;
    char where[300];
    int fd = -1;
    if (!endpoint->port)
        return dial_path(endpoint, wake_fd, deadline, fault);
    if (look_up(endpoint, deadline, &addresses, fault) != 0)
        return -1;
    guard_redis_endpoint_text(endpoint, where, sizeof where);
    guard_redis_fail(fault, GUARD_REASON_STORE_DNS_FAILED, "%.100s has no address", where);
    for (struct addrinfo *a = addresses; a && fd < 0; a = a->ai_next) {
        fd = connect_address(a->ai_addr, a->ai_addrlen, wake_fd, deadline, where, fault);
        if (fd < 0 && fault->interrupted)
            break;
    }
    freeaddrinfo(addresses);
    return fd;
}
