/*
 * The audit trail: events of the broker become one line of JSON each in numbered, hash-chained and signed files
 * (docs/audit.md), written by a thread of its own. One struct audit a plugin instance; nothing is process-wide.
 *
 * Threads. The thread that calls audit_open is the broker thread: its pushes go through a lock-free ring and cost some
 * tens of nanoseconds. The same functions called by any other thread take a small locked queue instead. A peer must be
 * made, used and freed by the same thread. audit_open, audit_close, audit_tick, audit_take_state_message and
 * audit_set_policy are for the broker thread only.
 *
 * Strings handed in are copied before the call returns; they may hold any octets. Times are nanoseconds since the Unix
 * epoch, 0 = now. No push ever fails for the caller: what cannot be kept is counted and declared by an audit-gap
 * record.
 */
#ifndef GUARD_AUDIT_AUDIT_H
#define GUARD_AUDIT_AUDIT_H

#include "audit/action.h"
#include "core/error.h"
#include "core/identity.h"
#include "core/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct audit;
struct audit_peer;

/* ---- configuration -------------------------------------------------------------------------------------------- */

enum audit_on_full {
    AUDIT_FULL_DROP,  /* drop and declare; allowed publishes, deliveries and unsubscribes first */
    AUDIT_FULL_BLOCK, /* let the broker wait up to block_ms for a writer that is merely behind, then drop */
    AUDIT_FULL_DENY   /* drop, and audit_accepting() turns false: the plugin refuses connects and publishes */
};
enum audit_publish_mode { AUDIT_PUBLISH_ALL, AUDIT_PUBLISH_DENIED, AUDIT_PUBLISH_SUMMARY };
enum audit_deliver_mode { AUDIT_DELIVER_DENIED, AUDIT_DELIVER_NONE, AUDIT_DELIVER_ALL };
enum audit_format { AUDIT_FORMAT_ECS, AUDIT_FORMAT_OCSF };
/* The user name of a failed connect may be a password typed into the wrong field. */
enum audit_failed_user { AUDIT_FAILED_USER_FULL, AUDIT_FAILED_USER_HASH, AUDIT_FAILED_USER_NONE };
enum audit_privacy {
    AUDIT_PRIVACY_NONE,
    AUDIT_PRIVACY_HMAC,    /* user, client id and address become keyed pseudonyms */
    AUDIT_PRIVACY_TRUNCATE /* addresses are cut to /24 and /48 */
};
enum audit_fsync {
    AUDIT_FSYNC_INTERVAL, /* fdatasync every fsync_ms, and when a file or the trail is closed (the default) */
    AUDIT_FSYNC_OFF,
    AUDIT_FSYNC_BATCH, /* after every write(2) */
    AUDIT_FSYNC_EVENT  /* after every line: some thousand events a second at most */
};

enum audit_sink_kind { AUDIT_SINK_SYSLOG, AUDIT_SINK_REDIS };

/* A copy of the trail to somewhere else, read from the files at its own pace. NULL where an option is not used. */
struct audit_sink_config {
    enum audit_sink_kind kind;
    const char *target;    /* unix:PATH, tcp:HOST:PORT, tls:HOST:PORT (IPv6 in brackets); syslog unix = datagrams */
    const char *ca_file;   /* tls: PEM of the authorities; NULL = the system's */
    const char *cert_file; /* tls: client certificate (PEM) and key */
    const char *key_file;
    const char *username;      /* redis: ACL user; NULL = default */
    const char *password_file; /* redis */
    const char *stream;        /* redis: key; NULL = "audit:<broker_id>" */
    uint64_t max_length;       /* redis: MAXLEN ~; 0 = 1,000,000 */
    unsigned database;         /* redis */
};

#define AUDIT_MAX_SINKS 8

