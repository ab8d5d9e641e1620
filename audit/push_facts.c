/* The pushes that happen seldom: connects, disconnects, policy, store and alerts, as numbers and strings. */
#include "audit/internal.h"

/* One record under construction: sizes are summed first, then everything is copied behind the fixed part. */
struct facts {
    enum audit_action action;
    enum guard_reason reason;
    unsigned flags; /* AUDIT_FLAG_* */
    int64_t time_ns;
    int64_t number[AUDIT_NUMBERS];
    double real[4];
    const char *string[AUDIT_STRINGS];
    const char *role[AUDIT_ROLES_MAX];
    size_t role_count;
};

static size_t carried(const char *text)
{
    return text ? strnlen(text, AUDIT_CARRIED) : 0;
}

static size_t role_length(const char *role)
{
    size_t length = strlen(role);
    return length < 132 ? length : 132; /* above the bound of 128, so that a cut is seen */
}

static size_t size_of(const struct facts *facts)
{
    size_t size = sizeof(struct record_facts);
    for (size_t i = 0; i < AUDIT_STRINGS; i++)
        size += carried(facts->string[i]);
    for (size_t i = 0; i < facts->role_count; i++)
        size += sizeof(uint16_t) + role_length(facts->role[i]);
    return size;
}

static void copy_facts(struct record_facts *record, const struct facts *facts)
{
    memcpy(record->number, facts->number, sizeof record->number);
    memcpy(record->real, facts->real, sizeof record->real);
    char *at = (char *)(record + 1);
    for (size_t i = 0; i < AUDIT_STRINGS; i++) {
        const char *text = facts->string[i];
        size_t length = carried(text);
        uint32_t total = text ? (uint32_t)strnlen(text, AUDIT_ABSENT - 1) : AUDIT_ABSENT;
        record->string[i] = (struct record_string){total, (uint16_t)length, 0};
        if (length)
            memcpy(at, text, length);
        at += length;
    }
    record->roles = (uint16_t)facts->role_count;
    for (size_t i = 0; i < facts->role_count; i++) {
        uint16_t length = (uint16_t)role_length(facts->role[i]);
        memcpy(at, &length, sizeof length);
        memcpy(at + sizeof length, facts->role[i], length);
        at += sizeof length + length;
    }
}

static void push_facts(struct audit *audit, struct audit_peer *peer, const struct facts *facts)
{
    struct record_facts *record =
        (struct record_facts *)(void *)audit_begin(audit, size_of(facts), facts->action, facts->flags, facts->time_ns);
    if (!record)
        return;
    record->head.reason = (uint8_t)facts->reason;
    record->head.qos = 0;
    record->head.peer = peer;
    copy_facts(record, facts);
    audit_commit(audit, &record->head);
}

static void identity_facts(struct facts *facts, const struct guard_identity *identity)
{
    facts->string[CONNECT_CERT_SHA256] = *identity->certificate_sha256 ? identity->certificate_sha256 : NULL;
    facts->string[CONNECT_CERT_SERIAL] = *identity->certificate_serial ? identity->certificate_serial : NULL;
    if (identity->method == GUARD_AUTH_CERTIFICATE) {
        facts->string[CONNECT_USER_ID] = identity->username;
        facts->string[CONNECT_SUBJECT] = identity->subject;
        facts->string[CONNECT_CERT_ISSUER] = identity->issuer;
        facts->number[CONNECT_NOT_AFTER] = identity->expires_at ? identity->expires_at : -1;
        return;
    }
    facts->string[CONNECT_USER_ID] = identity->subject;
    facts->string[CONNECT_ISSUER] = identity->issuer;
    facts->string[CONNECT_JTI] = identity->token_id;
    facts->string[CONNECT_KID] = identity->key_id;
    facts->number[CONNECT_EXPIRES] = identity->expires_at ? identity->expires_at : -1;
    facts->number[CONNECT_HAS_TOKEN_HASH] = identity->has_token_hash;
    memcpy(&facts->number[CONNECT_TOKEN_HASH], identity->token_hash, sizeof identity->token_hash);
}

static void roles_of(struct facts *facts, const struct audit_connect *event)
{
    if (event->roles)
        for (size_t i = 0; i < event->role_count && facts->role_count < AUDIT_ROLES_MAX; i++)
            facts->role[facts->role_count++] = event->roles[i];
    else if (event->identity)
        for (size_t i = 0; i < event->identity->role_count && facts->role_count < AUDIT_ROLES_MAX; i++)
            facts->role[facts->role_count++] = event->identity->roles[i].role;
}

void audit_push_connect(struct audit *audit, struct audit_peer *peer, const struct audit_connect *event)
{
    bool failed = event->reason != GUARD_REASON_NONE;
    struct facts facts = {.action = AUDIT_ACTION_MQTT_CONNECT,
                          .reason = event->reason,
                          .flags = (failed ? AUDIT_FLAG_FAILED : 0U) | (event->cached ? AUDIT_FLAG_CACHED : 0U),
                          .time_ns = event->time_ns,
                          .number = {[CONNECT_METHOD] = event->method,
                                     [CONNECT_DURATION] = (int64_t)event->duration_ns,
                                     [CONNECT_KEEP_ALIVE] = event->keep_alive,
                                     [CONNECT_CLEAN_START] = event->clean_start,
                                     [CONNECT_TLS] = event->tls,
                                     [CONNECT_EXPIRES] = -1,
                                     [CONNECT_NOT_AFTER] = -1},
                          .string = {[CONNECT_DOMAIN] = event->domain}};
    if (!peer) {
        audit_lost(audit, AUDIT_ACTION_MQTT_CONNECT, event->time_ns, failed);
        return;
    }
    if (event->identity)
        identity_facts(&facts, event->identity);
    roles_of(&facts, event);
    push_facts(audit, peer, &facts);
}

