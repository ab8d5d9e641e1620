/* Inside the throttle: leaky scores, and a table of fixed size that forgets what weighs least. */
#ifndef GUARD_AUTH_THROTTLE_TABLE_H
#define GUARD_AUTH_THROTTLE_TABLE_H

#include "auth/throttle.h"

/* A leaky bucket's level as of at_ms. Zero-initialised it is empty. */
struct throttle_score {
    double level;
    int64_t at_ms;
};

/* What is left of the level at now_ms. */
double throttle_score_level(const struct throttle_score *score, const struct auth_throttle_bucket *bucket,
                            int64_t now_ms);

/* Whether the bucket is full; never with burst 0. */
bool throttle_score_over(const struct throttle_score *score, const struct auth_throttle_bucket *bucket, int64_t now_ms);
void throttle_score_add(struct throttle_score *score, const struct auth_throttle_bucket *bucket, double amount,
                        int64_t now_ms);

struct throttle_entry {
    uint64_t key; /* 0 = free */
    struct throttle_score score;
    int64_t blocked_until_ms; /* 0 = never was */
    uint8_t blocks;           /* how often in a row: the exponent of the next block */
};

/* Sets of eight entries; a key lives in one set. */
struct throttle_table;

/* NULL when out of memory. */
struct throttle_table *throttle_table_new(size_t entries);
void throttle_table_free(struct throttle_table **table);

/* The entry, or NULL. Pointers are good until the next call on the table. */
struct throttle_entry *throttle_table_find(struct throttle_table *table, uint64_t key);

/* The entry, made if need be in the place of the one of its set that weighs least: unblocked before blocked, then by
   the leaked score, then by age. Never NULL. */
struct throttle_entry *throttle_table_get(struct throttle_table *table, uint64_t key,
                                          const struct auth_throttle_bucket *bucket, int64_t now_ms);
/* How many are blocked. Looks at the whole table: nothing to call for each log-in. */
size_t throttle_table_blocked(const struct throttle_table *table, int64_t now_ms);
void throttle_table_remove(struct throttle_table *table, uint64_t key);
void throttle_table_clear(struct throttle_table *table);

#endif
