/*
 * What the broker thread counts as it goes, for the metrics: plain numbers of one thread. The background thread gets
 * copies (plugin/metrics.h).
 */
#ifndef GUARD_PLUGIN_COUNTS_H
#define GUARD_PLUGIN_COUNTS_H

#include "core/identity.h"
#include "core/reason.h"

#include <stdbool.h>
#include <stdint.h>

enum guard_access { ACCESS_PUBLISH, ACCESS_DELIVER, ACCESS_SUBSCRIBE, ACCESS_UNSUBSCRIBE, GUARD_ACCESS_COUNT };
enum guard_callback { CALLBACK_ACL_CHECK, CALLBACK_BASIC_AUTH, CALLBACK_TICK, CALLBACK_RELOAD, GUARD_CALLBACK_COUNT };

#define GUARD_METHOD_COUNT (GUARD_AUTH_ANONYMOUS + 1)
#define GUARD_BUCKETS      10 /* upper bounds: guard_bucket_ns; the last has none */

/* Upper bounds in nanoseconds of all but the last bucket. */
extern const int64_t guard_bucket_ns[GUARD_BUCKETS - 1];

struct guard_histogram {
    uint64_t bucket[GUARD_BUCKETS]; /* not cumulative */
    uint64_t sum_ns;
};

struct guard_counts {
    uint64_t checks[GUARD_ACCESS_COUNT][2]; /* [0] allowed, [1] denied */
    uint64_t sampled; /* checks on the long way: each 64th is timed, and one every 50 ms: plugin/access.c */
    uint64_t attempts[GUARD_METHOD_COUNT][GUARD_REASON_COUNT]; /* reason NONE = admitted */
    struct guard_histogram attempt[GUARD_METHOD_COUNT];        /* from the CONNECT to the verdict */
    int64_t sessions[GUARD_METHOD_COUNT];                      /* connected now */
    uint64_t kicks[GUARD_REASON_COUNT];
    uint64_t reloads[2]; /* [0] taken, [1] not taken */
    int64_t reloaded_at; /* Unix seconds */
    struct guard_histogram callback[GUARD_CALLBACK_COUNT];
    struct guard_histogram decision; /* of one check, without what the plugin does around it */
};

void guard_histogram_add(struct guard_histogram *histogram, int64_t ns);

/* One log-in, with the reason that the audit trail shows for it. */
void guard_count_attempt(struct guard_counts *counts, enum guard_auth_method method, enum guard_reason reason,
                         uint64_t duration_ns);

/* A policy was taken (now = Unix seconds), or was not. */
void guard_count_reload(struct guard_counts *counts, bool taken, int64_t now);

/* A client is connected from now on (by 1), or no longer (by -1). */
void guard_count_session(struct guard_counts *counts, enum guard_auth_method method, int by);

#endif
