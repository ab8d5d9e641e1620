/* struct audit and its parts, for the files of this folder only. */
#ifndef GUARD_AUDIT_INTERNAL_H
#define GUARD_AUDIT_INTERNAL_H

#include "audit/audit.h"
#include "audit/chain.h"
#include "audit/country.h"
#include "audit/detect.h"
#include "audit/privacy.h"
#include "audit/record.h"
#include "audit/ring.h"

#include <openssl/types.h>
#include <pthread.h>
#include <stdatomic.h>

/* The configuration with every default filled in; owns its strings. */
struct audit_settings {
    struct audit_config is;
    struct audit_sink_config sinks[AUDIT_MAX_SINKS];
};
int audit_settings_copy(struct audit_settings *settings, const struct audit_config *config, struct guard_error *err);
void audit_settings_free(struct audit_settings *settings);

/* ---- peers ------------------------------------------------------------------------------------------------------ */

struct audit_span {
    uint32_t start, length; /* in audit_peer.text; length 0 = not there */
};

struct audit_peer {
    /* the producer's */
    struct audit_peer *next; /* in the chain of a release record */
    struct audit_peer *previous_dirty, *next_dirty;
    uint64_t count, bytes; /* the open summary */
    int64_t first_ns, last_ns;

    /* constant after audit_peer_new */
    uint64_t connection;
    uint16_t listener_port;
    uint8_t transport, version;
    bool websocket;
    bool has_ip;
    uint32_t sanitized, truncated; /* enum audit_field bits */
    struct audit_span source;      /* "source":{…} or nothing */
    struct audit_span user;        /* "name":"…" or nothing */
    struct audit_span failed_user; /* what stands for user when the connect failed */
    struct audit_span mqtt;        /* "client_id":"…","connection_id":"…" */
    struct audit_span address;     /* the JSON strings alone, quotes included */
    struct audit_span name;
    struct audit_span failed_name;
    struct audit_span client_id;
    struct audit_span connection_id;
    struct detect_keys keys;

    struct detect_rate rate; /* the writer's, as the next one */
    uint32_t active_hour;

    char text[];
};

/* Fields that mosquitto.audit.sanitized and truncated can name. */
#define AUDIT_FIELDS(X)                                      \
    X(SOURCE_ADDRESS, "source.address")                      \
    X(USER_NAME, "user.name")                                \
    X(USER_ID, "user.id")                                    \
    X(USER_DOMAIN, "user.domain")                            \
    X(USER_ROLES, "user.roles")                              \
    X(TLS_SUBJECT, "tls.client.subject")                     \
    X(TLS_ISSUER, "tls.client.issuer")                       \
    X(CLIENT_ID, "mqtt.client_id")                           \
    X(TOPIC, "mqtt.topic")                                   \
    X(TOPIC_FILTER, "mqtt.topic_filter")                     \
    X(JTI, "mqtt.auth.jti")                                  \
    X(KID, "mqtt.auth.kid")                                  \
    X(ISSUER, "mqtt.auth.issuer")                            \
    X(RULE_ID, "rule.id")                                    \
    X(RULE_NAME, "rule.name")                                \
    X(RULESET, "rule.ruleset")                               \
    X(RULE_VERSION, "rule.version")                          \
    X(PREVIOUS_VERSION, "mosquitto.policy.previous_version") \
    X(ERROR_MESSAGE, "error.message")                        \
    X(ERROR_CODE, "error.code")                              \
    X(STORE_NAME, "mosquitto.store.name")                    \
    X(STORE_ADDRESS, "mosquitto.store.address")              \
    X(MESSAGE, "message")

enum audit_field {
#define X(name, text) AUDIT_FIELD_##name,
    AUDIT_FIELDS(X)
#undef X
        AUDIT_FIELD_COUNT
};

/* ---- losses ----------------------------------------------------------------------------------------------------- */