/* Zero-initialise it: 0 and NULL mean the default stated beside the member. Only read during audit_open. */
struct audit_config {
    const char *dir;            /* the folder of the files; made with mode 0750 if its parent exists. Required */
    const char *broker_id;      /* service.node.name; 1..128 bytes, no control, '/', '+', '#'. Required */
    const char *plugin_version; /* NULL = left out, as for the next two */
    const char *broker_version;
    const char *config_sha256;    /* 64 lower-case hex */
    const char *signing_key_file; /* Ed25519: PEM (PKCS #8) or 32 raw bytes, mode 0640 or less; NULL = unsigned */
    size_t ring_size;             /* bytes, rounded up to a power of two; 8 MiB; 64 KiB .. 1 GiB */
    enum audit_on_full on_full;
    unsigned block_ms;       /* 50; at most 1000 */
    uint64_t rotate_size;    /* bytes; 128 MiB; at least 64 KiB. A file may exceed it by what waited in the ring */
    unsigned rotate_seconds; /* 3600 */
    enum audit_fsync fsync;
    unsigned fsync_ms;      /* 1000 */
    uint64_t reserve_bytes; /* pre-allocated, given back when the disk is full; 16 MiB */
    enum audit_publish_mode publish;
    unsigned summary_seconds; /* 60 */
    enum audit_deliver_mode deliver;
    enum audit_format format;
    enum audit_failed_user failed_user;
    enum audit_privacy privacy;
    const char *privacy_key_file; /* 16..4096 secret bytes; required for AUDIT_PRIVACY_HMAC */
    bool detect;                  /* false; true: attacks that events show are written as alert-* */
    const char *detect_allow;     /* addresses and networks it does not watch, comma-separated; NULL = none */
    const char *country_file;     /* database in MaxMind's format, for alerts about countries; NULL = none */
    bool detect_hours;            /* also watch at which hours identities are active */
    unsigned close_timeout_ms;    /* 5000: how long audit_close waits for the writer */
    const struct audit_sink_config *sinks;
    size_t sink_count; /* at most AUDIT_MAX_SINKS */
};

/*
 * Opens the trail: repairs and declares what a crash left, writes audit-start, starts the writer (and one thread a
 * sink). On failure *out is NULL, err says why, nothing runs.
 */
int audit_open(const struct audit_config *config, struct audit **out, struct guard_error *err);

/*
 * Writes what is waiting, audit-stop and the last checkpoint, joins the threads, frees *audit and sets it to NULL.
 * *audit may be NULL. All peers must have been freed. When the writer does not finish within close_timeout_ms (a hung
 * disk) GUARD_ERR_IO comes back and the object is left to the thread that still uses it.
 */
int audit_close(struct audit **audit);

/* SIGHUP: closes the current file and begins the next number; takes a new country database. Returns at once. */
void audit_reload(struct audit *audit);

/*
 * Call it about ten times a second (TICK): writes publish summaries that are due, a pending gap, and lets go of peers.
 * Bounded work; now_ns 0 = read the clock.
 */
void audit_tick(struct audit *audit, int64_t now_ns);

/*
 * False only with AUDIT_FULL_DENY while the ring is over 75 % (until below 50 %) or the disk takes nothing: then refuse
 * connects and publishes with GUARD_REASON_QUOTA_EXCEEDED (and push that refusal). Two loads; any thread.
 */
bool audit_accepting(const struct audit *audit);

/* Whether allowed deliveries are wanted: only then is the broker's MESSAGE_OUT callback worth its price. */
bool audit_wants_deliveries(const struct audit *audit);

/* The 12 hex digits of this run, as in event.id. Valid as long as audit. */
const char *audit_chain(const struct audit *audit);

/* ---- peers ---------------------------------------------------------------------------------------------------- */

enum audit_transport { AUDIT_TRANSPORT_UNKNOWN, AUDIT_TRANSPORT_TCP, AUDIT_TRANSPORT_UNIX };

struct audit_peer_info {
    const char *address;    /* text of an IP address, or whatever names a peer without one; NULL = not known */
    const char *username;   /* the session's MQTT user name; NULL = none */
    const char *client_id;  /* NULL = not known */
    uint64_t connection;    /* unique in this run; 0 = the next number is taken */
    uint16_t listener_port; /* 0 = not known */
    enum audit_transport transport;
    bool websocket;
    bool single;               /* its identity may be connected once at a time */
    unsigned protocol_version; /* CONNECT's level: 3, 4 or 5; 0 = not known */
};

