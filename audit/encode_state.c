/* Lines of policy reloads, store outages and alerts. */
#include "audit/encode.h"

#include <arpa/inet.h>

static void put_comma(struct audit_line *line)
{
    if (line->out->at[-1] != '{')
        audit_put_literal(line->out, ",");
}

/* A whole number, left out when negative (not known). */
static void put_count(struct audit_line *line, const char *name, int64_t value)
{
    if (value < 0)
        return;
    put_comma(line);
    audit_put_text(line->out, name);
    audit_put_unsigned(line->out, (uint64_t)value);
}

/* error.message: what is given, else the reason's sentence. */
static void put_error(struct audit_line *line, struct audit_text message, struct audit_text code,
                      enum guard_reason reason)
{
    if (!message.bytes)
        message = audit_text(guard_reason_sentence(reason));
    audit_put_literal(line->out, ",\"error\":{");
    audit_line_member(line, "\"message\":", AUDIT_FIELD_ERROR_MESSAGE, message, 512);
    audit_line_member(line, "\"code\":", AUDIT_FIELD_ERROR_CODE, code, 64);
    audit_put_literal(line->out, "}");
}

static bool is_lower_hex(struct audit_text text, size_t length)
{
    if (!text.bytes || text.length != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!((text.bytes[i] >= '0' && text.bytes[i] <= '9') || (text.bytes[i] >= 'a' && text.bytes[i] <= 'f')))
            return false;
    return true;
}

/* The remaining members of "mosquitto": marks, if something was changed. */
static void close_mosquitto(struct audit_line *line)
{
    if (line->truncated | line->sanitized) {
        audit_put_literal(line->out, ",\"audit\":{");
        audit_line_mark_members(line, true);
        audit_put_literal(line->out, "}");
    }
    audit_put_literal(line->out, "}");
}

static void put_policy(struct audit_line *line, const struct record_facts *record)
{
    static const char *const sources[] = {"file", "redis", "http"};
    static const char *const triggers[] = {"startup", "sighup", "pubsub", "poll", "control"};
    struct audit_text sha256 = audit_fact(record, POLICY_SHA256);
    audit_put_literal(line->out, ",\"mosquitto\":{\"policy\":{");
    audit_line_member(line, "\"previous_version\":", AUDIT_FIELD_PREVIOUS_VERSION, audit_fact(record, POLICY_PREVIOUS),
                      64);
    if (is_lower_hex(sha256, 64)) {
        put_comma(line);
        audit_put_literal(line->out, "\"sha256\":\"");
        audit_put(line->out, sha256.bytes, sha256.length);
        audit_put_literal(line->out, "\"");
    }
    put_count(line, "\"rules\":", record->number[POLICY_RULES]);
    put_comma(line);
    audit_put_literal(line->out, "\"source\":\"");
    audit_put_text(line->out, sources[(uint64_t)record->number[POLICY_SOURCE] % 3]);
    audit_put_literal(line->out, "\",\"trigger\":\"");
    audit_put_text(line->out, triggers[(uint64_t)record->number[POLICY_TRIGGER] % 5]);
    audit_put_literal(line->out, "\"}");
    close_mosquitto(line);
}

void audit_encode_policy(struct audit_line *line, const struct record_facts *record)
{
    const struct record *head = &record->head;
    bool failed = head->reason != GUARD_REASON_NONE;
    enum guard_reason reason =
        failed ? audit_action_reason(AUDIT_ACTION_POLICY_RELOAD, (enum guard_reason)head->reason) : GUARD_REASON_NONE;
    bool unchanged = reason == GUARD_REASON_POLICY_UNCHANGED;
    const char *message = unchanged ? "policy unchanged"
                          : failed  ? "policy rejected, previous version stays active"
                                    : "policy reloaded";
    audit_line_begin(line, head->time_ns, failed && !unchanged ? "error" : "info", message, NULL);
    audit_put_literal(line->out, ",\"rule\":{");
    audit_line_member(line, "\"ruleset\":", AUDIT_FIELD_RULESET, audit_fact(record, POLICY_RULESET), 255);
    audit_line_member(line, "\"version\":", AUDIT_FIELD_RULE_VERSION, audit_fact(record, POLICY_VERSION), 64);
    audit_put_literal(line->out, "}");
    if (failed)
        put_error(line, audit_fact(record, POLICY_ERROR), audit_text(guard_reason_name(reason)), reason);
    put_policy(line, record);
    audit_line_event(line, &(struct audit_event){.action = AUDIT_ACTION_POLICY_RELOAD,
                                                 .outcome = failed ? AUDIT_FAILURE : AUDIT_SUCCESS,
                                                 .reason = reason,
                                                 .severity = unchanged ? 1
                                                             : failed  ? 4
                                                                       : 1,
                                                 .type = "[\"change\"]",
                                                 .duration_ns = (uint64_t)record->number[POLICY_DURATION],
                                                 .sequence = head->sequence});
}

