/*
 * Detection of attacks in the stream of events (docs/audit.md, "Alerts"): brute force, password spray, flapping, topic
 * scans, shared credentials, new addresses and countries, unusual hours, and rates far above a client's own habit.
 *
 * Pure: time comes with each call (nanoseconds, of any epoch; steps back count as no time), hashes are made with the
 * key that was given, and all memory is taken by detect_new, whatever comes later. What is forgotten first in a full
 * table weighs least. Counts of different users, addresses and topics never exceed the truth. One thread, except
 * detect_keys_of, which may run on any.
 */
#ifndef GUARD_AUDIT_DETECT_H
#define GUARD_AUDIT_DETECT_H

#include "audit/action.h"
#include "core/siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DETECT_RULES(X)                         \
    X(BF_IP, "bf-ip", BRUTE_FORCE)              \
    X(BF_USER, "bf-user", BRUTE_FORCE)          \
    X(BF_CLIENT, "bf-client", BRUTE_FORCE)      \
    X(SPRAY, "spray", PASSWORD_SPRAY)           \
    X(FLAP_CLIENT, "flap-client", FLAPPING)     \
    X(FLAP_IP, "flap-ip", FLAPPING)             \
    X(SCAN, "topic-scan", TOPIC_SCAN)           \
    X(SHARED, "cred-shared", CREDENTIAL_SHARED) \
    X(TWICE, "cred-twice", CREDENTIAL_SHARED)   \
    X(NEW_IP, "new-ip", NEW_IP)                 \
    X(NEW_COUNTRY, "new-country", NEW_COUNTRY)  \
    X(HOURS, "out-of-hours", OUT_OF_HOURS)      \
    X(RATE, "rate-self", RATE_SPIKE)

enum detect_rule {
#define X(name, id, action) DETECT_##name,
    DETECT_RULES(X)
#undef X
        DETECT_RULE_COUNT
};

/* rule.id in the trail; never NULL. */
const char *detect_rule_id(enum detect_rule rule);
enum audit_action detect_rule_action(enum detect_rule rule);

/* Who acts, as hashes; 0 = not known, or not to be watched. */
struct detect_keys {
    uint64_t address; /* IPv4 /32, IPv6 /64; else of the text */
    uint64_t user;
    uint64_t client;
    uint32_t connection; /* its number, as far as it goes */
    uint16_t country;    /* the two letters; 0 = not known */
    bool single;         /* the identity may be connected once at a time */
};

/* Addresses whose own rules do not apply: monitoring, gateways with many devices behind them. */
#define DETECT_NETWORKS_MAX 64
struct detect_networks {
    struct detect_network {
        uint8_t octets[16]; /* IPv4 as ::ffff:a.b.c.d */
        uint8_t bits;
    } item[DETECT_NETWORKS_MAX];
    size_t count;
};

/* Reads "192.0.2.7, 10.0.0.0/8, 2001:db8::/32". False: *wrong is where the first one that is none begins. */
bool detect_networks_parse(const char *text, struct detect_networks *networks, const char **wrong);

/* Each text may be NULL. Connection, country and single are the caller's to fill in. */
struct detect_keys detect_keys_of(const struct guard_siphash_key *key, const struct detect_networks *allowed,
                                  const char *address, const char *username, const char *client_id);

/* The publish rate of one connection; zero-initialise it. */
struct detect_rate {
    uint32_t window;       /* number of the window that is counted now */
    uint32_t count;        /* in it */
    uint32_t limit;        /* count at which it is a spike; 0 = before the first window */
    float mean, deviation; /* of log2(1 + count) */
    uint16_t seen;         /* windows, up to what is of interest */
    uint16_t alarmed;      /* windows since the alarm; 0 = none */
    uint32_t alerted_s, suppressed;
};

struct detect_alert {
    enum detect_rule rule;
    int64_t time_ns;
    double observed, threshold;
    double baseline, score; /* negative = none */
    unsigned window_s;
    int64_t distinct_users, distinct_ips; /* -1 = none */
    uint64_t suppressed;                  /* since the last alert of this rule for the same key */
    int64_t start_ns;                     /* 0 = not known */
};

/* Where alerts go; called from within the functions below, at most twice a call. */
typedef void detect_raise(void *context, const struct detect_alert *alert);

struct detect;

/* About 14 MiB, all of it now. NULL when out of memory. */
struct detect *detect_new(const struct guard_siphash_key *key, detect_raise *raise, void *context);
void detect_free(struct detect **detect);

/* Watches the hours at which identities are active, too: 6 MiB more. False when out of memory. */
bool detect_watch_hours(struct detect *detect);

/* A log-in that was refused. Only guesses count: not an expired token, nor what is the broker's own fault. */
void detect_login_failed(struct detect *detect, const struct detect_keys *who, enum guard_reason reason,
                         int64_t now_ns);
void detect_login(struct detect *detect, const struct detect_keys *who, int64_t now_ns);
/* Something an identity did. *hour: the one of its last call for this connection (0 at first), so that most are cheap.
 */
void detect_active(struct detect *detect, const struct detect_keys *who, uint32_t *hour, int64_t now_ns);
void detect_disconnect(struct detect *detect, const struct detect_keys *who, int64_t now_ns);
/* A publish or subscribe that was denied. */
void detect_denied(struct detect *detect, const struct detect_keys *who, const char *topic, size_t length,
                   int64_t now_ns);

/*
 * The habit of a client outlives its connections: kept when one ends, taken up by the next one of that client id. The
 * time between the two is no part of it.
 */
void detect_rate_keep(struct detect *detect, const struct detect_keys *who, const struct detect_rate *rate);
void detect_rate_resume(struct detect *detect, const struct detect_keys *who, struct detect_rate *rate, int64_t now_ns);

/* detect_rate.c: the rare part of detect_publish. */
void detect_rate_turn(struct detect_rate *rate, uint32_t window);
void detect_rate_over(struct detect *detect, struct detect_rate *rate, int64_t now_ns);

#define DETECT_WINDOW_NS 10000000000LL

/* A publish that was allowed. */
static inline void detect_publish(struct detect *detect, struct detect_rate *rate, int64_t now_ns)
{
    uint32_t window = (uint32_t)(now_ns / DETECT_WINDOW_NS);
    if (__builtin_expect(window != rate->window, 0))
        detect_rate_turn(rate, window);
    if (__builtin_expect(++rate->count >= rate->limit, 0))
        detect_rate_over(detect, rate, now_ns);
}

/* Count publishes that were allowed between the two times, of which nothing else is known: audit_publish summary. */
void detect_publishes(struct detect *detect, struct detect_rate *rate, uint64_t count, int64_t first_ns,
                      int64_t last_ns);

/*
 * What was learned, to be kept over a restart: detect_state_size octets. Reading it also takes over the key that it was
 * learned with (detect_key); false: it is none, nothing was changed. What an older version wrote is read, too.
 */
#define DETECT_STATE_MAX ((size_t)16 << 20)
size_t detect_state_size(const struct detect *detect);
void detect_state_write(const struct detect *detect, char *out);
bool detect_state_read(struct detect *detect, const char *in, size_t length);
struct guard_siphash_key detect_key(const struct detect *detect);

/* Alerts raised so far. */
uint64_t detect_count(const struct detect *detect, enum detect_rule rule);

#endif
