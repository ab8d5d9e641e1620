#include "core/reason.h"

#include <string.h>

static const char *const names[GUARD_REASON_COUNT] = {[GUARD_REASON_NONE] = "",
#define X(name, text) [GUARD_REASON_##name] = text,
                                                      GUARD_REASONS(X)
#undef X
};

static const struct {
    const char *sentence;
    uint8_t mqtt_code;
} meanings[GUARD_REASON_COUNT] = {
    [GUARD_REASON_NONE] = {"", 0},
    [GUARD_REASON_ACL_DENY_RULE] = {"a deny rule forbids it", 0x87},
    [GUARD_REASON_ACL_NO_MATCH] = {"no rule allows it", 0x87},
    [GUARD_REASON_ADMIN_KICK] = {"an administrator disconnected the client", 0x98},
    [GUARD_REASON_ANONYMOUS_DENIED] = {"clients without credentials are not admitted", 0x87},
    [GUARD_REASON_BAD_CREDENTIALS] = {"the password is wrong", 0x86},
    [GUARD_REASON_BASELINE_EXCEEDED] = {"far above the usual rate of this client", 0x80},
    [GUARD_REASON_BROKER_SHUTDOWN] = {"the broker stopped", 0x8B},
    [GUARD_REASON_CERT_IDENTITY_MISMATCH] = {"the client certificate does not give the identity that is required",
                                             0x87},
    [GUARD_REASON_CERT_MISSING] = {"a client certificate is required", 0x87},
    [GUARD_REASON_CERT_REVOKED] = {"the client certificate is expired, revoked or on the deny list", 0x87},
    [GUARD_REASON_CLIENT_DISCONNECT] = {"the client disconnected", 0x00},
    [GUARD_REASON_CLIENT_ID_INVALID] = {"the client id cannot be used in the rules this client holds", 0x85},
    [GUARD_REASON_CLIENT_ID_MISMATCH] = {"the client id does not belong to this identity", 0x87},
    [GUARD_REASON_CONNECTION_LOST] = {"the connection was lost", 0x80},
    [GUARD_REASON_CRASH_TORN_TAIL] = {"the last record before a crash is incomplete", 0x80},
    [GUARD_REASON_CRASH_UNKNOWN] = {"records that were in memory at a crash are lost", 0x80},
    [GUARD_REASON_DISK_FULL] = {"no space is left for audit records", 0x97},
    [GUARD_REASON_INTERNAL_ERROR] = {"an internal error; the answer is no", 0x80},
    [GUARD_REASON_IP_BLOCKED] = {"the address is blocked", 0x8A},
    [GUARD_REASON_JWT_ALG_NOT_ALLOWED] = {"the token's algorithm is not allowed", 0x87},
    [GUARD_REASON_JWT_BAD_SIGNATURE] = {"the token's signature does not verify", 0x87},
    [GUARD_REASON_JWT_EXPIRED] = {"the token has expired", 0x87},
    [GUARD_REASON_JWT_MALFORMED] = {"the token is not a well-formed JWS", 0x87},
    [GUARD_REASON_JWT_MISSING_CLAIM] = {"the token lacks a claim that is required", 0x87},
    [GUARD_REASON_JWT_NOT_YET_VALID] = {"the token is not valid yet", 0x87},
    [GUARD_REASON_JWT_REVOKED] = {"the token is revoked", 0x87},
    [GUARD_REASON_JWT_UNKNOWN_KEY] = {"no loaded key fits the token", 0x87},
    [GUARD_REASON_JWT_WRONG_AUDIENCE] = {"the token is meant for another audience", 0x87},
    [GUARD_REASON_JWT_WRONG_ISSUER] = {"the token comes from another issuer", 0x87},
    [GUARD_REASON_KEEPALIVE_TIMEOUT] = {"the client was silent for too long", 0x8D},
    [GUARD_REASON_NEVER_SEEN] = {"never seen before", 0x80},
    [GUARD_REASON_OUT_OF_HOURS] = {"outside the usual hours", 0x80},
    [GUARD_REASON_PAYLOAD_REJECTED] = {"the payload is not what the rule asks for", 0x87},
    [GUARD_REASON_PAYLOAD_TOO_LARGE] = {"the payload is larger than the rule allows", 0x95},
    [GUARD_REASON_POLICY_BAD_SIGNATURE] = {"the policy's signature does not verify", 0x80},
    [GUARD_REASON_POLICY_CHANGED] = {"the policy changed", 0x87},
    [GUARD_REASON_POLICY_PARSE_ERROR] = {"the policy has an error", 0x80},
    [GUARD_REASON_POLICY_READ_ERROR] = {"the policy could not be read", 0x80},
    [GUARD_REASON_POLICY_ROLLBACK] = {"the policy is older than the one in use", 0x80},
    [GUARD_REASON_POLICY_UNAVAILABLE] = {"there is no policy", 0x87},
    [GUARD_REASON_POLICY_UNCHANGED] = {"the policy is the same", 0x80},
    [GUARD_REASON_PROTOCOL_ERROR] = {"the client broke the protocol", 0x82},
    [GUARD_REASON_PROTOCOL_VERSION_DENIED] = {"this protocol version is not admitted", 0x84},
    [GUARD_REASON_PSK_UNKNOWN_IDENTITY] = {"the pre-shared key identity is not known", 0x87},
    [GUARD_REASON_QOS_DENIED] = {"the quality of service is higher than the rule allows", 0x9B},
    [GUARD_REASON_QUOTA_EXCEEDED] = {"a quota is used up", 0x97},
    [GUARD_REASON_RATE_LIMITED] = {"too many attempts; wait", 0x9F},
    [GUARD_REASON_RETAIN_DENIED] = {"the rule does not allow retained messages", 0x9A},
    [GUARD_REASON_RING_FULL] = {"audit events came faster than they could be written", 0x97},
    [GUARD_REASON_SESSION_TAKEN_OVER] = {"another connection took the session over", 0x8E},
    [GUARD_REASON_SHUTDOWN_TIMEOUT] = {"the audit writer did not finish in time", 0x80},
    [GUARD_REASON_SINK_BACKPRESSURE] = {"a sink could not take the events", 0x80},
    [GUARD_REASON_SINK_TRIMMED] = {"a sink removed events that nobody had read", 0x80},
    [GUARD_REASON_STORE_AUTH_FAILED] = {"the store refused the credentials", 0x80},
    [GUARD_REASON_STORE_DNS_FAILED] = {"the store's name could not be resolved", 0x80},
    [GUARD_REASON_STORE_LOADING] = {"the store is loading its data", 0x80},
    [GUARD_REASON_STORE_PROTOCOL_ERROR] = {"the store answered something unexpected", 0x80},
    [GUARD_REASON_STORE_READONLY] = {"the store is read-only", 0x80},
    [GUARD_REASON_STORE_REFUSED] = {"the store refused the connection", 0x80},
    [GUARD_REASON_STORE_TIMEOUT] = {"the store did not answer in time", 0x80},
    [GUARD_REASON_STORE_TLS_FAILED] = {"TLS with the store failed", 0x80},
    [GUARD_REASON_STORE_UNAVAILABLE] = {"the store is not available", 0x88},
    [GUARD_REASON_SYS_TOPIC_DENIED] = {"topics below $ need a rule that names them", 0x87},
    [GUARD_REASON_THRESHOLD] = {"a threshold was reached", 0x80},
    [GUARD_REASON_TOKEN_EXPIRED] = {"the token of this session has expired", 0x87},
    [GUARD_REASON_TOKEN_REVOKED] = {"the token of this session was revoked", 0x87},
    [GUARD_REASON_TOPIC_INVALID] = {"the topic or filter is not valid", 0x90},
    [GUARD_REASON_TOPIC_TOO_LONG] = {"the topic or filter is too long", 0x90},
    [GUARD_REASON_UNKNOWN] = {"not known", 0x80},
    [GUARD_REASON_UNKNOWN_USER] = {"the user is not known", 0x86},
    [GUARD_REASON_USER_DISABLED] = {"the user is disabled", 0x87},
    [GUARD_REASON_WILDCARD_DENIED] = {"the filter asks for more topics than the rules allow", 0x87},
    [GUARD_REASON_WRITE_ERROR] = {"writing failed", 0x80},
};

static enum guard_reason known(enum guard_reason reason)
{
    return (unsigned)reason < GUARD_REASON_COUNT ? reason : GUARD_REASON_UNKNOWN;
}

const char *guard_reason_name(enum guard_reason reason)
{
    return names[known(reason)];
}

enum guard_reason guard_reason_parse(const char *name)
{
    for (unsigned i = 1; i < GUARD_REASON_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return (enum guard_reason)i;
    return GUARD_REASON_NONE;
}

const char *guard_reason_sentence(enum guard_reason reason)
{
    return meanings[known(reason)].sentence;
}

uint8_t guard_reason_mqtt_code(enum guard_reason reason)
{
    return meanings[known(reason)].mqtt_code;
}
