/*
 * From records to lines: ECS 8.11 names, fields in the order of docs/audit.md, valid against audit/schema. The lines
 * end before ,"hash": the writer adds the hash. Writer thread only; nothing here allocates.
 */
#ifndef GUARD_AUDIT_ENCODE_H
#define GUARD_AUDIT_ENCODE_H

#include "audit/internal.h"
#include "audit/out.h"
#include "core/clock.h"

#define AUDIT_NODE_MAX   1024
#define AUDIT_POLICY_MAX 1024

/* ,"event":{… up to "sequence": of an event without reason, times and duration: made once, then copied. */
#define AUDIT_FRAME_MAX 240
struct audit_frame {
    uint16_t length; /* 0 = not made yet */
    char text[AUDIT_FRAME_MAX];
};

struct audit_encoder {
    const struct audit *audit;
    char node[AUDIT_NODE_MAX]; /* "ecs.version":…,"service":{…} */
    size_t node_length;
    char policy[AUDIT_POLICY_MAX]; /* "ruleset":…,"version":… of the policy in use, or empty */
    size_t policy_length;
    uint32_t policy_sanitized, policy_truncated;
    struct audit_frame frame[AUDIT_ACTION_COUNT][3]; /* by action and outcome */
    int64_t cached_second;                           /* of the time stamp below */
    char cached_time[GUARD_TIMESTAMP_SIZE];
};

void audit_encoder_init(struct audit_encoder *encoder, const struct audit *audit);

/* Takes over an AUDIT_RECORD_POLICY. */
void audit_encoder_policy(struct audit_encoder *encoder, const struct record_facts *record);

/* What the writer itself has to say. */
struct audit_own {
    enum audit_action action; /* audit-start, -stop, -rotate, -recovered, -gap, -checkpoint */
    uint64_t sequence;
    int64_t time_ns;

    const char *message;
    enum guard_reason reason;
    bool clean_shutdown;
    char previous_chain[AUDIT_CHAIN_LENGTH + 1]; /* "" = none */
    uint64_t previous_sequence;
    char previous_head[2 * AUDIT_HASH_SIZE + 1];
    uint64_t torn_bytes;
    bool damaged;                 /* recovered: not by a crash; head and last_sequence are what should be there */
    const char *file, *next_file; /* names, NULL = none */
    const char *key_id;           /* NULL = none */
    uint64_t lost, lost_total;    /* gap: its first and last are lost numbers that end before sequence */
    uint64_t first_sequence, last_sequence;
    int64_t start_ns, end_ns;
    const uint64_t *by_action;
    uint64_t checkpoint;
    const char *head, *previous_checkpoint, *time, *signature; /* checkpoint; signature NULL = algorithm none */
};

/* Append one line without its tail. False: it did not fit (cannot happen with the bounds kept), nothing is to be used.
 */
bool audit_encode_record(struct audit_encoder *encoder, const struct record *record, uint64_t lost_total,
                         struct audit_out *out);
bool audit_encode_own(struct audit_encoder *encoder, const struct audit_own *own, struct audit_out *out);

/* The event.reason of a gap. */
enum guard_reason audit_loss_reason(enum audit_loss loss);

/* ---- shared by encode*.c
 * --------------------------------------------------------------------------------------------- */

struct audit_line {
    struct audit_encoder *encoder;
    struct audit_out *out;
    uint32_t sanitized, truncated; /* enum audit_field bits */
};

enum audit_outcome { AUDIT_NO_OUTCOME, AUDIT_SUCCESS, AUDIT_FAILURE };

struct audit_event {
    enum audit_action action;
    enum audit_outcome outcome;
    enum guard_reason reason; /* as written; NONE = left out */
    unsigned severity;
    const char *type; /* ["start","allowed"] … */
    uint64_t duration_ns;
    int64_t start_ns, end_ns; /* 0 = left out */
    uint64_t sequence;
};

/* {"@timestamp":…,"log.level":…,"message":…,"ecs.version":…,"service":{…} ; message NULL = left out */
void audit_line_begin(struct audit_line *line, int64_t time_ns, const char *level, const char *message,
                      const char *detail);
/* ,"mosquitto":{"audit":{"truncated":…}} if anything was; then ,"event":{… without its end */
void audit_line_marks(struct audit_line *line);
void audit_line_event(struct audit_line *line, const struct audit_event *event);
/* A value, with marks if it had to be changed. */
unsigned audit_line_string(struct audit_line *line, enum audit_field field, const char *text, size_t length,
                           size_t max);
/* "name":value as a member of the object that is open, with a comma where one belongs; nothing for a text that is
 * absent. */
void audit_line_member(struct audit_line *line, const char *name, enum audit_field field, struct audit_text text,
                       size_t max);
/* The members of mosquitto.audit for marks, each preceded by a comma unless first. */
void audit_line_mark_members(struct audit_line *line, bool first);
/* ,"rule":{…} from id and name (length AUDIT_NO_TEXT = none) and the policy in use; nothing when there is neither. */
void audit_line_rule(struct audit_line *line, const char *id, uint16_t id_length, const char *name,
                     uint16_t name_length);
/* ,"source":{…} of a peer, or nothing. */
void audit_line_source(struct audit_line *line, const struct audit_peer *peer);

static inline void audit_line_span(struct audit_line *line, const struct audit_peer *peer, struct audit_span span)
{
    audit_put(line->out, peer->text + span.start, span.length);
}

void audit_encode_access(struct audit_line *line, const struct record_access *record);
void audit_encode_summary(struct audit_line *line, const struct record_summary *record);
void audit_encode_connect(struct audit_line *line, const struct record_facts *record);
void audit_encode_disconnect(struct audit_line *line, const struct record_facts *record);
void audit_encode_policy(struct audit_line *line, const struct record_facts *record);
void audit_encode_store(struct audit_line *line, const struct record_facts *record);
void audit_encode_alert(struct audit_line *line, const struct record_facts *record);
void audit_encode_sink_gap(struct audit_line *line, const struct record_facts *record, uint64_t lost_total);
void audit_encode_gap(struct audit_line *line, const struct record_gap *record, uint64_t lost_total);

/* A string of a record: its bytes (NULL = absent) and length. */
struct audit_text audit_fact(const struct record_facts *record, unsigned slot);

#endif
