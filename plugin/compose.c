#include "plugin/compose.h"

#include "acl/acl.h"
#include "audit/audit.h"
#include "auth/certificate.h"
#include "auth/credential_cache.h"
#include "auth/jwks_watch.h"
#include "auth/throttle.h"
#include "auth/token.h"
#include "auth/worker.h"
#include "core/revocations.h"
#include "plugin/background.h"
#include "plugin/broker.h"
#include "plugin/compose_audit.h"
#include "plugin/kick.h"
#include "plugin/lifecycle.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"
#include "plugin/policy_store.h"
#include "plugin/ways.h"

#include <stdlib.h>
#include <string.h>

/* ---- tokens ---- */

static enum auth_binding binding(int64_t value)
{
    return value == GUARD_BINDING_REQUIRED   ? AUTH_BINDING_REQUIRED
           : value == GUARD_BINDING_OPTIONAL ? AUTH_BINDING_OPTIONAL
                                             : AUTH_BINDING_OFF;
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

/* Takes a verifier over the keys; the configured issuer is the only one. */
static int make_verifier(const struct guard_options *options, struct auth_jwks *keys, struct auth_token_verifier **out,
                         struct guard_error *err)
{
    uint32_t algorithms;
    int rc = auth_algorithms_parse(options->jwt_algorithms, &algorithms, err);
    if (rc != GUARD_OK)
        return rc;
    struct auth_issuer issuer = {
        .issuer = or_null(options->jwt_issuer),
        .audiences = (const char *const *)&options->jwt_audience,
        .audience_count = options->jwt_audience[0] ? 1 : 0,
        .keys = keys,
        .algorithms = algorithms,
        .identity_claim = or_null(options->jwt_identity_claim),
        .roles_claim = or_null(options->jwt_roles_claim),
        .leeway = options->jwt_leeway,
        .max_lifetime = options->jwt_max_lifetime,
        .client_id = binding(options->jwt_bind_client_id),
        .username = binding(options->jwt_bind_username),
        .certificate = binding(options->jwt_bind_certificate),
    };
    return auth_token_verifier_new(&issuer, 1, out, err);
}

struct keys_message {
    struct guard_message message;
    struct auth_token_verifier *verifier;
};

static void deliver_keys(struct guard_plugin *plugin, struct guard_message *base)
{
    struct keys_message *message = (struct keys_message *)base;
    auth_token_verifier_unref(&plugin->tokens);
    plugin->tokens = message->verifier;
    guard_log(&plugin->log, GUARD_LOG_INFO, "token keys were renewed");
    free(message);
}

static void discard_keys(struct guard_message *base)
{
    struct keys_message *message = (struct keys_message *)base;
    auth_token_verifier_unref(&message->verifier);
    free(message);
}

/* Background thread, about once a second: a changed key file becomes a new verifier. */
static void watch_keys(void *context)
{
    struct guard_plugin *plugin = context; /* only what never changes after start-up is read here */
    const struct guard_log *log = guard_background_log(plugin->background);
    struct auth_jwks *keys = NULL;
    struct guard_error err;
    if (auth_jwks_watch_poll(plugin->token_keys, 0, &keys, NULL) != AUTH_JWKS_CHANGED)
        return;
    struct keys_message *message = calloc(1, sizeof *message);
    if (message && make_verifier(&plugin->options, keys, &message->verifier, &err) == GUARD_OK) {
        message->message = (struct guard_message){.deliver = deliver_keys, .discard = discard_keys};
        guard_background_post(plugin->background, &message->message);
    } else {
        guard_log(log, GUARD_LOG_ERROR, "the new token keys were not taken: %s", message ? err.text : "out of memory");
        free(message);
    }
    auth_jwks_unref(&keys);
}

void guard_compose_redis_keys(struct guard_plugin *plugin, const char *issuer, const char *json)
{
    const struct guard_log *log = guard_background_log(plugin->background);
    char place[512];
    struct auth_jwks *keys = NULL;
    struct guard_error err;
    if (plugin->options.jwt_jwks_file[0] || strcmp(plugin->options.jwt_issuer, issuer) != 0)
        return;
    snprintf(place, sizeof place, "%sjwks:%s", plugin->options.redis_prefix, issuer);
    struct keys_message *message = calloc(1, sizeof *message);
    if (!message)
        return;
    message->message = (struct guard_message){.deliver = deliver_keys, .discard = discard_keys};
    int rc = !json ? GUARD_OK : auth_jwks_parse(json, strlen(json), place, log, &keys, &err);
    if (rc == GUARD_OK && json)
        rc = make_verifier(&plugin->options, keys, &message->verifier, &err);
    auth_jwks_unref(&keys);
    if (rc == GUARD_OK) { /* without keys there is no verifier, and no token is good */
        guard_background_post(plugin->background, &message->message);
        return;
    }
    guard_log(log, GUARD_LOG_ERROR, "%s was not taken, the keys in use stay: %s", place, err.text);
    free(message);
}

static int compose_tokens(struct guard_plugin *plugin, struct guard_error *err)
{
    uint32_t algorithms; /* a mistake in them is one also while there are no keys */
    int checked = auth_algorithms_parse(plugin->options.jwt_algorithms, &algorithms, err);
    if (checked != GUARD_OK)
        return checked;
    if (!plugin->options.jwt_jwks_file[0])
        return GUARD_OK;
    int rc = auth_jwks_watch_new(plugin->options.jwt_jwks_file, guard_background_log(plugin->background),
                                 &plugin->token_keys, err);
    if (rc != GUARD_OK)
        return rc;
    struct auth_jwks *keys = auth_jwks_watch_keys(plugin->token_keys);
    rc = make_verifier(&plugin->options, keys, &plugin->tokens, err);
    auth_jwks_unref(&keys);
    if (rc == GUARD_OK)
        guard_background_each_second(plugin->background, watch_keys, plugin);
    return rc;
}

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

static int compose_workers(struct guard_plugin *plugin, struct guard_error *err)
{
    if (!guard_broker_is_2_1() || plugin->options.auth_workers == 0)
        return GUARD_OK;
    struct auth_worker_settings settings = {
        .threads = (unsigned)plugin->options.auth_workers,
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
    if (!plugin->options.policy_file[0] && !plugin->options.redis_url[0])
        return guard_fail(err, GUARD_ERR_INVALID, "there is no policy: set the option policy_file or redis_url");
    int rc = guard_ways_parse(plugin->options.auth_methods, plugin->ways, &plugin->way_count, err);
    if (rc == GUARD_OK)
        rc = guard_background_start(&plugin->background, err);
    if (rc == GUARD_OK)
        rc = guard_compose_audit(plugin, err);
    if (rc == GUARD_OK)
        rc = guard_policy_source_open(plugin, err);
    if (rc == GUARD_OK)
        rc = compose_tokens(plugin, err);
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
    guard_sessions_free(&plugin->sessions);
    audit_close(&plugin->audit);
    guard_kicks_free(plugin);
    free(plugin->pending.topic);
    acl_context_free(&plugin->acl);
    guard_policy_source_close(plugin);
    auth_token_verifier_unref(&plugin->tokens);
    auth_jwks_watch_free(&plugin->token_keys);
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
    if (plugin->token_keys) {
        auth_jwks_watch_reload(plugin->token_keys);
        guard_background_run(plugin->background, watch_keys, plugin); /* out of memory: within a second anyway */
    }
    guard_policy_store_resync(plugin);
}
