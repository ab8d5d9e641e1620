/*
 * Writes a trail as a broker would: connects, publishes, subscribes and disconnects of some clients, from one "broker"
 * thread and optionally others. tests/audit runs it as a process of its own, to kill it, to fill its disk, to read what
 * it wrote. Prints the audit's own account as one JSON line at the end.
 */
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

static const char *const hostile_texts[] = {"line\nbreak\r\nSep  1 12:00:00 forged",
                                            "esc\x1b[2Jape",
                                            "quote\"},{\"event\":{\"action\":\"audit-stop\"",
                                            "back\\slash\\",
                                            "bidi\xe2\x80\xaetxt.exe",
                                            "\xe2\x80\xa8line-separator",
                                            "bom\xef\xbb\xbf",
                                            "\xff\xfe\x80invalid",
                                            "half\xe2\x82",
                                            "\xed\xa0\x80surrogate",
                                            "\xef\xbf\xbenon-character",
                                            "\xc2\x85next-line",
                                            "tab\tnul",
                                            "\x7f",
                                            "\xf4\x90\x80\x80too-high",
                                            "\xc0\xafoverlong",
                                            ""};
#define HOSTILE (sizeof hostile_texts / sizeof *hostile_texts)

static struct audit_peer *new_peer(struct audit *audit, unsigned i, const struct options *options)
{
    char user[64], client[64], address[64];
    snprintf(user, sizeof user, "dev-%u", i);
    snprintf(client, sizeof client, "client-%u", i);
    snprintf(address, sizeof address, i % 3 ? "203.0.113.%u" : "2001:db8::%u", i);
    struct audit_peer_info info = {.address = address,
                                   .username = user,
                                   .client_id = client,
                                   .listener_port = 8883,
                                   .transport = AUDIT_TRANSPORT_TCP,
                                   .websocket = i % 4 == 0,
                                   .protocol_version = 3 + i % 3};
    if (options->hostile) {
        info.username = hostile_texts[i % HOSTILE];
        info.client_id = hostile_texts[(i + 5) % HOSTILE];
        info.address = i % 2 ? address : hostile_texts[(i + 9) % HOSTILE];
    }
    return audit_peer_new(audit, &info);
}

static void connect_peer(struct audit *audit, struct audit_peer *peer, unsigned i, enum guard_reason reason)
{
    struct guard_identity *identity = guard_identity_new();
    identity->method = i % 2 ? GUARD_AUTH_TOKEN : GUARD_AUTH_CERTIFICATE;
    identity->username = strdup("dev");
    identity->subject = strdup("subject");
    identity->issuer = strdup("https://issuer.example");
    identity->token_id = strdup("token-id-1");
    identity->key_id = strdup("key-1");
    identity->expires_at = 1800000000;
    identity->has_token_hash = i % 2;
    guard_identity_add_role(identity, "device", 5);
    guard_identity_add_role(identity, "sensor", 1);
    if (!(i % 2)) {
        memset(identity->certificate_sha256, 'A', 64);
        strcpy(identity->certificate_serial, "55FBB9C7");
    }
    audit_push_connect(audit, peer,
                       &(struct audit_connect){.reason = reason,
                                               .method = identity->method,
                                               .identity = identity,
                                               .domain = i % 2 ? "tenant-a" : NULL,
                                               .duration_ns = 184223,
                                               .keep_alive = 60,
                                               .clean_start = i & 1,
                                               .tls = (signed char)(i % 3) - 1,
                                               .cached = i % 5 == 0});
    guard_identity_free(&identity);
}

static void disconnect_peer(struct audit *audit, struct audit_peer *peer, enum guard_reason reason)
{
    audit_push_disconnect(audit, peer,
                          &(struct audit_disconnect){.reason = reason,
                                                     .initiator = AUDIT_BY_CLIENT,
                                                     .duration_ns = 86400123456,
                                                     .messages_in = 7,
                                                     .messages_denied = 1});
}

