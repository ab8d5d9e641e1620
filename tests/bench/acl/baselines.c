#include "baselines.h"

#include "core/clock.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

double bench_floor(void)
{
    static char table[1024][64];
    const char *topics[8] = {"devices/dev-000001/data", "devices/dev-000002/data", "devices/dev-000003/data",
                             "devices/dev-000004/data", "devices/dev-000005/data", "devices/dev-000006/data",
                             "devices/dev-000007/data", "devices/dev-000008/data"};
    unsigned found = 0;
    for (int pass = 0; pass < 2; pass++) {
        int64_t start = guard_clock_monotonic_ns();
        for (size_t i = 0; i < (pass ? HOT_ROUNDS : 8); i++) {
            const char *volatile chosen = topics[i % 8]; /* so that nothing is computed beforehand */
            const char *topic = chosen;
            size_t length = strlen(topic);
            uint64_t hash = 0, word;
            for (size_t at = 0; at + 8 <= length; at += 8) {
                memcpy(&word, topic + at, 8);
                hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
            }
            memcpy(&word, topic + length - 8, 8);
            hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
            if (pass)
                found += memcmp(table[hash >> 54], topic, length) == 0;
            else
                memcpy(table[hash >> 54], topic, length + 1);
        }
        if (pass)
            return found ? (double)(guard_clock_monotonic_ns() - start) / HOT_ROUNDS : -1;
    }
    return 0;
}
