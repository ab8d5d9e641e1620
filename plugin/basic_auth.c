#include "plugin/basic_auth.h"

#include "acl/acl.h"
#include "audit/audit.h"
#include "core/clock.h"
#include "core/digest.h"
#include "plugin/access.h"
#include "plugin/admission.h"
#include "plugin/broker.h"
#include "plugin/http_api.h"
#include "plugin/kick.h"
#include "plugin/login.h"
#include "plugin/login_methods.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"
#include "plugin/publish.h"
#include "plugin/sweep.h"
#include "plugin/waiting.h"

#include <stdlib.h>
#include <string.h>

/* ---- re-checks (SIGHUP) ---- */

/* Restored from the persistence file and not back yet: the broker knows its name only. Its deliveries are judged. */
static bool is_restored(const struct mosquitto *client, const char *password)
{
    return !password && !mosquitto_client_address(client) && mosquitto_client_protocol_version(client) == 0;
}

/*
 * At SIGHUP the broker asks again for every session it has, offline ones included. On 2.0 a refusal of an offline one
 * makes it free the session twice, so there the answer is yes; what such a session may get is judged per message.
 */
static bool answers_recheck(struct guard_plugin *plugin, struct guard_login *login, int *answer)
{
    if (is_restored(login->client, login->password)) {
        *answer = MOSQ_ERR_SUCCESS;
        return true;
    }
    struct guard_session *session = guard_sessions_find(plugin->sessions, login->client);
    if (!session || session->state == SESSION_WAITING || session->state == SESSION_DERIVED)
        return false;
    bool offline = session->state == SESSION_OFFLINE;
    if (offline && !(plugin->reloading && plugin->ticks))
        return false; /* a new connection at the address of an expired session */
    /*
     * Between RELOAD and the next TICK the broker asks for the clients it holds: a re-check, not a log-in. On 2.0 a new
     * websocket client may still come in there, at the address of an expired session, but a session that is offline is
     * never called a websocket there. Where this does not tell, the credentials do.
     */
    bool asked =
        plugin->reloading && plugin->ticks && !(offline && mosquitto_client_protocol(login->client) == mp_websockets);
    struct auth_credential_mac mac;
    /* of a token that did not come as the password, the MAC holds no secret */
    bool secret = session->identity->method != GUARD_AUTH_TOKEN || login->password;
    bool same = asked || ((secret || !offline) && session->has_mac &&
                          guard_login_mac(plugin, login, session->mac_has_name ? login->username : NULL, &mac) &&
                          auth_credential_mac_equal(&mac, &session->mac));
    if (!same)
        return false;
    guard_review(plugin, session);
    bool good = session->kick_reason == GUARD_REASON_NONE;
    *answer = good || (offline && !guard_broker_is_2_1()) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
    return true;
}

/* ---- the callbacks ---- */

/*
 * The broker knows its allow_anonymous, the plugin does not. What it lets in has a session when it first asks for
 * something, like all that came in by themselves (plugin/bypass.h).
 */
static int leave_to_broker(struct guard_plugin *plugin, struct guard_login *login)
{
    struct acl_subject *subject = NULL;
    struct guard_session *session = guard_sessions_find(plugin->sessions, login->client);
    login->reason = guard_judge(plugin, login, &subject);
    acl_subject_free(&subject);
    if (!session || session->state != SESSION_DERIVED || login->reason != GUARD_REASON_NONE)
        guard_sessions_remove(plugin->sessions, login->client);
    if (login->reason == GUARD_REASON_NONE)
        return MOSQ_ERR_PLUGIN_DEFER;
    guard_refused(plugin, login);
    return MOSQ_ERR_AUTH;
}

static int decide(struct guard_plugin *plugin, struct guard_login *login)
{
    int answer;
    if (answers_recheck(plugin, login, &answer))
        return answer;
    if (plugin->waiting)
        guard_waiting_supersede(plugin, login);
    guard_login_authenticate(plugin, login);
    if (login->not_ours) {
        guard_sessions_remove(plugin->sessions, login->client); /* of one who had this id and name, and was ours */
        return MOSQ_ERR_PLUGIN_DEFER;
    }
    if (login->by_broker && login->reason == GUARD_REASON_NONE)
        return leave_to_broker(plugin, login);
    if (login->by_worker && login->reason == GUARD_REASON_NONE)
        return guard_waiting_begin(plugin, login);
    guard_admit(plugin, login);
    return login->reason == GUARD_REASON_NONE ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
}

