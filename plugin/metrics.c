#include "plugin/metrics.h"

#include "core/clients.h"
#include "core/clock.h"
#include "core/file.h"
#include "plugin/background.h"
#include "plugin/broker.h"
#include "plugin/metrics_server.h"
#include "plugin/metrics_topics.h"
#include "plugin/plugin.h"
#include "plugin/policy_set.h"

#include <stdlib.h>
#include <unistd.h>

#define SECOND_NS   INT64_C(1000000000)
#define SYS_SECONDS 10

/* A reading on its way to the file. */
struct writing {
    struct guard_plugin *plugin; /* of which only what never changes is used */
    struct guard_metrics metrics;
};

static void read_all(struct guard_plugin *plugin, struct guard_metrics *metrics)
{
    metrics->counts = plugin->counts;
    metrics->cache = auth_credential_cache_counts(plugin->credentials);
    metrics->has_throttle = plugin->throttle != NULL;
    if (plugin->throttle) {
        metrics->throttle = auth_throttle_counts(plugin->throttle);
        auth_throttle_blocked(plugin->throttle, guard_clock_monotonic_ns() / 1000000, &metrics->blocked_addresses,
                              &metrics->blocked_users);
    }
    metrics->rules = plugin->policy->rules;
    metrics->clients = guard_clients_count(plugin->policy->clients);
    metrics->has_store = guard_policy_store_read(plugin, &metrics->store);
    metrics->broker = guard_broker_is_2_1() ? "2.1" : "2.0";
}

/* Says it when the file cannot be written, and again when it can: not every 15 seconds. */
static void tell(struct guard_plugin *plugin, int rc, const struct guard_error *err)
{
    char text[800];
    if ((rc != GUARD_OK) == plugin->metrics_failed)
        return;
    plugin->metrics_failed = rc != GUARD_OK;
    if (rc != GUARD_OK)
        guard_log(guard_background_log(plugin->background), GUARD_LOG_WARNING, "metrics are not written: %s",
                  guard_error_format(err, text, sizeof text));
    else
        guard_log(guard_background_log(plugin->background), GUARD_LOG_NOTICE, "metrics are written again");
}

/* Background thread. */
static void write_job(void *context)
{
    struct writing *writing = context;
    struct guard_plugin *plugin = writing->plugin;
    struct guard_buffer text = {0};
    struct guard_error err = {0};
    writing->metrics.has_audit = plugin->audit != NULL;
    if (plugin->audit)
        audit_metrics_read(plugin->audit, &writing->metrics.audit);
    guard_metrics_render(&writing->metrics, &text);
    if (!text.failed)
        tell(plugin, guard_file_replace(plugin->options.metrics_file, text.data, text.length, 0644, &err), &err);
    guard_buffer_free(&text);
    free(writing);
}

static void write_file(struct guard_plugin *plugin, int64_t now)
{
    plugin->next_metrics_ns = now + plugin->options.metrics_interval * SECOND_NS;
    struct writing *writing = calloc(1, sizeof *writing);
    if (!writing)
        return;
    writing->plugin = plugin;
    read_all(plugin, &writing->metrics);
    if (!guard_background_run(plugin->background, write_job, writing))
        free(writing);
}

static void offer(struct guard_plugin *plugin, int64_t now)
{
    struct guard_metrics metrics = {0};
    plugin->next_offer_ns = now + SECOND_NS;
    read_all(plugin, &metrics);
    guard_metrics_server_offer(plugin->metrics_server, &metrics);
}

static void publish_topics(struct guard_plugin *plugin, int64_t now)
{
    struct guard_metrics metrics = {0};
    plugin->next_sys_ns = now + SYS_SECONDS * SECOND_NS;
    read_all(plugin, &metrics);
    metrics.has_audit = plugin->audit != NULL;
    if (plugin->audit)
        audit_metrics_read(plugin->audit, &metrics.audit);
    guard_metrics_publish(&plugin->metrics_topics, &metrics);
}

void guard_metrics_run(struct guard_plugin *plugin)
{
    int64_t now = guard_clock_monotonic_ns();
    if (plugin->options.metrics_file[0] && now >= plugin->next_metrics_ns)
        write_file(plugin, now);
    if (plugin->metrics_server && now >= plugin->next_offer_ns)
        offer(plugin, now);
    if (plugin->options.metrics_sys && now >= plugin->next_sys_ns)
        publish_topics(plugin, now);
}

int guard_metrics_begin(struct guard_plugin *plugin, struct guard_error *err)
{
    const char *where = plugin->options.metrics_listen;
    return where[0] ? guard_metrics_server_start(where, plugin->audit, &plugin->metrics_server, err) : GUARD_OK;
}

void guard_metrics_end(struct guard_plugin *plugin)
{
    guard_metrics_server_stop(&plugin->metrics_server);
    guard_metrics_topics_free(&plugin->metrics_topics);
    if (plugin->options.metrics_file && plugin->options.metrics_file[0] && plugin->next_metrics_ns)
        unlink(plugin->options.metrics_file);
}
