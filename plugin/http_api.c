#include "plugin/http_api.h"

#include "acl/acl.h"
#include "auth/password.h"
#include "core/clients.h"
#include "core/digest.h"
#include "plugin/admission.h"
#include "plugin/broker.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"

#include <string.h>

static struct guard_policy_set hold_policy(struct guard_plugin *plugin)
{
    pthread_mutex_lock(&plugin->shared_lock);
    struct guard_policy_set held = {
        .acl = acl_policy_retain(plugin->policy->acl),
        .clients = guard_clients_ref(plugin->policy->clients),
    };
    pthread_mutex_unlock(&plugin->shared_lock);
    return held;
}

static void let_go(struct guard_policy_set *held)
{
    acl_policy_release(held->acl);
    guard_clients_unref(&held->clients);
}

int guard_http_api_login(struct guard_plugin *plugin, const struct mosquitto_evt_basic_auth *event)
{
    struct guard_client_view record;
    enum auth_password_result result = AUTH_PASSWORD_MISMATCH;
    if (!event->username || !event->password)
        return MOSQ_ERR_AUTH;
    struct guard_policy_set held = hold_policy(plugin);
    if (guard_clients_find(held.clients, event->username, strlen(event->username), &record) && !record.disabled &&
        record.password)
        result = auth_password_verify(record.password, event->password, strlen(event->password), NULL);
    let_go(&held);
    guard_forget_openssl_errors();
    return result == AUTH_PASSWORD_MATCH ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
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
    if (event->access != MOSQ_ACL_READ)
        return MOSQ_ERR_ACL_DENIED;
    struct guard_policy_set held = hold_policy(plugin);
    bool allowed = may_read(&held, event);
    let_go(&held);
    return allowed ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}