int guard_on_basic_auth(int event, void *event_data, void *userdata)
{
    struct guard_plugin *plugin = userdata;
    struct mosquitto_evt_basic_auth *auth = event_data;
    struct guard_login login;
    (void)event;
    if (plugin->has_http_api && !pthread_equal(pthread_self(), plugin->broker_thread))
        return guard_http_api_login(plugin, auth);
    guard_settle_pending(plugin, NULL);
    plugin->bypass_ended = NULL;
    if (!plugin->ticks)
        guard_plugin_without_tick(plugin);
    guard_sessions_doubt(plugin->sessions, auth->client);
    guard_login_begin(plugin, &login, auth->client, auth->username, auth->password);
    int answer = decide(plugin, &login);
    guard_histogram_add(&plugin->counts.callback[CALLBACK_BASIC_AUTH], guard_clock_monotonic_ns() - login.started_ns);
    guard_login_end(&login);
    guard_forget_openssl_errors(); /* what is left in the queue would end an unrelated TLS client */
    return answer;
}

/* Re-authentication: same connection, same user, new rights, nothing else changes. */
static void renew(struct guard_plugin *plugin, struct guard_session *session, struct guard_login *login)
{
    struct acl_subject *subject = NULL;
    const char *before = session->identity->username;
    if (login->reason == GUARD_REASON_NONE && (!before || strcmp(before, login->identity->username) != 0))
        login->reason = GUARD_REASON_CLIENT_ID_MISMATCH;
    if (login->reason == GUARD_REASON_NONE)
        login->reason = session->kick_reason; /* what has ended stays ended */
    if (login->reason == GUARD_REASON_NONE)
        login->reason = guard_judge(plugin, login, &subject);
    if (login->reason != GUARD_REASON_NONE) {
        acl_subject_free(&subject);
        guard_refused(plugin, login);
        return;
    }
    guard_identity_free(&session->identity);
    session->identity = login->identity;
    login->identity = NULL;
    guard_session_bind(session, subject, acl_policy_generation(plugin->policy->acl));
    int64_t end = session->identity->not_after;
    if (guard_sessions_set_end(plugin->sessions, session, end ? end : GUARD_NEVER) != GUARD_OK) {
        guard_end_session(plugin, session, GUARD_REASON_INTERNAL_ERROR, true); /* nobody would end it in time */
        login->reason = GUARD_REASON_INTERNAL_ERROR;
        return;
    }
    guard_connected(plugin, session, login);
}

static void decide_token(struct guard_plugin *plugin, struct guard_login *login)
{
    struct guard_session *session = guard_sessions_find(plugin->sessions, login->client);
    if (plugin->waiting)
        guard_waiting_supersede(plugin, login);
    guard_login_authenticate(plugin, login);
    if (session && session->state == SESSION_ONLINE)
        renew(plugin, session, login);
    else
        guard_admit(plugin, login);
}

/* Whether tokens are a way in at all; for the others the method does not exist. */
static bool is_ours(const struct guard_plugin *plugin, const char *method)
{
    unsigned all = 0;
    for (unsigned i = 0; i < plugin->way_count; i++)
        all |= plugin->ways[i];
    return all & WAY_TOKEN && method && strcmp(method, plugin->options.jwt_enhanced_auth_method) == 0;
}

int guard_on_ext_auth(int event, void *event_data, void *userdata)
{
    struct guard_plugin *plugin = userdata;
    struct mosquitto_evt_extended_auth *auth = event_data;
    struct guard_login login;
    (void)event;
    if (!is_ours(plugin, auth->auth_method))
        return MOSQ_ERR_PLUGIN_DEFER;
    guard_settle_pending(plugin, NULL);
    plugin->bypass_ended = NULL;
    guard_sessions_doubt(plugin->sessions, auth->client);
    guard_login_begin(plugin, &login, auth->client, mosquitto_client_username(auth->client), NULL);
    login.token = auth->data_in ? auth->data_in : "";
    login.token_length = auth->data_in ? auth->data_in_len : 0;
    decide_token(plugin, &login);
    int answer = login.reason == GUARD_REASON_NONE ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
    guard_login_end(&login);
    guard_forget_openssl_errors();
    return answer;
}
