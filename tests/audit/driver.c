/*
 * Writes a trail as a broker would: connects, publishes, subscribes and disconnects of some clients, from one "broker"
 * thread and optionally others. tests/audit runs it as a process of its own, to kill it, to fill its disk, to read what
 * it wrote. Prints the audit's own account as one JSON line at the end.
 */
#include "tests/audit/driver.h"
#include "audit/audit.h"
#include "core/clock.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 16

struct options {
    struct audit_config audit;
    struct audit_sink_config sink[4];
    uint64_t events;  /* 0 = until SIGTERM */
    uint64_t rate;    /* a second; 0 = as fast as it goes */
    unsigned threads; /* others, pushing policy and store events */
    bool hostile;     /* strings that hurt */
    bool secrets;     /* planted secrets in what must not be written */
    bool kinds;       /* one of every kind first */
    bool stay;        /* print the account, then wait for SIGTERM before closing */
    unsigned reload_ms;
};

static volatile sig_atomic_t ended;

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

struct other {
    struct audit *audit;
    pthread_t thread;
    uint64_t pushed;
};

static atomic_bool others_end;

static void *push_from_elsewhere(void *context)
{
    struct other *other = context;
    struct audit_peer *peer = driver_new_peer(other->audit, 40, false);
    while (!atomic_load(&others_end)) {
        driver_push_policy(other->audit, GUARD_REASON_NONE, AUDIT_TRIGGER_POLL);
        driver_push_one(other->audit, peer, other->pushed, false);
        other->pushed += 2;
        if (other->pushed % 20 == 0)
            usleep(1000);
    }
    audit_peer_free(other->audit, &peer);
    return NULL;
}

static void pace(int64_t start, uint64_t done, uint64_t rate)
{
    int64_t due = start + (int64_t)((double)done * (1e9 / (double)rate));
    int64_t ahead = due - guard_clock_monotonic_ns();
    if (ahead > 1000000)
        nanosleep(&(struct timespec){ahead / 1000000000, ahead % 1000000000}, NULL);
}

static uint64_t take_state(struct audit *audit)
{
    struct audit_state_message message;
    uint64_t taken = 0;
    for (; audit_take_state_message(audit, &message); taken++)
        audit_state_message_free(&message);
    return taken;
}

