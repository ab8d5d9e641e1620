#include "baselines.h"

#include "core/clock.h"
#include "measure.h"
#include "policies.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HOT_ROUNDS 400000

/* ---- (a) a linear scan ---- */

/* Level by level, like the broker's mosquitto_topic_matches_sub. */
static bool scan_matches(const char *filter, const char *topic)
{
    if ((*filter == '$') != (*topic == '$'))
        return false;
    for (;;) {
        if (*filter == '#')
            return true;
        if (*filter == '+') {
            filter++;
            while (*topic && *topic != '/')
                topic++;
        } else {
            while (*filter == *topic && *filter && *filter != '/') {
                filter++;
                topic++;
            }
        }
        if (*filter != *topic)
            return *topic == '\0' && strcmp(filter, "/#") == 0;
        if (!*filter)
            return true;
        filter++;
        topic++;
    }
}

double bench_linear_scan(size_t rules)
{
    char(*filters)[48] = calloc(rules, sizeof *filters);
    unsigned found = 0;
    if (!filters)
        return -1;
    for (size_t i = 0; i < rules; i++)
        snprintf(filters[i], sizeof filters[i], "site%zu/line%zu/machine%zu/data", i % 100, i / 100 % 100, i);
    size_t rounds = rules > 1000 ? 20 : 20000;
    int64_t start = guard_clock_monotonic_ns();
    for (size_t r = 0; r < rounds; r++) {
        const char *topic = filters[r * 7919 % rules];
        for (size_t i = 0; i < rules; i++)
            if (scan_matches(filters[i], topic)) {
                found++;
                break;
            }
    }
    double cost = (double)(guard_clock_monotonic_ns() - start) / (double)rounds;
    if (found != rounds)
        fprintf(stderr, "the scan found %u of %zu\n", found, rounds);
    free(filters);
    return cost;
}

/* ---- (b) the floor ---- */

#define LINE 64

static size_t place(const char *topic, size_t length, size_t lines)
{
    uint64_t hash = 0, word;
    for (size_t at = 0; at + 8 <= length; at += 8) {
        memcpy(&word, topic + at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    }
    memcpy(&word, topic + length - 8, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    return (size_t)(((unsigned __int128)hash * lines) >> 64);
}

double bench_floor(void)
{
    static char table[1024][LINE];
    char topics[8][LINE];
    unsigned found = 0;
    for (size_t i = 0; i < 8; i++) {
        snprintf(topics[i], LINE, "devices/dev-%06zu/data", i + 1);
        memcpy(table[place(topics[i], strlen(topics[i]), 1024)], topics[i], LINE);
    }
    int64_t start = guard_clock_monotonic_ns();
    for (size_t i = 0; i < HOT_ROUNDS; i++) {
        const char *volatile chosen = topics[i % 8]; /* so that nothing is computed beforehand */
        const char *topic = chosen;
        size_t length = strlen(topic);
        found += memcmp(table[place(topic, length, 1024)], topic, length) == 0;
    }
    return found ? (double)(guard_clock_monotonic_ns() - start) / HOT_ROUNDS : -1;
}

#define LARGE_PAGE ((size_t)2 * 1024 * 1024)
#define COLD_ASKED 20000

void bench_cold_floor(size_t rules, double *p50, double *p99)
{
    size_t lines = rules + rules / 4 + 1, size = (lines * LINE + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    char(*table)[LINE] = need(aligned_alloc(LARGE_PAGE, size));
    double *cost = need(calloc(COLD_ASKED, sizeof *cost)), clock = clock_cost();
    volatile unsigned found = 0;
    madvise(table, size, MADV_HUGEPAGE);
    memset(table, 0, size);
    for (size_t i = 0; i < COLD_ASKED; i++) {
        char topic[LINE];
        size_t rule = next_random() % rules;
        int length =
            snprintf(topic, sizeof topic, "site%zu/line%zu/machine%zu/data", rule % 100, rule / 100 % 100, rule);
        int64_t start = guard_clock_monotonic_ns();
        found += memcmp(table[place(topic, (size_t)length, lines)], topic, (size_t)length) == 0;
        cost[i] = (double)(guard_clock_monotonic_ns() - start) - clock;
    }
    *p50 = percentile(cost, COLD_ASKED, 0.5);
    *p99 = percentile(cost, COLD_ASKED, 0.99);
    free(cost);
    free(table);
}