/*
 * Everything about one connection that its events repeat, rendered once. Make it when the verdict on a CONNECT is known
 * (also for a refused one) and free it after its last event. NULL when out of memory: pushes with a NULL peer are
 * counted as lost.
 */
struct audit_peer *audit_peer_new(struct audit *audit, const struct audit_peer_info *info);

/*
 * Writes a summary that is still open, then gives *peer to the writer, which frees it behind its last event; sets it to
 * NULL. *peer may be NULL.
 */
void audit_peer_free(struct audit *audit, struct audit_peer **peer);

/* ---- events ---------------------------------------------------------------------------------------------------- */

struct audit_text {
    const char *bytes; /* NULL = not there */
    size_t length;
};

static inline struct audit_text audit_text(const char *text)
{
    return (struct audit_text){text, text ? strlen(text) : 0};
}

/* The name of a method as mqtt.auth.method has it: "jwt", "x509" …; that of NONE is "anonymous". */
const char *audit_method_name(enum guard_auth_method method);

/* mqtt-connect. An admitted client: reason NONE. */
struct audit_connect {
    int64_t time_ns;
    enum guard_reason reason;
    enum guard_auth_method method;         /* that decided; NONE (nothing was offered) is written as anonymous */
    const struct guard_identity *identity; /* token and certificate facts; NULL = none */
    const char *domain;                    /* tenant; NULL = none */
    const char *const *roles;              /* as bound by the policy; NULL = those of the identity */
    size_t role_count;
    uint64_t duration_ns;    /* from the CONNECT to the verdict; 0 = not known */
    int keep_alive;          /* seconds; -1 = not known */
    signed char clean_start; /* 0, 1; -1 = not known */
    signed char tls;         /* 0, 1; -1 = not known */
    bool cached;             /* the credential was not verified again */
};
void audit_push_connect(struct audit *audit, struct audit_peer *peer, const struct audit_connect *event);

enum audit_initiator { AUDIT_BY_CLIENT, AUDIT_BY_SERVER, AUDIT_BY_NETWORK };

/* mqtt-disconnect, also kicks: only for a connection whose mqtt-connect was a success. */
struct audit_disconnect {
    int64_t time_ns;
    enum guard_reason reason; /* UNKNOWN where the broker does not tell */
    enum audit_initiator initiator;
    const struct guard_identity *identity; /* adds mqtt.auth, for an expired or revoked credential; NULL = none */
    uint64_t duration_ns;                  /* of the connection; 0 = not known */
    uint64_t messages_in;
    uint64_t messages_denied;
};
void audit_push_disconnect(struct audit *audit, struct audit_peer *peer, const struct audit_disconnect *event);

/* mqtt-publish and mqtt-deliver. reason NONE = allowed. An allowed one below "$AUDIT/" is only counted. */
struct audit_message {
    int64_t time_ns;
    struct audit_text topic;
    struct audit_text rule_id; /* the deciding rule; bytes NULL = none */
    struct audit_text rule_name;
    uint32_t payload_bytes;
    enum guard_reason reason;
    uint8_t qos;
    bool retain;
    bool will; /* publish only */
};
/* Allowed messages are written as audit_config.publish says; denied ones always. */
void audit_push_publish(struct audit *audit, struct audit_peer *peer, const struct audit_message *event);

/*
 * The same in two steps, for a broker that first asks and then accepts. audit_stage_publish writes an allowed publish
 * where the next event goes; audit_publish_staged makes it an event. False from the first: it is not a usual one, and
 * audit_push_publish is the way when it has been accepted. False from the second: another event has taken the place
 * meanwhile. A staged one that is never published leaves nothing behind. Broker thread only.
 */
bool audit_stage_publish(struct audit *audit, struct audit_peer *peer, const struct audit_message *event);
bool audit_publish_staged(struct audit *audit, bool will);

