/* The records that the trail writes about itself, as the verifier reads them. */
#include "audit/verify_internal.h"

#include "core/base64.h"
#include "core/clock.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLE_S     150 /* longer than two idle checkpoints and a slow disk */
#define CLOCK_SKEW 5

static const char *text_of(const struct guard_json *audit, const char *name)
{
    const char *text = guard_json_string(guard_json_get(audit, name));
    return text ? text : "";
}

static uint64_t number_of(const struct guard_json *audit, const char *name)
{
    int64_t value;
    return guard_json_integer(guard_json_get(audit, name), &value) && value >= 0 ? (uint64_t)value : UINT64_MAX;
}

bool verify_link(struct verifier *v, const struct audit_line_end *end, const struct guard_json *audit)
{
    char head[2 * AUDIT_HASH_SIZE + 1];
    const char *previous = text_of(audit, "previous_chain");
    uint64_t sequence = number_of(audit, "previous_sequence");
    audit_hex(v->hash.head, sizeof v->hash.head, head);
    if (!v->run) {
        if (*previous)
            verify_warn(v, "chain %s continues chain %s, which is not here", end->chain, previous);
        return true;
    }
    if (strcmp(previous, v->run->chain) != 0)
        return verify_bad(v, "chain %s follows chain %s here, but says that it continues %s", end->chain, v->run->chain,
                          *previous ? previous : "nothing");
    if (sequence != v->run->last_sequence || strcmp(text_of(audit, "previous_head"), head) != 0)
        return verify_bad(v,
                          "chain %s ends here with number %llu, but the next run continued number %llu: its tail was "
                          "cut or changed",
                          v->run->chain, (unsigned long long)v->run->last_sequence, (unsigned long long)sequence);
    return true;
}

bool verify_start(struct verifier *v, const struct audit_line_end *end, const struct guard_json *audit)
{
    if (end->sequence != 1 || strcmp(text_of(audit, "chain"), end->chain) != 0)
        return verify_bad(v, "audit-start must be number 1 of its chain");
    if (!verify_link(v, end, audit) || (v->run && !verify_run_end(v, false)))
        return false;
    struct audit_verify_run *grown = reallocarray(v->result->runs, v->result->run_count + 1, sizeof *grown);
    if (!grown) {
        v->out_of_memory = true;
        return false;
    }
    v->result->runs = grown;
    v->run = &grown[v->result->run_count++];
    *v->run = (struct audit_verify_run){.first_sequence = 1};
    memcpy(v->run->chain, end->chain, sizeof v->run->chain);
    v->expected = 1;
    v->checkpoint = v->checkpoint_sequence = 0;
    v->checkpoint_known = true;
    v->checkpoint_time = 0;
    v->last = LAST_OTHER;
    memset(v->checkpoint_digest, '0', sizeof v->checkpoint_digest - 1);
    return audit_chain_restart(&v->hash, end->chain) ? true : verify_bad(v, "SHA-256 failed");
}

bool verify_broker(struct verifier *v, const char *broker)
{
    const struct audit_verify_options *options = v->options;
    size_t known = 0;
    snprintf(v->run->broker, sizeof v->run->broker, "%s", broker);
    while (known < options->broker_count && strcmp(options->brokers[known], broker) != 0)
        known++;
    if (options->broker_count)
        return known < options->broker_count ? true : verify_bad(v, "this is the trail of broker '%s'", broker);
    const struct audit_verify_run *before = v->run > v->result->runs ? v->run - 1 : v->run;
    return !*before->broker || strcmp(before->broker, broker) == 0
               ? true
               : verify_bad(v,
                            "broker '%s' continues the trail of broker '%s' (after a change of names, --broker takes "
                            "each)",
                            broker, before->broker);
}

bool verify_run_end(struct verifier *v, bool last)
{
    struct audit_verify_run *run = v->run;
    if (!v->options->key_count)
        return true;
    if (!run->checkpoints && run->first_sequence == 1 && run->events)
        return verify_bad(v, "chain %s was never sealed: a run writes nothing before its first checkpoint", run->chain);
    if (!last && !run->closed && run->unsealed)
        verify_warn(v,
                    "numbers %llu to %llu of chain %s were not sealed when it ended (a crash): what they were then, "
                    "only the next run vouches for",
                    (unsigned long long)audit_verify_unsealed_from(run), (unsigned long long)run->last_sequence,
                    run->chain);
    return true;
}

