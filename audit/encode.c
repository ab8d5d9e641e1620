#include "audit/encode.h"

#include <stdio.h>

#define NS_PER_SECOND 1000000000LL

static const char *const field_names[AUDIT_FIELD_COUNT] = {
#define X(name, text) [AUDIT_FIELD_##name] = text,
    AUDIT_FIELDS(X)
#undef X
};

void audit_encoder_init(struct audit_encoder *encoder, const struct audit *audit)
{
    struct audit_out out = {encoder->node, encoder->node + sizeof encoder->node, false};
    memset(encoder, 0, sizeof *encoder);
    encoder->audit = audit;
    encoder->cached_second = INT64_MIN;
    audit_put_literal(&out, "\"ecs.version\":\"8.11.0\",\"service\":{\"type\":\"mosquitto\",\"node\":{\"name\":");
    audit_put_string(&out, audit->set.is.broker_id, strlen(audit->set.is.broker_id), 255);
    audit_put_literal(&out, "}}");
    encoder->node_length = (size_t)(out.at - encoder->node);
}

struct audit_text audit_fact(const struct record_facts *record, unsigned slot)
{
    const char *at = (const char *)(record + 1);
    if (record->string[slot].total == AUDIT_ABSENT)
        return (struct audit_text){NULL, 0};
    for (unsigned i = 0; i < slot; i++)
        at += record->string[i].carried;
    return (struct audit_text){at, record->string[slot].carried};
}

void audit_encoder_policy(struct audit_encoder *encoder, const struct record_facts *record)
{
    struct audit_out out = {encoder->policy, encoder->policy + sizeof encoder->policy, false};
    struct audit_line line = {encoder, &out, 0, 0};
    struct audit_text ruleset = audit_fact(record, POLICY_RULESET), version = audit_fact(record, POLICY_VERSION);
    audit_put_literal(&out, "\"ruleset\":");
    audit_line_string(&line, AUDIT_FIELD_RULESET, ruleset.bytes, ruleset.length, 255);
    if (version.bytes) {
        audit_put_literal(&out, ",\"version\":");
        audit_line_string(&line, AUDIT_FIELD_RULE_VERSION, version.bytes, version.length, 64);
    }
    encoder->policy_length = out.overflow ? 0 : (size_t)(out.at - encoder->policy);
    encoder->policy_sanitized = line.sanitized;
    encoder->policy_truncated = line.truncated;
}

/* Most events share their second with the one before: only the microseconds are written anew. */
static void put_now(struct audit_line *line, int64_t time_ns)
{
    struct audit_encoder *encoder = line->encoder;
    int64_t second = time_ns / NS_PER_SECOND;
    if (second != encoder->cached_second || time_ns < 0) {
        guard_timestamp(time_ns, encoder->cached_time);
        encoder->cached_second = second;
    }
    unsigned micros = (unsigned)(time_ns % NS_PER_SECOND / 1000);
    char *digits = encoder->cached_time + sizeof "2026-09-01T12:34:56." - 1;
    for (int i = 5; i >= 0 && time_ns >= 0; i--, micros /= 10)
        digits[i] = (char)('0' + micros % 10);
    audit_put(line->out, encoder->cached_time, GUARD_TIMESTAMP_SIZE - 1);
}

void audit_line_begin(struct audit_line *line, int64_t time_ns, const char *level, const char *message,
                      const char *detail)
{
    audit_put_literal(line->out, "{\"@timestamp\":\"");
    put_now(line, time_ns);
    audit_put_literal(line->out, "\",\"log.level\":\"");
    audit_put_text(line->out, level);
    audit_put_literal(line->out, "\",");
    if (message) {
        char text[AUDIT_MESSAGE_MAX + 8];
        int length = snprintf(text, sizeof text, "%s%s", message, detail ? detail : "");
        audit_put_literal(line->out, "\"message\":");
        size_t kept = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
        audit_line_string(line, AUDIT_FIELD_MESSAGE, text, kept, AUDIT_MESSAGE_MAX);
        audit_put_literal(line->out, ",");
    }
    audit_put(line->out, line->encoder->node, line->encoder->node_length);
}

unsigned audit_line_string(struct audit_line *line, enum audit_field field, const char *text, size_t length, size_t max)
{
    unsigned flags = audit_put_string(line->out, text, length, max);
    if (__builtin_expect(flags, 0)) {
        if (flags & AUDIT_PUT_SANITIZED)
            line->sanitized |= 1U << field;
        if (flags & AUDIT_PUT_TRUNCATED)
            line->truncated |= 1U << field;
    }
    return flags;
}