static void stream(struct audit *audit, const struct options *options, uint64_t *pushed, uint64_t *state)
{
    struct audit_peer *peers[CLIENTS];
    int64_t start = guard_clock_monotonic_ns(), last_tick = start, last_reload = start;
    for (unsigned i = 0; i < CLIENTS; i++) {
        peers[i] = driver_new_peer(audit, i, options->hostile);
        driver_connect_peer(audit, peers[i], i, GUARD_REASON_NONE);
    }
    if (options->kinds) {
        driver_push_every_kind(audit, peers[1]);
        driver_push_giants(audit);
    }
    for (uint64_t n = 0; !ended && (!options->events || n < options->events); n++) {
        driver_push_one(audit, peers[n % CLIENTS], n, options->hostile);
        ++*pushed;
        if (options->rate && n % 16 == 0)
            pace(start, n, options->rate);
        int64_t now = n % 64 == 0 ? guard_clock_monotonic_ns() : last_tick;
        if (now - last_tick > 100000000) {
            audit_tick(audit, 0);
            *state += take_state(audit);
            last_tick = now;
        }
        if (options->reload_ms && now - last_reload > (int64_t)options->reload_ms * 1000000) {
            audit_reload(audit);
            last_reload = now;
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        driver_disconnect_peer(audit, peers[i], GUARD_REASON_CLIENT_DISCONNECT);
        audit_peer_free(audit, &peers[i]);
    }
}

static void report(struct audit *audit, uint64_t pushed, uint64_t others, uint64_t state)
{
    struct audit_metrics m;
    audit_metrics_read(audit, &m);
    uint64_t lost = 0;
    for (int i = 0; i < AUDIT_LOSS_COUNT; i++)
        lost += m.lost[i];
    printf("{\"chain\":\"%s\",\"pushed\":%llu,\"others\":%llu,\"offered\":%llu,\"written\":%llu,\"lost\":%llu,"
           "\"not_written\":%llu,\"damage\":%llu,\"ring_peak\":%zu,\"accepting\":%s,\"state_messages\":%llu,\"up\":[",
           audit_chain(audit), (unsigned long long)pushed, (unsigned long long)others, (unsigned long long)m.offered,
           (unsigned long long)m.written, (unsigned long long)lost, (unsigned long long)m.not_written,
           (unsigned long long)m.damage, m.ring_peak, audit_accepting(audit) ? "true" : "false",
           (unsigned long long)state);
    for (size_t i = 0; i < m.sink_count; i++)
        printf("%s%s", i ? "," : "", m.sinks[i].up ? "true" : "false");
    printf("],\"lag\":[");
    for (size_t i = 0; i < m.sink_count; i++)
        printf("%s%llu", i ? "," : "", (unsigned long long)m.sinks[i].lag_events);
    printf("]}\n");
    fflush(stdout);
}

static unsigned choose(const char *what, const char *text, const char *const *names)
{
    for (unsigned i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    fprintf(stderr, "driver: bad %s '%s'\n", what, text);
    exit(2);
}

static void parse_sink(struct options *options, char *text)
{
    struct audit_sink_config *sink = &options->sink[options->audit.sink_count++];
    char *save = NULL, *word = strtok_r(text, ",", &save);
    sink->kind = strcmp(word, "redis") == 0 ? AUDIT_SINK_REDIS : AUDIT_SINK_SYSLOG;
    sink->target = strtok_r(NULL, ",", &save);
    while ((word = strtok_r(NULL, ",", &save))) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        if (strcmp(word, "ca") == 0)
            sink->ca_file = value;
        else if (strcmp(word, "cert") == 0)
            sink->cert_file = value;
        else if (strcmp(word, "key") == 0)
            sink->key_file = value;
        else if (strcmp(word, "password") == 0)
            sink->password_file = value;
        else if (strcmp(word, "stream") == 0)
            sink->stream = value;
        else if (strcmp(word, "max") == 0)
            sink->max_length = strtoull(value, NULL, 10);
    }
    options->audit.sinks = options->sink;
}

static void parse(int argc, char **argv, struct options *o)
{
    static const char *const full[] = {"drop", "block", "deny", NULL}, *const publish[] = {"all", "denied", "summary",
                                                                                           NULL};
    static const char *const deliver[] = {"denied", "none", "all", NULL}, *const format[] = {"ecs", "ocsf", NULL};
    static const char *const failed[] = {"full", "hash", "none", NULL}, *const privacy[] = {"none", "hmac", "truncate",
                                                                                            NULL};
    static const char *const sync[] = {"interval", "off", "batch", "event", NULL};
    static const struct option longs[] = {
        {"dir", 1, NULL, 'd'},     {"key", 1, NULL, 'k'},     {"events", 1, NULL, 'n'},  {"rate", 1, NULL, 'r'},
        {"threads", 1, NULL, 't'}, {"ring", 1, NULL, 'R'},    {"rotate", 1, NULL, 'S'},  {"full", 1, NULL, 'f'},
        {"publish", 1, NULL, 'p'}, {"deliver", 1, NULL, 'D'}, {"format", 1, NULL, 'F'},  {"failed-user", 1, NULL, 'u'},
        {"privacy", 1, NULL, 'P'}, {"hostile", 0, NULL, 'h'}, {"secrets", 0, NULL, 's'}, {"kinds", 0, NULL, 'K'},
        {"sink", 1, NULL, 'x'},    {"fsync", 1, NULL, 'y'},   {"stay", 0, NULL, 'w'},    {"privacy-key", 1, NULL, 'q'},
        {"reload", 1, NULL, 'l'},  {"reserve", 1, NULL, 'v'}, {"summary", 1, NULL, 'm'}, {"detect", 0, NULL, 'a'},
        {"broker", 1, NULL, 'b'},  {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'd':
            o->audit.dir = optarg;
            break;
        case 'k':
            o->audit.signing_key_file = optarg;
            break;
        case 'n':
            o->events = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            o->rate = strtoull(optarg, NULL, 10);
            break;
        case 't':
            o->threads = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'R':
            o->audit.ring_size = strtoull(optarg, NULL, 10);
            break;
        case 'S':
            o->audit.rotate_size = strtoull(optarg, NULL, 10);
            break;
        case 'v':
            o->audit.reserve_bytes = strtoull(optarg, NULL, 10);
            break;
        case 'm':
            o->audit.summary_seconds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            o->audit.on_full = (enum audit_on_full)choose("full", optarg, full);
            break;
        case 'p':
            o->audit.publish = (enum audit_publish_mode)choose("publish", optarg, publish);
            break;
        case 'D':
            o->audit.deliver = (enum audit_deliver_mode)choose("deliver", optarg, deliver);
            break;
        case 'F':
            o->audit.format = (enum audit_format)choose("format", optarg, format);
            break;
        case 'u':
            o->audit.failed_user = (enum audit_failed_user)choose("failed-user", optarg, failed);
            break;
        case 'P':
            o->audit.privacy = (enum audit_privacy)choose("privacy", optarg, privacy);
            break;
        case 'y':
            o->audit.fsync = (enum audit_fsync)choose("fsync", optarg, sync);
            break;
        case 'q':
            o->audit.privacy_key_file = optarg;
            break;
        case 'a':
            o->audit.detect = true;
            break;
        case 'b':
            o->audit.broker_id = optarg;
            break;
        case 'h':
            o->hostile = true;
            break;
        case 's':
            o->secrets = true;
            break;
        case 'K':
            o->kinds = true;
            break;
        case 'w':
            o->stay = true;
            break;
        case 'l':
            o->reload_ms = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'x':
            parse_sink(o, optarg);
            break;
        default:
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = {
        .audit = {.broker_id = "broker-1", .plugin_version = "0.1.0", .broker_version = "2.0.11", .block_ms = 1000}};
    struct guard_error err;
    struct audit *audit;
    struct other others[8] = {0};
    uint64_t pushed = 0, from_others = 0, state = 0;
    parse(argc, argv, &options);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    if (audit_open(&options.audit, &audit, &err) != GUARD_OK) {
        char text[1024];
        fprintf(stderr, "driver: %s\n", guard_error_format(&err, text, sizeof text));
        return 2;
    }
    audit_set_policy(audit, "tenant-a", "42");
    unsigned threads = options.threads < 8 ? options.threads : 8;
    for (unsigned i = 0; i < threads; i++) {
        others[i].audit = audit;
        pthread_create(&others[i].thread, NULL, push_from_elsewhere, &others[i]);
    }
    if (options.secrets)
        driver_push_secrets(audit);
    stream(audit, &options, &pushed, &state);
    atomic_store(&others_end, true);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(others[i].thread, NULL);
        from_others += others[i].pushed;
    }
    for (int i = 0; options.stay && !ended; i++) {
        audit_tick(audit, 0);
        state += take_state(audit);
        if (i == 0)
            report(audit, pushed, from_others, state);
        usleep(20000);
    }
    report(audit, pushed, from_others, state);
    return audit_close(&audit) == GUARD_OK ? 0 : 1;
}
