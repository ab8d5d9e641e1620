#include "audit/action.h"

#include <string.h>

static const char *const names[AUDIT_ACTION_COUNT] = {
#define X(name, text) [AUDIT_ACTION_##name] = text,
    AUDIT_ACTIONS(X)
#undef X
};

const char *audit_action_name(enum audit_action action)
{
    return (unsigned)action < AUDIT_ACTION_COUNT ? names[action] : "";
}

enum audit_action audit_action_parse(const char *name)
{
    unsigned i = 0;
    while (i < AUDIT_ACTION_COUNT && strcmp(names[i], name) != 0)
        i++;
    return (enum audit_action)i;
}

#define R(name) GUARD_REASON_##name

/* The lists of the schema, one a group of actions; the last member is what stands for a reason that is not in it. */
static const enum guard_reason of_connect[] = {R(ANONYMOUS_DENIED),
                                               R(BAD_CREDENTIALS),
                                               R(CERT_IDENTITY_MISMATCH),
                                               R(CERT_MISSING),
                                               R(CERT_REVOKED),
                                               R(CLIENT_ID_INVALID),
                                               R(CLIENT_ID_MISMATCH),
                                               R(IP_BLOCKED),
                                               R(JWT_ALG_NOT_ALLOWED),
                                               R(JWT_BAD_SIGNATURE),
                                               R(JWT_EXPIRED),
                                               R(JWT_MALFORMED),
                                               R(JWT_MISSING_CLAIM),
                                               R(JWT_NOT_YET_VALID),
                                               R(JWT_REVOKED),
                                               R(JWT_UNKNOWN_KEY),
                                               R(JWT_WRONG_AUDIENCE),
                                               R(JWT_WRONG_ISSUER),
                                               R(POLICY_UNAVAILABLE),
                                               R(PROTOCOL_VERSION_DENIED),
                                               R(PSK_UNKNOWN_IDENTITY),
                                               R(QUOTA_EXCEEDED),
                                               R(RATE_LIMITED),
                                               R(STORE_UNAVAILABLE),
                                               R(UNKNOWN_USER),
                                               R(USER_DISABLED),
                                               R(INTERNAL_ERROR)};

static const enum guard_reason of_access[] = {
    R(ACL_DENY_RULE),      R(ACL_NO_MATCH),     R(PAYLOAD_REJECTED), R(PAYLOAD_TOO_LARGE),
    R(POLICY_UNAVAILABLE), R(QOS_DENIED),       R(RATE_LIMITED),     R(RETAIN_DENIED),
    R(STORE_UNAVAILABLE),  R(SYS_TOPIC_DENIED), R(TOKEN_EXPIRED),    R(TOKEN_REVOKED),
    R(TOPIC_INVALID),      R(TOPIC_TOO_LONG),   R(WILDCARD_DENIED),  R(INTERNAL_ERROR)};

static const enum guard_reason of_disconnect[] = {
    R(ADMIN_KICK),        R(BROKER_SHUTDOWN), R(CLIENT_DISCONNECT), R(CONNECTION_LOST), R(IP_BLOCKED),
    R(KEEPALIVE_TIMEOUT), R(POLICY_CHANGED),  R(PROTOCOL_ERROR),    R(RATE_LIMITED),    R(SESSION_TAKEN_OVER),
    R(TOKEN_EXPIRED),     R(TOKEN_REVOKED),   R(USER_DISABLED),     R(UNKNOWN)};

static const enum guard_reason of_policy[] = {R(POLICY_BAD_SIGNATURE), R(POLICY_PARSE_ERROR), R(POLICY_ROLLBACK),
                                              R(POLICY_UNCHANGED), R(POLICY_READ_ERROR)};

static const enum guard_reason of_store[] = {R(STORE_AUTH_FAILED), R(STORE_DNS_FAILED),    R(STORE_LOADING),
                                             R(STORE_READONLY),    R(STORE_REFUSED),       R(STORE_TIMEOUT),
                                             R(STORE_TLS_FAILED),  R(STORE_PROTOCOL_ERROR)};

static const enum guard_reason of_gap[] = {R(CRASH_TORN_TAIL),  R(CRASH_UNKNOWN),     R(DISK_FULL),    R(RING_FULL),
                                           R(SHUTDOWN_TIMEOUT), R(SINK_BACKPRESSURE), R(SINK_TRIMMED), R(WRITE_ERROR)};

static const enum guard_reason of_alert[] = {R(BASELINE_EXCEEDED), R(NEVER_SEEN), R(OUT_OF_HOURS), R(THRESHOLD)};

#undef R

struct reason_list {
    const enum guard_reason *reasons;
    size_t count;
};
#define LIST(array) ((struct reason_list){array, sizeof array / sizeof *array})

static struct reason_list list_of(enum audit_action action)
{
    switch (action) {
    case AUDIT_ACTION_MQTT_CONNECT:
        return LIST(of_connect);
    case AUDIT_ACTION_MQTT_PUBLISH:
    case AUDIT_ACTION_MQTT_DELIVER:
    case AUDIT_ACTION_MQTT_SUBSCRIBE:
    case AUDIT_ACTION_MQTT_UNSUBSCRIBE:
        return LIST(of_access);
    case AUDIT_ACTION_MQTT_DISCONNECT:
        return LIST(of_disconnect);
    case AUDIT_ACTION_POLICY_RELOAD:
        return LIST(of_policy);
    case AUDIT_ACTION_STORE_DOWN:
        return LIST(of_store);
    case AUDIT_ACTION_AUDIT_GAP:
        return LIST(of_gap);
    default:
        return action >= AUDIT_ACTION_ALERT_BRUTE_FORCE && action < AUDIT_ACTION_COUNT ? LIST(of_alert)
                                                                                       : (struct reason_list){NULL, 0};
    }
}

enum guard_reason audit_action_reason(enum audit_action action, enum guard_reason reason)
{
    struct reason_list list = list_of(action);
    for (size_t i = 0; i < list.count; i++)
        if (list.reasons[i] == reason)
            return reason;
    if (list.reasons == of_access && reason == GUARD_REASON_QUOTA_EXCEEDED)
        return GUARD_REASON_RATE_LIMITED; /* the nearest the closed list has; mqtt.reason_code stays 151 */
    return list.count ? list.reasons[list.count - 1] : GUARD_REASON_NONE;
}
