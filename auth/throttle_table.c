#include "auth/throttle_table.h"

#include <stdlib.h>
#include <string.h>

#define WAYS 8U

struct throttle_table {
    size_t sets; /* a power of two */
    struct throttle_entry entry[];
};

double throttle_score_level(const struct throttle_score *score, const struct auth_throttle_bucket *bucket,
                            int64_t now_ms)
{
    if (now_ms <= score->at_ms || !bucket->period_ms)
        return score->level;
    double left = score->level - (double)(now_ms - score->at_ms) * bucket->burst / bucket->period_ms;
    return left > 0 ? left : 0;
}

bool throttle_score_over(const struct throttle_score *score, const struct auth_throttle_bucket *bucket, int64_t now_ms)
{
    return bucket->burst && throttle_score_level(score, bucket, now_ms) >= bucket->burst;
}

void throttle_score_add(struct throttle_score *score, const struct auth_throttle_bucket *bucket, double amount,
                        int64_t now_ms)
{
    score->level = throttle_score_level(score, bucket, now_ms) + amount;
    score->at_ms = now_ms;
}

struct throttle_table *throttle_table_new(size_t entries)
{
    size_t sets = 1;
    while (sets * WAYS < entries && sets < SIZE_MAX / 2 / WAYS / sizeof(struct throttle_entry))
        sets *= 2;
    struct throttle_table *table = calloc(1, sizeof *table + sets * WAYS * sizeof table->entry[0]);
    if (table)
        table->sets = sets;
    return table;
}

void throttle_table_free(struct throttle_table **table)
{
    free(*table);
    *table = NULL;
}

static struct throttle_entry *set_of(struct throttle_table *table, uint64_t key)
{
    return &table->entry[(key & (table->sets - 1)) * WAYS];
}

/* Keys are random numbers; the one that means "free" is moved aside. */
static uint64_t stored_key(uint64_t key)
{
    return key ? key : 1;
}

struct throttle_entry *throttle_table_find(struct throttle_table *table, uint64_t key)
{
    struct throttle_entry *set = set_of(table, stored_key(key));
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].key == stored_key(key))
            return &set[i];
    return NULL;
}

size_t throttle_table_blocked(const struct throttle_table *table, int64_t now_ms)
{
    size_t blocked = 0;
    for (size_t i = 0; i < table->sets * WAYS; i++)
        blocked += table->entry[i].key && table->entry[i].blocked_until_ms > now_ms;
    return blocked;
}

static bool weighs_less(const struct throttle_entry *a, const struct throttle_entry *b,
                        const struct auth_throttle_bucket *bucket, int64_t now_ms)
{
    if (!a->key || !b->key)
        return !a->key && b->key;
    bool a_blocked = a->blocked_until_ms > now_ms, b_blocked = b->blocked_until_ms > now_ms;
    if (a_blocked != b_blocked)
        return b_blocked;
    if (a_blocked)
        return a->blocked_until_ms < b->blocked_until_ms;
    double a_level = throttle_score_level(&a->score, bucket, now_ms),
           b_level = throttle_score_level(&b->score, bucket, now_ms);
    return a_level < b_level || (a_level <= b_level && a->score.at_ms < b->score.at_ms);
}

struct throttle_entry *throttle_table_get(struct throttle_table *table, uint64_t key,
                                          const struct auth_throttle_bucket *bucket, int64_t now_ms)
{
    struct throttle_entry *found = throttle_table_find(table, key);
    if (found)
        return found;
    struct throttle_entry *set = set_of(table, stored_key(key)), *least = set;
    for (size_t i = 1; i < WAYS; i++)
        if (weighs_less(&set[i], least, bucket, now_ms))
            least = &set[i];
    *least = (struct throttle_entry){.key = stored_key(key), .score = {.at_ms = now_ms}};
    return least;
}

void throttle_table_remove(struct throttle_table *table, uint64_t key)
{
    struct throttle_entry *entry = throttle_table_find(table, key);
    if (entry)
        *entry = (struct throttle_entry){0};
}

void throttle_table_clear(struct throttle_table *table)
{
    memset(table->entry, 0, table->sets * WAYS * sizeof table->entry[0]);
}