/* What one producer could not place since its last gap record. */
struct audit_ledger {
    uint64_t count;
    uint64_t by_action[AUDIT_ACTION_COUNT];
    int64_t first_ns, last_ns;
    enum audit_loss cause;
};
void audit_ledger_add(struct audit_ledger *ledger, enum audit_action action, int64_t time_ns, enum audit_loss cause);

/* ---- the side queue --------------------------------------------------------------------------------------------- */

struct audit_side_record {
    struct audit_side_record *next;
    struct record record; /* with whatever follows it */
};

struct audit_side {
    pthread_mutex_t lock;
    struct audit_side_record *first, *last;
    size_t bytes;
    struct audit_ledger ledger;
    _Atomic uint64_t count[AUDIT_ACTION_COUNT][2];
    _Atomic uint64_t lost[AUDIT_LOSS_COUNT];
    atomic_bool waiting; /* something is in the list */
};
#define AUDIT_SIDE_BYTES ((size_t)1 << 20)

/* ---- messages to the broker thread ------------------------------------------------------------------------------ */

#define AUDIT_STATE_MAX 256

struct audit_state_queue {
    pthread_mutex_t lock;
    struct audit_state_message message[AUDIT_STATE_MAX]; /* a ring: first, count */
    size_t first, count;
    char *checkpoint; /* the latest one not yet taken */
    int64_t checkpoint_taken_ns;
    atomic_bool waiting;
};

struct audit_writer;
struct audit_sink;

/* ---- the whole --------------------------------------------------------------------------------------------------- */

struct audit {
    /* constant after audit_open */
    struct audit_settings set;
    char chain[AUDIT_CHAIN_LENGTH + 1];
    void *broker_thread; /* audit_this_thread() of it */
    struct audit_privacy_key privacy;
    struct detect *detect; /* NULL = not asked for; the writer's, but for its figures */
    struct guard_siphash_key detect_key;
    struct detect_networks allowed;
    struct audit_country *country; /* NULL = no database */
    EVP_MD *sha256;
    struct audit_writer *writer;
    struct audit_sink *sink[AUDIT_MAX_SINKS];
    size_t sink_count;
    int wake_fd; /* eventfd the writer sleeps on */

    /* the one counter of sequence numbers: the last one given */
    _Alignas(AUDIT_CACHE_LINE) _Atomic uint64_t sequence;
    _Atomic uint64_t connection;
    _Atomic uint64_t numbered_lost; /* lost events that have their numbers */

    /* between producers and writer; mostly the writer's to write */
    _Alignas(
        AUDIT_CACHE_LINE) _Atomic uint64_t written; /* the last number that is in the file, or declared lost there */
    atomic_bool writer_sleeps;
    atomic_bool accepting;
    atomic_bool rotate_now;
    atomic_bool stop;
    const struct record *watched; /* the writer's own, as the next two: what the detection looks at now */
    bool learned;                 /* since it was kept last */
    int64_t kept_ns;              /* monotonic */
    _Atomic uint64_t damage;      /* how often somebody else was found to have changed the trail */
    _Atomic(char *) damage_text;  /* the last one, until it is taken */
    _Atomic int stalled;          /* enum audit_loss + 1 while the disk takes nothing; 0 = all is well */

    /* the broker thread's */
    _Alignas(AUDIT_CACHE_LINE) bool attention; /* one of the five below asks for the slow path */
    bool low_refused;                          /* over 75 %, until below 50 % */
    char *policy_ruleset, *policy_version;     /* to be written before the next event */
    struct audit_peer *released;               /* to be handed to the writer */
    struct audit_ledger ledger;
    struct record *staged;          /* by audit_stage_publish; NULL = none */
    uint64_t staged_at, staged_end; /* ring positions before and behind it */
    size_t low_limit;
    uint64_t check_at; /* ring position at which the fill is looked at again */
    struct audit_peer *first_dirty, *last_dirty;
    _Atomic uint64_t count[AUDIT_ACTION_COUNT][2]; /* single writer: plain increments, relaxed */
    _Atomic uint64_t lost[AUDIT_LOSS_COUNT];
    _Atomic uint64_t not_written;