/* As audit_config.deliver says. */
void audit_push_deliver(struct audit *audit, struct audit_peer *peer, const struct audit_message *event);

/* mqtt-subscribe and mqtt-unsubscribe (which ignores qos). */
struct audit_subscription {
    int64_t time_ns;
    struct audit_text filter;
    struct audit_text rule_id;
    struct audit_text rule_name;
    enum guard_reason reason;
    uint8_t qos;
};
void audit_push_subscribe(struct audit *audit, struct audit_peer *peer, const struct audit_subscription *event);
void audit_push_unsubscribe(struct audit *audit, struct audit_peer *peer, const struct audit_subscription *event);

/*
 * The policy that decides from here on: rule.ruleset and rule.version of all later events of the ring. Not an event.
 * version NULL = none.
 */
void audit_set_policy(struct audit *audit, const char *ruleset, const char *version);

enum audit_policy_source { AUDIT_POLICY_FILE, AUDIT_POLICY_REDIS, AUDIT_POLICY_HTTP };
enum audit_policy_trigger {
    AUDIT_TRIGGER_STARTUP,
    AUDIT_TRIGGER_SIGHUP,
    AUDIT_TRIGGER_PUBSUB,
    AUDIT_TRIGGER_POLL,
    AUDIT_TRIGGER_CONTROL
};

/* policy-reload. reason NONE = taken; else one of the policy_* reasons, and error_text says where the fault stands. */
struct audit_policy_reload {
    int64_t time_ns;
    enum guard_reason reason;
    const char *ruleset; /* name of the policy; NULL = "default" */
    const char *version; /* NULL = none, as for the next two */
    const char *previous_version;
    const char *sha256; /* 64 lower-case hex of the source */
    int64_t rules;      /* -1 = not known */
    enum audit_policy_source source;
    enum audit_policy_trigger trigger;
    const char *error_text; /* NULL: the reason's sentence */
    uint64_t duration_ns;   /* 0 = not known */
};
void audit_push_policy_reload(struct audit *audit, const struct audit_policy_reload *event);

enum audit_fail_mode { AUDIT_FAIL_DENY, AUDIT_FAIL_CACHE, AUDIT_FAIL_ALLOW };

/* store-down. No credential may stand in address or error_text. */
struct audit_store_down {
    int64_t time_ns;
    enum guard_reason reason; /* one of store_* */
    const char *name;         /* NULL = "redis" */
    const char *address;      /* host:port or path; NULL = none */
    enum audit_fail_mode fail_mode;
    int64_t cache_entries;  /* -1 = not known */
    const char *error_text; /* NULL: the reason's sentence */
    const char *error_code; /* a name such as ETIMEDOUT; NULL = none */
};
void audit_push_store_down(struct audit *audit, const struct audit_store_down *event);

struct audit_store_up {
    int64_t time_ns;
    const char *name;
    const char *address;
    uint64_t outage_ms;
    int64_t denied_while_down; /* -1 = not known */
};
void audit_push_store_up(struct audit *audit, const struct audit_store_up *event);

enum audit_alert_key {
    AUDIT_KEY_SOURCE_IP,
    AUDIT_KEY_SOURCE_SUBNET,
    AUDIT_KEY_USER,
    AUDIT_KEY_CLIENT_ID,
    AUDIT_KEY_GLOBAL
};
enum audit_alert_response { AUDIT_ALERT_ONLY, AUDIT_ALERT_BLOCK, AUDIT_ALERT_DISCONNECT };