bool verify_gap(struct verifier *v, const struct audit_line_end *end, const struct guard_json *audit,
                const char *reason)
{
    uint64_t first = number_of(audit, "first_sequence"), last = number_of(audit, "last_sequence");
    uint64_t lost = number_of(audit, "lost");
    if (strcmp(reason, "sink_trimmed") == 0 || strcmp(reason, "sink_backpressure") == 0)
        return end->sequence == v->expected ? true : verify_bad(v, "a gap of a sink hides missing numbers");
    if (first != v->expected || last + 1 != end->sequence || lost != end->sequence - v->expected || !lost)
        return verify_bad(v, "the gap record declares %llu to %llu lost (%llu), but %llu to %llu are missing",
                          (unsigned long long)first, (unsigned long long)last, (unsigned long long)lost,
                          (unsigned long long)v->expected, (unsigned long long)end->sequence - 1);
    v->run->lost += lost;
    return true;
}

bool verify_recovered(struct verifier *v, const struct guard_json *audit, bool damaged)
{
    v->run->damaged = v->run->damaged || damaged;
    uint64_t torn = number_of(audit, "torn_bytes");
    if (v->torn && (torn != v->torn_bytes || strcmp(text_of(audit, "file"), v->torn_file) != 0))
        return verify_bad(v, "audit-recovered declares %llu torn bytes in %s, but there are %llu in %s",
                          (unsigned long long)torn, text_of(audit, "file"), (unsigned long long)v->torn_bytes,
                          v->torn_file);
    v->torn = false;
    v->torn_bytes = 0;
    return true;
}

bool verify_rotate(struct verifier *v, const struct guard_json *audit)
{
    if (!v->strict)
        return true;
    if (strcmp(text_of(audit, "next_file"), v->file) != 0)
        return verify_bad(v, "audit-rotate leads to %s, but stands in %s", text_of(audit, "next_file"), v->file);
    if (*v->previous_file && strcmp(text_of(audit, "file"), v->previous_file) != 0)
        return verify_bad(v, "audit-rotate continues %s, but the file before is %s", text_of(audit, "file"),
                          v->previous_file);
    return true;
}

static struct audit_key *find_key(const struct verifier *v, const char *id)
{
    for (size_t i = 0; i < v->options->key_count; i++)
        if (strcmp(v->options->keys[i].id, id) == 0)
            return &v->options->keys[i];
    return NULL;
}

/* The signature over text; with no keys given it is only read. signature_length is set. */
static bool check_signature(struct verifier *v, const struct guard_json *audit, const char *text, size_t length,
                            unsigned char signature[AUDIT_SIGNATURE_SIZE])
{
    const char *encoded = text_of(audit, "signature"), *id = text_of(audit, "key_id");
    unsigned char decoded[GUARD_BASE64_DECODED(2 * AUDIT_SIGNATURE_SIZE)];
    size_t size = strlen(encoded);
    if (size > 2 * AUDIT_SIGNATURE_SIZE || guard_base64_decode(encoded, size, decoded) != AUDIT_SIGNATURE_SIZE)
        return verify_bad(v, "the checkpoint's signature is not 64 bytes of base64");
    memcpy(signature, decoded, AUDIT_SIGNATURE_SIZE);
    if (!v->options->key_count)
        return true;
    struct audit_key *key = find_key(v, id);
    if (!key)
        return verify_bad(v, "the checkpoint is signed with key %s, which is none of those given", id);
    return audit_key_verify(key, text, length, signature, AUDIT_SIGNATURE_SIZE)
               ? true
               : verify_bad(v, "the checkpoint's signature is wrong");
}

