/* Lines of connects and disconnects. */
#include "audit/encode.h"

const char *audit_method_name(enum guard_auth_method method)
{
    switch (method) {
    case GUARD_AUTH_CERTIFICATE:
        return "x509";
    case GUARD_AUTH_TOKEN:
        return "jwt";
    case GUARD_AUTH_PASSWORD:
        return "password";
    case GUARD_AUTH_PSK:
        return "psk";
    case GUARD_AUTH_ENHANCED:
        return "enhanced";
    default:
        return "anonymous";
    }
}

/* A member whose value names a person or device: under audit_privacy hmac it is replaced. */
static void put_private(struct audit_line *line, const char *name, enum audit_field field, struct audit_text text,
                        size_t max)
{
    char pseudonym[AUDIT_PSEUDONYM_SIZE];
    const struct audit *audit = line->encoder->audit;
    if (text.bytes && audit->set.is.privacy == AUDIT_PRIVACY_HMAC) {
        audit_pseudonym(&audit->privacy, text.bytes, text.length, pseudonym);
        text = audit_text(pseudonym);
    }
    audit_line_member(line, name, field, text, max);
}

static void put_network(struct audit_line *line, const struct audit_peer *peer)
{
    if (peer->listener_port) {
        audit_put_literal(line->out, ",\"destination\":{\"port\":");
        audit_put_unsigned(line->out, peer->listener_port);
        audit_put_literal(line->out, "}");
    }
    audit_put_literal(line->out, ",\"network\":{");
    if (peer->transport == AUDIT_TRANSPORT_TCP)
        audit_put_literal(line->out, "\"transport\":\"tcp\",");
    else if (peer->transport == AUDIT_TRANSPORT_UNIX)
        audit_put_literal(line->out, "\"transport\":\"unix\",");
    audit_put_literal(line->out, "\"protocol\":\"mqtt\"");
    if (peer->websocket)
        audit_put_literal(line->out, ",\"application\":\"websocket\"");
    audit_put_literal(line->out, "}");
}

#define ROLE_MAX      128
#define ROLE_LIST_MAX 4096 /* all of them, encoded */
#define ROLE_LONGEST  (2 * ROLE_MAX + 3)

static void put_roles(struct audit_line *line, const struct record_facts *record)
{
    const char *at = (const char *)(record + 1);
    for (unsigned i = 0; i < AUDIT_STRINGS; i++)
        at += record->string[i].carried;
    if (line->out->at[-1] != '{')
        audit_put_literal(line->out, ",");
    audit_put_literal(line->out, "\"roles\":[");
    const char *start = line->out->at;
    for (unsigned i = 0; i < record->roles; i++) {
        uint16_t length;
        memcpy(&length, at, sizeof length);
        at += sizeof length;
        if (line->out->at - start > ROLE_LIST_MAX - ROLE_LONGEST) {
            line->truncated |= 1U << AUDIT_FIELD_USER_ROLES;
            break;
        }
        if (i)
            audit_put_literal(line->out, ",");
        audit_line_string(line, AUDIT_FIELD_USER_ROLES, at, length, ROLE_MAX);
        at += length;
    }
    audit_put_literal(line->out, "]");
}

static void put_user(struct audit_line *line, const struct record_facts *record, bool failed)
{
    const struct audit_peer *peer = record->head.peer;
    struct audit_span name = failed ? peer->failed_user : peer->user;
    struct audit_text id = audit_fact(record, CONNECT_USER_ID), domain = audit_fact(record, CONNECT_DOMAIN);
    if (failed && line->encoder->audit->set.is.failed_user != AUDIT_FAILED_USER_FULL)
        id.bytes = NULL;
    bool roles = record->roles && !failed;
    if (!name.length && !id.bytes && !domain.bytes && !roles)
        return;
    audit_put_literal(line->out, ",\"user\":{");
    put_private(line, "\"id\":", AUDIT_FIELD_USER_ID, id, AUDIT_NAME_MAX);
    if (name.length) {
        if (line->out->at[-1] != '{')
            audit_put_literal(line->out, ",");
        audit_line_span(line, peer, name);
    }
    audit_line_member(line, "\"domain\":", AUDIT_FIELD_USER_DOMAIN, domain, 255);
    if (roles)
        put_roles(line, record);
    audit_put_literal(line->out, "}");
}

