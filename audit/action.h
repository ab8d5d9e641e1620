/*
 * The closed list of audit actions (docs/audit.md). The names are those of event.action in audit/schema/
 * audit-event.schema.json; tests/audit/test_lists.py holds code, schema and manual against each other.
 */
#ifndef GUARD_AUDIT_ACTION_H
#define GUARD_AUDIT_ACTION_H

#include "core/reason.h"

#define AUDIT_ACTIONS(X)                                  \
    X(MQTT_CONNECT, "mqtt-connect")                       \
    X(MQTT_DISCONNECT, "mqtt-disconnect")                 \
    X(MQTT_PUBLISH, "mqtt-publish")                       \
    X(MQTT_PUBLISH_SUMMARY, "mqtt-publish-summary")       \
    X(MQTT_DELIVER, "mqtt-deliver")                       \
    X(MQTT_SUBSCRIBE, "mqtt-subscribe")                   \
    X(MQTT_UNSUBSCRIBE, "mqtt-unsubscribe")               \
    X(POLICY_RELOAD, "policy-reload")                     \
    X(STORE_DOWN, "store-down")                           \
    X(STORE_UP, "store-up")                               \
    X(AUDIT_START, "audit-start")                         \
    X(AUDIT_STOP, "audit-stop")                           \
    X(AUDIT_ROTATE, "audit-rotate")                       \
    X(AUDIT_RECOVERED, "audit-recovered")                 \
    X(AUDIT_GAP, "audit-gap")                             \
    X(AUDIT_CHECKPOINT, "audit-checkpoint")               \
    X(ALERT_BRUTE_FORCE, "alert-brute-force")             \
    X(ALERT_PASSWORD_SPRAY, "alert-password-spray")       \
    X(ALERT_RATE_SPIKE, "alert-rate-spike")               \
    X(ALERT_NEW_IP, "alert-new-ip")                       \
    X(ALERT_NEW_COUNTRY, "alert-new-country")             \
    X(ALERT_CREDENTIAL_SHARED, "alert-credential-shared") \
    X(ALERT_FLAPPING, "alert-flapping")                   \
    X(ALERT_TOPIC_SCAN, "alert-topic-scan")               \
    X(ALERT_OUT_OF_HOURS, "alert-out-of-hours")

enum audit_action {
#define X(name, text) AUDIT_ACTION_##name,
    AUDIT_ACTIONS(X)
#undef X
        AUDIT_ACTION_COUNT
};

/* "mqtt-connect" …; never NULL. */
const char *audit_action_name(enum audit_action action);

/* The action of that name, or AUDIT_ACTION_COUNT. */
enum audit_action audit_action_parse(const char *name);

/*
 * The reason to write for an action: the one given where the schema's list for that action has it, else the nearest one
 * that it has (a publish refused for quota_exceeded becomes rate_limited, anything unforeseen internal_error or
 * unknown).
 */
enum guard_reason audit_action_reason(enum audit_action action, enum guard_reason reason);

#endif
