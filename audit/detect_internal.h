/* Tables and filters of the detection, for audit/detect*.c only. */
#ifndef GUARD_AUDIT_DETECT_INTERNAL_H
#define GUARD_AUDIT_DETECT_INTERNAL_H

#include "audit/detect.h"

#define DETECT_SECOND_NS 1000000000LL

/* ---- table: what is known of a key under one rule, one cache line each ---- */

struct detect_entry {
    uint64_t key; /* 0 = free */
    int64_t at_ns;
    float score;         /* as of at_ns; leaks */
    uint32_t since_s;    /* when counting began: the score was 0, or the window opened */
    uint32_t alerted_s;  /* 0 = never */
    uint32_t suppressed; /* since then */
    uint64_t bits[4];    /* linear counting of users, topics or addresses: bits set never exceed the number */
};

struct detect_table {
    struct detect_entry *entries; /* sets of DETECT_WAYS */
    size_t sets;                  /* a power of two */
    double leak;                  /* of the score, a second */
};
#define DETECT_WAYS 8

bool detect_table_init(struct detect_table *table, size_t entries, double leak);
void detect_table_free(struct detect_table *table);
/* The entry of a key, its score leaked to now; if it is new, in the place of the one whose score is lowest by now. */
struct detect_entry *detect_table_get(struct detect_table *table, uint64_t key, int64_t now_ns);

/* Sets the bit that stands for value. */
void detect_mark(struct detect_entry *entry, uint64_t value);
unsigned detect_marks(const struct detect_entry *entry);

/* ---- Bloom filter of two generations ---- */

#define DETECT_BLOOM_OCTETS ((size_t)1 << 21) /* of a generation */

struct detect_bloom {
    uint64_t *bits[2]; /* [0] is written; both are asked */
    int64_t turned_ns; /* 0 = never */
};

bool detect_bloom_init(struct detect_bloom *bloom);
void detect_bloom_free(struct detect_bloom *bloom);
/* Adds a value; whether it was there before (with 1 million values: 0.05 % wrong "yes"). */
bool detect_bloom_add(struct detect_bloom *bloom, uint64_t value, int64_t now_ns);

/* ---- detect.c ---- */

/* What a restart must not lose. */
struct detect_learned {
    struct guard_siphash_key key;
    int64_t began_ns;          /* 0 = no log-in yet */
    struct detect_bloom pairs; /* (user, address) */
};
const struct detect_learned *detect_learned_of(const struct detect *detect);
struct detect_learned *detect_learned_to_fill(struct detect *detect);

/*
 * One alert of a rule and key within the rule's quiet time; what comes meanwhile is counted. alerted_s and suppressed
 * are the key's. alert->suppressed is set here.
 */
void detect_say(struct detect *detect, struct detect_alert *alert, uint32_t *alerted_s, uint32_t *suppressed);

#endif
