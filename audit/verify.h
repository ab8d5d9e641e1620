/*
 * Proving that a trail is what was written (docs/audit.md, "Verification"): every line's hash continues the one before,
 * every number is there or declared lost, every checkpoint signs what stands before it, every run continues the last.
 */
#ifndef GUARD_AUDIT_VERIFY_H
#define GUARD_AUDIT_VERIFY_H

#include "audit/chain.h"
#include "audit/segment.h"

/* A checkpoint that was kept elsewhere: the trail must have it, with this hash. */
struct audit_anchor {
    char chain[AUDIT_CHAIN_LENGTH + 1];
    uint64_t sequence;
    unsigned char hash[AUDIT_HASH_SIZE];
    int64_t time; /* Unix seconds */
    bool found;
};

/*
 * Adds the checkpoints of a file ("-" = standard input) to *anchors (freed by the caller): lines of the trail, alone or
 * behind something else such as a syslog header; all other lines are passed over. GUARD_ERR_NOT_FOUND when there is
 * none.
 */
int audit_anchors_load(const char *path, struct audit_anchor **anchors, size_t *count, struct guard_error *err);

struct audit_verify_options {
    struct audit_key *keys; /* whose signatures count; none = hashes only */
    size_t key_count;
    const char *const *brokers; /* whose trail it may be; none = one broker's, whoever it is */
    size_t broker_count;
    struct audit_anchor *anchors; /* found is set; they are sorted */
    size_t anchor_count;
    bool require_final; /* the last run must have been closed */
    bool from_rotation; /* older files of the first run may be missing (retention); its first line is then taken on
                           trust */
};

#define AUDIT_BROKER_SIZE 256

/* One run of the broker. */
struct audit_verify_run {
    char chain[AUDIT_CHAIN_LENGTH + 1];
    uint64_t first_sequence, last_sequence;
    uint64_t lines;
    uint64_t lost;                  /* declared by gap records */
    uint64_t checkpoints;           /* whose signature was good; without keys, or unsigned: all */
    uint64_t sealed_to;             /* last number that a good signature covers; 0 = none */
    uint64_t unsealed;              /* lines behind it, without the checkpoint itself */
    bool closed;                    /* it ends with audit-stop and a checkpoint */
    bool sealed_by_next;            /* a sealed later run states where this one ended */
    bool damaged;                   /* its writer found the trail cut, changed or removed, and said so */
    uint64_t events;                /* lines other than audit-start and audit-recovered */
    int64_t from, to;               /* Unix seconds of its first and last checkpoint; 0 = none */
    char broker[AUDIT_BROKER_SIZE]; /* "" = its start is not here */
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
    char *last_checkpoint; /* the last good one's line; NULL = none */
};

/* The first number behind what is sealed; of use when unsealed is not 0. */
static inline uint64_t audit_verify_unsealed_from(const struct audit_verify_run *run)
{
    return run->sealed_to ? run->sealed_to + 2 : run->first_sequence; /* the checkpoint has the number between */
}

/*
 * Verifies the files in this order. GUARD_OK whenever there is a result, good or bad; GUARD_ERR_* with err when a file
 * cannot be read or memory ends. The result is freed by audit_verify_free in any case.
 */
int audit_verify(const char *const *paths, size_t count, const struct audit_verify_options *options,
                 struct audit_verify_result *result, struct guard_error *err);
void audit_verify_free(struct audit_verify_result *result);

#endif
