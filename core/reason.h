/*
 * The closed list of reasons (docs/audit.md): why a connect, publish, subscribe or delivery was refused, a session
 * ended, a policy was not taken, a store is down, or audit events are missing. The names are those of event.reason in
 * the audit schema; tests/guards holds the two against each other.
 */
#ifndef GUARD_CORE_REASON_H
#define GUARD_CORE_REASON_H

#include <stdint.h>

#define GUARD_REASONS(X)                                  \
    X(ACL_DENY_RULE, "acl_deny_rule")                     \
    X(ACL_NO_MATCH, "acl_no_match")                       \
    X(ADMIN_KICK, "admin_kick")                           \
    X(ANONYMOUS_DENIED, "anonymous_denied")               \
    X(BAD_CREDENTIALS, "bad_credentials")                 \
    X(BASELINE_EXCEEDED, "baseline_exceeded")             \
    X(BROKER_SHUTDOWN, "broker_shutdown")                 \
    X(CERT_IDENTITY_MISMATCH, "cert_identity_mismatch")   \
    X(CERT_MISSING, "cert_missing")                       \
    X(CERT_REVOKED, "cert_revoked")                       \
    X(CLIENT_DISCONNECT, "client_disconnect")             \
    X(CLIENT_ID_INVALID, "client_id_invalid")             \
    X(CLIENT_ID_MISMATCH, "client_id_mismatch")           \
    X(CONNECTION_LOST, "connection_lost")                 \
    X(CRASH_TORN_TAIL, "crash_torn_tail")                 \
    X(CRASH_UNKNOWN, "crash_unknown")                     \
    X(DISK_FULL, "disk_full")                             \
    X(INTERNAL_ERROR, "internal_error")                   \
    X(IP_BLOCKED, "ip_blocked")                           \
    X(JWT_ALG_NOT_ALLOWED, "jwt_alg_not_allowed")         \
    X(JWT_BAD_SIGNATURE, "jwt_bad_signature")             \
    X(JWT_EXPIRED, "jwt_expired")                         \
    X(JWT_MALFORMED, "jwt_malformed")                     \
    X(JWT_MISSING_CLAIM, "jwt_missing_claim")             \
    X(JWT_NOT_YET_VALID, "jwt_not_yet_valid")             \
    X(JWT_REVOKED, "jwt_revoked")                         \
    X(JWT_UNKNOWN_KEY, "jwt_unknown_key")                 \
    X(JWT_WRONG_AUDIENCE, "jwt_wrong_audience")           \
    X(JWT_WRONG_ISSUER, "jwt_wrong_issuer")               \
    X(KEEPALIVE_TIMEOUT, "keepalive_timeout")             \
    X(NEVER_SEEN, "never_seen")                           \
    X(OUT_OF_HOURS, "out_of_hours")                       \
    X(PAYLOAD_REJECTED, "payload_rejected")               \
    X(PAYLOAD_TOO_LARGE, "payload_too_large")             \
    X(POLICY_BAD_SIGNATURE, "policy_bad_signature")       \
    X(POLICY_CHANGED, "policy_changed")                   \
    X(POLICY_PARSE_ERROR, "policy_parse_error")           \
    X(POLICY_READ_ERROR, "policy_read_error")             \
    X(POLICY_ROLLBACK, "policy_rollback")                 \
    X(POLICY_UNAVAILABLE, "policy_unavailable")           \
    X(POLICY_UNCHANGED, "policy_unchanged")               \
    X(PROTOCOL_ERROR, "protocol_error")                   \
    X(PROTOCOL_VERSION_DENIED, "protocol_version_denied") \
    X(PSK_UNKNOWN_IDENTITY, "psk_unknown_identity")       \
    X(QOS_DENIED, "qos_denied")                           \
    X(QUOTA_EXCEEDED, "quota_exceeded")                   \
    X(RATE_LIMITED, "rate_limited")                       \
    X(RETAIN_DENIED, "retain_denied")                     \
    X(RING_FULL, "ring_full")                             \
    X(SESSION_TAKEN_OVER, "session_taken_over")           \
    X(SHUTDOWN_TIMEOUT, "shutdown_timeout")               \
    X(SINK_BACKPRESSURE, "sink_backpressure")             \
    X(SINK_TRIMMED, "sink_trimmed")                       \
    X(STORE_AUTH_FAILED, "store_auth_failed")             \
    X(STORE_DNS_FAILED, "store_dns_failed")               \
    X(STORE_LOADING, "store_loading")                     \
    X(STORE_PROTOCOL_ERROR, "store_protocol_error")       \
    X(STORE_READONLY, "store_readonly")                   \
    X(STORE_REFUSED, "store_refused")                     \
    X(STORE_TIMEOUT, "store_timeout")                     \
    X(STORE_TLS_FAILED, "store_tls_failed")               \
    X(STORE_UNAVAILABLE, "store_unavailable")             \
    X(SYS_TOPIC_DENIED, "sys_topic_denied")               \
    X(THRESHOLD, "threshold")                             \
    X(TOKEN_EXPIRED, "token_expired")                     \
    X(TOKEN_REVOKED, "token_revoked")                     \
    X(TOPIC_INVALID, "topic_invalid")                     \
    X(TOPIC_TOO_LONG, "topic_too_long")                   \
    X(UNKNOWN, "unknown")                                 \
    X(UNKNOWN_USER, "unknown_user")                       \
    X(USER_DISABLED, "user_disabled")                     \
    X(WILDCARD_DENIED, "wildcard_denied")                 \
    X(WRITE_ERROR, "write_error")

enum guard_reason {
    GUARD_REASON_NONE = 0, /* nothing was refused */
#define X(name, text) GUARD_REASON_##name,
    GUARD_REASONS(X)
#undef X
        GUARD_REASON_COUNT
};

/* The name as in event.reason, e.g. "jwt_expired"; "" for GUARD_REASON_NONE; never NULL. */
const char *guard_reason_name(enum guard_reason reason);

/* The reason of that name, or GUARD_REASON_NONE. */
enum guard_reason guard_reason_parse(const char *name);

/* One English sentence for people ("the token has expired"); never NULL. */
const char *guard_reason_sentence(enum guard_reason reason);

/* The MQTT 5 reason code (MQTT 5.0 §2.4) that fits best; 0 for GUARD_REASON_NONE. */
uint8_t guard_reason_mqtt_code(enum guard_reason reason);

#endif
