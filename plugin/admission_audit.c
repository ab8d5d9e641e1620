/* What an admission leaves in the log and in the audit trail. */
#include "plugin/admission_audit.h"
#include "plugin/admission.h"

#include "acl/acl.h"
#include "audit/audit.h"
#include "auth/token.h"
#include "core/clock.h"
#include "plugin/broker.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"

#include <string.h>

/* A token in the place of the user name is a secret, whether it is read there or not. */
static const char *printable_name(const char *username)
{
    return username && auth_token_looks_like(username, strlen(username)) ? "(a token)" : username;
}

struct guard_offer guard_offer_of(const struct mosquitto *client)
{
    return (struct guard_offer){.port = guard_broker_port(client),
                                .protocol_version = mosquitto_client_protocol_version(client),
                                .websocket = mosquitto_client_protocol(client) == mp_websockets};
}

struct audit_peer *guard_audit_peer(struct guard_plugin *plugin, const struct guard_login *login, const char *username,
                                    uint64_t connection)
{
    struct guard_offer seen = login->offer ? *login->offer : guard_offer_of(login->client);
    struct audit_peer_info info = {
        .address = login->address,
        .username = printable_name(username),
        .client_id = login->client_id,
        .connection = connection,
        .listener_port = (uint16_t)(seen.port > 0 && seen.port < 65536 ? seen.port : 0),
        .transport = login->address && login->address[0] == '/' ? AUDIT_TRANSPORT_UNIX : AUDIT_TRANSPORT_TCP,
        .websocket = seen.websocket,
        .single = login->single,
        .protocol_version = seen.protocol_version > 0 ? (unsigned)seen.protocol_version : 0,
    };
    return audit_peer_new(plugin->audit, &info);
}

static struct audit_connect connect_event(const struct guard_login *login, const struct guard_identity *identity)
{
    return (struct audit_connect){
        .method = login->method,
        .identity = identity,
        .duration_ns = (uint64_t)(guard_clock_monotonic_ns() - login->started_ns),
        .keep_alive = mosquitto_client_keepalive(login->client),
        .clean_start = (signed char)mosquitto_client_clean_session(login->client),
        .tls = login->certificate ? 1 : -1,
        .cached = login->cached,
    };
}

void guard_log_refusal(struct guard_plugin *plugin, const struct guard_login *login)
{
    const char *sentence = guard_reason_sentence(login->reason);
    guard_log(&plugin->log, GUARD_LOG_NOTICE, "refused client '%.128s' from %s: %s%s%.200s%s", login->client_id,
              login->address ? login->address : "an unknown address", sentence, login->why[0] ? " (" : "", login->why,
              login->why[0] ? ")" : "");
}

void guard_refused(struct guard_plugin *plugin, struct guard_login *login)
{
    guard_log_refusal(plugin, login);
    guard_count_attempt(&plugin->counts, login->method, login->reason,
                        (uint64_t)(guard_clock_monotonic_ns() - login->started_ns));
    if (!plugin->audit)
        return;
    struct audit_peer *peer = guard_audit_peer(plugin, login, login->username, ++plugin->next_connection);
    struct audit_connect event = connect_event(login, login->identity);
    event.reason = login->reason;
    audit_push_connect(plugin->audit, peer, &event);
    audit_peer_free(plugin->audit, &peer);
}

#define AUDITED_ROLES 32

void guard_connected(struct guard_plugin *plugin, struct guard_session *session, const struct guard_login *login)
{
    const char *roles[AUDITED_ROLES];
    size_t count = acl_subject_role_count(session->subject);
    guard_count_attempt(&plugin->counts, session->identity->method, GUARD_REASON_NONE, session->verdict_ns);
    if (!plugin->audit)
        return;
    for (size_t i = 0; i < count && i < AUDITED_ROLES; i++) {
        int32_t priority;
        roles[i] = acl_subject_role(plugin->policy->acl, session->subject, i, &priority);
    }
    struct audit_connect event = {
        .method = session->identity->method,
        .identity = session->identity,
        .roles = roles,
        .role_count = count < AUDITED_ROLES ? count : AUDITED_ROLES,
        .duration_ns = session->verdict_ns,
        .keep_alive = mosquitto_client_keepalive(session->client),
        .clean_start = (signed char)mosquitto_client_clean_session(session->client),
        .tls = session->identity->certificate_sha256[0] ? 1 : -1,
        .cached = login ? login->cached : session->cached,
    };
    audit_push_connect(plugin->audit, session->peer, &event);
}