static void put_store(struct audit_line *line, const struct record_facts *record, bool down)
{
    static const char *const fail_modes[] = {"deny", "cache", "allow"};
    audit_put_literal(line->out, ",\"mosquitto\":{\"store\":{");
    audit_line_member(line, "\"name\":", AUDIT_FIELD_STORE_NAME, audit_fact(record, STORE_NAME), 64);
    audit_line_member(line, "\"address\":", AUDIT_FIELD_STORE_ADDRESS, audit_fact(record, STORE_ADDRESS), 255);
    if (down) {
        audit_put_literal(line->out, ",\"fail_mode\":\"");
        audit_put_text(line->out, fail_modes[(uint64_t)record->number[STORE_FAIL_MODE] % 3]);
        audit_put_literal(line->out, "\"");
        put_count(line, "\"cache_entries\":", record->number[STORE_CACHE_ENTRIES]);
    } else {
        put_count(line, "\"outage_ms\":", record->number[STORE_OUTAGE_MS]);
        put_count(line, "\"denied_while_down\":", record->number[STORE_DENIED]);
    }
    audit_put_literal(line->out, "}");
    close_mosquitto(line);
}

void audit_encode_store(struct audit_line *line, const struct record_facts *record)
{
    static const char *const down_messages[] = {"credential store unreachable; fail_mode=deny",
                                                "credential store unreachable; fail_mode=cache",
                                                "credential store unreachable; fail_mode=allow"};
    const struct record *head = &record->head;
    bool down = head->kind == AUDIT_ACTION_STORE_DOWN;
    enum guard_reason reason =
        down ? audit_action_reason(AUDIT_ACTION_STORE_DOWN, (enum guard_reason)head->reason) : GUARD_REASON_NONE;
    audit_line_begin(
        line, head->time_ns, down ? "error" : "info",
        down ? down_messages[(uint64_t)record->number[STORE_FAIL_MODE] % 3] : "credential store reachable again", NULL);
    if (down)
        put_error(line, audit_fact(record, STORE_ERROR), audit_fact(record, STORE_CODE), reason);
    put_store(line, record, down);
    audit_line_event(line, &(struct audit_event){.action = (enum audit_action)head->kind,
                                                 .outcome = down ? AUDIT_FAILURE : AUDIT_SUCCESS,
                                                 .reason = reason,
                                                 .severity = down ? 5 : 1,
                                                 .type = down ? "[\"error\"]" : "[\"info\"]",
                                                 .sequence = head->sequence});
}

/* ---- alerts ---- */

struct alert_kind {
    const char *id, *name;                  /* of the rule, where the caller gave none */
    const char *technique, *technique_name; /* MITRE ATT&CK; NULL = none */
    unsigned severity;
};

static const struct alert_kind *alert_kind(enum audit_action action)
{
    static const struct alert_kind kinds[] = {
        {"brute-force", "failed authentications from one source", "T1110", "Brute Force", 4},
        {"password-spray", "failed authentications of many users from one address", "T1110", "Brute Force", 4},
        {"rate-spike", "publish rate far above own baseline", "T1499", "Endpoint Denial of Service", 4},
        {"new-ip", "identity seen from a new address", "T1078", "Valid Accounts", 2},
        {"new-country", "identity seen from a new country", "T1078", "Valid Accounts", 4},
        {"credential-shared", "one credential active from many addresses", "T1078", "Valid Accounts", 4},
        {"flapping", "client connects and disconnects too often", NULL, NULL, 3},
        {"topic-scan", "many distinct denied topics", "T1083", "File and Directory Discovery", 4},
        {"out-of-hours", "active outside the usual hours", "T1078", "Valid Accounts", 2},
    };
    return &kinds[action - AUDIT_ACTION_ALERT_BRUTE_FORCE];
}