/* Upper-case hex of at most max digits, as the schema asks; anything else is left out. */
static bool is_upper_hex(struct audit_text text, size_t min, size_t max)
{
    if (!text.bytes || text.length < min || text.length > max)
        return false;
    for (size_t i = 0; i < text.length; i++)
        if (!((text.bytes[i] >= '0' && text.bytes[i] <= '9') || (text.bytes[i] >= 'A' && text.bytes[i] <= 'F')))
            return false;
    return true;
}

static void put_certificate(struct audit_line *line, const struct record_facts *record)
{
    struct audit_text sha256 = audit_fact(record, CONNECT_CERT_SHA256);
    struct audit_text serial = audit_fact(record, CONNECT_CERT_SERIAL);
    audit_put_literal(line->out, ",\"client\":{");
    put_private(line, "\"subject\":", AUDIT_FIELD_TLS_SUBJECT, audit_fact(record, CONNECT_SUBJECT), 512);
    audit_line_member(line, "\"issuer\":", AUDIT_FIELD_TLS_ISSUER, audit_fact(record, CONNECT_CERT_ISSUER), 512);
    if (record->number[CONNECT_NOT_AFTER] >= 0) {
        audit_put_text(line->out, line->out->at[-1] == '{' ? "\"not_after\":" : ",\"not_after\":");
        audit_put_seconds(line->out, record->number[CONNECT_NOT_AFTER]);
    }
    if (is_upper_hex(sha256, 64, 64)) {
        audit_put_text(line->out, line->out->at[-1] == '{' ? "\"hash\":{\"sha256\":\"" : ",\"hash\":{\"sha256\":\"");
        audit_put(line->out, sha256.bytes, sha256.length);
        audit_put_literal(line->out, "\"}");
    }
    if (is_upper_hex(serial, 1, 40)) {
        audit_put_text(line->out,
                       line->out->at[-1] == '{' ? "\"x509\":{\"serial_number\":\"" : ",\"x509\":{\"serial_number\":\"");
        audit_put(line->out, serial.bytes, serial.length);
        audit_put_literal(line->out, "\"}");
    }
    audit_put_literal(line->out, "}");
}

static void put_tls(struct audit_line *line, const struct record_facts *record)
{
    int64_t tls = record->number[CONNECT_TLS];
    bool certificate = audit_fact(record, CONNECT_CERT_SHA256).bytes || audit_fact(record, CONNECT_SUBJECT).bytes ||
                       audit_fact(record, CONNECT_CERT_SERIAL).bytes;
    if (tls < 0 && !certificate)
        return;
    audit_put_text(line->out,
                   tls || certificate ? ",\"tls\":{\"established\":true" : ",\"tls\":{\"established\":false");
    if (certificate)
        put_certificate(line, record);
    audit_put_literal(line->out, "}");
}

static void put_auth(struct audit_line *line, const struct record_facts *record)
{
    struct audit_out *out = line->out;
    audit_put_literal(out, ",\"auth\":{\"method\":\"");
    audit_put_text(out, audit_method_name((enum guard_auth_method)record->number[CONNECT_METHOD]));
    audit_put_literal(out, "\"");
    audit_line_member(line, "\"jti\":", AUDIT_FIELD_JTI, audit_fact(record, CONNECT_JTI), 255);
    audit_line_member(line, "\"kid\":", AUDIT_FIELD_KID, audit_fact(record, CONNECT_KID), 128);
    audit_line_member(line, "\"issuer\":", AUDIT_FIELD_ISSUER, audit_fact(record, CONNECT_ISSUER), 512);
    if (record->number[CONNECT_EXPIRES] >= 0) {
        audit_put_literal(out, ",\"expires_at\":");
        audit_put_seconds(out, record->number[CONNECT_EXPIRES]);
    }
    if (record->number[CONNECT_HAS_TOKEN_HASH] == 1) {
        audit_put_literal(out, ",\"token_hash\":\"");
        audit_put_hex(out, (const unsigned char *)&record->number[CONNECT_TOKEN_HASH], 8);
        audit_put_literal(out, "\"");
    }
    if (record->head.flags & AUDIT_FLAG_CACHED)
        audit_put_literal(out, ",\"cached\":true");
    audit_put_literal(out, "}");
}

