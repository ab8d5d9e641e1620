/* Lines that the trail writes about itself: start, stop, rotation, recovery, gaps and checkpoints. */
#include "audit/encode.h"

const char *audit_loss_name(enum audit_loss loss)
{
    static const char *const names[AUDIT_LOSS_COUNT] = {"ring_full", "disk_full", "write_error", "shutdown_timeout",
                                                        "sink_trimmed"};
    return (unsigned)loss < AUDIT_LOSS_COUNT ? names[loss] : "unknown";
}

static void put_text_member(struct audit_line *line, const char *name, const char *text)
{
    if (!text || !*text)
        return;
    audit_put_text(line->out, name);
    audit_put_literal(line->out, "\"");
    audit_put_text(line->out, text);
    audit_put_literal(line->out, "\"");
}

static void put_count(struct audit_line *line, const char *name, uint64_t value)
{
    audit_put_text(line->out, name);
    audit_put_unsigned(line->out, value);
}

/* A version of at most 32 bytes as the operator's build gave it: through the string function all the same. */
static void put_version(struct audit_line *line, const char *name, const char *version)
{
    if (!version)
        return;
    audit_put_text(line->out, name);
    audit_put_string(line->out, version, strlen(version), 32);
}

static void put_previous(struct audit_line *line, const struct audit_own *own)
{
    if (!*own->previous_chain)
        return;
    put_text_member(line, ",\"previous_chain\":", own->previous_chain);
    put_count(line, ",\"previous_sequence\":", own->previous_sequence);
    put_text_member(line, ",\"previous_head\":", own->previous_head);
}

static void put_start(struct audit_line *line, const struct audit_own *own)
{
    const struct audit_config *config = &line->encoder->audit->set.is;
    put_previous(line, own);
    audit_put_text(line->out, own->clean_shutdown ? ",\"clean_shutdown\":true" : ",\"clean_shutdown\":false");
    put_version(line, ",\"plugin_version\":", config->plugin_version);
    put_version(line, ",\"broker_version\":", config->broker_version);
    put_text_member(line, ",\"config_sha256\":", config->config_sha256);
    put_text_member(line, ",\"key_id\":", own->key_id);
    put_text_member(line, ",\"file\":", own->file);
}

static void put_checkpoint(struct audit_line *line, const struct audit_own *own)
{
    put_count(line, ",\"checkpoint\":", own->checkpoint);
    put_count(line, ",\"first_sequence\":", own->first_sequence);
    put_count(line, ",\"last_sequence\":", own->last_sequence);
    put_text_member(line, ",\"head\":", own->head);
    put_text_member(line, ",\"previous_checkpoint\":", own->previous_checkpoint);
    put_text_member(line, ",\"time\":", own->time);
    put_text_member(line, ",\"algorithm\":", own->signature ? "ed25519" : "none");
    put_text_member(line, ",\"key_id\":", own->key_id);
    put_text_member(line, ",\"signature\":", own->signature);
}

static void put_lost_by_action(struct audit_line *line, const uint64_t *by_action)
{
    const char *separator = "\"";
    audit_put_literal(line->out, ",\"lost_by_action\":{");
    for (unsigned i = 0; i < AUDIT_ACTION_COUNT; i++) {
        if (!by_action[i])
            continue;
        audit_put_text(line->out, separator);
        audit_put_text(line->out, audit_action_name((enum audit_action)i));
        audit_put_literal(line->out, "\":");
        audit_put_unsigned(line->out, by_action[i]);
        separator = ",\"";
    }
    audit_put_literal(line->out, "}");
}

static void put_gap(struct audit_line *line, const struct audit_own *own)
{
    put_count(line, ",\"lost\":", own->lost);
    put_count(line, ",\"first_sequence\":", own->first_sequence);
    put_count(line, ",\"last_sequence\":", own->last_sequence);
    if (own->by_action)
        put_lost_by_action(line, own->by_action);
    put_count(line, ",\"lost_total\":", own->lost_total);
}

static void put_facts(struct audit_line *line, const struct audit_own *own)
{
    switch (own->action) {
    case AUDIT_ACTION_AUDIT_START:
        put_start(line, own);
        break;
    case AUDIT_ACTION_AUDIT_STOP:
        put_count(line, ",\"lost_total\":", own->lost_total);
        break;
    case AUDIT_ACTION_AUDIT_RECOVERED:
        put_previous(line, own);
        put_count(line, ",\"torn_bytes\":", own->torn_bytes);
        if (own->head) {
            put_count(line, ",\"last_sequence\":", own->last_sequence);
            put_text_member(line, ",\"head\":", own->head);
        }
        put_text_member(line, ",\"file\":", own->file);
        break;
    case AUDIT_ACTION_AUDIT_ROTATE:
        put_text_member(line, ",\"file\":", own->file);
        put_text_member(line, ",\"next_file\":", own->next_file);
        break;
    case AUDIT_ACTION_AUDIT_GAP:
        put_gap(line, own);
        break;
    default:
        put_checkpoint(line, own);
    }
}

