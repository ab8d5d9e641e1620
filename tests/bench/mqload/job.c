/* Phases of a run: connect everybody, then publish or subscribe to the end. */
#include "mqload.h"

#include <stdlib.h>
#include <string.h>

/* Opens n connections, at most options.concurrency of them unanswered at a time. */
void connect_phase(struct conn *c, long n, const struct ident *id, double rate)
{
    int64_t start = now_ns(), now = start, due;
    uint64_t goal = stats.settled + (uint64_t)n;

    for (long next = 0; stats.settled < goal && !give_up(now); now = poll_once(due)) {
        for (due = 0; next < n && stats.pending < (uint64_t)options.concurrency; next++) {
            due = rate > 0 ? start + (int64_t)((double)next * 1e9 / rate) : now;
            if (due > now)
                break;
            hist_add(&stats.lag, now - due);
            conn_open(&c[next], id, next, due);
            due = 0;
        }
    }
    if (options.mode != CONNECT && stats.accepted != goal)
        die("only %" PRIu64 " of %" PRIu64 " connections came about", stats.accepted, goal);
}

/* A random order, the same in every run. */
static long *shuffled(long n)
{
    long *order = xrealloc(NULL, (size_t)n * sizeof *order);
    uint64_t random = 88172645463325252U;

    for (long i = 0; i < n; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        long to = (long)(random % (uint64_t)(i + 1));
        order[i] = order[to];
        order[to] = i;
    }
    return order;
}

static struct conn *whose_turn(long i)
{
    return &job.who[job.turns ? job.turns[i] : i];
}

/* Appends the connection's next operation to its output. */
static void put_operation(struct conn *c, int64_t due)
{
    const char *topic = expand(job.subscribe ? options.filter : options.topic, c, c->sent % options.topics);
    size_t rest = 2 + strlen(topic) + (options.version == 5);

    if (job.subscribe || job.qos) {
        c->pid = c->pid == 65535 ? 1 : c->pid + 1;
        c->due[c->pid & due_mask] = due;
        c->inflight++;
    }
    if (job.subscribe)
        put_header(&c->tx, 0x82, rest + 3);
    else {
        put_header(&c->tx, 0x30u | (unsigned)job.qos << 1, rest + (job.qos ? 2 : 0) + (size_t)options.size);
        put_text(&c->tx, topic);
    }
    if (job.subscribe || job.qos)
        put16(&c->tx, c->pid);
    if (options.version == 5)
        put8(&c->tx, 0); /* no properties */
    if (job.subscribe) {
        put_text(&c->tx, topic);
        put8(&c->tx, (unsigned)job.qos);
    } else
        memcpy(put(&c->tx, NULL, (size_t)options.size), &due, sizeof due);
    c->sent++;
    stats.sent++;
}

/* May the connection have one more operation under way? */
static bool room(const struct conn *c)
{
    if (c->tx.len - c->tx.off > TX_HIGH)
        return false;
    if (job.subscribe)
        return c->inflight < job.window;
    if (job.qos)
        return c->inflight < (job.window < c->receive_max ? job.window : c->receive_max);
    return job.fanout == 0 || stats.sent - stats.received / (uint64_t)job.fanout < (uint64_t)(job.window * job.n);
}

/*
 * Sends what may be sent now, one operation per connection and round; returns
 * when the next one falls due (0: not known, that depends on the broker).
 */
static int64_t pump(int64_t now)
{
    int64_t wake = 0, due;
    bool again = true;

    while (again) {
        again = false;
        for (long i = 0; i < job.n; i++) {
            struct conn *c = whose_turn(i);

            if (c->state != READY || c->sent == job.count || !room(c))
                continue;
            due = now;
            if (job.rate > 0)
                due = job.start + (int64_t)((double)(c->sent * job.n + i) * 1e9 / job.rate);
            if (due > now) {
                wake = wake && wake < due ? wake : due;
                continue;
            }
            hist_add(&stats.lag, now - due);
            put_operation(c, due);
            stats.last_progress = now;
            again = true;
        }
        now = now_ns();
    }
    for (long i = 0; i < job.n; i++) {
        struct conn *c = whose_turn(i);

        if (c->state != READY)
            continue;
        if (c->sent == job.count && c->fence == OPEN) {
            put16(&c->tx, 0xc000); /* PINGREQ */
            c->fence = ASKED;
        }
        if (c->tx.off < c->tx.len && !c->blocked)
            conn_flush(c);
    }
    return wake;
}

static bool finished(int64_t now)
{
    if ((double)(now - stats.last_progress) > options.idle * 1e9)
        return true;
    for (long i = 0; i < job.n; i++)
        if (job.who[i].state == READY && (job.who[i].fence != ANSWERED || job.who[i].inflight > 0))
            return false;
    return stats.received >= stats.sent * (uint64_t)job.fanout;
}

/* Runs a job to its end; returns the time from its start to the last sign of life. */
int64_t run_job(struct job j)
{
    int64_t now = now_ns(), wake;

    job = j;
    job.turns = options.shuffle && job.n ? shuffled(job.n) : NULL;
    job.start = stats.last_progress = stats.last_ack = now;
    stats.sent = stats.acked = stats.denied = stats.received = 0;
    memset(&stats.ack, 0, sizeof stats.ack);
    memset(&stats.lag, 0, sizeof stats.lag);
    memset(&stats.gap, 0, sizeof stats.gap);
    stats.stalls = 0;
    stats.stalled_ns = 0;
    for (due_mask = 1; due_mask <= job.window;)
        due_mask *= 2;
    for (long i = 0; i < job.n; i++)
        job.who[i].due = xrealloc(job.who[i].due, due_mask * sizeof(int64_t));
    due_mask--;
    for (;; now = poll_once(wake)) {
        wake = pump(now);
        if (give_up(now) || finished(now))
            return stats.last_progress - job.start;
    }
}
