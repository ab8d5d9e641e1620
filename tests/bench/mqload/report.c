/* The broker's CPU and memory, and the figures at the end. */
#include "mqload.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first bytes of /proc/<broker>/<name>; an empty text where there is no such file. */
static const char *proc_text(const char *name)
{
    static char text[4096];
    char path[300];
    size_t n = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/%s", options.pid, name);
    if ((f = fopen(path, "r"))) {
        n = fread(text, 1, sizeof text - 1, f);
        fclose(f);
    }
    text[n] = 0;
    return text;
}

struct usage broker_usage(void)
{
    struct usage u = {0};
    char name[280];
    const char *s;
    unsigned long long ticks[2];
    struct dirent *e;
    DIR *d;

    if ((s = strrchr(proc_text("stat"), ')')) &&
        sscanf(s + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &ticks[0], &ticks[1]) == 2) {
        u.user = (double)ticks[0] / (double)sysconf(_SC_CLK_TCK);
        u.sys = (double)ticks[1] / (double)sysconf(_SC_CLK_TCK);
    }
    if ((s = strstr(proc_text("status"), "VmHWM:")))
        sscanf(s, "VmHWM: %ld kB VmRSS: %ld", &u.peak, &u.rss);
    snprintf(name, sizeof name, "/proc/%ld/task", options.pid);
    for (d = opendir(name); d && (e = readdir(d));) {
        snprintf(name, sizeof name, "task/%s/schedstat", e->d_name);
        u.run += strtod(proc_text(name), NULL) / 1e9;
    }
    if (d)
        closedir(d);
    return u;
}

static void rep(const char *name, double v)
{
    printf(options.json ? ",\"%s\":" : "%-26s ", name);
    printf(v == (double)(long long)v ? "%.0f" : "%.3f", v);
    if (!options.json)
        putchar('\n');
}

static void rep_hist(const char *name, const struct hist *h)
{
    static const struct {
        const char *name;
        double q;
    } q[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p99.9", .999}};

    if (!h->n)
        return;
    printf(options.json ? ",\"%s\":{\"n\":%" PRIu64 ",\"mean\":%.1f" : "%-26s n=%" PRIu64 " mean=%.1f", name, h->n,
           h->sum / (double)h->n / 1e3);
    for (size_t i = 0; i < sizeof q / sizeof *q; i++)
        printf(options.json ? ",\"%s\":%.1f" : " %s=%.1f", q[i].name, (double)hist_quantile(h, q[i].q) / 1e3);
    printf(options.json ? ",\"max\":%.1f}" : " max=%.1f\n", (double)h->max / 1e3);
}

static void report_connects(double seconds)
{
    char name[32];

    rep("connections", (double)options.count);
    rep("accepted", (double)stats.accepted);
    rep("refused", (double)stats.refuse.n);
    for (unsigned i = 0; i < 256; i++) {
        snprintf(name, sizeof name, "refused_with_code_%u", i);
        if (stats.refused[i])
            rep(name, (double)stats.refused[i]);
    }
    rep("failed", (double)stats.failed);
    rep("rate_per_s", (double)(stats.accepted + stats.refuse.n) / seconds);
    rep_hist("connack_us", &stats.accept);
    rep_hist("refusal_us", &stats.refuse);
}

static void report_operations(double seconds, uint64_t expected)
{
    bool subscribing = options.mode == STORM_SUB;

    rep(subscribing ? "clients" : "publishers", (double)options.publishers);
    rep("qos", (double)options.qos);
    rep("sent", (double)stats.sent);
    rep(subscribing ? "granted" : "acked", (double)stats.acked);
    rep("denied", (double)stats.denied);
    rep("sent_per_s", (double)stats.sent / seconds);
    rep("acked_per_s", (double)stats.ack.n / seconds);
    rep_hist("ack_us", &stats.ack);
    if (!options.subscribers)
        return;
    rep("payload_bytes", (double)options.size);
    rep("subscribers", (double)options.subscribers);
    rep("received", (double)stats.received);
    rep("expected", (double)expected);
    rep("received_per_s", (double)stats.received / seconds);
    rep_hist("delivery_us", &stats.delivery);
}

static void report_stalls(void)
{
    rep_hist("ack_gap_us", &stats.gap);
    rep("largest_gap_ms", (double)stats.gap.max / 1e6);
    rep("largest_gap_at_s", (double)(stats.largest_gap_at - job.start) / 1e9);
    rep("stall_threshold_ms", options.threshold);
    rep("stalls", (double)stats.stalls);
    rep("stalled_ms", (double)stats.stalled_ns / 1e6);
}

static void report_broker(const struct usage *a, const struct usage *b, uint64_t operations)
{
    rep("broker_cpu_s", b->run - a->run);
    rep("broker_user_s", b->user - a->user);
    rep("broker_sys_s", b->sys - a->sys);
    rep("broker_cpu_us_per_op", operations ? (b->run - a->run) * 1e6 / (double)operations : 0);
    if (stats.received)
        rep("broker_cpu_us_per_delivery", (b->run - a->run) * 1e6 / (double)stats.received);
    rep("broker_rss_before_kib", (double)a->rss);
    rep("broker_rss_kib", (double)b->rss);
    rep("broker_rss_peak_kib", (double)b->peak);
}

int report(struct usage a, struct usage b, int64_t elapsed)
{
    bool connecting = options.mode == CONNECT;
    double s = (double)(elapsed > 0 ? elapsed : 1) / 1e9;
    uint64_t ops = connecting ? stats.settled : stats.sent, want = stats.sent * (uint64_t)options.fanout;
    uint64_t planned = (uint64_t)(connecting ? options.count : options.messages * options.publishers);
    bool answers = options.mode == STORM_SUB || (!connecting && options.qos > 0);
    bool complete =
        ops == planned && !stats.lost && !stats.failed && stats.received >= want && (!answers || stats.ack.n == ops);

    printf(options.json ? "{\"mode\":\"%s\",\"mqtt\":%s" : "%-26s mode, MQTT %s\n", mode_names[options.mode],
           options.version == 5 ? "5"
           : options.json       ? "3.11"
                                : "3.1.1");
    rep("elapsed_s", s);
    if (connecting)
        report_connects(s);
    else
        report_operations(s, want);
    if (options.mode == STALL)
        report_stalls();
    if (options.rate > 0)
        rep_hist("send_lag_us", &stats.lag);
    if (options.pid)
        report_broker(&a, &b, ops);
    rep("connections_lost", (double)stats.lost);
    rep("complete", complete);
    if (options.json)
        puts("}");
    return complete ? 0 : 1;
}