/* alert-*. Integers that are not known: -1. Numbers that are not known: a negative value. */
struct audit_alert {
    int64_t time_ns;
    enum audit_action action; /* one of AUDIT_ACTION_ALERT_* */
    enum guard_reason reason; /* threshold, baseline_exceeded, never_seen or out_of_hours */
    const char *rule_id;      /* "bf-ip"; NULL = the action's name */
    const char *rule_name;    /* a sentence; also the message */
    const char *address;      /* what is known about who; NULL = nothing */
    const char *country;      /* two upper-case letters */
    const char *username;
    const char *client_id;
    uint64_t connection; /* 0 = none */
    enum audit_alert_key key;
    enum audit_alert_response response;
    double observed;
    double baseline;
    double score;
    double threshold;
    int64_t known;
    uint64_t window_s;
    int64_t block_s;
    int64_t distinct_users;
    int64_t distinct_ips;
    uint64_t suppressed; /* same alerts since the last one that were not written */
    int64_t start_ns;    /* 0 = left out */
    int64_t end_ns;
    unsigned severity; /* 1..6; 0 = the action's usual one */
    bool shown;        /* address and names are as the trail shows them: audit_config.privacy was applied */
};
void audit_push_alert(struct audit *audit, const struct audit_alert *event);

/* ---- what the plugin publishes over MQTT ------------------------------------------------------------------------ */

struct audit_state_message {
    char *topic;   /* "$AUDIT/<broker_id>/alert" or ".../state" */
    char *payload; /* one line of the trail, NUL-terminated, without its line end */
    size_t length; /* of the payload */
    bool retain;   /* the latest checkpoint */
};

/*
 * The next alert, gap, checkpoint (at most one a second), policy or store event. False = nothing there (one load then).
 * The caller frees it with audit_state_message_free. At most 256 wait; the oldest gives way (it stays in the files).
 */
bool audit_take_state_message(struct audit *audit, struct audit_state_message *out);
void audit_state_message_free(struct audit_state_message *message);

/*
 * What somebody else did to the trail's files, as a sentence for the broker's log; NULL = nothing new (one load then).
 * The caller frees it. It stands in the trail, too (audit-recovered, outcome failure).
 */
char *audit_take_damage(struct audit *audit);

/* ---- figures ------------------------------------------------------------------------------------------------------
 */

/* Causes of loss, as event.reason of audit-gap has them. */
enum audit_loss {
    AUDIT_LOSS_RING_FULL,
    AUDIT_LOSS_DISK_FULL,
    AUDIT_LOSS_WRITE_ERROR,
    AUDIT_LOSS_SHUTDOWN_TIMEOUT,
    AUDIT_LOSS_SINK_TRIMMED,
    AUDIT_LOSS_COUNT
};
const char *audit_loss_name(enum audit_loss loss);

#define AUDIT_SYNC_BUCKETS 4 /* upper bounds 1 ms, 10 ms, 100 ms, none; not cumulative */

struct audit_sink_metrics {
    const char *name; /* "file", "syslog", "redis"; valid as long as audit */
    bool up;          /* took its last batch */
    uint64_t written_bytes;
    uint64_t errors;     /* failed batches */
    uint64_t lag_events; /* written to the file, not yet taken by the sink */
};

#define AUDIT_RULES_MAX 16

struct audit_metrics {
    uint64_t events[AUDIT_ACTION_COUNT][2]; /* [0] success or no outcome, [1] failure; offered, also those lost later */
    uint64_t lost[AUDIT_LOSS_COUNT];
    uint64_t not_written; /* allowed messages that audit_config.publish/deliver or $AUDIT/ leaves out */
    uint64_t offered;     /* the last sequence number given, and what is lost but not declared yet */
    uint64_t written;     /* lines */
    uint64_t damage;      /* how often the files were found changed by somebody else, or without a note to tell */
    size_t ring_used, ring_peak, ring_size;
    uint64_t sync_bucket[AUDIT_SYNC_BUCKETS];
    uint64_t sync_ns;
    int64_t checkpoint_time_ns;
    uint64_t disk_free;
    struct audit_sink_metrics sinks[AUDIT_MAX_SINKS + 1]; /* [0] is the file */
    size_t sink_count;
    struct audit_rule_metrics {
        const char *id;  /* as rule.id of its alerts has it */
        uint64_t alerts; /* raised */
    } rules[AUDIT_RULES_MAX];
    size_t rule_count; /* 0 without audit_config.detect */
};

/* Any thread; the numbers are each right, not of one instant. */
void audit_metrics_read(const struct audit *audit, struct audit_metrics *out);

#endif