static const char *type_of(enum audit_action action)
{
    switch (action) {
    case AUDIT_ACTION_AUDIT_START:
        return "[\"start\"]";
    case AUDIT_ACTION_AUDIT_STOP:
        return "[\"end\"]";
    case AUDIT_ACTION_AUDIT_GAP:
        return "[\"error\"]";
    default:
        return "[\"info\"]";
    }
}

bool audit_encode_own(struct audit_encoder *encoder, const struct audit_own *own, struct audit_out *out)
{
    struct audit_line line = {encoder, out, 0, 0};
    bool gap = own->action == AUDIT_ACTION_AUDIT_GAP, recovered = own->action == AUDIT_ACTION_AUDIT_RECOVERED;
    bool checkpoint = own->action == AUDIT_ACTION_AUDIT_CHECKPOINT, bad = gap || own->damaged;
    audit_line_begin(&line, own->time_ns, bad ? "error" : recovered ? "warning" : "info", own->message, NULL);
    audit_put_literal(out, ",\"mosquitto\":{\"audit\":{\"chain\":\"");
    audit_put(out, encoder->audit->chain, AUDIT_CHAIN_LENGTH);
    audit_put_literal(out, "\"");
    put_facts(&line, own);
    if (line.truncated | line.sanitized)
        audit_line_mark_members(&line, false);
    audit_put_literal(out, "}}");
    audit_line_event(&line, &(struct audit_event){.action = own->action,
                                                  .outcome = checkpoint ? AUDIT_NO_OUTCOME
                                                             : bad      ? AUDIT_FAILURE
                                                                        : AUDIT_SUCCESS,
                                                  .reason = own->reason,
                                                  .severity = bad         ? 5
                                                              : recovered ? 3
                                                                          : 1,
                                                  .type = type_of(own->action),
                                                  .start_ns = own->start_ns,
                                                  .end_ns = own->end_ns,
                                                  .sequence = own->sequence});
    return !out->overflow;
}

enum guard_reason audit_loss_reason(enum audit_loss loss)
{
    static const enum guard_reason reasons[AUDIT_LOSS_COUNT] = {GUARD_REASON_RING_FULL, GUARD_REASON_DISK_FULL,
                                                                GUARD_REASON_WRITE_ERROR, GUARD_REASON_SHUTDOWN_TIMEOUT,
                                                                GUARD_REASON_SINK_TRIMMED};
    return reasons[(unsigned)loss < AUDIT_LOSS_COUNT ? loss : AUDIT_LOSS_WRITE_ERROR];
}

/* A gap declared by a producer: its count numbers end right before its own. */
void audit_encode_gap(struct audit_line *line, const struct record_gap *record, uint64_t lost_total)
{
    char message[64];
    struct audit_out text = {message, message + sizeof message - 1, false};
    audit_put_unsigned(&text, record->count);
    audit_put_literal(&text, " audit events were dropped");
    *text.at = '\0';
    const struct audit_own own = {.action = AUDIT_ACTION_AUDIT_GAP,
                                  .sequence = record->head.sequence,
                                  .time_ns = record->head.time_ns,
                                  .message = message,
                                  .reason = audit_loss_reason((enum audit_loss)record->head.reason),
                                  .lost = record->count,
                                  .lost_total = lost_total,
                                  .first_sequence = record->head.sequence - record->count,
                                  .last_sequence = record->head.sequence - 1,
                                  .by_action = record->by_action,
                                  .start_ns = record->first_ns,
                                  .end_ns = record->last_ns};
    audit_encode_own(line->encoder, &own, line->out);
}

/* A gap in a sink only: the lines are in the files, and no number is missing here. */
void audit_encode_sink_gap(struct audit_line *line, const struct record_facts *record, uint64_t lost_total)
{
    uint64_t first = (uint64_t)record->number[SINK_GAP_FIRST], last = (uint64_t)record->number[SINK_GAP_LAST];
    const struct audit_own own = {.action = AUDIT_ACTION_AUDIT_GAP,
                                  .sequence = record->head.sequence,
                                  .time_ns = record->head.time_ns,
                                  .message =
                                      "a sink has dropped lines that nobody had read; they are still in the files",
                                  .reason = GUARD_REASON_SINK_TRIMMED,
                                  .lost = last - first + 1,
                                  .lost_total = lost_total,
                                  .first_sequence = first,
                                  .last_sequence = last,
                                  .start_ns = record->head.time_ns,
                                  .end_ns = record->head.time_ns};
    audit_encode_own(line->encoder, &own, line->out);
}
