/*
 * Figures for Prometheus, in its text format (docs/operations.md): for node_exporter's textfile collector the broker
 * thread copies its counts every metrics_interval seconds and the background thread writes the file; over HTTP by
 * plugin/metrics_server.h; a handful below $SYS by plugin/metrics_topics.h.
 */
#ifndef GUARD_PLUGIN_METRICS_H
#define GUARD_PLUGIN_METRICS_H

#include "audit/audit.h"
#include "auth/credential_cache.h"
#include "auth/throttle.h"
#include "core/buffer.h"
#include "plugin/counts.h"
#include "plugin/policy_store.h"

struct guard_plugin;

/* One reading of everything. */
struct guard_metrics {
    struct guard_counts counts;
    struct auth_credential_cache_counts cache;
    struct auth_throttle_counts throttle;
    size_t blocked_addresses, blocked_users;
    bool has_throttle;
    int64_t rules;  /* of the policy in use */
    size_t clients; /* its client records */
    bool has_store;
    struct guard_store_figures store;
    bool has_audit;
    struct audit_metrics audit;
    const char *broker; /* "2.1" */
};

/* Starts what metrics_listen asks for. The audit trail must be there already. */
int guard_metrics_begin(struct guard_plugin *plugin, struct guard_error *err);

/* Broker thread, about once a second or oftener: does what is due. Nothing without one of the options metrics_…. */
void guard_metrics_run(struct guard_plugin *plugin);

/* When the plugin ends and the background thread has: ends the server, and removes the file, so that no old figures are
 * taken for new. */
void guard_metrics_end(struct guard_plugin *plugin);

/* metrics_text.c: the reading as the text of the file. */
void guard_metrics_render(const struct guard_metrics *metrics, struct guard_buffer *out);

#endif
