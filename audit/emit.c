/* One line more in the batch: encoded, chained, and closed with its hash. */
#include "audit/ocsf.h"
#include "audit/writer.h"

#include "core/base64.h"

/* Where the next line's body is made. */
static struct audit_out begin(struct audit_writer *writer)
{
    char *at = writer->scratch ? writer->scratch : writer->batch + writer->batch_length;
    return (struct audit_out){at, at + 2 * AUDIT_LINE_MAX - AUDIT_TAIL_LENGTH - 1, false};
}

/* With audit_format ocsf: maps the scratch line into the batch. */
static bool place(struct audit_writer *writer, const struct audit_out *made, size_t *length)
{
    char *start = writer->batch + writer->batch_length;
    if (!writer->scratch) {
        *length = (size_t)(made->at - start);
        return true;
    }
    struct audit_out out = {start, start + 2 * AUDIT_LINE_MAX - AUDIT_TAIL_LENGTH - 1, false};
    bool good = audit_ocsf_map(writer->scratch, (size_t)(made->at - writer->scratch), &out);
    *length = (size_t)(out.at - start);
    return good;
}

/* Chains the body that out has made and closes the line. A line that cannot be made is counted as lost. */
static void end(struct audit_writer *writer, const struct audit_out *made, bool good, enum audit_action action,
                uint64_t sequence)
{
    size_t length = 0;
    char *start = writer->batch + writer->batch_length;
    writer->expected = sequence + 1;
    if (!good || !place(writer, made, &length) || !audit_chain_step(&writer->chain, start, length)) {
        audit_bump(&writer->write_errors, 1);
        return;
    }
    struct audit_out out = {start + length, start + length + AUDIT_TAIL_LENGTH + 1, false};
    audit_put_literal(&out, ",\"hash\":\"");
    audit_put_hex(&out, writer->chain.head, AUDIT_HASH_SIZE);
    audit_put_literal(&out, "\"}}");
    length += AUDIT_TAIL_LENGTH;
    if (action >= AUDIT_ACTION_POLICY_RELOAD)
        audit_state_offer(writer->audit, action, start, length);
    start[length++] = '\n';
    writer->batch_length += length;
    writer->batch_last = sequence;
    writer->average = (writer->average * 15 + length) / 16;
    audit_bump(&writer->written_lines, 1);
    if (action != AUDIT_ACTION_AUDIT_CHECKPOINT)
        writer->lines_since_request++;
}

void audit_emit_record(struct audit_writer *writer, const struct record *record)
{
    struct audit_out out = begin(writer);
    if (record->kind == AUDIT_ACTION_AUDIT_GAP)
        writer->lost_total += ((const struct record_gap *)(const void *)record)->count;
    bool good = audit_encode_record(&writer->encoder, record, writer->lost_total, &out);
    end(writer, &out, good, record_action(record), record->sequence);
}

void audit_emit_own(struct audit_writer *writer, struct audit_own *own)
{
    struct audit_out out = begin(writer);
    own->lost_total = writer->lost_total;
    bool good = audit_encode_own(&writer->encoder, own, &out);
    end(writer, &out, good, own->action, own->sequence);
}

/* Signs the text; signature is left empty without a key. Then remembers the digest for the next checkpoint. */
static bool seal(struct audit_writer *writer, const struct audit_checkpoint *checkpoint, char signature[])
{
    char text[AUDIT_CHECKPOINT_TEXT_SIZE + AUDIT_SIGNATURE_SIZE];
    unsigned char digest[AUDIT_HASH_SIZE];
    size_t length = audit_checkpoint_text(checkpoint, text);
    *signature = '\0';
    if (writer->key.key) {
        unsigned char *raw = (unsigned char *)text + length;
        if (!audit_key_sign(&writer->key, text, length, raw))
            return false;
        guard_base64_encode(raw, AUDIT_SIGNATURE_SIZE, signature);
        length += AUDIT_SIGNATURE_SIZE;
    }
    if (!audit_chain_digest(&writer->chain, text, length, digest))
        return false;
    audit_hex(digest, sizeof digest, writer->checkpoint_digest);
    return true;
}

void audit_emit_checkpoint(struct audit_writer *writer, const struct audit_turn *turn)
{
    char head[2 * AUDIT_HASH_SIZE + 1], previous[2 * AUDIT_HASH_SIZE + 1], time[GUARD_TIMESTAMP_SIZE];
    char signature[GUARD_BASE64_ENCODED(AUDIT_SIGNATURE_SIZE)];
    int64_t now = guard_clock_real_ns();
    audit_hex(writer->chain.head, AUDIT_HASH_SIZE, head);
    memcpy(previous, writer->checkpoint_digest, sizeof previous);
    guard_timestamp(now, time);
    const struct audit_checkpoint checkpoint = {.chain = writer->audit->chain,
                                                .number = writer->checkpoint + 1,
                                                .last_sequence = turn->sequence - 1,
                                                .head = head,
                                                .previous = previous,
                                                .time = time};
    if (!seal(writer, &checkpoint, signature))
        audit_bump(&writer->write_errors, 1); /* the record then says that it is not signed */
    struct audit_own own = {.action = AUDIT_ACTION_AUDIT_CHECKPOINT,
                            .sequence = turn->sequence,
                            .time_ns = now,
                            .checkpoint = checkpoint.number,
                            .first_sequence = writer->checkpoint_sequence + 1,
                            .last_sequence = checkpoint.last_sequence,
                            .head = head,
                            .previous_checkpoint = previous,
                            .time = time,
                            .key_id = *signature ? writer->key.id : NULL,
                            .signature = *signature ? signature : NULL};
    audit_emit_own(writer, &own);
    writer->checkpoint = checkpoint.number;
    writer->checkpoint_sequence = turn->sequence;
    atomic_store_explicit(&writer->checkpoint_time_ns, now, memory_order_relaxed);
}
