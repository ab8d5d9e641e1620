/* Tables and filters of the detection, for audit/detect*.c only. */
#ifndef GUARD_AUDIT_DETECT_INTERNAL_H
#define GUARD_AUDIT_DETECT_INTERNAL_H

#include "audit/detect.h"

#include <stdatomic.h>

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

/* ---- hours ---- */

#define DETECT_HOURS_SETS 8192 /* of DETECT_WAYS */
#define DETECT_DAY_HOURS  24

/* When an identity is active, one of 65,536. */
struct detect_hours {
    uint64_t key;   /* 0 = free */
    uint32_t first; /* hour (of the Unix epoch) it was seen first */
    uint32_t last;  /* and last */
    uint32_t alerted_s, suppressed;
    uint16_t weight[DETECT_DAY_HOURS]; /* of each hour of the day, in UTC; older days weigh less */
};

/* ---- live connections of identities that may have one ---- */

#define DETECT_LIVE_SLOTS 4
struct detect_live {
    uint64_t key; /* 0 = free */
    int64_t at_ns;
    uint32_t alerted_s, suppressed;
    struct detect_live_slot {
        uint32_t connection; /* 0 = free */
        uint32_t client, address;
    } slot[DETECT_LIVE_SLOTS];
};
#define DETECT_LIVE_SETS 1024 /* of DETECT_WAYS */

/* ---- habits of clients that are not connected ---- */

struct detect_habit {
    uint64_t key; /* 0 = free */
    struct detect_rate rate;
    uint32_t turn; /* rises with each that is kept: the oldest of a set gives way */
};
#define DETECT_HABIT_SETS 8192 /* of DETECT_WAYS */

/* ---- detect.c ---- */

/* What a restart must not lose. */
struct detect_learned {
    struct guard_siphash_key key;
    int64_t began_ns;           /* 0 = no log-in yet */
    int64_t countries_began_ns; /* 0 = no log-in whose country was known */
    struct detect_bloom pairs;  /* (user, address) and (user, country) */
    struct detect_hours *hours; /* NULL = not watched */
};

struct detect {
    struct detect_learned learned;
    detect_raise *raise;
    void *context;
    struct detect_table table[DETECT_RULE_COUNT]; /* of the rules that have one */
    struct detect_live *live;
    struct detect_habit *habits;
    uint32_t habit_turn;
    _Atomic uint64_t count[DETECT_RULE_COUNT];
};
/* An alert of that rule as it begins; since_s 0 = not known. */
struct detect_alert detect_alert_of(enum detect_rule rule, uint32_t since_s, int64_t now_ns);

/*
 * One alert of a rule and key within the rule's quiet time; what comes meanwhile is counted. alerted_s and suppressed
 * are the key's. alert->suppressed is set here.
 */
void detect_say(struct detect *detect, struct detect_alert *alert, uint32_t *alerted_s, uint32_t *suppressed);

/* ---- detect_live.c ---- */

/* A connection of an identity that may have one begins, or ends. */
void detect_live_begin(struct detect *detect, const struct detect_keys *who, int64_t now_ns);
void detect_live_end(struct detect *detect, const struct detect_keys *who);

#endif
