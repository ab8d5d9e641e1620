/*
 * One instance of the plugin: what the composition put together, and what the broker thread keeps while it runs. The
 * same .so may be loaded several times in one broker, so nothing is kept outside of this object.
 */
#ifndef GUARD_PLUGIN_PLUGIN_H
#define GUARD_PLUGIN_PLUGIN_H

#include "core/log.h"
#include "core/options.h"
#include "core/reason.h"
#include "plugin/counts.h"
#include "plugin/session.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct acl_context;
struct acl_policy;
struct audit;
struct auth_certificate_config;
struct auth_credential_cache;
struct auth_throttle;
struct auth_token_verifier;
struct auth_worker_pool;
struct guard_background;
struct guard_metrics_server;
struct guard_metrics_topics;
struct guard_policy_set;
struct guard_policy_store;
struct guard_revocations;
struct guard_token_source;
struct mosquitto;

enum guard_way { WAY_CERTIFICATE = 1, WAY_TOKEN = 2, WAY_PASSWORD = 4 };
#define GUARD_WAYS_MAX 6

/* An accepted WRITE whose MESSAGE event is still to come: then it was a publish, else a will or a re-check. */
struct guard_pending_publish {
    struct guard_session *session; /* NULL = none */
    bool staged;                   /* it lies in the audit's ring already (audit_stage_publish); else: */
    char *topic;
    size_t topic_length, topic_capacity;
    uint64_t rule; /* acl_rule_id, of the policy in use; dropped with it */
    int64_t time_ns;
    uint32_t payload_bytes;
    uint8_t qos;
    bool retain;
};

/* Names of rules as the trail has them, each where its id leads. */
#define GUARD_RULE_NAMES     64
#define GUARD_RULE_NAME_SIZE 256
struct guard_rule_name {
    uint64_t rule, generation; /* acl_rule_id, of which policy; 0 = empty */
    size_t length;
    char text[GUARD_RULE_NAME_SIZE];
};

struct guard_plugin {
    /* the hot path's */
    struct guard_sessions *sessions;
    struct guard_policy_set *policy; /* in use; pinned for one publish, since it is exchanged in TICK only */
    const struct acl_policy *rules;  /* policy->acl */
    struct acl_context *acl;
    uint64_t asked_rule; /* acl_rule_id of the last publish that the engine was asked about */
    struct audit *audit; /* NULL = no audit_dir */
    struct guard_background *background;
    pthread_t broker_thread;
    bool audit_publishes; /* allowed publishes are wanted: MESSAGE is registered */
    bool audit_deliveries;
    bool kicking;                         /* inside mosquitto_kick_…: the broker re-checks subscriptions */
    bool reloading;                       /* between RELOAD and the next TICK: BASIC_AUTH is a re-check */
    bool connect_event;                   /* 2.1 tells of CONNECT */
    bool ticks;                           /* TICK was seen: 2.0.11 has none with per_listener_settings */
    bool warned_bypass;                   /* said once that clients come in without BASIC_AUTH */
    const struct mosquitto *bypass_ended; /* such a client whose connection ended with the last event: a will is next */
    bool warned_capped;
    bool coexist;
    bool sample_due;   /* the next check is timed */
    bool closed;       /* there is no policy that may be used: everything is denied */
    bool has_http_api; /* 2.1: its HTTP API calls from a thread of its own */
    int64_t now;       /* Unix seconds, as of the last event that looked at the clock */
    struct guard_pending_publish pending;
    struct guard_rule_name *rule_names; /* GUARD_RULE_NAMES; NULL without a trail */
    struct guard_counts counts;

    /* authentication */
    unsigned ways[GUARD_WAYS_MAX]; /* alternatives in order, each a mask of enum guard_way */
    unsigned way_count;
    struct auth_token_verifier *tokens; /* NULL = no keys are there */
    struct auth_certificate_config *certificates;
    struct auth_throttle *throttle;
    struct auth_credential_cache *credentials;
    struct auth_worker_pool *workers;
    struct guard_revocations *revocations;
    uint64_t next_connection;
    uint64_t next_attempt; /* generation of a worker's job */
    unsigned waiting;      /* log-ins that a worker has */

    /* sweep of the sessions after a policy change */
    bool sweeping;
    bool sweep_binds;      /* client records may have changed, too */
    int64_t next_chore_ns; /* monotonic */
    int64_t next_metrics_ns, next_offer_ns, next_sys_ns;
    struct guard_metrics_server *metrics_server; /* NULL = no metrics_listen */
    struct guard_metrics_topics *metrics_topics; /* NULL = nothing below $SYS yet */
    bool metrics_failed;                         /* background thread: the last file could not be written */

    /* the rest */
    struct guard_options options;
    struct guard_option_pair *pairs; /* of mosquitto.conf */
    size_t pair_count;
    struct guard_policy_store *policy_store;
    struct guard_token_source *token_source; /* compose_tokens.c; background and store thread */
    pthread_mutex_t shared_lock;             /* of what the HTTP API's thread reads: policy, revocations, closed */
    struct guard_kick *kicks;
    size_t kick_count, kick_capacity;
    struct guard_log log;
    void *identifier; /* mosquitto_plugin_id_t * */
};

/* Sets up everything from the options; on failure what was set up is torn down again and err says why. */
int guard_plugin_compose(struct guard_plugin *plugin, struct guard_error *err);

/* Stops threads and frees all. The broker's clients are gone by then. */
void guard_plugin_dispose(struct guard_plugin *plugin);

/* Switches the quick look-up of sessions; whoever changes ticks, closed or audit_deliveries calls it. */
void guard_plugin_update_quick(struct guard_plugin *plugin);

/* The next check of any kind is timed, for the metrics. */
void guard_plugin_time_next(struct guard_plugin *plugin);

/* Called where TICK does not come (2.0.11 with per_listener_settings): takes messages and does what is due. */
void guard_plugin_without_tick(struct guard_plugin *plugin);

/* Whether the listener of that client is one that tls_ports names. */
bool guard_plugin_port_is_tls(const struct guard_plugin *plugin, const struct mosquitto *client);

/* Unix seconds from a clock that costs a few instructions (a tick of 4 ms). */
int64_t guard_plugin_now(void);

#endif
