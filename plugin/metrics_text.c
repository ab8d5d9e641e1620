/* Prometheus' text format: base units, _total counters, and only labels whose values are known beforehand. */
#include "plugin/metrics.h"

#include <inttypes.h>
#include <stdio.h>

#define NS 1e9

static void family(struct guard_buffer *out, const char *name, const char *type, const char *help)
{
    guard_buffer_printf(out, "# HELP mosquitto_%s %s\n# TYPE mosquitto_%s %s\n", name, help, name, type);
}

static void single(struct guard_buffer *out, const char *name, const char *type, const char *help, double value)
{
    family(out, name, type, help);
    guard_buffer_printf(out, "mosquitto_%s %.17g\n", name, value);
}

/* The lines of one histogram; label is `name="value"`, or "". */
static void histogram(struct guard_buffer *out, const char *name, const char *label,
                      const struct guard_histogram *histogram)
{
    uint64_t count = 0;
    const char *comma = *label ? "," : "", *open = *label ? "{" : "", *close = *label ? "}" : "";
    for (unsigned i = 0; i < GUARD_BUCKETS; i++) {
        count += histogram->bucket[i];
        if (i < GUARD_BUCKETS - 1)
            guard_buffer_printf(out, "mosquitto_%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, label, comma,
                                (double)guard_bucket_ns[i] / NS, count);
    }
    guard_buffer_printf(out, "mosquitto_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, count);
    guard_buffer_printf(out, "mosquitto_%s_sum%s%s%s %.9g\n", name, open, label, close, (double)histogram->sum_ns / NS);
    guard_buffer_printf(out, "mosquitto_%s_count%s%s%s %" PRIu64 "\n", name, open, label, close, count);
}

/* ---- authentication ---- */

static bool was_used(const struct guard_counts *counts, unsigned method)
{
    for (unsigned reason = 0; reason < GUARD_REASON_COUNT; reason++)
        if (counts->attempts[method][reason])
            return true;
    return false;
}

static void put_attempts(struct guard_buffer *out, const struct guard_counts *counts)
{
    family(out, "auth_attempts_total", "counter", "Connection authentication attempts by method, outcome and reason.");
    for (unsigned method = GUARD_AUTH_CERTIFICATE; method < GUARD_METHOD_COUNT; method++)
        for (unsigned reason = 0; reason < GUARD_REASON_COUNT; reason++)
            if (counts->attempts[method][reason] || (!reason && was_used(counts, method)))
                guard_buffer_printf(
                    out, "mosquitto_auth_attempts_total{method=\"%s\",outcome=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
                    audit_method_name((enum guard_auth_method)method), reason ? "failure" : "success",
                    guard_reason_name((enum guard_reason)reason), counts->attempts[method][reason]);
    family(out, "auth_duration_seconds", "histogram",
           "Time spent deciding one authentication, from the callback to the verdict.");
    for (unsigned method = GUARD_AUTH_CERTIFICATE; method < GUARD_METHOD_COUNT; method++) {
        char label[64];
        snprintf(label, sizeof label, "method=\"%s\"", audit_method_name((enum guard_auth_method)method));
        if (was_used(counts, method))
            histogram(out, "auth_duration_seconds", label, &counts->attempt[method]);
    }
}

static void put_sessions(struct guard_buffer *out, const struct guard_counts *counts)
{
    family(out, "auth_sessions", "gauge", "Clients currently connected through the plugin.");
    for (unsigned method = GUARD_AUTH_CERTIFICATE; method < GUARD_METHOD_COUNT; method++)
        guard_buffer_printf(out, "mosquitto_auth_sessions{method=\"%s\"} %" PRId64 "\n",
                            audit_method_name((enum guard_auth_method)method), counts->sessions[method]);
    family(out, "auth_kicks_total", "counter", "Clients disconnected by the plugin.");
    for (unsigned reason = 1; reason < GUARD_REASON_COUNT; reason++)
        if (counts->kicks[reason] || reason == GUARD_REASON_TOKEN_EXPIRED)
            guard_buffer_printf(out, "mosquitto_auth_kicks_total{reason=\"%s\"} %" PRIu64 "\n",
                                guard_reason_name((enum guard_reason)reason), counts->kicks[reason]);
}

static void put_cache(struct guard_buffer *out, const struct auth_credential_cache_counts *cache)
{
    family(out, "auth_cache_requests_total", "counter", "Lookups in the cache of verified credentials.");
    guard_buffer_printf(out, "mosquitto_auth_cache_requests_total{cache=\"credential\",result=\"hit\"} %" PRIu64 "\n",
                        cache->hits);
    guard_buffer_printf(out, "mosquitto_auth_cache_requests_total{cache=\"credential\",result=\"miss\"} %" PRIu64 "\n",
                        cache->misses);
    family(out, "auth_cache_entries", "gauge", "Entries held in a cache.");
    guard_buffer_printf(out, "mosquitto_auth_cache_entries{cache=\"credential\"} %zu\n", cache->entries);
}

static void put_throttle(struct guard_buffer *out, const struct guard_metrics *metrics)
{
    const struct auth_throttle_counts *throttle = &metrics->throttle;
    family(out, "blocked_keys", "gauge", "Keys currently blocked; user means one at one address.");
    guard_buffer_printf(out, "mosquitto_blocked_keys{key=\"source.ip\"} %zu\n", metrics->blocked_addresses);
    guard_buffer_printf(out, "mosquitto_blocked_keys{key=\"user.name\"} %zu\n", metrics->blocked_users);
    family(out, "auth_blocks_total", "counter",
           "Blocks begun because of failed log-ins; user means one at one address.");
    guard_buffer_printf(out, "mosquitto_auth_blocks_total{key=\"source.ip\"} %" PRIu64 "\n",
                        throttle->addresses_blocked);
    guard_buffer_printf(out, "mosquitto_auth_blocks_total{key=\"user.name\"} %" PRIu64 "\n", throttle->users_blocked);
    family(out, "auth_throttled_total", "counter",
           "Log-ins refused unchecked: by a block, or by the budget for failures.");
    guard_buffer_printf(out, "mosquitto_auth_throttled_total{key=\"source.ip\"} %" PRIu64 "\n",
                        throttle->refused_address);
    guard_buffer_printf(out, "mosquitto_auth_throttled_total{key=\"user.name\"} %" PRIu64 "\n", throttle->refused_user);
    guard_buffer_printf(out, "mosquitto_auth_throttled_total{key=\"global\"} %" PRIu64 "\n", throttle->refused_budget);
}

/* ---- authorization, policy, store ---- */

static void put_checks(struct guard_buffer *out, const struct guard_counts *counts)
{
    static const char *const names[GUARD_ACCESS_COUNT] = {"publish", "deliver", "subscribe", "unsubscribe"};
    family(out, "acl_checks_total", "counter", "Authorization decisions by access kind and outcome.");
    for (unsigned i = 0; i < GUARD_ACCESS_COUNT; i++)
        for (unsigned denied = 0; denied < 2; denied++)
            guard_buffer_printf(out, "mosquitto_acl_checks_total{access=\"%s\",outcome=\"%s\"} %" PRIu64 "\n", names[i],
                                denied ? "denied" : "allowed", counts->checks[i][denied]);
}

static void put_callbacks(struct guard_buffer *out, const struct guard_counts *counts)
{
    static const struct {
        enum guard_callback callback;
        const char *label;
    } callbacks[] = {{CALLBACK_ACL_CHECK, "callback=\"acl_check\""},
                     {CALLBACK_BASIC_AUTH, "callback=\"basic_auth\""},
                     {CALLBACK_TICK, "callback=\"tick\""},
                     {CALLBACK_RELOAD, "callback=\"reload\""}};
    family(out, "acl_check_duration_seconds", "histogram",
           "Time spent in one authorization decision; of publishes one in 64, of others 20 a second at most.");
    histogram(out, "acl_check_duration_seconds", "", &counts->decision);
    family(
        out, "plugin_callback_duration_seconds", "histogram",
        "Time the broker thread spends inside one plugin callback; acl_check: those of which the decision is timed.");
    for (size_t i = 0; i < sizeof callbacks / sizeof *callbacks; i++)
        histogram(out, "plugin_callback_duration_seconds", callbacks[i].label,
                  &counts->callback[callbacks[i].callback]);
}

static void put_policy(struct guard_buffer *out, const struct guard_metrics *metrics)
{
    single(out, "policy_reload_success_timestamp_seconds", "gauge", "Unix time of the last successful policy load.",
           (double)metrics->counts.reloaded_at);
    family(out, "policy_reloads_total", "counter", "Policy reloads by outcome.");
    guard_buffer_printf(out, "mosquitto_policy_reloads_total{outcome=\"success\"} %" PRIu64 "\n",
                        metrics->counts.reloads[0]);
    guard_buffer_printf(out, "mosquitto_policy_reloads_total{outcome=\"failure\"} %" PRIu64 "\n",
                        metrics->counts.reloads[1]);
    single(out, "policy_rules", "gauge", "Rules in the active policy.", (double)metrics->rules);
    single(out, "policy_clients", "gauge", "Client records in the active policy.", (double)metrics->clients);
}

static void put_requests(struct guard_buffer *out, const struct guard_store_requests *requests)
{
    static const char *const bounds[GUARD_STORE_BUCKETS] = {"0.001", "0.01", "0.1", "1", "+Inf"};
    uint64_t count = 0;
    family(out, "store_requests_total", "counter", "Requests to the policy store that were answered, or failed.");
    guard_buffer_printf(out, "mosquitto_store_requests_total{store=\"redis\",outcome=\"success\"} %" PRIu64 "\n",
                        requests->answered);
    guard_buffer_printf(out, "mosquitto_store_requests_total{store=\"redis\",outcome=\"failure\"} %" PRIu64 "\n",
                        requests->failed);
    family(out, "store_request_duration_seconds", "histogram",
           "How long a request to the policy store was waited for.");
    for (unsigned i = 0; i < GUARD_STORE_BUCKETS; i++) {
        count += requests->bucket[i];
        guard_buffer_printf(out,
                            "mosquitto_store_request_duration_seconds_bucket{store=\"redis\",le=\"%s\"} %" PRIu64 "\n",
                            bounds[i], count);
    }
    guard_buffer_printf(out, "mosquitto_store_request_duration_seconds_sum{store=\"redis\"} %.9g\n",
                        (double)requests->waited_ns / NS);
    guard_buffer_printf(out, "mosquitto_store_request_duration_seconds_count{store=\"redis\"} %" PRIu64 "\n", count);
}

static void put_store(struct guard_buffer *out, const struct guard_store_figures *store)
{
    family(out, "store_up", "gauge", "Whether the policy store is connected and its policy in use (1) or not (0).");
    guard_buffer_printf(out, "mosquitto_store_up{store=\"redis\"} %d\n", store->up);
    family(out, "store_reconnects_total", "counter", "Connections made to the policy store.");
    guard_buffer_printf(out, "mosquitto_store_reconnects_total{store=\"redis\"} %" PRIu64 "\n", store->reconnects);
    family(out, "store_updates_total", "counter",
           "Changes taken from the policy store; full: everything was read anew.");
    guard_buffer_printf(out, "mosquitto_store_updates_total{store=\"redis\",kind=\"full\"} %" PRIu64 "\n",
                        store->syncs);
    guard_buffer_printf(out, "mosquitto_store_updates_total{store=\"redis\",kind=\"change\"} %" PRIu64 "\n",
                        store->updates);
    put_requests(out, &store->requests);
    family(out, "store_fresh_timestamp_seconds", "gauge",
           "Unix time at which the policy in use was last known to be the store's; 0 = never.");
    guard_buffer_printf(out, "mosquitto_store_fresh_timestamp_seconds{store=\"redis\"} %" PRId64 "\n", store->fresh_at);
}

/* ---- audit ---- */

static bool is_counted(unsigned action)
{
    return action <= AUDIT_ACTION_STORE_UP; /* alerts have a family of their own, audit-* are the writer's */
}

static void put_events(struct guard_buffer *out, const struct audit_metrics *audit)
{
    family(out, "audit_events_total", "counter", "Audit events created, by action and outcome.");
    for (unsigned action = 0; action < AUDIT_ACTION_COUNT; action++)
        for (unsigned failed = 0; failed < 2; failed++)
            if (is_counted(action))
                guard_buffer_printf(out, "mosquitto_audit_events_total{action=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                                    audit_action_name((enum audit_action)action), failed ? "failure" : "success",
                                    audit->events[action][failed]);
    family(out, "audit_events_lost_total", "counter", "Audit events dropped; every one is covered by a gap record.");
    for (unsigned loss = 0; loss < AUDIT_LOSS_COUNT; loss++)
        guard_buffer_printf(out, "mosquitto_audit_events_lost_total{cause=\"%s\"} %" PRIu64 "\n",
                            audit_loss_name((enum audit_loss)loss), audit->lost[loss]);
    single(out, "audit_damage_total", "counter", "How often the files of the trail were found changed by others.",
           (double)audit->damage);
    single(out, "audit_events_left_out_total", "counter",
           "Allowed messages that audit_publish and audit_deliver leave out.", (double)audit->not_written);
}

static void put_ring(struct guard_buffer *out, const struct audit_metrics *audit)
{
    single(out, "audit_ring_used_bytes", "gauge", "Bytes waiting in the ring between broker and writer thread.",
           (double)audit->ring_used);
    single(out, "audit_ring_size_bytes", "gauge", "Capacity of the ring.", (double)audit->ring_size);
    single(out, "audit_ring_peak_bytes", "gauge", "Highest fill of the ring since start.", (double)audit->ring_peak);
    single(out, "audit_checkpoint_timestamp_seconds", "gauge", "Unix time of the last signed checkpoint.",
           (double)audit->checkpoint_time_ns / NS);
    single(out, "audit_disk_free_bytes", "gauge", "Free bytes on the audit volume.", (double)audit->disk_free);
}

/* Those of the detection, and the blocks, each of which is an alert too. */
static void put_alerts(struct guard_buffer *out, const struct guard_metrics *metrics)
{
    family(out, "alerts_total", "counter", "Alerts raised, by detection rule and response.");
    for (size_t i = 0; i < metrics->audit.rule_count; i++)
        guard_buffer_printf(out, "mosquitto_alerts_total{rule=\"%s\",action=\"alert\"} %" PRIu64 "\n",
                            metrics->audit.rules[i].id, metrics->audit.rules[i].alerts);
    if (metrics->has_throttle)
        guard_buffer_printf(out, "mosquitto_alerts_total{rule=\"bf-ip\",action=\"block\"} %" PRIu64 "\n",
                            metrics->throttle.addresses_blocked);
}

/* One family with a line a sink. */
static void put_sink_family(struct guard_buffer *out, const struct audit_metrics *audit, unsigned which)
{
    static const struct {
        const char *name, *type, *help;
    } families[] = {
        {"audit_written_bytes_total", "counter", "Bytes written per sink."},
        {"audit_sink_up", "gauge", "Whether a sink accepted its last batch."},
        {"audit_sink_lag_events", "gauge", "Events written to the file but not yet accepted by the sink."},
        {"audit_sink_errors_total", "counter", "Failed batches per sink."},
    };
    family(out, families[which].name, families[which].type, families[which].help);
    for (size_t i = 0; i < audit->sink_count; i++) {
        const struct audit_sink_metrics *sink = &audit->sinks[i];
        const uint64_t values[] = {sink->written_bytes, sink->up, sink->lag_events, sink->errors};
        guard_buffer_printf(out, "mosquitto_%s{sink=\"%s\"} %" PRIu64 "\n", families[which].name, sink->name,
                            values[which]);
    }
}

static void put_syncs(struct guard_buffer *out, const struct audit_metrics *audit)
{
    static const char *const bounds[AUDIT_SYNC_BUCKETS] = {"0.001", "0.01", "0.1", "+Inf"};
    uint64_t count = 0;
    family(out, "audit_sync_duration_seconds", "histogram", "Time of fdatasync on the audit file.");
    for (unsigned i = 0; i < AUDIT_SYNC_BUCKETS; i++) {
        count += audit->sync_bucket[i];
        guard_buffer_printf(out, "mosquitto_audit_sync_duration_seconds_bucket{le=\"%s\"} %" PRIu64 "\n", bounds[i],
                            count);
    }
    guard_buffer_printf(out, "mosquitto_audit_sync_duration_seconds_sum %.9g\n", (double)audit->sync_ns / NS);
    guard_buffer_printf(out, "mosquitto_audit_sync_duration_seconds_count %" PRIu64 "\n", count);
}

static void put_audit(struct guard_buffer *out, const struct audit_metrics *audit)
{
    put_events(out, audit);
    put_ring(out, audit);
    for (unsigned which = 0; which < 4; which++)
        put_sink_family(out, audit, which);
    put_syncs(out, audit);
}

void guard_metrics_render(const struct guard_metrics *metrics, struct guard_buffer *out)
{
    put_attempts(out, &metrics->counts);
    put_sessions(out, &metrics->counts);
    put_cache(out, &metrics->cache);
    if (metrics->has_throttle)
        put_throttle(out, metrics);
    put_checks(out, &metrics->counts);
    put_callbacks(out, &metrics->counts);
    put_policy(out, metrics);
    if (metrics->has_store)
        put_store(out, &metrics->store);
    if (metrics->has_audit) {
        put_audit(out, &metrics->audit);
        put_alerts(out, metrics);
    }
    family(out, "auth_plugin_build_info", "gauge", "Build information.");
    guard_buffer_printf(out, "mosquitto_auth_plugin_build_info{version=\"" GUARD_VERSION "\",broker=\"%s\"} 1\n",
                        metrics->broker);
}
