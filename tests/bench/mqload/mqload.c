/*
 * mqload - a load generator for MQTT brokers.
 *
 * One process, one thread, one epoll set, no MQTT library: the few packets of
 * MQTT 3.1.1 and 5 that a load needs are written and read here.  See usage_text.
 *
 * Rules the numbers follow:
 *  - Times are CLOCK_MONOTONIC nanoseconds, kept in log-linear histograms of 128
 *    steps per power of two: a percentile is reported at most 0.8 % too high.
 *  - With --rate the load is an open loop: every operation has a due time that
 *    does not move when the broker is late, and latency counts from there, so
 *    the wait for a full window is not left out (no coordinated omission).
 *    "send_lag" tells how late operations left, for whatever reason.
 *  - QoS 0 has no answers.  Each publisher therefore ends with a PINGREQ, which
 *    brokers answer in order, and deliveries are counted: at most
 *    window * publishers messages are on their way to the subscribers at once,
 *    so that no broker has a reason to drop any.
 */
#include "mqload.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

static void hook(const char *cmd)
{
    fflush(stdout);
    if (cmd && system(cmd) != 0)
        fprintf(stderr, "mqload: '%s' failed\n", cmd);
}

static void start_up(long connections)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    struct sigaction sa = {.sa_handler = on_signal};
    struct rlimit rl;
    int rc;

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    prctl(PR_SET_TIMERSLACK, 1UL);
    if ((rc = getaddrinfo(options.host, options.port, &hints, &addr)) != 0)
        die("%s: %s", options.host, gai_strerror(rc));
    ep = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (ep < 0 || timer < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, timer, &ev) != 0)
        die("epoll: %s", strerror(errno));
    t_deadline = now_ns() + (int64_t)(options.timeout * 1e9);
    all = calloc((size_t)connections, sizeof *all);
    if (!all)
        die("out of memory");
}

int main(int argc, char **argv)
{
    struct usage before, after;
    int64_t elapsed, start;
    long n_pub, n_all;

    parse_args(argc, argv);
    n_pub = options.mode == CONNECT ? options.count : options.publishers;
    n_all = n_pub + options.subscribers;
    start_up(n_all);
    if (options.mode == CONNECT) {
        hook(options.before);
        before = broker_usage();
        start = now_ns();
        connect_phase(all, n_pub, &options.pub, options.rate);
        elapsed = now_ns() - start;
        for (int64_t t = 0; t < start + elapsed + (int64_t)(options.hold * 1e9) && !give_up(t);)
            t = poll_once(0);
    } else {
        connect_phase(all, n_pub, &options.pub, 0);
        connect_phase(all + n_pub, n_all - n_pub, &options.sub, 0);
        run_job((struct job){.who = all + n_pub,
                             .n = n_all - n_pub,
                             .count = 1,
                             .subscribe = true,
                             .qos = options.sub_qos,
                             .window = 1});
        if (stats.acked != (uint64_t)options.subscribers)
            fprintf(stderr, "mqload: %" PRIu64 " of %ld subscriptions granted\n", stats.acked, options.subscribers);
        hook(options.before);
        before = broker_usage();
        elapsed = run_job((struct job){.who = all,
                                       .n = n_pub,
                                       .count = options.messages,
                                       .subscribe = options.mode == STORM_SUB,
                                       .qos = options.qos,
                                       .window = options.window,
                                       .fanout = options.fanout,
                                       .rate = options.rate});
    }
    after = broker_usage();
    hook(options.after);
    for (long i = 0; i < n_all; i++)
        if (all[i].state == READY)
            conn_leave(&all[i]);
    return report(before, after, elapsed);
}
