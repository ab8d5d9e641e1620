#include "plugin/bypass.h"

#include "audit/audit.h"
#include "auth/certificate.h"
#include "core/clock.h"
#include "plugin/admission.h"
#include "plugin/broker.h"
#include "plugin/lifecycle.h"
#include "plugin/plugin.h"

bool guard_bypass_is_restored(const struct mosquitto *client)
{
    return !mosquitto_client_address(client) && mosquitto_client_protocol_version(client) == 0;
}

static void warn(struct guard_plugin *plugin, const struct mosquitto *client)
{
    bool nameless =
        plugin->options.acl_file[0] && !mosquitto_client_username(client); /* plugin/login.c left it to it */
    if (plugin->warned_bypass || nameless || guard_bypass_is_restored(client))
        return;
    plugin->warned_bypass = true;
    guard_log(
        &plugin->log, GUARD_LOG_WARNING,
        "client '%.128s' did not come in through this plugin (use_identity_as_username, use_subject_as_username, or a "
        "plugin before it): it has the rights of its user name. This is said once",
        mosquitto_client_id(client));
}

/* How the broker itself has made sure who it is: by the certificate, or by the key that it shares with it; or not. */
static enum guard_auth_method method_of(struct mosquitto *client)
{
    if (!mosquitto_client_username(client))
        return GUARD_AUTH_ANONYMOUS;
    void *certificate = mosquitto_client_certificate(client);
    auth_certificate_release(certificate);
    return certificate ? GUARD_AUTH_CERTIFICATE : GUARD_AUTH_PSK;
}

void guard_bypass_connected(struct guard_plugin *plugin, struct mosquitto *client)
{
    if (!mosquitto_client_id(client))
        return;
    warn(plugin, client);
    guard_sessions_remove(plugin->sessions, client); /* of an earlier connection, if there is one */
    struct guard_session *session = guard_derive(plugin, client);
    if (!session || !plugin->audit)
        return;
    enum guard_auth_method method = method_of(client);
    session->announced = true;
    session->connected_ns = guard_clock_monotonic_ns();
    audit_push_connect(plugin->audit, session->peer,
                       &(struct audit_connect){.method = method,
                                               .keep_alive = mosquitto_client_keepalive(client),
                                               .clean_start = (signed char)mosquitto_client_clean_session(client),
                                               .tls = method == GUARD_AUTH_ANONYMOUS ? -1 : 1});
}

struct guard_session *guard_bypass_session(struct guard_plugin *plugin, struct mosquitto *client)
{
    if (!mosquitto_client_id(client))
        return NULL;
    warn(plugin, client);
    struct guard_session *session = guard_derive(plugin, client);
    if (session)
        session->last_will = client == plugin->bypass_ended;
    plugin->bypass_ended = NULL;
    return session;
}

void guard_bypass_ended(struct guard_plugin *plugin, struct guard_session *session, int reason)
{
    struct mosquitto *client = session->client;
    session->kick_reason = GUARD_REASON_NONE; /* it was denied everything; that it went is its own doing */
    if (session->announced && plugin->audit) {
        struct audit_disconnect ended = guard_disconnect_event(plugin, session, reason);
        audit_push_disconnect(plugin->audit, session->peer, &ended);
    }
    guard_sessions_remove(plugin->sessions, client); /* derived anew, should there be a will or a next connection */
    plugin->bypass_ended = client;
}