static void put_mqtt(struct audit_line *line, const struct record_facts *record, bool failed)
{
    const struct audit_peer *peer = record->head.peer;
    struct audit_out *out = line->out;
    audit_put_literal(out, ",\"mqtt\":{");
    if (!peer->client_id.length && !failed)
        audit_put_literal(out, "\"client_id\":\"\",");
    audit_line_span(line, peer, peer->mqtt);
    if (peer->version >= 3 && peer->version <= 5) {
        static const char *const versions[] = {",\"version\":\"3.1\"", ",\"version\":\"3.1.1\"",
                                               ",\"version\":\"5.0\""};
        audit_put_text(out, versions[peer->version - 3]);
    }
    audit_put_literal(out, ",\"packet\":\"connect\"");
    if (record->number[CONNECT_CLEAN_START] >= 0)
        audit_put_text(out, record->number[CONNECT_CLEAN_START] ? ",\"clean_start\":true" : ",\"clean_start\":false");
    if (record->number[CONNECT_KEEP_ALIVE] >= 0 && record->number[CONNECT_KEEP_ALIVE] <= UINT16_MAX) {
        audit_put_literal(out, ",\"keep_alive\":");
        audit_put_unsigned(out, (uint64_t)record->number[CONNECT_KEEP_ALIVE]);
    }
    if (failed) {
        audit_put_literal(out, ",\"reason_code\":");
        audit_put_unsigned(out, guard_reason_mqtt_code((enum guard_reason)record->head.reason));
    }
    put_auth(line, record);
    audit_put_literal(out, "}");
}

/* What the peer's own strings had to suffer, as far as they stand on this line. */
static void take_peer_marks(struct audit_line *line, const struct audit_peer *peer, bool failed)
{
    uint32_t shown = ~0U;
    if (failed && line->encoder->audit->set.is.failed_user != AUDIT_FAILED_USER_FULL)
        shown &= ~(1U << AUDIT_FIELD_USER_NAME);
    line->sanitized |= peer->sanitized & shown;
    line->truncated |= peer->truncated & shown;
}

void audit_encode_connect(struct audit_line *line, const struct record_facts *record)
{
    const struct record *head = &record->head;
    enum guard_reason given = (enum guard_reason)head->reason;
    bool failed = given != GUARD_REASON_NONE;
    audit_line_begin(line, head->time_ns, failed ? "warning" : "info", failed ? "connect refused: " : NULL,
                     failed ? guard_reason_sentence(given) : NULL);
    take_peer_marks(line, head->peer, failed);
    if (head->peer->source.length)
        audit_line_source(line, head->peer);
    else
        audit_put_literal(line->out, ",\"source\":{}"); /* the schema wants it, the broker did not tell */
    put_network(line, head->peer);
    put_user(line, record, failed);
    put_tls(line, record);
    put_mqtt(line, record, failed);
    if (!failed)
        audit_line_rule(line, NULL, AUDIT_NO_TEXT, NULL, AUDIT_NO_TEXT);
    audit_line_marks(line);
    audit_line_event(line,
                     &(struct audit_event){.action = AUDIT_ACTION_MQTT_CONNECT,
                                           .outcome = failed ? AUDIT_FAILURE : AUDIT_SUCCESS,
                                           .reason = failed ? audit_action_reason(AUDIT_ACTION_MQTT_CONNECT, given)
                                                            : GUARD_REASON_NONE,
                                           .severity = failed ? 3 : 1,
                                           .type = failed ? "[\"start\",\"denied\"]" : "[\"start\",\"allowed\"]",
                                           .duration_ns = (uint64_t)record->number[CONNECT_DURATION],
                                           .sequence = head->sequence});
}

