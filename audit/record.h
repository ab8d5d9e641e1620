/*
 * What lies in the ring and in the side queue: raw facts, as cheap to write as possible. The writer makes text of them.
 * Strings follow the fixed part, in the order of their lengths.
 */
#ifndef GUARD_AUDIT_RECORD_H
#define GUARD_AUDIT_RECORD_H

#include "audit/action.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_peer;

/* Kinds: an enum audit_action for events, and these, which have no sequence number. */
enum {
    AUDIT_RECORD_POLICY = 64, /* the policy in use, struct record_text: ruleset, version */
    AUDIT_RECORD_RELEASE,     /* free the chain of peers */
    AUDIT_RECORD_SINK_GAP     /* an event with a number all the same: audit-gap about lines that a sink has dropped */
};

enum {                     /* flags */
       AUDIT_FLAG_LOW = 1, /* may be dropped first */
       AUDIT_FLAG_RETAIN = 2,
       AUDIT_FLAG_WILL = 4,
       AUDIT_FLAG_CACHED = 8,
       AUDIT_FLAG_FAILED = 16, /* the event's outcome */
       AUDIT_FLAG_SHOWN = 32   /* an alert's names are as the trail shows them */
};

/* Every record begins with it. */
struct record {
    uint32_t size; /* of the whole record, a multiple of 8; the ring's own */
    uint8_t kind;  /* enum audit_action or AUDIT_RECORD_* */
    uint8_t flags;
    uint8_t reason; /* enum guard_reason as the caller gave it */
    uint8_t qos;
    uint64_t sequence;
    int64_t time_ns;
    struct audit_peer *peer; /* NULL where the kind has none; alive until its AUDIT_RECORD_RELEASE is read */
};

/* Longest piece of a string that is carried: more than any bound of out.h, so that the cut falls on a whole code point.
 */
#define AUDIT_CARRIED 1032

/* A string behind a record. Of a longer one the first AUDIT_CARRIED bytes are there; hash then tells where SHA-256 is.
 */
struct record_string {
    uint32_t total;   /* bytes of the original; AUDIT_ABSENT = there was none */
    uint16_t carried; /* bytes that follow the fixed part */
    uint16_t hashed;  /* 1: 32 bytes of SHA-256 of the original follow the carried bytes */
};
#define AUDIT_ABSENT UINT32_MAX

/* mqtt-publish, mqtt-deliver, mqtt-subscribe, mqtt-unsubscribe: the hot one. Topic, rule id, rule name follow. */
struct record_access {
    struct record head;
    uint32_t payload;
    uint32_t topic_total;
    uint16_t topic;     /* bytes carried; when topic_total is larger, 32 bytes of SHA-256 follow them */
    uint16_t rule_id;   /* UINT16_MAX = none */
    uint16_t rule_name; /* UINT16_MAX = none */
};
#define AUDIT_NO_TEXT UINT16_MAX
/* Bytes carried of a rule's id and name: above their bounds (128, 255). */
#define AUDIT_RULE_CARRIED 260

struct record_summary {
    struct record head;
    uint64_t count, bytes;
    int64_t first_ns, last_ns;
};

/* Declares count events lost: the numbers before its own. */
struct record_gap {
    struct record head;
    uint64_t count;
    int64_t first_ns, last_ns;
    uint64_t by_action[AUDIT_ACTION_COUNT];
};

/* Everything else: fixed numbers and strings, as the kind's slots below name them. */
#define AUDIT_NUMBERS 14
#define AUDIT_STRINGS 12

struct record_facts {
    struct record head;
    int64_t number[AUDIT_NUMBERS];
    double real[4];
    struct record_string string[AUDIT_STRINGS];
    uint16_t roles; /* connect: how many strings of (uint16_t length, bytes) follow everything else */
};

/* Slots of struct record_facts; -1 in a number means that it is not known. */
enum {
    CONNECT_METHOD = 0,
    CONNECT_DURATION,
    CONNECT_KEEP_ALIVE,
    CONNECT_CLEAN_START,
    CONNECT_TLS,
    CONNECT_EXPIRES,
    CONNECT_NOT_AFTER,
    CONNECT_TOKEN_HASH,
    CONNECT_HAS_TOKEN_HASH,
    DISCONNECT_INITIATOR = 0,
    DISCONNECT_DURATION,
    DISCONNECT_IN,
    DISCONNECT_DENIED,
    DISCONNECT_METHOD,
    DISCONNECT_EXPIRES,
    POLICY_RULES = 0,
    POLICY_SOURCE,
    POLICY_TRIGGER,
    POLICY_DURATION,
    STORE_FAIL_MODE = 0,
    STORE_CACHE_ENTRIES,
    STORE_OUTAGE_MS,
    STORE_DENIED,
    ALERT_CONNECTION = 0,
    ALERT_KEY,
    ALERT_RESPONSE,
    ALERT_KNOWN,
    ALERT_WINDOW,
    ALERT_BLOCK,
    ALERT_USERS,
    ALERT_IPS,
    ALERT_SUPPRESSED,
    ALERT_START,
    ALERT_END,
    ALERT_SEVERITY
};
enum { ALERT_OBSERVED = 0, ALERT_BASELINE, ALERT_SCORE, ALERT_THRESHOLD }; /* real */
enum {
    CONNECT_USER_ID = 0,
    CONNECT_DOMAIN,
    CONNECT_SUBJECT,
    CONNECT_CERT_ISSUER,
    CONNECT_CERT_SHA256,
    CONNECT_CERT_SERIAL,
    CONNECT_JTI,
    CONNECT_KID,
    CONNECT_ISSUER,
    DISCONNECT_JTI = 0,
    POLICY_RULESET = 0,
    POLICY_VERSION,
    POLICY_PREVIOUS,
    POLICY_SHA256,
    POLICY_ERROR,
    STORE_NAME = 0,
    STORE_ADDRESS,
    STORE_ERROR,
    STORE_CODE,
    ALERT_RULE_ID = 0,
    ALERT_RULE_NAME,
    ALERT_ADDRESS,
    ALERT_COUNTRY,
    ALERT_USER,
    ALERT_CLIENT
};

enum { SINK_GAP_FIRST = 0, SINK_GAP_LAST };

/* Whether the record is an event, and which. */
static inline bool record_is_event(const struct record *record)
{
    return record->kind < AUDIT_ACTION_COUNT || record->kind == AUDIT_RECORD_SINK_GAP;
}
static inline enum audit_action record_action(const struct record *record)
{
    return record->kind < AUDIT_ACTION_COUNT ? (enum audit_action)record->kind : AUDIT_ACTION_AUDIT_GAP;
}

#define AUDIT_ROLES_MAX 32

#endif
