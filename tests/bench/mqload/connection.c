/* Connections: opening, sending, and what comes back. */
#include "mqload.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct job job;

struct statistics stats;

int ep, timer;
unsigned due_mask;
int64_t t_deadline;
struct addrinfo *addr;
struct conn *all;
volatile sig_atomic_t interrupted;

void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

bool give_up(int64_t now)
{
    return interrupted || now > t_deadline;
}

/* The connection is no longer waiting for CONNACK, whatever came of it. */
static void settle(struct conn *c, enum state next)
{
    if (c->state == CONNECTING || c->state == GREETING) {
        stats.pending--;
        stats.settled++;
    }
    c->state = next;
}

static void conn_close(struct conn *c)
{
    settle(c, DEAD);
    close(c->fd);
    c->fd = -1;
    free(c->tx.p);
    free(c->rx.p);
    c->tx = c->rx = (struct buf){0};
}

static void conn_broken(struct conn *c)
{
    if (c->state == READY)
        stats.lost++;
    else
        stats.failed++;
    conn_close(c);
}

void conn_flush(struct conn *c)
{
    struct buf *b = &c->tx;
    bool blocked = false;

    while (b->off < b->len && !blocked) {
        ssize_t n = send(c->fd, b->p + b->off, b->len - b->off, MSG_NOSIGNAL);

        if (n > 0)
            b->off += (size_t)n;
        else if (errno == EAGAIN)
            blocked = true;
        else if (errno != EINTR) {
            conn_broken(c);
            return;
        }
    }
    if (blocked != c->blocked) {
        struct epoll_event ev = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = c};

        c->blocked = blocked;
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
    }
}

/* Polite end: DISCONNECT, then close. */
void conn_leave(struct conn *c)
{
    put16(&c->tx, 0xe000);
    conn_flush(c);
    if (c->fd >= 0)
        conn_close(c);
}

const char *expand(const char *tpl, const struct conn *c, long seq)
{
    static char text[2][TEXT_MAX]; /* two, as user name and password are needed at once */
    static int turn;
    char *out = text[turn = !turn];
    size_t n = 0;

    for (; *tpl && n < TEXT_MAX - 1; tpl++) {
        size_t room = TEXT_MAX - n;
        int w = 1;

        switch (*tpl == '%' ? tpl[1] : 0) {
        case 'd':
            w = snprintf(out + n, room, "%ld", c->idx);
            break;
        case 'n':
            w = snprintf(out + n, room, "%ld", seq);
            break;
        case 'u':
            w = snprintf(out + n, room, "%s", c->user ? c->user : "");
            break;
        case 'c':
            w = snprintf(out + n, room, "%s", c->cid ? c->cid : "");
            break;
        case '%':
            out[n] = '%';
            break;
        default:
            out[n++] = *tpl;
            continue;
        }
        n += (size_t)w;
        tpl++;
    }
    if (n >= TEXT_MAX - 1)
        die("a template grows too long");
    out[n] = 0;
    return out;
}

/* Decides who the connection is and opens it; CONNECT waits in its buffer. */
void conn_open(struct conn *c, const struct ident *id, long idx, int64_t due)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    const struct cred *line = id->n ? &id->list[(options.first + idx) % (long)id->n] : NULL;
    const char *pass;
    size_t rest;

    c->idx = options.first + idx;
    c->receive_max = 65535;
    c->t0 = due;
    c->cid = copy_text(line ? line->cid : expand(id->cid, c, 0));
    c->user = copy_text(line ? line->user : id->user ? expand(id->user, c, 0) : NULL);
    pass = line ? line->pass : id->pass ? expand(id->pass, c, 0) : NULL;
    rest = 10U + (options.version == 5 ? 1U : 0U) + 2U + (c->cid ? strlen(c->cid) : 0);
    rest += (c->user ? 2 + strlen(c->user) : 0) + (pass ? 2 + strlen(pass) : 0);
    put_header(&c->tx, 0x10, rest);
    put_text(&c->tx, "MQTT");
    put8(&c->tx, (unsigned)options.version);
    put8(&c->tx, 0x02u | (c->user ? 0x80u : 0) | (pass ? 0x40u : 0));
    put16(&c->tx, 3600); /* keep-alive: longer than any run */
    if (options.version == 5)
        put8(&c->tx, 0); /* no properties */
    put_text(&c->tx, c->cid ? c->cid : "");
    if (c->user)
        put_text(&c->tx, c->user);
    if (pass)
        put_text(&c->tx, pass);

    c->fd = socket(addr->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket: %s (ulimit -n?)", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    stats.pending++;
    c->state = CONNECTING;
    c->blocked = true;
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        die("epoll_ctl: %s", strerror(errno));
    if (connect(c->fd, addr->ai_addr, addr->ai_addrlen) != 0 && errno != EINPROGRESS)
        conn_broken(c);
}

static bool get_varint(const uint8_t *p, size_t n, size_t *at, size_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 28 && *at < n; shift += 7) {
        uint8_t b = p[(*at)++];

        *value |= (size_t)(b & 127) << shift;
        if (!(b & 128))
            return true;
    }
    return false;
}

/* Receive Maximum among the properties of a CONNACK; 65535 where it is not given. */
static uint16_t receive_maximum(const uint8_t *p, size_t n)
{
    static const uint8_t fixed[64] = {
        /* sizes; 0: one string, or two where it is 0x26 */
        [0x11] = 4, [0x13] = 2, [0x22] = 2, [0x24] = 1, [0x25] = 1, [0x27] = 4, [0x28] = 1, [0x29] = 1, [0x2a] = 1};
    size_t at = 0, len;

    if (!get_varint(p, n, &at, &len) || at + len > n)
        return 65535;
    for (n = at + len; at + 2 < n;) {
        uint8_t id = p[at++] & 63;

        if (id == 0x21)
            return (uint16_t)(p[at] << 8 | p[at + 1]);
        at += fixed[id];
        for (int i = fixed[id] ? 2 : id != 0x26; i < 2 && at + 2 <= n; i++)
            at += 2 + (size_t)(p[at] << 8 | p[at + 1]);
    }
    return 65535;
}

