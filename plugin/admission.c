#include "plugin/admission.h"

#include "acl/acl.h"
#include "audit/audit.h"
#include "core/apart.h"
#include "core/clients.h"
#include "core/clock.h"
#include "plugin/admission_audit.h"
#include "plugin/broker.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"
#include "plugin/revoked.h"
#include "plugin/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTRIBUTE_PREFIX "attr."

/* The lists of a client record in the shape acl/ takes: one block; names of roles and values point into the record. */
struct record_lists {
    struct guard_role_grant *roles; /* the block */
    size_t role_count;
    struct guard_attribute *attributes;
    size_t attribute_count;
};

static char *unconst(const char *text)
{
    union {
        const char *from;
        char *to;
    } u = {text}; /* acl/ only reads them */
    return u.to;
}

static size_t size_of_names(const struct guard_client_view *record)
{
    const char *cursor = NULL, *name, *value;
    size_t size = 0;
    while (guard_client_next_attribute(record, &cursor, &name, &value))
        size += sizeof ATTRIBUTE_PREFIX + strlen(name);
    return size;
}

/* All of them, however many: one that were left out might be the role that denies. */
static int list_record(const struct guard_client_view *record, struct record_lists *lists)
{
    const char *cursor = NULL, *name, *value;
    int32_t priority;
    size_t grants = record->role_count * sizeof *lists->roles,
           attributes = record->attribute_count * sizeof *lists->attributes,
           values = record->attribute_count * sizeof(char *);
    char *block = malloc(grants + attributes + values + size_of_names(record) + 1);
    if (!block)
        return GUARD_ERR_NOMEM;
    lists->roles = (struct guard_role_grant *)(void *)block;
    lists->attributes = (struct guard_attribute *)(void *)(block + grants);
    char **slot = (char **)(void *)(block + grants + attributes), *text = block + grants + attributes + values;
    while (guard_client_next_role(record, &cursor, &name, &priority))
        lists->roles[lists->role_count++] = (struct guard_role_grant){unconst(name), priority};
    cursor = NULL;
    while (guard_client_next_attribute(record, &cursor, &name, &value)) {
        *slot = unconst(value);
        lists->attributes[lists->attribute_count++] = (struct guard_attribute){text, slot++, 1};
        text = stpcpy(stpcpy(text, ATTRIBUTE_PREFIX), name) + 1;
    }
    return GUARD_OK;
}

int guard_bind(const struct guard_policy_set *policy, const struct guard_identity *identity, const char *client_id,
               const char *address, struct acl_subject **out, struct guard_error *err)
{
    struct record_lists lists = {0};
    struct guard_client_view record;
    if (identity->username &&
        guard_clients_find(policy->clients, identity->username, strlen(identity->username), &record) &&
        list_record(&record, &lists) != GUARD_OK)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    struct acl_bind bind = {
        .username = identity->username,
        .client_id = client_id,
        .address = address,
        .identity = identity,
        .record_roles = lists.roles,
        .record_role_count = lists.role_count,
        .record_attributes = lists.attributes,
        .record_attribute_count = lists.attribute_count,
    };
    int rc = acl_subject_bind(policy->acl, &bind, out, err);
    free(lists.roles);
    return rc;
}

/* ---- the checks of an admission ---- */

/* attr.max_sessions of the client record, or the claim of that name. It is watched (docs/audit.md), not enforced. */
static bool is_single(const struct guard_plugin *plugin, const struct guard_identity *identity, const char *username)
{
    struct guard_client_view record;
    const struct guard_attribute *claim = identity ? guard_identity_attribute(identity, "jwt.max_sessions") : NULL;
    const char *most = claim && claim->count == 1 ? claim->values[0] : NULL;
    if (!most && username && guard_clients_find(plugin->policy->clients, username, strlen(username), &record))
        most = guard_client_attribute(&record, "max_sessions");
    return most && strcmp(most, "1") == 0;
}

