/* Lines of publishes, deliveries, subscriptions and summaries: the hot ones. */
#include "audit/encode.h"

#include <openssl/evp.h>

static const char *packet_of(const struct record *head)
{
    switch (head->kind) {
    case AUDIT_ACTION_MQTT_PUBLISH:
        return head->flags & AUDIT_FLAG_WILL ? "will" : "publish";
    case AUDIT_ACTION_MQTT_DELIVER:
        return "delivery";
    default:
        return head->kind == AUDIT_ACTION_MQTT_SUBSCRIBE ? "subscribe" : "unsubscribe";
    }
}

static const char *refusal_of(const struct record *head)
{
    switch (head->kind) {
    case AUDIT_ACTION_MQTT_PUBLISH:
        return head->flags & AUDIT_FLAG_WILL ? "will denied: " : "publish denied: ";
    case AUDIT_ACTION_MQTT_DELIVER:
        return "delivery denied: ";
    default:
        return head->kind == AUDIT_ACTION_MQTT_SUBSCRIBE ? "subscribe denied: " : "unsubscribe denied: ";
    }
}

/* ,"<name>_bytes":…,"<name>_sha256":"…" of a topic that was cut */
static void put_cut(struct audit_line *line, const char *name, const struct record_access *record, const char *topic)
{
    unsigned char digest[AUDIT_HASH_SIZE];
    const unsigned char *hash = (const unsigned char *)topic + record->topic; /* made by the producer */
    if (record->topic_total <= AUDIT_CARRIED) {
        if (EVP_Digest(topic, record->topic, digest, NULL, line->encoder->audit->sha256, NULL) != 1)
            memset(digest, 0, sizeof digest);
        hash = digest;
    }
    audit_put_literal(line->out, ",\"");
    audit_put_text(line->out, name);
    audit_put_literal(line->out, "_bytes\":");
    audit_put_unsigned(line->out, record->topic_total);
    audit_put_literal(line->out, ",\"");
    audit_put_text(line->out, name);
    audit_put_literal(line->out, "_sha256\":\"");
    audit_put_hex(line->out, hash, AUDIT_HASH_SIZE);
    audit_put_literal(line->out, "\"");
}

static void put_topic(struct audit_line *line, const struct record_access *record, const char *topic, bool filter)
{
    const char *name = filter ? "topic_filter" : "topic";
    enum audit_field field = filter ? AUDIT_FIELD_TOPIC_FILTER : AUDIT_FIELD_TOPIC;
    if (filter)
        audit_put_literal(line->out, ",\"topic_filter\":");
    else
        audit_put_literal(line->out, ",\"topic\":");
    unsigned flags = audit_put_prefix(line->out, topic, record->topic, record->topic_total, AUDIT_TOPIC_MAX);
    if (flags & AUDIT_PUT_SANITIZED)
        line->sanitized |= 1U << field;
    if (flags & AUDIT_PUT_TRUNCATED) {
        line->truncated |= 1U << field;
        put_cut(line, name, record, topic);
    }
}

static void put_mqtt_start(struct audit_line *line, const struct audit_peer *peer, const char *packet)
{
    audit_put_literal(line->out, ",\"mqtt\":{");
    if (!peer->client_id.length)
        audit_put_literal(line->out, "\"client_id\":\"\",");
    audit_line_span(line, peer, peer->mqtt);
    audit_put_literal(line->out, ",\"packet\":\"");
    audit_put_text(line->out, packet);
    audit_put_literal(line->out, "\"");
}

static void put_user(struct audit_line *line, const struct audit_peer *peer)
{
    if (!peer->user.length)
        return;
    audit_put_literal(line->out, ",\"user\":{");
    audit_line_span(line, peer, peer->user);
    audit_put_literal(line->out, "}");
}