static void got_connack(struct conn *c, const uint8_t *p, size_t n, int64_t now)
{
    unsigned code = n >= 2 ? p[1] : 255;

    if (c->state != GREETING)
        return;
    if (code != 0) {
        if (options.mode != CONNECT)
            die("client '%s' was refused with code %u", c->cid, code);
        stats.refused[code]++;
        hist_add(&stats.refuse, now - c->t0);
        conn_close(c);
        return;
    }
    stats.accepted++;
    hist_add(&stats.accept, now - c->t0);
    settle(c, READY);
    if (options.version == 5)
        c->receive_max = receive_maximum(p + 2, n - 2);
    if (options.mode == CONNECT && options.hold <= 0)
        conn_leave(c);
}

/* PUBACK or SUBACK; the code is above 0x7f where the broker refused. */
static void got_ack(struct conn *c, unsigned pid, unsigned code, int64_t now)
{
    int64_t gap = now - stats.last_ack;

    if (code >= 0x80)
        stats.denied++;
    else
        stats.acked++;
    c->inflight--;
    hist_add(&stats.ack, now - c->due[pid & due_mask]);
    stats.last_progress = now;
    if (options.mode != STALL)
        return;
    if (gap > stats.gap.max)
        stats.largest_gap_at = stats.last_ack;
    hist_add(&stats.gap, gap);
    if ((double)gap >= options.threshold * 1e6) {
        if (++stats.stalls <= 20)
            fprintf(stderr, "stall %.3f s after the start: %.3f ms without a PUBACK\n",
                    (double)(stats.last_ack - job.start) / 1e9, (double)gap / 1e6);
        stats.stalled_ns += gap;
    }
    stats.last_ack = now;
}

static void got_publish(struct conn *c, unsigned flags, const uint8_t *p, size_t n, int64_t now)
{
    size_t at = 2 + (n >= 2 ? (size_t)(p[0] << 8 | p[1]) : 0), props;
    int64_t sent;

    if (flags & 6 && at + 2 <= n) {
        put16(&c->tx, 0x4002); /* PUBACK */
        put(&c->tx, p + at, 2);
        at += 2;
    }
    if (options.version == 5) {
        if (!get_varint(p, n, &at, &props))
            return;
        at += props;
    }
    stats.received++;
    stats.last_progress = now;
    if (at + sizeof sent <= n) {
        memcpy(&sent, p + at, sizeof sent);
        hist_add(&stats.delivery, now - sent);
    }
}

/* Takes whole packets off the front of the input; returns the bytes used. */
static size_t parse(struct conn *c, const uint8_t *p, size_t n, int64_t now)
{
    size_t done = 0;

    while (c->fd >= 0 && n - done >= 2) {
        const uint8_t *q = p + done;
        size_t at = 1, len, left = n - done;
        unsigned pid;

        if (!get_varint(q, left, &at, &len)) {
            if (left >= 5)
                die("malformed packet from the broker");
            break;
        }
        if (at + len > RX_CHUNK)
            die("a packet of %zu bytes is too long", at + len);
        if (at + len > left)
            break;
        done += at + len;
        pid = len >= 2 ? (unsigned)(q[at] << 8 | q[at + 1]) : 0;
        switch (q[0] >> 4) {
        case 2:
            got_connack(c, q + at, len, now);
            break;
        case 3:
            got_publish(c, q[0], q + at, len, now);
            break;
        case 4:
            got_ack(c, pid, len > 2 ? q[at + 2] : 0, now);
            break;
        case 9:
            got_ack(c, pid, len > 2 ? q[at + len - 1] : 0x80, now);
            break;
        case 13:
            c->fence = ANSWERED;
            stats.last_progress = now;
            break;
        case 14:
            conn_broken(c);
            break;
        }
    }
    return done;
}

static void conn_read(struct conn *c)
{
    static uint8_t chunk[2 * RX_CHUNK];
    size_t have = c->rx.len, used;
    ssize_t n;

    if (have)
        memcpy(chunk, c->rx.p, have);
    n = recv(c->fd, chunk + have, RX_CHUNK, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_broken(c);
        return;
    }
    if (options.rate > 0) /* else Nagle in the broker waits for our delayed ACKs */
        setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
    have += (size_t)n;
    used = parse(c, chunk, have, now_ns());
    if (c->fd < 0)
        return;
    c->rx.len = c->rx.off = 0;
    if (used < have)
        put(&c->rx, chunk + used, have - used);
    conn_flush(c);
}

static void conn_event(struct conn *c, uint32_t events)
{
    int err = 0;

    if (c->fd >= 0 && c->state == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){sizeof err});
        if (err)
            conn_broken(c);
        else
            c->state = GREETING;
    }
    if (c->fd >= 0 && events & EPOLLOUT)
        conn_flush(c);
    if (c->fd >= 0 && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        conn_read(c);
}

/* Waits for the network or for the moment "wake" (0: none), 50 ms at most. */
int64_t poll_once(int64_t wake)
{
    struct itimerspec it = {.it_value = {wake / NS, wake % NS}};
    struct epoll_event ev[256];
    int n;

    timerfd_settime(timer, TFD_TIMER_ABSTIME, &it, NULL);
    n = epoll_wait(ep, ev, 256, 50);
    if (n < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++)
        if (ev[i].data.ptr)
            conn_event(ev[i].data.ptr, ev[i].events);
    return now_ns();
}