    struct audit_ring ring;
    struct audit_side side;
    struct audit_state_queue state;
};

/* A counter with one writing thread: no locked instruction is needed. */
static inline void audit_bump(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* What tells threads apart, without a call. */
static inline void *audit_this_thread(void)
{
    return __builtin_thread_pointer();
}

/* ---- producer.c ----------------------------------------------------------------------------------------------------
 */

/*
 * Room for a record of that kind and size (rounded up to 8), its head filled in, or NULL: the event was counted as
 * lost. The caller fills the rest and calls audit_commit. flags: AUDIT_FLAG_*.
 */
struct record *audit_begin(struct audit *audit, size_t size, enum audit_action action, unsigned flags, int64_t time_ns);
void audit_commit(struct audit *audit, struct record *record);

/* Looks at how full the ring is; called when it has grown by some. */
void audit_look_at_fill(struct audit *audit);

/*
 * audit_begin for what happens nearly always, inline: the broker thread, nothing pending, room enough. The record has
 * no number yet: audit_commit_fast. NULL: take the other one. size must be a multiple of 8.
 */
static inline struct record *audit_begin_fast(struct audit *audit, size_t size, enum audit_action action,
                                              unsigned flags, int64_t time_ns)
{
    if (__builtin_expect(audit_this_thread() != audit->broker_thread || audit->attention || !time_ns, 0))
        return NULL;
    struct record *record =
        audit_ring_take(&audit->ring, size, flags & AUDIT_FLAG_LOW ? audit->low_limit : audit->ring.size);
    if (__builtin_expect(!record, 0))
        return NULL;
    record->size = (uint32_t)size;
    record->kind = (uint8_t)action;
    record->flags = (uint8_t)flags;
    record->time_ns = time_ns;
    return record;
}

static inline void audit_show(struct audit *audit)
{
    audit_ring_commit(&audit->ring);
    if (__builtin_expect(audit->ring.reserved >= audit->check_at, 0))
        audit_look_at_fill(audit);
}

static inline void audit_commit_fast(struct audit *audit, struct record *record)
{
    audit_bump(&audit->count[record->kind][record->flags & AUDIT_FLAG_FAILED ? 1 : 0], 1);
    record->sequence = atomic_fetch_add_explicit(&audit->sequence, 1, memory_order_relaxed) + 1;
    audit_show(audit);
}

/* Counts an event that could not even be made (out of memory). */
void audit_lost(struct audit *audit, enum audit_action action, int64_t time_ns, bool failed);

/* On the broker thread: whether what waits before the next event (policy, gap, peers) is now in the ring. */
bool audit_settle(struct audit *audit);

/* Wakes the writer if it sleeps. Broker thread only: to the others wake_fd is another file, or none (core/thread.h). */
void audit_wake(struct audit *audit);

/* Declares that a sink has dropped lines first to last, which nobody had read there; they are still in the files. */
void audit_push_sink_gap(struct audit *audit, uint64_t first, uint64_t last);

/* Hands a peer to the writer, which frees it behind its events. */
void audit_peer_release(struct audit *audit, struct audit_peer *peer);

/* Frees a chain of peers. Writer, or audit_close. */
void audit_peer_destroy(struct audit_peer *peer);

/* Writes the open summary of a peer, or counts it as lost (false). Broker thread. */
bool audit_summary_flush(struct audit *audit, struct audit_peer *peer);

/* ---- state_queue.c --------------------------------------------------------------------------------------------------
 */

void audit_state_init(struct audit_state_queue *queue);
void audit_state_destroy(struct audit_state_queue *queue);

/* Offers a line that was just written (without its line end) to the MQTT topics, if its action belongs there. */
void audit_state_offer(struct audit *audit, enum audit_action action, const char *line, size_t length);

#endif
