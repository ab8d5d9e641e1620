/*
 * Redis as the home of the policy. One thread holds the connections, reads what changed, checks it and hands it to the
 * composition through callbacks; nothing here ever runs on the broker thread but start, stop and the snapshot's load
 * (docs/redis.md; docs/policy.md, "Noticing changes").
 *
 * What is kept when things go wrong: the last good policy. A role, client record, assignment list or default that does
 * not pass the check keeps its last good version; one that never was good is replaced by what opens nothing (role:
 * "deny all **" at the highest priority; client: disabled; assign, default: the policy counts as not there). An emptied
 * store, or one whose guard:version went backwards, is not taken until an admin confirms or max_stale has passed.
 */
#ifndef GUARD_STORE_STORE_H
#define GUARD_STORE_STORE_H

#include "core/clients.h"
#include "core/error.h"
#include "core/policy_text.h"
#include "core/reason.h"
#include "core/revocations.h"
#include "core/slab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guard_store;

/* Strings may be NULL or "" for "not set"; all are copied by guard_store_start. */
struct guard_store_config {
    const char
        *url; /* redis:// rediss:// unix:// redis+sentinel:// rediss+sentinel:// redis+cluster:// rediss+cluster:// */
    const char *username;
    const char *password_file; /* read at each connect (a changed password needs no restart), mode 0640 or stricter */
    const char *tls_ca, *tls_cert, *tls_key; /* PEM files; no tls_ca: the system's */
    const char *prefix;                      /* default "guard:" */
    const char *snapshot_file;
    const char *broker_id;       /* names this broker's status key (guard:status:<id>); not set: no status is written */
    unsigned connect_timeout_ms; /* 0 = 2000; name resolution, TLS and AUTH included */
    unsigned command_timeout_ms; /* 0 = 2000; for each reply */
    int64_t max_stale_s;         /* 0 = no limit */
    bool use_index;              /* read guard:roles and guard:clients instead of SCAN */
};

#define GUARD_STORE_BUCKETS 5 /* upper bounds 1 ms, 10 ms, 100 ms, 1 s, none; not cumulative */

/* Replies that were waited for; those to commands sent in one go are counted one by one. */
struct guard_store_requests {
    uint64_t answered, failed; /* failed: an error of the server, none in time, or the connection broke */
    uint64_t bucket[GUARD_STORE_BUCKETS];
    uint64_t waited_ns;
};

/* How the store stands. Handed out whenever anything but the ages changed, and at least every ten seconds. */
struct guard_store_state {
    bool up;                  /* connected, tracking, and what it holds is what we deliver */
    enum guard_reason reason; /* while not up: a store_* reason, policy_unavailable, policy_rollback … */
    char text[256];           /* one sentence for people, credentials masked; "" while up */
    char server[256];         /* "host:port" or the socket's path now or last used; "" before the first */
    bool have_policy;         /* an update was delivered (snapshot or Redis) */
    bool from_snapshot;       /* the policy in use came from the snapshot file and was not confirmed by Redis since */
    bool unconfirmed;         /* the store was emptied or went backwards: waiting for guardctl confirm */
    bool expired;             /* down or unconfirmed for longer than max_stale */
    int64_t fresh_at;         /* Unix seconds at which the policy in use was last known to be the store's; 0 = never */
    uint64_t version;         /* guard:version of the policy in use; 0 = none */
    uint64_t roles, rules, clients, revocations; /* held */
    uint64_t reconnects, syncs, updates;         /* counted since start, as the next one */
    struct guard_store_requests requests;
};

enum guard_store_kind { GUARD_STORE_ROLE, GUARD_STORE_CLIENT, GUARD_STORE_ASSIGN, GUARD_STORE_DEFAULT };

/* One changed role (all its lines), or the whole of assign or default; count 0: it is gone. */
struct guard_store_section {
    enum guard_store_kind kind;
    const char *name; /* of the role; "" otherwise */
    const struct guard_policy_line *lines;
    size_t count;
};