static struct audit_text or_text(struct audit_text text, const char *otherwise)
{
    return text.bytes ? text : audit_text(otherwise);
}

/* Replaces what names a person or device, where privacy asks for it. buffer lives as long as the result. */
static struct audit_text shown(const struct audit_line *line, const struct record_facts *record, unsigned slot,
                               char buffer[64])
{
    const struct audit *audit = line->encoder->audit;
    struct audit_text text = audit_fact(record, slot);
    if (!text.bytes || audit->set.is.privacy == AUDIT_PRIVACY_NONE || record->head.flags & AUDIT_FLAG_SHOWN)
        return text;
    if (audit->set.is.privacy == AUDIT_PRIVACY_HMAC) {
        audit_pseudonym(&audit->privacy, text.bytes, text.length, buffer);
        return audit_text(buffer);
    }
    char copy[64] = "";
    if (slot != ALERT_ADDRESS || text.length >= sizeof copy)
        return text;
    memcpy(copy, text.bytes, text.length);
    return audit_truncate_address(copy, buffer) ? audit_text(buffer) : text;
}

static bool is_ip(struct audit_text text)
{
    char copy[64] = "";
    unsigned char octets[16];
    if (!text.bytes || text.length >= sizeof copy)
        return false;
    memcpy(copy, text.bytes, text.length);
    return inet_pton(AF_INET, copy, octets) == 1 || inet_pton(AF_INET6, copy, octets) == 1;
}

static void put_alert_who(struct audit_line *line, const struct record_facts *record)
{
    char buffer[64];
    struct audit_text address = shown(line, record, ALERT_ADDRESS, buffer);
    struct audit_text country = audit_fact(record, ALERT_COUNTRY);
    bool has_country = country.bytes && country.length == 2 && country.bytes[0] >= 'A' && country.bytes[0] <= 'Z' &&
                       country.bytes[1] >= 'A' && country.bytes[1] <= 'Z';
    if (address.bytes || has_country) {
        audit_put_literal(line->out, ",\"source\":{");
        audit_line_member(line, is_ip(address) ? "\"ip\":" : "\"address\":", AUDIT_FIELD_SOURCE_ADDRESS, address, 255);
        if (has_country) {
            put_comma(line);
            audit_put_literal(line->out, "\"geo\":{\"country_iso_code\":\"");
            audit_put(line->out, country.bytes, 2);
            audit_put_literal(line->out, "\"}");
        }
        audit_put_literal(line->out, "}");
    }
    struct audit_text user = shown(line, record, ALERT_USER, buffer);
    if (user.bytes) {
        audit_put_literal(line->out, ",\"user\":{");
        audit_line_member(line, "\"name\":", AUDIT_FIELD_USER_NAME, user, AUDIT_NAME_MAX);
        audit_put_literal(line->out, "}");
    }
}

static void put_alert_mqtt(struct audit_line *line, const struct record_facts *record)
{
    char buffer[64];
    struct audit_text client = shown(line, record, ALERT_CLIENT, buffer);
    uint64_t connection = (uint64_t)record->number[ALERT_CONNECTION];
    if (!client.bytes && !connection)
        return;
    audit_put_literal(line->out, ",\"mqtt\":{");
    audit_line_member(line, "\"client_id\":", AUDIT_FIELD_CLIENT_ID, client, AUDIT_NAME_MAX);
    if (connection) {
        char hex[16], *at = hex + sizeof hex;
        for (uint64_t rest = connection; rest; rest >>= 4)
            *--at = "0123456789abcdef"[rest & 15];
        put_comma(line);
        audit_put_literal(line->out, "\"connection_id\":\"");
        audit_put(line->out, line->encoder->audit->chain, AUDIT_CHAIN_LENGTH);
        audit_put_literal(line->out, "-c");
        audit_put(line->out, at, (size_t)(hex + sizeof hex - at));
        audit_put_literal(line->out, "\"");
    }
    audit_put_literal(line->out, "}");
}

