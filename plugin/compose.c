#include "plugin/compose.h"

#include "acl/acl.h"
#include "audit/audit.h"
#include "auth/certificate.h"
#include "auth/credential_cache.h"
#include "auth/throttle.h"
#include "auth/worker.h"
#include "core/revocations.h"
#include "plugin/background.h"
#include "plugin/broker.h"
#include "plugin/compose_audit.h"
#include "plugin/compose_tokens.h"
#include "plugin/descriptors.h"
#include "plugin/kick.h"
#include "plugin/lifecycle.h"
#include "plugin/metrics.h"
#include "plugin/plugin.h"
#include "plugin/policy_files.h"
#include "plugin/policy_source.h"
#include "plugin/policy_store.h"
#include "plugin/ways.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- certificates, passwords ---- */

static int compose_certificates(struct guard_plugin *plugin, struct guard_error *err)
{
    struct guard_error inner;
    int rc = auth_certificate_config_parse(plugin->options.cert_identity, &plugin->certificates, &inner);
    if (rc == GUARD_OK)
        return rc;
    return guard_fail(err, inner.code, "option cert_identity: column %u: %s", inner.column, inner.text);
}

static void wake_broker(void *context)
{
    guard_background_wake_broker(context);
}

/*
 * One processor stays with the broker: a thread that hashes on every one of them makes the broker wait for a time slice
 * now and then (measured on two: gaps of 30 to 40 ms), however nice it is.
 */
static unsigned worker_count(int64_t wanted)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t room = processors > 2 ? processors - 1 : 1;
    return (unsigned)(wanted < room ? wanted : room);
}

static int compose_workers(struct guard_plugin *plugin, struct guard_error *err)
{
    if (!guard_broker_is_2_1() || plugin->options.auth_workers == 0)
        return GUARD_OK;
    struct auth_worker_settings settings = {
        .threads = worker_count(plugin->options.auth_workers),
        .nice = 5,
        .wake = wake_broker,
        .wake_context = plugin->background,
    };
    return auth_worker_pool_new(&settings, &plugin->workers, err);
}

static int compose_passwords(struct guard_plugin *plugin, struct guard_error *err)
{
    const struct guard_options *o = &plugin->options;
    struct auth_throttle_settings settings = auth_throttle_defaults();
    settings.address.burst = (uint32_t)o->auth_throttle_failures;
    settings.address.period_ms = 60000;
    settings.block_ms = o->auth_throttle_block * 1000;
    if (o->auth_throttle && !(plugin->throttle = auth_throttle_new(&settings)))
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    plugin->credentials = auth_credential_cache_new((size_t)o->auth_cache_size, o->auth_cache_ttl * 1000);
    if (!plugin->credentials)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    return compose_workers(plugin, err);
}

/* ---- all ---- */

static int compose(struct guard_plugin *plugin, struct guard_error *err)
{
    if (!guard_policy_in_files(&plugin->options) && !plugin->options.redis_url[0])
        return guard_fail(
            err, GUARD_ERR_INVALID, "there is no policy: set the option policy_file, acl_file or redis_url%s",
            plugin->options.password_file[0] ? " (password_file says who may come, not what they may do)" : "");
    int rc = guard_ways_parse(plugin->options.auth_methods, plugin->ways, &plugin->way_count, err);
    if (rc == GUARD_OK)
        rc = guard_tls_ports_check(plugin->options.tls_ports, err);
    guard_descriptors_reserve();
    if (rc == GUARD_OK)
        rc = guard_background_new(&plugin->background, err);
    if (rc == GUARD_OK)
        rc = guard_compose_audit(plugin, err);
    if (rc == GUARD_OK)
        rc = guard_metrics_begin(plugin, err);
    if (rc == GUARD_OK)
        rc = guard_policy_source_open(plugin, err);
    if (rc == GUARD_OK)
        rc = guard_compose_tokens(plugin, err);
    if (rc == GUARD_OK)
        rc = compose_certificates(plugin, err);
    if (rc == GUARD_OK)
        rc = compose_passwords(plugin, err);
    if (rc != GUARD_OK)
        return rc;
    plugin->acl = acl_context_new();
    plugin->sessions = guard_sessions_new(plugin->audit);
    if (!plugin->acl || !plugin->sessions)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    guard_sessions_set_policy(plugin->sessions, plugin->rules);
    guard_plugin_update_quick(plugin);
    rc = guard_policy_store_start(plugin, err);
    guard_background_deliver(plugin->background, plugin); /* the snapshot counts from the first client on */
    return rc;
}

int guard_plugin_compose(struct guard_plugin *plugin, struct guard_error *err)
{
    plugin->broker_thread = pthread_self();
    plugin->has_http_api = guard_broker_is_2_1();
    plugin->coexist = plugin->options.mode == GUARD_MODE_COEXIST;
    pthread_mutex_init(&plugin->shared_lock, NULL);
    int rc = compose(plugin, err);
    if (rc != GUARD_OK)
        guard_plugin_dispose(plugin);
    return rc;
}

void guard_plugin_dispose(struct guard_plugin *plugin)
{
    if (plugin->sessions)
        guard_sessions_audit_shutdown(plugin);
    guard_policy_store_stop(plugin);
    auth_worker_pool_free(&plugin->workers);
    guard_background_stop(&plugin->background);
    guard_metrics_end(plugin);
    guard_sessions_free(&plugin->sessions);
    audit_close(&plugin->audit);
    guard_kicks_free(plugin);
    free(plugin->pending.topic);
    free(plugin->rule_names);
    acl_context_free(&plugin->acl);
    guard_policy_source_close(plugin);
    guard_compose_tokens_free(plugin);
    auth_certificate_config_free(&plugin->certificates);
    auth_throttle_free(&plugin->throttle);
    auth_credential_cache_free(&plugin->credentials);
    pthread_mutex_destroy(&plugin->shared_lock);
    guard_options_free(&plugin->options);
}

/* ---- SIGHUP ---- */

static void reload_options(struct guard_plugin *plugin)
{
    struct guard_options wanted;
    struct guard_error err;
    char names[512];
    if (!plugin->options.config[0])
        return;
    if (guard_options_load(plugin->pairs, plugin->pair_count, &wanted, &err) != GUARD_OK) {
        char text[800];
        guard_log(&plugin->log, GUARD_LOG_ERROR, "options not taken, the old ones stay: %s",
                  guard_error_format(&err, text, sizeof text));
        return;
    }
    guard_options_restart_needed(&plugin->options, &wanted, names, sizeof names);
    if (names[0])
        guard_log(&plugin->log, GUARD_LOG_WARNING, "these options take effect at the next start: %s", names);
    plugin->options.identity_check = wanted.identity_check;
    plugin->options.client_takeover = wanted.client_takeover;
    guard_options_free(&wanted);
}

void guard_compose_reload(struct guard_plugin *plugin)
{
    reload_options(plugin);
    guard_compose_tokens_reload(plugin);
    guard_policy_store_resync(plugin);
}