struct guard_store_revocation {
    enum guard_revocation_kind kind;
    const char *name;
    const char *value; /* NULL: lifted or expired */
};

struct guard_store_jwks {
    const char *issuer;
    const char *json; /* NULL: removed */
};

/*
 * One change, however many keys it touched (a MULTI is one). Everything belongs to the store and is good during the
 * call; take references of clients and revocations to keep them, copy the rest.
 */
struct guard_store_update {
    bool full;          /* the first, or after one that was refused: the lists are everything, what they lack is gone */
    bool from_snapshot; /* read from the snapshot file, see saved_at */
    uint64_t version;   /* guard:version after the change; 0 = none */
    int64_t noticed_ns; /* CLOCK_REALTIME at which the change was heard of */
    int64_t saved_at;   /* from_snapshot: Unix seconds at which it was last known to be current; else 0 */
    const struct guard_store_section *sections; /* roles, assign, default */
    size_t section_count;
    struct guard_clients *clients;      /* the whole table with the change in it; NULL = not changed */
    const char *const *changed_clients; /* user names put or removed; not filled when full */
    size_t changed_client_count;
    struct guard_revocations *revocations;                    /* the whole table; NULL = not changed */
    const struct guard_store_revocation *changed_revocations; /* not filled when full */
    size_t changed_revocation_count;
    const struct guard_store_jwks *jwks; /* changed key sets */
    size_t jwks_count;
    /*
     * Of a snapshot: the first octets of image are what image_write wrote. sections then are assign, default and the
     * roles that changed since, or are gone. GUARD_ERR_UNSUPPORTED: it is of no use; the update comes again without.
     */
    struct guard_slab *image;
    size_t image_length;
};

/* All are called on the store thread, one at a time, except during guard_store_start (snapshot), on its caller's. */
struct guard_store_callbacks {
    void *context;
    /*
     * Whether lines (one role, or all of assign, or all of default) are good; faults go into problems. GUARD_OK or an
     * error. Called only for what differs from its last good version. Composition: acl_rule_parse_check for each line
     * of a role, acl_policy_compile for the others. NULL: all are good.
     */
    int (*check)(void *context, const struct guard_policy_line *lines, size_t count, struct guard_problems *problems);
    /*
     * Takes a change. An error keeps the policy in use as it is and is reported as state reason policy_parse_error; the
     * change is offered again, as a full update, with the next one that comes.
     */
    int (*update)(void *context, const struct guard_store_update *update, struct guard_error *err);
    void (*state)(void *context, const struct guard_store_state *state);
    /* A line, record or key that was not taken, or a warning; place is its key. */
    void (*problem)(void *context, const struct guard_problem *problem);
    /*
     * For the snapshot, all or none; the last two on a thread of its own. image: what was made of all that update took
     * so far (compiled rules), a reference for image_free to give back; NULL: there is nothing to save.
     */
    void *(*image)(void *context);
    int (*image_write)(const void *image, const struct guard_sink *sink); /* GUARD_OK, or an error */
    void (*image_free)(void *image);
};

/*
 * Checks the configuration (a bad URL, prefix or missing file: GUARD_ERR_INVALID and so on with a sentence), loads the
 * snapshot if there is one (a damaged one is a problem, not an error) and starts the thread, named "guard-store", with
 * all signals blocked. Redis need not be there. *out is set before the first callback, so that callbacks may use it.
 */
int guard_store_start(const struct guard_store_config *config, const struct guard_store_callbacks *callbacks,
                      struct guard_store **out, struct guard_error *err);

/* Ends the thread (at once, whatever it waits for), saves an unsaved snapshot, frees all. *store may be NULL. */
void guard_store_stop(struct guard_store **store);

/* Only from inside an update callback: appends the policy in force after it (roles, assign, default; no clients) to
 * text. */
int guard_store_copy_policy(const struct guard_store *store, struct guard_policy_text *text);

/* From any thread: drop the connection and read everything anew (SIGHUP, changed password). */
void guard_store_resync(struct guard_store *store);

#endif