static void put_threat(struct audit_line *line, const struct alert_kind *kind)
{
    if (!kind->technique)
        return;
    audit_put_literal(line->out, ",\"threat\":{\"framework\":\"MITRE ATT&CK\",\"technique\":{\"id\":[\"");
    audit_put_text(line->out, kind->technique);
    audit_put_literal(line->out, "\"],\"name\":[\"");
    audit_put_text(line->out, kind->technique_name);
    audit_put_literal(line->out, "\"]}}");
}

static void put_real(struct audit_line *line, const char *name, double value)
{
    if (!(value >= 0))
        return;
    audit_put_text(line->out, name);
    audit_put_number(line->out, value);
}

static void put_alert_facts(struct audit_line *line, const struct record_facts *record)
{
    static const char *const keys[] = {"source.ip", "source.subnet", "user.name", "mqtt.client_id", "global"};
    static const char *const responses[] = {"alert", "block", "disconnect"};
    audit_put_literal(line->out, ",\"mosquitto\":{\"alert\":{\"key\":\"");
    audit_put_text(line->out, keys[(uint64_t)record->number[ALERT_KEY] % 5]);
    audit_put_literal(line->out, "\",\"observed\":");
    audit_put_number(line->out, record->real[ALERT_OBSERVED]);
    put_real(line, ",\"baseline\":", record->real[ALERT_BASELINE]);
    put_count(line, "\"known\":", record->number[ALERT_KNOWN]);
    put_real(line, ",\"score\":", record->real[ALERT_SCORE]);
    put_real(line, ",\"threshold\":", record->real[ALERT_THRESHOLD]);
    put_count(line, "\"window_s\":", record->number[ALERT_WINDOW]);
    audit_put_literal(line->out, ",\"action\":\"");
    audit_put_text(line->out, responses[(uint64_t)record->number[ALERT_RESPONSE] % 3]);
    audit_put_literal(line->out, "\"");
    put_count(line, "\"block_s\":", record->number[ALERT_BLOCK]);
    put_count(line, "\"distinct_users\":", record->number[ALERT_USERS]);
    put_count(line, "\"distinct_ips\":", record->number[ALERT_IPS]);
    put_count(line, "\"suppressed\":", record->number[ALERT_SUPPRESSED]);
    audit_put_literal(line->out, "}");
    close_mosquitto(line);
}

void audit_encode_alert(struct audit_line *line, const struct record_facts *record)
{
    const struct record *head = &record->head;
    enum audit_action action = (enum audit_action)head->kind;
    const struct alert_kind *kind = alert_kind(action);
    struct audit_text name = or_text(audit_fact(record, ALERT_RULE_NAME), kind->name);
    char message[AUDIT_MESSAGE_MAX];
    size_t length = name.length < sizeof message ? name.length : sizeof message - 1;
    memcpy(message, name.bytes, length);
    message[length] = '\0';
    int64_t severity = record->number[ALERT_SEVERITY];
    audit_line_begin(line, head->time_ns, "warning", message, NULL);
    put_alert_who(line, record);
    put_alert_mqtt(line, record);
    audit_put_literal(line->out, ",\"rule\":{");
    audit_line_member(line, "\"id\":", AUDIT_FIELD_RULE_ID, or_text(audit_fact(record, ALERT_RULE_ID), kind->id), 128);
    audit_line_member(line, "\"name\":", AUDIT_FIELD_RULE_NAME, name, 255);
    audit_put_literal(line->out, ",\"category\":\"anomaly\"}");
    put_threat(line, kind);
    put_alert_facts(line, record);
    audit_line_event(line,
                     &(struct audit_event){
                         .action = action,
                         .outcome = AUDIT_NO_OUTCOME,
                         .reason = audit_action_reason(action, (enum guard_reason)head->reason),
                         .severity = severity >= 1 && severity <= 6 ? (unsigned)severity : kind->severity,
                         .type = record->number[ALERT_RESPONSE] == AUDIT_ALERT_ONLY ? "[\"info\"]" : "[\"denied\"]",
                         .start_ns = record->number[ALERT_START],
                         .end_ns = record->number[ALERT_END],
                         .sequence = head->sequence});
}