static bool check_checkpoint_place(struct verifier *v, const struct audit_line_end *end, const struct guard_json *audit)
{
    char head[2 * AUDIT_HASH_SIZE + 1];
    audit_hex(v->hash.head, sizeof v->hash.head, head);
    if (strcmp(text_of(audit, "chain"), end->chain) != 0 || number_of(audit, "last_sequence") != end->sequence - 1 ||
        strcmp(text_of(audit, "head"), head) != 0)
        return verify_bad(v, "the checkpoint is not about the line before it");
    if (!v->checkpoint_known)
        return true;
    if (number_of(audit, "checkpoint") != v->checkpoint + 1 ||
        number_of(audit, "first_sequence") != v->checkpoint_sequence + 1 ||
        strcmp(text_of(audit, "previous_checkpoint"), v->checkpoint_digest) != 0)
        return verify_bad(v, "the checkpoint does not continue the one before: one is missing or was replaced");
    return true;
}

/* A checkpoint comes at least every 60 s; what is much longer was a writer that hung, or a machine that slept. */
static void note_time(struct verifier *v, const char *text)
{
    int64_t now;
    if (guard_timestamp_parse(text, strlen(text), &now) != GUARD_OK)
        return;
    const struct audit_verify_run *before = v->run > v->result->runs ? v->run - 1 : NULL;
    int64_t last = v->checkpoint_time;
    if (!last && before && before->to > now + CLOCK_SKEW)
        verify_warn(v, "chain %s begins %lld s before the end of the run before it: the clock was set back",
                    v->run->chain, (long long)(before->to - now));
    if (last && now > last + HOLE_S)
        verify_warn(v,
                    "chain %s has no checkpoint for %lld s before number %llu: the writer or the machine stood still",
                    v->run->chain, (long long)(now - last), (unsigned long long)v->checkpoint_sequence);
    if (last && now + CLOCK_SKEW < last)
        verify_warn(v, "chain %s goes back by %lld s at number %llu: the clock was set", v->run->chain,
                    (long long)(last - now), (unsigned long long)v->checkpoint_sequence);
    v->checkpoint_time = now;
    v->run->from = v->run->from ? v->run->from : now;
    v->run->to = now;
}

static void note_sealed(struct verifier *v, uint64_t sequence)
{
    v->run->checkpoints++;
    if (!v->options->key_count)
        return; /* a chain that nobody signed, or whose signatures nobody checked, seals nothing */
    v->run->sealed_to = sequence - 1;
    v->run->unsealed = 0;
    /* audit-start is sealed with it, and with that where the runs before have ended */
    for (struct audit_verify_run *run = v->run; run > v->result->runs && run->first_sequence == 1; run--)
        run[-1].sealed_by_next = true;
}

bool verify_checkpoint(struct verifier *v, const struct audit_line_end *end, const struct guard_json *audit)
{
    char text[AUDIT_CHECKPOINT_TEXT_SIZE + AUDIT_SIGNATURE_SIZE];
    unsigned char digest[AUDIT_HASH_SIZE];
    const char *algorithm = text_of(audit, "algorithm");
    const struct audit_checkpoint checkpoint = {.chain = text_of(audit, "chain"),
                                                .number = number_of(audit, "checkpoint"),
                                                .last_sequence = number_of(audit, "last_sequence"),
                                                .head = text_of(audit, "head"),
                                                .previous = text_of(audit, "previous_checkpoint"),
                                                .time = text_of(audit, "time")};
    if (!check_checkpoint_place(v, end, audit))
        return false;
    size_t length = audit_checkpoint_text(&checkpoint, text);
    bool is_signed = strcmp(algorithm, "ed25519") == 0;
    if (!is_signed && v->options->key_count)
        return verify_bad(v, "the checkpoint is not signed (algorithm %s), but a key was given", algorithm);
    if (is_signed && !check_signature(v, audit, text, length, (unsigned char *)text + length))
        return false;
    if (!audit_chain_digest(&v->hash, text, length + (is_signed ? AUDIT_SIGNATURE_SIZE : 0), digest))
        return verify_bad(v, "SHA-256 failed");
    audit_hex(digest, sizeof digest, v->checkpoint_digest);
    v->checkpoint = checkpoint.number;
    v->checkpoint_sequence = end->sequence;
    v->checkpoint_known = true;
    note_time(v, checkpoint.time);
    note_sealed(v, end->sequence);
    return true;
}
