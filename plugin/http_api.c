#include "plugin/http_api.h"

#include "acl/acl.h"
#include "auth/password.h"
#include "core/clients.h"
#include "core/digest.h"
#include "core/revocations.h"
#include "plugin/admission.h"
#include "plugin/broker.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FAILURE_DELAY_NS 200000000

/* What is in force, by references of the calling thread's own. */
struct held {
    struct guard_policy_set set;
    char *decoy;
    struct guard_revocations *revocations;
    bool closed;
};

static void hold(struct guard_plugin *plugin, struct held *held)
{
    *held = (struct held){0};
    pthread_mutex_lock(&plugin->shared_lock);
    held->set.acl = acl_policy_retain(plugin->policy->acl);
    held->set.clients = guard_clients_ref(plugin->policy->clients);
    held->decoy = plugin->policy->decoy ? strdup(plugin->policy->decoy) : NULL;
    held->revocations = plugin->revocations ? guard_revocations_ref(plugin->revocations) : NULL;
    held->closed = plugin->closed;
    pthread_mutex_unlock(&plugin->shared_lock);
}

static void let_go(struct held *held)
{
    acl_policy_release(held->set.acl);
    guard_clients_unref(&held->set.clients);
    guard_revocations_unref(&held->revocations);
    free(held->decoy);
}

/* An unknown user, and one without a password, costs what a known one costs. */
static bool password_matches(const struct held *held, const struct guard_client_view *record, const char *password)
{
    if (record && record->password)
        return auth_password_verify(record->password, password, strlen(password), NULL) == AUTH_PASSWORD_MATCH;
    auth_password_dummy(held->decoy, password, strlen(password));
    return false;
}

static bool may_log_in(const struct held *held, const char *username, const char *password)
{
    struct guard_client_view record;
    bool known = guard_clients_find(held->set.clients, username, strlen(username), &record);
    return password_matches(held, known ? &record : NULL, password) && !record.disabled && !held->closed &&
           !guard_revocations_find(held->revocations, GUARD_BANNED_USER, username, strlen(username)) &&
           !guard_revoked_before(held->revocations, username, strlen(username), guard_plugin_now());
}

/*
 * The API's thread serves one request after the other: waiting here bounds all guessing together, and the processor
 * time that failing hashes take. The broker thread's throttle is not for this thread.
 */
static void slow_down(void)
{
    struct timespec delay = {0, FAILURE_DELAY_NS};
    while (nanosleep(&delay, &delay) != 0 && errno == EINTR) {
    }
}

/* A user name and password are all the API knows; what is read here never changes after start-up. */
static bool is_way_in(const struct guard_plugin *plugin, const struct mosquitto *client)
{
    for (unsigned i = 0; i < plugin->way_count; i++)
        if (plugin->ways[i] == WAY_PASSWORD)
            return !plugin->options.require_tls || guard_plugin_port_is_tls(plugin, client);
    return false;
}

int guard_http_api_login(struct guard_plugin *plugin, const struct mosquitto_evt_basic_auth *event)
{
    struct held held;
    bool asks = event->username && event->password && is_way_in(plugin, event->client), good = false;
    if (!plugin->coexist && !asks)
        return MOSQ_ERR_AUTH;
    hold(plugin, &held);
    bool ours = !plugin->coexist || guard_clients_knows(held.set.clients, event->username);
    if (ours && asks)
        good = may_log_in(&held, event->username, event->password);
    let_go(&held);
    if (!ours)
        return MOSQ_ERR_PLUGIN_DEFER;
    if (asks) {
        guard_forget_openssl_errors();
        if (!good)
            slow_down();
    }
    return good ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
}

static bool may_read(const struct guard_policy_set *held, const struct mosquitto_evt_acl_check *event)
{
    struct guard_identity identity = {.method = GUARD_AUTH_PASSWORD};
    struct acl_subject *subject = NULL;
    struct acl_decision decision = {0};
    struct acl_context *context = acl_context_new();
    struct acl_request request = {
        .action = ACL_RECEIVE, .topic = event->topic, .payload = "", .now = guard_plugin_now()};
    union {
        const char *from;
        char *to;
    } name = {mosquitto_client_username(event->client)};
    identity.username = name.to; /* only read */
    if (context && name.from && guard_bind(held, &identity, "http-api", NULL, &subject, NULL) == GUARD_OK)
        acl_check(context, held->acl, subject, &request, &decision);
    acl_subject_free(&subject);
    acl_context_free(&context);
    return decision.verdict == ACL_ALLOW;
}

int guard_http_api_access(struct guard_plugin *plugin, const struct mosquitto_evt_acl_check *event)
{
    struct held held;
    hold(plugin, &held);
    bool ours = !plugin->coexist || guard_clients_knows(held.set.clients, mosquitto_client_username(event->client));
    bool allowed = ours && event->access == MOSQ_ACL_READ && !held.closed && may_read(&held.set, event);
    let_go(&held);
    if (!ours)
        return MOSQ_ERR_PLUGIN_DEFER;
    return allowed ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}