static void put_field_list(struct audit_line *line, const char *name, uint32_t fields)
{
    const char *separator = "";
    audit_put_text(line->out, name);
    for (unsigned i = 0; i < AUDIT_FIELD_COUNT; i++) {
        if (!(fields >> i & 1))
            continue;
        audit_put_text(line->out, separator);
        audit_put_literal(line->out, "\"");
        audit_put_text(line->out, field_names[i]);
        audit_put_literal(line->out, "\"");
        separator = ",";
    }
    audit_put_literal(line->out, "]");
}

void audit_line_mark_members(struct audit_line *line, bool first)
{
    if (line->truncated) {
        put_field_list(line, first ? "\"truncated\":[" : ",\"truncated\":[", line->truncated);
        first = false;
    }
    if (line->sanitized)
        put_field_list(line, first ? "\"sanitized\":[" : ",\"sanitized\":[", line->sanitized);
}

void audit_line_marks(struct audit_line *line)
{
    if (__builtin_expect(!(line->truncated | line->sanitized), 1))
        return;
    audit_put_literal(line->out, ",\"mosquitto\":{\"audit\":{");
    audit_line_mark_members(line, true);
    audit_put_literal(line->out, "}}");
}

void audit_line_source(struct audit_line *line, const struct audit_peer *peer)
{
    if (!peer->source.length)
        return;
    audit_put_literal(line->out, ",");
    audit_line_span(line, peer, peer->source);
}

void audit_line_member(struct audit_line *line, const char *name, enum audit_field field, struct audit_text text,
                       size_t max)
{
    if (!text.bytes)
        return;
    if (line->out->at[-1] != '{')
        audit_put_literal(line->out, ",");
    audit_put_text(line->out, name);
    audit_line_string(line, field, text.bytes, text.length, max);
}

void audit_line_rule(struct audit_line *line, const char *id, uint16_t id_length, const char *name,
                     uint16_t name_length)
{
    const struct audit_encoder *encoder = line->encoder;
    bool has_id = id_length != AUDIT_NO_TEXT, has_name = name_length != AUDIT_NO_TEXT;
    if (!has_id && !has_name && !encoder->policy_length)
        return;
    audit_put_literal(line->out, ",\"rule\":{");
    if (has_id)
        audit_line_member(line, "\"id\":", AUDIT_FIELD_RULE_ID, (struct audit_text){id, id_length}, 128);
    if (has_name)
        audit_line_member(line, "\"name\":", AUDIT_FIELD_RULE_NAME, (struct audit_text){name, name_length}, 255);
    if (encoder->policy_length) {
        if (has_id || has_name)
            audit_put_literal(line->out, ",");
        audit_put(line->out, encoder->policy, encoder->policy_length);
        line->sanitized |= encoder->policy_sanitized;
        line->truncated |= encoder->policy_truncated;
    }
    audit_put_literal(line->out, "}");
}

/* kind and category of an action, as they stand on the line. */
static const char *frame_of(enum audit_action action)
{
    switch (action) {
    case AUDIT_ACTION_MQTT_CONNECT:
        return "\"kind\":\"event\",\"dataset\":\"mosquitto.audit\",\"category\":[\"authentication\",\"network\"]";
    case AUDIT_ACTION_MQTT_DISCONNECT:
        return "\"kind\":\"event\",\"dataset\":\"mosquitto.audit\",\"category\":[\"session\",\"network\"]";
    case AUDIT_ACTION_POLICY_RELOAD:
        return "\"kind\":\"event\",\"dataset\":\"mosquitto.audit\",\"category\":[\"configuration\"]";
    case AUDIT_ACTION_STORE_DOWN:
    case AUDIT_ACTION_STORE_UP:
        return "\"kind\":\"event\",\"dataset\":\"mosquitto.audit\",\"category\":[\"database\"]";
    case AUDIT_ACTION_AUDIT_START:
    case AUDIT_ACTION_AUDIT_STOP:
        return "\"kind\":\"event\",\"dataset\":\"mosquitto.audit\",\"category\":[\"process\"]";
    case AUDIT_ACTION_AUDIT_ROTATE:
    case AUDIT_ACTION_AUDIT_RECOVERED:
        return "\"kind\":\"event\",\"dataset\":\"mosquitto.audit\",\"category\":[\"file\"]";
    case AUDIT_ACTION_AUDIT_GAP:
        return "\"kind\":\"pipeline_error\",\"dataset\":\"mosquitto.audit\"";
    case AUDIT_ACTION_AUDIT_CHECKPOINT:
        return "\"kind\":\"event\",\"dataset\":\"mosquitto.audit\"";
    default:
        return action >= AUDIT_ACTION_ALERT_BRUTE_FORCE
                   ? "\"kind\":\"alert\",\"dataset\":\"mosquitto.audit\",\"category\":[\"intrusion_detection\"]"
                   : "\"kind\":\"event\",\"dataset\":\"mosquitto.audit\",\"category\":[\"network\"]";
    }
}