void audit_push_disconnect(struct audit *audit, struct audit_peer *peer, const struct audit_disconnect *event)
{
    struct facts facts = {.action = AUDIT_ACTION_MQTT_DISCONNECT,
                          .reason = event->reason,
                          .time_ns = event->time_ns,
                          .number = {[DISCONNECT_INITIATOR] = event->initiator,
                                     [DISCONNECT_DURATION] = (int64_t)event->duration_ns,
                                     [DISCONNECT_IN] = (int64_t)event->messages_in,
                                     [DISCONNECT_DENIED] = (int64_t)event->messages_denied,
                                     [DISCONNECT_METHOD] = -1,
                                     [DISCONNECT_EXPIRES] = -1}};
    if (!peer) {
        audit_lost(audit, AUDIT_ACTION_MQTT_DISCONNECT, event->time_ns, false);
        return;
    }
    if (event->identity) {
        facts.number[DISCONNECT_METHOD] = event->identity->method;
        facts.number[DISCONNECT_EXPIRES] = event->identity->expires_at ? event->identity->expires_at : -1;
        facts.string[DISCONNECT_JTI] = event->identity->token_id;
    }
    if (audit_this_thread() == audit->broker_thread)
        audit_summary_flush(audit, peer);
    push_facts(audit, peer, &facts);
}

void audit_push_policy_reload(struct audit *audit, const struct audit_policy_reload *event)
{
    const struct facts facts = {.action = AUDIT_ACTION_POLICY_RELOAD,
                                .reason = event->reason,
                                .flags = event->reason != GUARD_REASON_NONE ? AUDIT_FLAG_FAILED : 0,
                                .time_ns = event->time_ns,
                                .number = {[POLICY_RULES] = event->rules,
                                           [POLICY_SOURCE] = event->source,
                                           [POLICY_TRIGGER] = event->trigger,
                                           [POLICY_DURATION] = (int64_t)event->duration_ns},
                                .string = {[POLICY_RULESET] = event->ruleset ? event->ruleset : "default",
                                           [POLICY_VERSION] = event->version,
                                           [POLICY_PREVIOUS] = event->previous_version,
                                           [POLICY_SHA256] = event->sha256,
                                           [POLICY_ERROR] = event->error_text}};
    push_facts(audit, NULL, &facts);
}

void audit_push_store_down(struct audit *audit, const struct audit_store_down *event)
{
    enum guard_reason reason = event->reason != GUARD_REASON_NONE ? event->reason : GUARD_REASON_STORE_PROTOCOL_ERROR;
    const struct facts facts = {
        .action = AUDIT_ACTION_STORE_DOWN,
        .reason = reason,
        .flags = AUDIT_FLAG_FAILED,
        .time_ns = event->time_ns,
        .number = {[STORE_FAIL_MODE] = event->fail_mode, [STORE_CACHE_ENTRIES] = event->cache_entries},
        .string = {[STORE_NAME] = event->name ? event->name : "redis",
                   [STORE_ADDRESS] = event->address,
                   [STORE_ERROR] = event->error_text,
                   [STORE_CODE] = event->error_code}};
    push_facts(audit, NULL, &facts);
}

void audit_push_store_up(struct audit *audit, const struct audit_store_up *event)
{
    const struct facts facts = {
        .action = AUDIT_ACTION_STORE_UP,
        .time_ns = event->time_ns,
        .number = {[STORE_OUTAGE_MS] = (int64_t)event->outage_ms, [STORE_DENIED] = event->denied_while_down},
        .string = {[STORE_NAME] = event->name ? event->name : "redis", [STORE_ADDRESS] = event->address}};
    push_facts(audit, NULL, &facts);
}

void audit_push_alert(struct audit *audit, const struct audit_alert *event)
{
    enum audit_action action = event->action >= AUDIT_ACTION_ALERT_BRUTE_FORCE && event->action < AUDIT_ACTION_COUNT
                                   ? event->action
                                   : AUDIT_ACTION_ALERT_RATE_SPIKE;
    const struct facts facts = {.action = action,
                                .reason = event->reason,
                                .flags = event->shown ? AUDIT_FLAG_SHOWN : 0U,
                                .time_ns = event->time_ns,
                                .number = {[ALERT_CONNECTION] = (int64_t)event->connection,
                                           [ALERT_KEY] = event->key,
                                           [ALERT_RESPONSE] = event->response,
                                           [ALERT_KNOWN] = event->known,
                                           [ALERT_WINDOW] = (int64_t)event->window_s,
                                           [ALERT_BLOCK] = event->block_s,
                                           [ALERT_USERS] = event->distinct_users,
                                           [ALERT_IPS] = event->distinct_ips,
                                           [ALERT_SUPPRESSED] = (int64_t)event->suppressed,
                                           [ALERT_START] = event->start_ns,
                                           [ALERT_END] = event->end_ns,
                                           [ALERT_SEVERITY] = event->severity},
                                .real = {event->observed, event->baseline, event->score, event->threshold},
                                .string = {[ALERT_RULE_ID] = event->rule_id,
                                           [ALERT_RULE_NAME] = event->rule_name,
                                           [ALERT_ADDRESS] = event->address,
                                           [ALERT_COUNTRY] = event->country,
                                           [ALERT_USER] = event->username,
                                           [ALERT_CLIENT] = event->client_id}};
    push_facts(audit, NULL, &facts);
}