/* One event of the stream: mostly publishes, now and then something else. */
static void push_one(struct audit *audit, struct audit_peer *peer, uint64_t n, const struct options *options)
{
    char topic[128];
    int length = snprintf(topic, sizeof topic, "tenant-a/dev/%llu/up", (unsigned long long)n);
    struct audit_message message = {.topic = {topic, (size_t)length},
                                    .rule_id = audit_text("device/r17"),
                                    .payload_bytes = (uint32_t)n % 4096,
                                    .qos = (uint8_t)(n % 3),
                                    .retain = n % 7 == 0};
    if (options->hostile)
        message.topic = audit_text(hostile_texts[n % HOSTILE]);
    if (n % 50 == 3)
        message.reason = GUARD_REASON_ACL_NO_MATCH;
    if (n % 100 == 7)
        audit_push_subscribe(audit, peer, &(struct audit_subscription){.filter = message.topic, .qos = 1});
    else if (n % 100 == 57)
        audit_push_unsubscribe(audit, peer, &(struct audit_subscription){.filter = message.topic});
    else if (n % 100 == 77)
        audit_push_deliver(audit, peer,
                           &(struct audit_message){.topic = message.topic, .reason = GUARD_REASON_ACL_DENY_RULE});
    else
        audit_push_publish(audit, peer, &message);
}

static void push_policy(struct audit *audit, enum guard_reason reason, enum audit_policy_trigger trigger)
{
    audit_push_policy_reload(audit, &(struct audit_policy_reload){
                                        .reason = reason,
                                        .ruleset = "tenant-a",
                                        .version = "43",
                                        .previous_version = "42",
                                        .sha256 = "e5df1ab196a29af0b7794628309260ed94cbfbca589b17acb9888f65a998d677",
                                        .rules = 214,
                                        .source = AUDIT_POLICY_REDIS,
                                        .trigger = trigger,
                                        .error_text = reason ? "line 12: unknown verb 'publsh'\n\"quoted\"" : NULL,
                                        .duration_ns = 2110045});
}

static void push_alert(struct audit *audit, enum audit_action action)
{
    audit_push_alert(audit, &(struct audit_alert){.action = action,
                                                  .reason = GUARD_REASON_THRESHOLD,
                                                  .address = "198.51.100.23",
                                                  .country = "NL",
                                                  .username = "dev-42",
                                                  .client_id = "client-42",
                                                  .connection = 28,
                                                  .key = (enum audit_alert_key)(action % 5),
                                                  .response = (enum audit_alert_response)(action % 3),
                                                  .observed = 5120.5,
                                                  .baseline = 4.2,
                                                  .score = 38.125,
                                                  .threshold = -1,
                                                  .known = -1,
                                                  .window_s = 60,
                                                  .block_s = 600,
                                                  .distinct_users = 7,
                                                  .distinct_ips = -1,
                                                  .start_ns = 1788266050000000000,
                                                  .end_ns = 1788266096800000000});
}

/* Every action with every reason there is, also those that the schema does not list for it. */
static void push_every_kind(struct audit *audit, struct audit_peer *peer)
{
    for (unsigned r = 0; r < GUARD_REASON_COUNT; r++) {
        enum guard_reason reason = (enum guard_reason)r;
        struct audit_message message = {.topic = audit_text("a/b"),
                                        .rule_id = audit_text("r03"),
                                        .rule_name = audit_text("no-root-wildcard"),
                                        .qos = 3,
                                        .will = r % 2,
                                        .reason = reason};
        connect_peer(audit, peer, r, reason);
        disconnect_peer(audit, peer, reason);
        audit_push_publish(audit, peer, &message);
        audit_push_deliver(audit, peer, &message);
        audit_push_subscribe(audit, peer, &(struct audit_subscription){.filter = message.topic, .reason = reason});
        audit_push_unsubscribe(audit, peer, &(struct audit_subscription){.filter = message.topic, .reason = reason});
        push_policy(audit, reason, (enum audit_policy_trigger)(r % 5));
        audit_push_store_down(audit, &(struct audit_store_down){.reason = reason,
                                                                .name = "redis-main",
                                                                .address = "10.0.0.5:6379",
                                                                .fail_mode = (enum audit_fail_mode)(r % 3),
                                                                .cache_entries = 8123,
                                                                .error_code = "ETIMEDOUT"});
    }
    audit_push_store_up(audit, &(struct audit_store_up){.outage_ms = 41873, .denied_while_down = 12});
    for (int action = AUDIT_ACTION_ALERT_BRUTE_FORCE; action < AUDIT_ACTION_COUNT; action++)
        push_alert(audit, (enum audit_action)action);
}