static void put_optional(struct audit_out *out, const struct audit_event *event)
{
    if (event->reason != GUARD_REASON_NONE) {
        audit_put_literal(out, ",\"reason\":\"");
        audit_put_text(out, guard_reason_name(event->reason));
        audit_put_literal(out, "\"");
    }
    if (event->duration_ns && event->duration_ns <= INT64_MAX) {
        audit_put_literal(out, ",\"duration\":");
        audit_put_unsigned(out, event->duration_ns < 1ULL << 53 ? event->duration_ns : (1ULL << 53) - 1);
    }
    if (event->start_ns) {
        audit_put_literal(out, ",\"start\":");
        audit_put_time(out, event->start_ns);
    }
    if (event->end_ns) {
        audit_put_literal(out, ",\"end\":");
        audit_put_time(out, event->end_ns);
    }
}

static void put_frame(struct audit_out *out, const struct audit_event *event)
{
    audit_put_literal(out, ",\"event\":{");
    audit_put_text(out, frame_of(event->action));
    audit_put_literal(out, ",\"type\":");
    audit_put_text(out, event->type);
    audit_put_literal(out, ",\"action\":\"");
    audit_put_text(out, audit_action_name(event->action));
    audit_put_literal(out, "\"");
    if (event->outcome == AUDIT_SUCCESS)
        audit_put_literal(out, ",\"outcome\":\"success\"");
    else if (event->outcome == AUDIT_FAILURE)
        audit_put_literal(out, ",\"outcome\":\"failure\"");
    put_optional(out, event);
    audit_put_literal(out, ",\"severity\":");
    audit_put_unsigned(out, event->severity);
    audit_put_literal(out, ",\"sequence\":");
}

static const struct audit_frame *plain_frame(struct audit_encoder *encoder, const struct audit_event *event)
{
    struct audit_frame *frame = &encoder->frame[event->action][event->outcome];
    if (!frame->length) {
        struct audit_out out = {frame->text, frame->text + sizeof frame->text, false};
        put_frame(&out, event);
        frame->length = out.overflow ? 0 : (uint16_t)(out.at - frame->text);
    }
    return frame;
}

void audit_line_event(struct audit_line *line, const struct audit_event *event)
{
    struct audit_out *out = line->out;
    bool plain = event->action <= AUDIT_ACTION_MQTT_UNSUBSCRIBE && event->reason == GUARD_REASON_NONE &&
                 !event->duration_ns && !event->start_ns;
    const struct audit_frame *frame = plain ? plain_frame(line->encoder, event) : NULL;
    if (frame && frame->length)
        audit_put(out, frame->text, frame->length);
    else
        put_frame(out, event);
    char *number = out->at;
    audit_put_unsigned(out, event->sequence);
    size_t digits = (size_t)(out->at - number);
    audit_put_literal(out, ",\"id\":\"");
    audit_put(out, line->encoder->audit->chain, AUDIT_CHAIN_LENGTH);
    audit_put_literal(out, "-");
    audit_put(out, number, digits);
    audit_put_literal(out, "\"");
}

bool audit_encode_record(struct audit_encoder *encoder, const struct record *record, uint64_t lost_total,
                         struct audit_out *out)
{
    struct audit_line line = {encoder, out, 0, 0};
    const struct record_facts *facts = (const struct record_facts *)(const void *)record;
    switch (record->kind) {
    case AUDIT_ACTION_MQTT_CONNECT:
        audit_encode_connect(&line, facts);
        break;
    case AUDIT_ACTION_MQTT_DISCONNECT:
        audit_encode_disconnect(&line, facts);
        break;
    case AUDIT_ACTION_MQTT_PUBLISH_SUMMARY:
        audit_encode_summary(&line, (const struct record_summary *)(const void *)record);
        break;
    case AUDIT_ACTION_POLICY_RELOAD:
        audit_encode_policy(&line, facts);
        break;
    case AUDIT_ACTION_STORE_DOWN:
    case AUDIT_ACTION_STORE_UP:
        audit_encode_store(&line, facts);
        break;
    case AUDIT_RECORD_SINK_GAP:
        audit_encode_sink_gap(&line, facts, lost_total);
        break;
    case AUDIT_ACTION_AUDIT_GAP:
        audit_encode_gap(&line, (const struct record_gap *)(const void *)record, lost_total);
        break;
    default:
        if (record->kind >= AUDIT_ACTION_ALERT_BRUTE_FORCE)
            audit_encode_alert(&line, facts);
        else
            audit_encode_access(&line, (const struct record_access *)(const void *)record);
    }
    return !out->overflow;
}
