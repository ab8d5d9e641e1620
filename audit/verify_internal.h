/* The verifier's state between its two files. */
#ifndef GUARD_AUDIT_VERIFY_INTERNAL_H
#define GUARD_AUDIT_VERIFY_INTERNAL_H

#include "audit/line_end.h"
#include "audit/verify.h"

struct guard_json;

enum verify_last { LAST_OTHER, LAST_STOP, LAST_CHECKPOINT_AFTER_STOP };

struct verifier {
    const struct audit_verify_options *options;
    struct audit_verify_result *result;
    struct audit_chain hash;

    /* the run */
    struct audit_verify_run *run; /* the last of result->runs; NULL = none yet */
    uint64_t expected;
    uint64_t checkpoint, checkpoint_sequence;
    char checkpoint_digest[2 * AUDIT_HASH_SIZE + 1];
    int64_t checkpoint_time; /* Unix seconds */
    bool checkpoint_known;   /* false after a start on trust, until the first checkpoint */
    enum verify_last last;
    bool torn;                      /* the run's last file has a torn tail that the next run must declare */
    uint64_t torn_line, torn_bytes; /* where the first one is; of all together */
    char torn_file[AUDIT_FILE_NAME_SIZE];

    /* the file */
    char file[AUDIT_FILE_NAME_SIZE];
    char previous_file[AUDIT_FILE_NAME_SIZE];
    uint64_t line;
    bool strict; /* it has a name of the trail's; an export of another name may hold many files' lines */
    bool out_of_memory;
};

/* Notes what is wrong with the current line; the first note stays. Returns false. */
bool verify_bad(struct verifier *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
void verify_warn(struct verifier *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Control records, parsed. Each returns whether it is as it must be. */
bool verify_start(struct verifier *v, const struct audit_line_end *end, const struct guard_json *audit);
bool verify_gap(struct verifier *v, const struct audit_line_end *end, const struct guard_json *audit,
                const char *reason);
bool verify_checkpoint(struct verifier *v, const struct audit_line_end *end, const struct guard_json *audit);
bool verify_recovered(struct verifier *v, const struct guard_json *audit, bool damaged);
/* The member of a control record that says whose trail it is. */
bool verify_broker(struct verifier *v, const char *broker);
/* Where a checkpoint is an anchor, too: whether it is the same. */
bool verify_anchor(struct verifier *v, const struct audit_line_end *end);
/* In the end: whether every anchor was there. */
bool verify_anchors_found(struct verifier *v);
/* Before another run begins, and in the end: what the run's sealing leaves open. */
bool verify_run_end(struct verifier *v, bool last);
bool verify_rotate(struct verifier *v, const struct guard_json *audit);

/* Ends the run that is open because another begins. */
bool verify_link(struct verifier *v, const struct audit_line_end *end, const struct guard_json *audit);

#endif
