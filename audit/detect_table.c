/* The bounded memory of the detection: tables, marks, and the filter for pairs that were seen. */
#include "audit/detect_internal.h"

#include <stdlib.h>
#include <string.h>

bool detect_table_init(struct detect_table *table, size_t entries, double leak)
{
    table->sets = entries / DETECT_WAYS;
    table->leak = leak;
    table->entries = calloc(entries, sizeof *table->entries);
    return table->entries != NULL;
}

void detect_table_free(struct detect_table *table)
{
    free(table->entries);
    table->entries = NULL;
}

static double score_now(const struct detect_table *table, const struct detect_entry *entry, int64_t now_ns)
{
    int64_t age = now_ns > entry->at_ns ? now_ns - entry->at_ns : 0;
    double score = (double)entry->score - table->leak * (double)age / DETECT_SECOND_NS;
    return score > 0 ? score : 0;
}

/* Which of a set gives way: a free one, else the lowest score, of these the oldest. */
static struct detect_entry *weakest(const struct detect_table *table, struct detect_entry *set, int64_t now_ns)
{
    struct detect_entry *found = &set[0];
    double lowest = score_now(table, found, now_ns);
    for (unsigned i = 0; i < DETECT_WAYS; i++) {
        if (!set[i].key)
            return &set[i];
        double score = score_now(table, &set[i], now_ns);
        if (score < lowest || (score <= lowest && set[i].at_ns < found->at_ns)) {
            found = &set[i];
            lowest = score;
        }
    }
    return found;
}

struct detect_entry *detect_table_get(struct detect_table *table, uint64_t key, int64_t now_ns)
{
    struct detect_entry *set = table->entries + (key & (table->sets - 1)) * DETECT_WAYS;
    struct detect_entry *entry = NULL;
    for (unsigned i = 0; i < DETECT_WAYS && !entry; i++)
        if (set[i].key == key)
            entry = &set[i];
    if (!entry) {
        entry = weakest(table, set, now_ns);
        *entry = (struct detect_entry){.key = key, .at_ns = now_ns, .since_s = (uint32_t)(now_ns / DETECT_SECOND_NS)};
    }
    entry->score = (float)score_now(table, entry, now_ns);
    if (now_ns > entry->at_ns)
        entry->at_ns = now_ns;
    return entry;
}

void detect_mark(struct detect_entry *entry, uint64_t value)
{
    entry->bits[value >> 62] |= UINT64_C(1) << (value >> 56 & 63);
}

unsigned detect_marks(const struct detect_entry *entry)
{
    unsigned count = 0;
    for (unsigned i = 0; i < 4; i++)
        count += (unsigned)__builtin_popcountll(entry->bits[i]);
    return count;
}

/* ---- Bloom ---- */

#define BLOOM_BITS          ((uint32_t)DETECT_BLOOM_OCTETS * 8)
#define BLOOM_HASHES        7
#define BLOOM_GENERATION_NS (30 * 86400 * DETECT_SECOND_NS)

bool detect_bloom_init(struct detect_bloom *bloom)
{
    for (unsigned i = 0; i < 2; i++)
        bloom->bits[i] = calloc(BLOOM_BITS / 64, sizeof *bloom->bits[i]);
    return bloom->bits[0] && bloom->bits[1];
}

void detect_bloom_free(struct detect_bloom *bloom)
{
    free(bloom->bits[0]);
    free(bloom->bits[1]);
    bloom->bits[0] = bloom->bits[1] = NULL;
}

static void turn_generation(struct detect_bloom *bloom, int64_t now_ns)
{
    if (!bloom->turned_ns)
        bloom->turned_ns = now_ns;
    if (now_ns - bloom->turned_ns < BLOOM_GENERATION_NS)
        return;
    uint64_t *oldest = bloom->bits[1];
    bloom->bits[1] = bloom->bits[0];
    bloom->bits[0] = oldest;
    memset(oldest, 0, DETECT_BLOOM_OCTETS);
    bloom->turned_ns = now_ns;
}

bool detect_bloom_add(struct detect_bloom *bloom, uint64_t value, int64_t now_ns)
{
    bool seen[2] = {true, true};
    uint32_t at = (uint32_t)value, step = (uint32_t)(value >> 32) | 1;
    turn_generation(bloom, now_ns);
    for (unsigned i = 0; i < BLOOM_HASHES; i++, at += step) {
        uint32_t bit = at & (BLOOM_BITS - 1);
        uint64_t mask = UINT64_C(1) << (bit & 63);
        seen[0] = seen[0] && bloom->bits[0][bit / 64] & mask;
        seen[1] = seen[1] && bloom->bits[1][bit / 64] & mask;
        bloom->bits[0][bit / 64] |= mask; /* a pair that goes on coming lives on */
    }
    return seen[0] || seen[1];
}