/* A topic of 65,000 bytes, a client id of 2,000, roles without end: everything must stay within one line of 16 KiB. */
static void push_giants(struct audit *audit)
{
    char *text = malloc(65001);
    memset(text, '"', 65000);
    text[65000] = '\0';
    struct guard_identity *identity = guard_identity_new();
    identity->method = GUARD_AUTH_TOKEN;
    identity->subject = strdup(text);
    identity->issuer = strdup(text);
    identity->token_id = strdup(text);
    identity->key_id = strdup(text);
    const char *roles[64];
    for (size_t i = 0; i < 64; i++)
        roles[i] = text;
    struct audit_peer_info info = {.address = text, .username = text, .client_id = text};
    struct audit_peer *peer = audit_peer_new(audit, &info);
    audit_push_connect(audit, peer,
                       &(struct audit_connect){.method = GUARD_AUTH_TOKEN,
                                               .identity = identity,
                                               .domain = text,
                                               .roles = roles,
                                               .role_count = 64,
                                               .keep_alive = -1,
                                               .clean_start = -1,
                                               .tls = -1});
    identity->method = GUARD_AUTH_CERTIFICATE;
    audit_push_connect(audit, peer,
                       &(struct audit_connect){.method = GUARD_AUTH_CERTIFICATE,
                                               .identity = identity,
                                               .roles = roles,
                                               .role_count = 64,
                                               .keep_alive = 70000,
                                               .clean_start = -1,
                                               .tls = -1});
    struct audit_message message = {.topic = {text, 65000},
                                    .rule_id = {text, 65000},
                                    .rule_name = {text, 65000},
                                    .reason = GUARD_REASON_TOPIC_TOO_LONG};
    audit_push_publish(audit, peer, &message);
    memset(text, 0xe2, 65000);
    audit_push_publish(audit, peer, &message);
    audit_push_subscribe(audit, peer, &(struct audit_subscription){.filter = {text, 1030}});
    audit_push_alert(audit, &(struct audit_alert){.action = AUDIT_ACTION_ALERT_FLAPPING,
                                                  .rule_id = text,
                                                  .rule_name = text,
                                                  .address = text,
                                                  .country = text,
                                                  .username = text,
                                                  .client_id = text});
    push_policy(audit, GUARD_REASON_NONE, AUDIT_TRIGGER_STARTUP);
    audit_peer_free(audit, &peer);
    guard_identity_free(&identity);
    free(text);
}

static void push_secrets(struct audit *audit)
{
    /* a password typed into the user name field: audit_failed_user decides what may be seen of it */
    struct audit_peer *peer = audit_peer_new(
        audit, &(struct audit_peer_info){.address = "192.0.2.1", .username = "PLANTED-SECRET", .client_id = "c"});
    audit_push_connect(audit, peer,
                       &(struct audit_connect){.reason = GUARD_REASON_UNKNOWN_USER,
                                               .method = GUARD_AUTH_PASSWORD,
                                               .keep_alive = 60,
                                               .clean_start = 1,
                                               .tls = 0});
    audit_peer_free(audit, &peer);
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
    const struct options none = {.events = 0};
    struct audit_peer *peer = new_peer(other->audit, 40, &none);
    while (!atomic_load(&others_end)) {
        push_policy(other->audit, GUARD_REASON_NONE, AUDIT_TRIGGER_POLL);
        push_one(other->audit, peer, other->pushed, &none);
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
        peers[i] = new_peer(audit, i, options);
        connect_peer(audit, peers[i], i, GUARD_REASON_NONE);
    }
    if (options->kinds) {
        push_every_kind(audit, peers[1]);
        push_giants(audit);
    }
    for (uint64_t n = 0; !ended && (!options->events || n < options->events); n++) {
        push_one(audit, peers[n % CLIENTS], n, options);
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
        disconnect_peer(audit, peers[i], GUARD_REASON_CLIENT_DISCONNECT);
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
           "\"not_written\":%llu,\"ring_peak\":%zu,\"accepting\":%s,\"state_messages\":%llu,\"up\":[",
           audit_chain(audit), (unsigned long long)pushed, (unsigned long long)others, (unsigned long long)m.offered,
           (unsigned long long)m.written, (unsigned long long)lost, (unsigned long long)m.not_written, m.ring_peak,
           audit_accepting(audit) ? "true" : "false", (unsigned long long)state);
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
        {"reload", 1, NULL, 'l'},  {"reserve", 1, NULL, 'v'}, {"summary", 1, NULL, 'm'}, {NULL, 0, NULL, 0}};
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
        push_secrets(audit);
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