/* The MQTT 5 code of a disconnect: a broker that throws a client out says "administrative action". */
static unsigned disconnect_code(enum guard_reason reason)
{
    switch (reason) {
    case GUARD_REASON_TOKEN_EXPIRED:
    case GUARD_REASON_TOKEN_REVOKED:
    case GUARD_REASON_POLICY_CHANGED:
    case GUARD_REASON_USER_DISABLED:
        return 0x98;
    default:
        return guard_reason_mqtt_code(reason);
    }
}

static void put_disconnect_auth(struct audit_line *line, const struct record_facts *record)
{
    if (record->number[DISCONNECT_METHOD] < 0)
        return;
    audit_put_literal(line->out, ",\"auth\":{\"method\":\"");
    audit_put_text(line->out, audit_method_name((enum guard_auth_method)record->number[DISCONNECT_METHOD]));
    audit_put_literal(line->out, "\"");
    audit_line_member(line, "\"jti\":", AUDIT_FIELD_JTI, audit_fact(record, DISCONNECT_JTI), 255);
    if (record->number[DISCONNECT_EXPIRES] >= 0) {
        audit_put_literal(line->out, ",\"expires_at\":");
        audit_put_seconds(line->out, record->number[DISCONNECT_EXPIRES]);
    }
    audit_put_literal(line->out, "}");
}

static void put_disconnect_mqtt(struct audit_line *line, const struct record_facts *record, enum guard_reason reason)
{
    static const char *const initiators[] = {"client", "server", "network"};
    const struct audit_peer *peer = record->head.peer;
    struct audit_out *out = line->out;
    audit_put_literal(out, ",\"mqtt\":{");
    if (!peer->client_id.length)
        audit_put_literal(out, "\"client_id\":\"\",");
    audit_line_span(line, peer, peer->mqtt);
    audit_put_literal(out, ",\"packet\":\"disconnect\",\"reason_code\":");
    audit_put_unsigned(out, disconnect_code(reason));
    audit_put_literal(out, ",\"initiator\":\"");
    audit_put_text(out, initiators[(uint64_t)record->number[DISCONNECT_INITIATOR] % 3]);
    audit_put_literal(out, "\",\"messages_in\":");
    audit_put_unsigned(out, (uint64_t)record->number[DISCONNECT_IN]);
    audit_put_literal(out, ",\"messages_denied\":");
    audit_put_unsigned(out, (uint64_t)record->number[DISCONNECT_DENIED]);
    put_disconnect_auth(line, record);
    audit_put_literal(out, "}");
}

void audit_encode_disconnect(struct audit_line *line, const struct record_facts *record)
{
    const struct record *head = &record->head;
    const struct audit_peer *peer = head->peer;
    enum guard_reason reason = audit_action_reason(AUDIT_ACTION_MQTT_DISCONNECT, (enum guard_reason)head->reason);
    bool thrown_out = record->number[DISCONNECT_INITIATOR] == AUDIT_BY_SERVER &&
                      reason != GUARD_REASON_BROKER_SHUTDOWN && reason != GUARD_REASON_SESSION_TAKEN_OVER &&
                      reason != GUARD_REASON_KEEPALIVE_TIMEOUT && reason != GUARD_REASON_UNKNOWN;
    audit_line_begin(line, head->time_ns, thrown_out ? "warning" : "info", thrown_out ? "client disconnected: " : NULL,
                     thrown_out ? guard_reason_sentence(reason) : NULL);
    take_peer_marks(line, peer, false);
    audit_line_source(line, peer);
    if (peer->user.length) {
        audit_put_literal(line->out, ",\"user\":{");
        audit_line_span(line, peer, peer->user);
        audit_put_literal(line->out, "}");
    }
    put_disconnect_mqtt(line, record, reason);
    audit_line_marks(line);
    audit_line_event(line, &(struct audit_event){.action = AUDIT_ACTION_MQTT_DISCONNECT,
                                                 .outcome = AUDIT_SUCCESS,
                                                 .reason = reason,
                                                 .severity = thrown_out ? 2 : 1,
                                                 .type = "[\"end\"]",
                                                 .duration_ns = (uint64_t)record->number[DISCONNECT_DURATION],
                                                 .sequence = head->sequence});
}