static void put_message_facts(struct audit_line *line, const struct record_access *record)
{
    const char qos[] = {',', '"', 'q', 'o', 's', '"', ':', (char)('0' + (record->head.qos & 3) % 3)};
    audit_put(line->out, qos, sizeof qos);
    if (record->head.kind == AUDIT_ACTION_MQTT_SUBSCRIBE)
        return;
    if (record->head.flags & AUDIT_FLAG_RETAIN)
        audit_put_literal(line->out, ",\"retained\":true,\"payload\":{\"bytes\":");
    else
        audit_put_literal(line->out, ",\"retained\":false,\"payload\":{\"bytes\":");
    audit_put_unsigned(line->out, record->payload);
    audit_put_literal(line->out, "}");
}

/* The code of a PUBACK; that of a CONNACK for rate_limited, 0x9F, does not exist there. */
static unsigned code_of(enum guard_reason reason)
{
    return reason == GUARD_REASON_RATE_LIMITED ? 0x97 : guard_reason_mqtt_code(reason);
}

void audit_encode_access(struct audit_line *line, const struct record_access *record)
{
    const struct record *head = &record->head;
    const struct audit_peer *peer = head->peer;
    enum guard_reason given = (enum guard_reason)head->reason;
    enum audit_action action = (enum audit_action)head->kind;
    bool denied = given != GUARD_REASON_NONE;
    bool filter = action == AUDIT_ACTION_MQTT_SUBSCRIBE || action == AUDIT_ACTION_MQTT_UNSUBSCRIBE;
    const char *topic = (const char *)(record + 1);
    const char *id = topic + record->topic + (record->topic_total > AUDIT_CARRIED ? AUDIT_HASH_SIZE : 0);
    const char *name = id + (record->rule_id == AUDIT_NO_TEXT ? 0 : record->rule_id);

    audit_line_begin(line, head->time_ns, denied ? "warning" : "info", denied ? refusal_of(head) : NULL,
                     denied ? guard_reason_sentence(given) : NULL);
    line->sanitized |= peer->sanitized;
    line->truncated |= peer->truncated;
    audit_line_source(line, peer);
    put_user(line, peer);
    put_mqtt_start(line, peer, packet_of(head));
    put_topic(line, record, topic, filter);
    if (action != AUDIT_ACTION_MQTT_UNSUBSCRIBE)
        put_message_facts(line, record);
    if (denied && action != AUDIT_ACTION_MQTT_DELIVER) {
        audit_put_literal(line->out, ",\"reason_code\":");
        audit_put_unsigned(line->out, code_of(given));
    }
    audit_put_literal(line->out, "}");
    audit_line_rule(line, id, record->rule_id, name, record->rule_name);
    audit_line_marks(line);
    audit_line_event(line,
                     &(struct audit_event){.action = action,
                                           .outcome = denied ? AUDIT_FAILURE : AUDIT_SUCCESS,
                                           .reason = denied ? audit_action_reason(action, given) : given,
                                           .severity = denied ? 3 : 1,
                                           .type = denied ? "[\"access\",\"denied\"]" : "[\"access\",\"allowed\"]",
                                           .sequence = head->sequence});
}

void audit_encode_summary(struct audit_line *line, const struct record_summary *record)
{
    const struct audit_peer *peer = record->head.peer;
    audit_line_begin(line, record->head.time_ns, "info", NULL, NULL);
    line->sanitized |= peer->sanitized;
    line->truncated |= peer->truncated;
    audit_line_source(line, peer);
    put_user(line, peer);
    put_mqtt_start(line, peer, "publish");
    audit_put_literal(line->out, ",\"count\":");
    audit_put_unsigned(line->out, record->count);
    audit_put_literal(line->out, ",\"bytes\":");
    audit_put_unsigned(line->out, record->bytes);
    audit_put_literal(line->out, "}");
    audit_line_rule(line, NULL, AUDIT_NO_TEXT, NULL, AUDIT_NO_TEXT);
    audit_line_marks(line);
    audit_line_event(line, &(struct audit_event){.action = AUDIT_ACTION_MQTT_PUBLISH_SUMMARY,
                                                 .outcome = AUDIT_SUCCESS,
                                                 .severity = 1,
                                                 .type = "[\"access\",\"allowed\"]",
                                                 .start_ns = record->first_ns,
                                                 .end_ns = record->last_ns,
                                                 .sequence = record->head.sequence});
}