static enum guard_reason check_record(const struct guard_plugin *plugin, const struct guard_login *login)
{
    struct guard_client_view record;
    const char *username = login->identity->username;
    if (!username || !guard_clients_find(plugin->policy->clients, username, strlen(username), &record))
        return GUARD_REASON_NONE;
    if (record.disabled)
        return GUARD_REASON_USER_DISABLED;
    if (!guard_client_allows_id(&record, login->client_id, strlen(login->client_id)))
        return GUARD_REASON_CLIENT_ID_MISMATCH;
    return GUARD_REASON_NONE;
}

/* A password that was given before its user's log-ins were made void. Tokens and certificates were asked already. */
static enum guard_reason check_revoked(const struct guard_plugin *plugin, struct guard_login *login)
{
    const struct guard_identity *identity = login->identity;
    if (identity->method != GUARD_AUTH_PASSWORD || !guard_user_revoked(plugin, identity->username, identity->issued_at))
        return GUARD_REASON_NONE;
    snprintf(login->why, sizeof login->why, "log-ins of this user before a certain time are void");
    return GUARD_REASON_USER_DISABLED;
}

static bool same_name(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The broker lets any authenticated client take over any client id; here it must be the same user. */
static enum guard_reason check_takeover(const struct guard_plugin *plugin, const struct guard_login *login)
{
    const struct guard_session *owner = guard_sessions_connected(plugin->sessions, login->client_id, login->client);
    if (!owner || plugin->options.client_takeover == GUARD_TAKEOVER_ANY)
        return GUARD_REASON_NONE;
    return same_name(owner->identity->username, login->identity->username) ? GUARD_REASON_NONE
                                                                           : GUARD_REASON_CLIENT_ID_MISMATCH;
}

static enum guard_reason check_rights(struct guard_plugin *plugin, struct guard_login *login,
                                      const struct acl_subject *subject)
{
    const char *unbindable = acl_subject_unbindable(plugin->policy->acl, subject);
    if (!unbindable || (login->method == GUARD_AUTH_ANONYMOUS && strcmp(unbindable, "username") == 0))
        return GUARD_REASON_NONE;
    snprintf(login->why, sizeof login->why, "${%.100s} has no value that can stand in a topic level", unbindable);
    if (plugin->options.identity_check == GUARD_IDENTITY_REJECT)
        return GUARD_REASON_CLIENT_ID_INVALID;
    guard_log(&plugin->log, GUARD_LOG_WARNING, "client '%.128s': %s; rules with it do not apply", login->client_id,
              login->why);
    return GUARD_REASON_NONE;
}

enum guard_reason guard_judge(struct guard_plugin *plugin, struct guard_login *login, struct acl_subject **subject)
{
    struct guard_error err;
    if (plugin->closed)
        return GUARD_REASON_POLICY_UNAVAILABLE;
    login->single = is_single(plugin, login->identity, login->identity->username);
    enum guard_reason reason = guard_banned(plugin, login->address, login->client_id, login->identity->username);
    if (reason == GUARD_REASON_NONE)
        reason = check_revoked(plugin, login);
    if (reason == GUARD_REASON_NONE)
        reason = check_record(plugin, login);
    if (reason == GUARD_REASON_NONE)
        reason = check_takeover(plugin, login);
    if (reason != GUARD_REASON_NONE)
        return reason;
    if (guard_bind(plugin->policy, login->identity, login->client_id, login->address, subject, &err) != GUARD_OK) {
        snprintf(login->why, sizeof login->why, "%.200s", err.text);
        return err.code == GUARD_ERR_NOMEM ? GUARD_REASON_INTERNAL_ERROR : GUARD_REASON_JWT_MISSING_CLAIM;
    }
    reason = check_rights(plugin, login, *subject);
    if (reason == GUARD_REASON_NONE && plugin->audit && !audit_accepting(plugin->audit))
        reason = GUARD_REASON_QUOTA_EXCEEDED;
    return reason;
}

/* ---- sessions ---- */

/* The broker's user name becomes the identity's, so that SIGHUP, kicks and other plugins see who it is. */
static int tell_broker(const struct guard_login *login, const char *name)
{
    const char *now = mosquitto_client_username(login->client);
    if (now && strcmp(now, name) == 0)
        return MOSQ_ERR_SUCCESS;
    return mosquitto_set_username(login->client, name);
}

static int fill_session(struct guard_plugin *plugin, struct guard_session *session, struct guard_login *login,
                        struct acl_subject *subject)
{
    guard_session_bind(session, subject, acl_policy_generation(plugin->policy->acl));
    session->connection = ++plugin->next_connection;
    session->connected_ns = login->started_ns;
    session->verdict_ns = (uint64_t)(guard_clock_monotonic_ns() - login->started_ns);
    session->cached = login->cached;
    if (!guard_login_names(login))
        return GUARD_ERR_NOMEM;
    session->certificate = login->names;
    login->names = NULL;
    session->mac_has_name = login->method != GUARD_AUTH_TOKEN;
    session->has_mac = guard_login_mac(plugin, login, session->mac_has_name ? session->username : NULL, &session->mac);
    if (login->address && !(session->address = guard_apart_copy(login->address)))
        return GUARD_ERR_NOMEM;
    if (login->stored_hash && !(session->stored_hash = guard_apart_copy(login->stored_hash)))
        return GUARD_ERR_NOMEM;
    if (plugin->audit)
        session->peer = guard_audit_peer(plugin, login, session->offer ? session->offer->username : session->username,
                                         session->connection);
    return GUARD_OK;
}

static int set_end(struct guard_plugin *plugin, struct guard_session *session)
{
    int64_t end = session->identity->not_after;
    return guard_sessions_set_end(plugin->sessions, session, end ? end : GUARD_NEVER);
}

static enum guard_reason enter(struct guard_plugin *plugin, struct guard_login *login, struct acl_subject *subject)
{
    const char *name = login->identity->username ? login->identity->username : GUARD_ANONYMOUS_NAME;
    struct guard_session *session =
        guard_sessions_put(plugin->sessions, login->client, login->client_id, name, login->identity);
    login->identity = NULL; /* the session's, or freed */
    if (!session) {
        acl_subject_free(&subject);
        return GUARD_REASON_INTERNAL_ERROR;
    }
    if (fill_session(plugin, session, login, subject) != GUARD_OK || set_end(plugin, session) != GUARD_OK ||
        tell_broker(login, name) != MOSQ_ERR_SUCCESS) {
        guard_sessions_remove(plugin->sessions, login->client);
        return GUARD_REASON_INTERNAL_ERROR;
    }
    login->username = NULL; /* mosquitto_set_username freed the event's */
    if (plugin->connect_event) {
        session->state = SESSION_PENDING;
    } else {
        session->state = SESSION_ONLINE;
        guard_count_session(&plugin->counts, session->identity->method, 1);
        guard_connected(plugin, session, login);
        guard_sessions_find(plugin->sessions, login->client); /* quick from now on: what that needs is in the caches */
    }
    return GUARD_REASON_NONE;
}

/* What a token's login is told from when the worker is through. */
static int keep_offer(struct guard_session *session, const struct guard_login *login)
{
    session->offer = malloc(sizeof *session->offer);
    if (!session->offer)
        return GUARD_ERR_NOMEM;
    *session->offer = guard_offer_of(login->client);
    session->offer->username = login->username ? strdup(login->username) : NULL;
    return login->username && !session->offer->username ? GUARD_ERR_NOMEM : GUARD_OK;
}

struct guard_session *guard_keep_waiting(struct guard_plugin *plugin, struct guard_login *login)
{
    bool token = login->method == GUARD_AUTH_TOKEN;
    struct guard_identity *identity = login->certified ? login->certified : guard_identity_new();
    login->certified = NULL;
    if (!identity)
        return NULL;
    struct guard_session *session =
        guard_sessions_put(plugin->sessions, login->client, login->client_id, token ? NULL : login->username, identity);
    if (!session)
        return NULL;
    session->state = SESSION_WAITING;
    session->attempt = ++plugin->next_attempt;
    session->cache_mac = login->mac;
    session->has_cache_mac = login->has_mac;
    login->single = !token && is_single(plugin, NULL, login->username);
    if ((!token || keep_offer(session, login) == GUARD_OK) && fill_session(plugin, session, login, NULL) == GUARD_OK)
        return session;
    guard_sessions_remove(plugin->sessions, login->client);
    return NULL;
}

static void report_waiting(struct guard_plugin *plugin, const struct guard_login *login, struct guard_session *session)
{
    guard_log_refusal(plugin, login);
    guard_count_attempt(&plugin->counts, login->method, login->reason, session->verdict_ns);
    if (plugin->audit)
        audit_push_connect(plugin->audit, session->peer,
                           &(struct audit_connect){.reason = login->reason,
                                                   .method = login->method,
                                                   .duration_ns = session->verdict_ns,
                                                   .keep_alive = -1,
                                                   .clean_start = -1,
                                                   .tls = -1});
}

static void refuse_waiting(struct guard_plugin *plugin, const struct guard_login *login, struct guard_session *session)
{
    report_waiting(plugin, login, session);
    guard_sessions_remove(plugin->sessions, login->client);
    mosquitto_complete_basic_auth(login->client_id, MOSQ_ERR_AUTH);
}

/*
 * Accepted, and the broker did not say CONNECT: the client has hung up. Should it be there all the same, it must not be
 * taken for an anonymous one: a token's owner has no name in the broker yet. So that entry stays, and allows nothing.
 */
static void hung_up(struct guard_plugin *plugin, struct guard_login *login, struct guard_session *session)
{
    login->reason = GUARD_REASON_INTERNAL_ERROR;
    snprintf(login->why, sizeof login->why, "it hung up while its credentials were checked");
    if (!session->offer) {
        refuse_waiting(plugin, login, session);
        return;
    }
    report_waiting(plugin, login, session);
    session->state = SESSION_OFFLINE;
    guard_sessions_end(plugin->sessions, session);
}

/* What ends a session (guard_still_good), as the reason of a login that came too late for it. */
static enum guard_reason as_refusal(enum guard_reason end, enum guard_auth_method method)
{
    bool token = method == GUARD_AUTH_TOKEN;
    switch (end) {
    case GUARD_REASON_TOKEN_EXPIRED:
        return token ? GUARD_REASON_JWT_EXPIRED : GUARD_REASON_CERT_REVOKED;
    case GUARD_REASON_TOKEN_REVOKED:
        return token ? GUARD_REASON_JWT_REVOKED : GUARD_REASON_CERT_REVOKED;
    case GUARD_REASON_POLICY_CHANGED:
        return GUARD_REASON_BAD_CREDENTIALS;
    default:
        return end;
    }
}

/* The session becomes what the login came to; what has ended or was revoked since its CONNECT is noticed here. */
static enum guard_reason complete_waiting(struct guard_plugin *plugin, struct guard_login *login,
                                          struct guard_session *session, struct acl_subject *subject)
{
    guard_identity_free(&session->identity);
    login->certified = NULL; /* it was that one */
    session->identity = login->identity;
    login->identity = NULL;
    guard_session_bind(session, subject, acl_policy_generation(plugin->policy->acl));
    if (set_end(plugin, session) != GUARD_OK)
        return GUARD_REASON_INTERNAL_ERROR;
    if (session->offer && plugin->audit) { /* from here on it is who its token says */
        audit_peer_free(plugin->audit, &session->peer);
        session->peer = guard_audit_peer(plugin, login, session->identity->username, session->connection);
    }
    return as_refusal(guard_still_good(plugin, session), session->identity->method);
}

void guard_admit_waiting(struct guard_plugin *plugin, struct guard_login *login, struct guard_session *session)
{
    struct acl_subject *subject = NULL;
    uint64_t connection = session->connection;
    session->verdict_ns = (uint64_t)(guard_clock_monotonic_ns() - session->connected_ns);
    if (login->reason == GUARD_REASON_NONE)
        login->reason = guard_judge(plugin, login, &subject);
    if (login->reason == GUARD_REASON_NONE)
        login->reason = complete_waiting(plugin, login, session, subject);
    else
        acl_subject_free(&subject);
    if (login->reason != GUARD_REASON_NONE) {
        refuse_waiting(plugin, login, session);
        return;
    }
    session->state = SESSION_PENDING;
    mosquitto_complete_basic_auth(login->client_id, MOSQ_ERR_SUCCESS);

    /* CONNECT came from inside that call, or the client had hung up before its answer */
    session = guard_sessions_peek(plugin->sessions, login->client);
    if (session && session->connection == connection && session->state == SESSION_PENDING)
        hung_up(plugin, login, session);
}

void guard_admit(struct guard_plugin *plugin, struct guard_login *login)
{
    struct acl_subject *subject = NULL;
    if (login->reason == GUARD_REASON_NONE)
        login->reason = guard_judge(plugin, login, &subject);
    if (login->reason == GUARD_REASON_NONE)
        login->reason = enter(plugin, login, subject);
    else
        acl_subject_free(&subject);
    if (login->reason != GUARD_REASON_NONE)
        guard_refused(plugin, login);
}

static struct guard_identity *derive_identity(const char *username)
{
    struct guard_identity *identity = guard_identity_new();
    if (!identity)
        return NULL;
    if (!username || strcmp(username, GUARD_ANONYMOUS_NAME) == 0) {
        identity->method = GUARD_AUTH_ANONYMOUS;
    } else if (!(identity->username = guard_identity_copy(identity, username))) {
        guard_identity_free(&identity);
    }
    return identity;
}

struct guard_session *guard_derive(struct guard_plugin *plugin, struct mosquitto *client)
{
    char buffer[GUARD_ADDRESS_SIZE];
    const char *username = mosquitto_client_username(client);
    const char *address = guard_address_canonical(mosquitto_client_address(client), buffer);
    const char *id = mosquitto_client_id(client);
    struct guard_identity *identity = derive_identity(username);
    struct acl_subject *subject = NULL;
    if (!identity || !id || guard_bind(plugin->policy, identity, id, address, &subject, NULL) != GUARD_OK) {
        guard_identity_free(&identity);
        return NULL;
    }
    struct guard_session *session = guard_sessions_put(plugin->sessions, client, id, username, identity);
    if (!session) {
        acl_subject_free(&subject);
        return NULL;
    }
    guard_session_bind(session, subject, acl_policy_generation(plugin->policy->acl));
    session->state = SESSION_DERIVED;
    session->address = address ? guard_apart_copy(address) : NULL;
    if (plugin->audit) {
        struct guard_login login = {.client = client, .client_id = id, .address = address};
        session->peer = guard_audit_peer(plugin, &login, username, ++plugin->next_connection);
    }
    guard_review(plugin, session); /* banned or disabled: it is denied everything */
    return session;
}

enum guard_reason guard_still_good(const struct guard_plugin *plugin, const struct guard_session *session)
{
    const struct guard_identity *identity = session->identity;
    struct guard_client_view record;
    if (session->ends_at <= plugin->now)
        return GUARD_REASON_TOKEN_EXPIRED;
    enum guard_reason reason = guard_banned(plugin, session->address, session->client_id, identity->username);
    if (reason == GUARD_REASON_NONE && guard_certificate_revoked(plugin, session->certificate))
        reason = GUARD_REASON_TOKEN_REVOKED;
    if (reason != GUARD_REASON_NONE || !identity->username)
        return reason;
    bool known = guard_clients_find(plugin->policy->clients, identity->username, strlen(identity->username), &record);
    if (known && record.disabled)
        return GUARD_REASON_USER_DISABLED;
    if (known && !guard_client_allows_id(&record, session->client_id, strlen(session->client_id)))
        return GUARD_REASON_POLICY_CHANGED;
    if (identity->method == GUARD_AUTH_PASSWORD && session->stored_hash) {
        if (!known)
            return GUARD_REASON_USER_DISABLED;
        if (!record.password || strcmp(record.password, session->stored_hash) != 0)
            return GUARD_REASON_POLICY_CHANGED;
    }
    if (identity->method == GUARD_AUTH_TOKEN && guard_token_revoked(plugin, identity->token_id, identity->key_id))
        return GUARD_REASON_TOKEN_REVOKED;
    /* of a session that did not log in here (DERIVED) nobody knows since when it is there */
    if (identity->method != GUARD_AUTH_NONE && guard_user_revoked(plugin, identity->username, identity->issued_at))
        return GUARD_REASON_TOKEN_REVOKED;
    return GUARD_REASON_NONE;
}
