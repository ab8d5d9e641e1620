/* What the files of mqload share; mqload.c says what it is. One process, one thread: plain globals. */
#ifndef MQLOAD_H
#define MQLOAD_H

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS       1000000000LL
#define TX_HIGH  (64u * 1024)  /* produce no more above this backlog */
#define RX_CHUNK (256u * 1024) /* read size; also the largest packet */
#define TEXT_MAX (64u * 1024)  /* longest string in MQTT */

#define SUB_BITS 7
#define SUB      (1 << SUB_BITS)
#define SLOTS    (37 * SUB) /* the last ones hold 2^42 ns, over an hour */

struct hist {
    uint64_t n, count[SLOTS];
    int64_t max;
    double sum;
};

struct buf {
    uint8_t *p;
    size_t off, len, cap; /* the bytes in [off, len) are pending */
};

enum mode { CONNECT, PUB, STALL, STORM_SUB };
extern const char *const mode_names[];

struct cred {
    char *cid, *user, *pass;
};

struct ident { /* who the connections claim to be */
    const char *cid, *user, *pass, *file;
    struct cred *list; /* the lines of "file" */
    size_t n;
};

extern struct options {
    enum mode mode;
    const char *host, *port, *topic, *filter, *before, *after;
    struct ident pub, sub;
    long version, qos, sub_qos, window, publishers, subscribers, fanout, concurrency;
    long count, messages, first, topics, size, pid, json, shuffle;
    double rate, seconds, hold, timeout, idle, threshold;
} options;

enum state { NEW, CONNECTING, GREETING, READY, DEAD };

struct conn {
    int fd;
    enum state state;
    bool blocked;                         /* EPOLLOUT is wanted */
    enum { OPEN, ASKED, ANSWERED } fence; /* the PINGREQ after the last message */
    uint16_t pid, receive_max;            /* last packet identifier; what the broker accepts */
    long idx, sent, inflight;             /* operations of the job: done, unacknowledged */
    int64_t t0;                           /* when the connection was due */
    int64_t *due;                         /* by packet identifier: when the operation was due */
    char *cid, *user;
    struct buf tx, rx;
};

extern struct job { /* what the connections are to do */
    struct conn *who;
    long *turns;   /* the order of their turns; NULL: as they connected */
    long n, count; /* so many connections, so many operations each */
    bool subscribe;
    long qos, window, fanout;
    double rate;
    int64_t start;
} job;

extern struct statistics {
    uint64_t accepted, failed, lost, settled, pending, refused[256];
    uint64_t sent, acked, denied, received, stalls;
    int64_t last_progress, last_ack, largest_gap_at, stalled_ns;
    struct hist accept, refuse, ack, delivery, lag, gap;
} stats;

extern int ep, timer;
extern unsigned due_mask;
extern int64_t t_deadline;
extern struct addrinfo *addr;
extern struct conn *all;
extern volatile sig_atomic_t interrupted;

struct usage {
    double user, sys, run; /* seconds; "run" is exact, of the threads alive */
    long rss, peak;        /* KiB */
};

/* support.c: text of the message on stderr, exit 2 */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void *xrealloc(void *old, size_t n); /* never NULL */
char *copy_text(const char *s);      /* NULL for NULL or "" */
int64_t now_ns(void);                /* CLOCK_MONOTONIC */
void hist_add(struct hist *h, int64_t v);
int64_t hist_quantile(const struct hist *h, double q);
uint8_t *put(struct buf *b, const void *src, size_t n);
void put8(struct buf *b, unsigned v);
void put16(struct buf *b, unsigned v);
void put_text(struct buf *b, const char *s);
void put_header(struct buf *b, unsigned type, size_t remaining);

/* options.c */
void parse_args(int argc, char **argv);

/* connection.c */
void on_signal(int sig);
bool give_up(int64_t now);
void conn_flush(struct conn *c);
void conn_leave(struct conn *c);
const char *expand(const char *tpl, const struct conn *c, long seq);
void conn_open(struct conn *c, const struct ident *id, long idx, int64_t due);
int64_t poll_once(int64_t wake);

/* job.c */
void connect_phase(struct conn *c, long n, const struct ident *id, double rate);
int64_t run_job(struct job j);

/* report.c */
struct usage broker_usage(void);
int report(struct usage a, struct usage b, int64_t elapsed);

#endif
