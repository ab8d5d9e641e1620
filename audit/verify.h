/*
 * Proving that a trail is what was written (docs/audit.md, "Verification"): every line's hash continues the one before,
 * every number is there or declared lost, every checkpoint signs what stands before it, every run continues the last.
 */
#ifndef GUARD_AUDIT_VERIFY_H
#define GUARD_AUDIT_VERIFY_H

#include "audit/chain.h"
#include "audit/segment.h"

struct audit_verify_options {
    struct audit_key *keys; /* whose signatures count; none = hashes only */
    size_t key_count;
    bool require_final; /* the last run must have been closed */
    bool from_rotation; /* older files of the first run may be missing (retention); its first line is then taken on
                           trust */
};

/* One run of the broker. */
struct audit_verify_run {
    char chain[AUDIT_CHAIN_LENGTH + 1];
    uint64_t first_sequence, last_sequence;
    uint64_t lines;
    uint64_t lost;        /* declared by gap records */
    uint64_t checkpoints; /* whose signature was good; without keys, or unsigned: all */
    uint64_t sealed_to;   /* last number that a good signature covers; 0 = none */
    uint64_t unsealed;    /* lines behind it, without the checkpoint itself */
    bool closed;          /* it ends with audit-stop and a checkpoint */
    bool sealed_by_next;  /* a sealed later run states where this one ended */
};

struct audit_verify_result {
    bool valid;
    uint64_t files, lines, bytes;
    char bad_file[AUDIT_FILE_NAME_SIZE]; /* "" = nothing is bad, or no file is to blame */
    uint64_t bad_line;                   /* 1-based */
    char reason[256];                    /* what is wrong */
    struct audit_verify_run *runs;
    size_t run_count;
    char **warnings;
    size_t warning_count;
};

/*
 * Verifies the files in this order. GUARD_OK whenever there is a result, good or bad; GUARD_ERR_* with err when a file
 * cannot be read or memory ends. The result is freed by audit_verify_free in any case.
 */
int audit_verify(const char *const *paths, size_t count, const struct audit_verify_options *options,
                 struct audit_verify_result *result, struct guard_error *err);
void audit_verify_free(struct audit_verify_result *result);

#endif
