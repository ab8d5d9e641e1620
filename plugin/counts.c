#include "plugin/counts.h"

#include "audit/action.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)

const int64_t guard_bucket_ns[GUARD_BUCKETS - 1] = {US,     10 * US, 100 * US, 250 * US, MS,
                                                    5 * MS, 25 * MS, 100 * MS, 500 * MS};

void guard_histogram_add(struct guard_histogram *histogram, int64_t ns)
{
    unsigned i = 0;
    if (ns < 0)
        ns = 0;
    while (i < GUARD_BUCKETS - 1 && ns > guard_bucket_ns[i])
        i++;
    histogram->bucket[i]++;
    histogram->sum_ns += (uint64_t)ns;
}

void guard_count_attempt(struct guard_counts *counts, enum guard_auth_method method, enum guard_reason reason,
                         uint64_t duration_ns)
{
    if (reason != GUARD_REASON_NONE)
        reason = audit_action_reason(AUDIT_ACTION_MQTT_CONNECT, reason);
    if (method == GUARD_AUTH_NONE)
        method = GUARD_AUTH_ANONYMOUS;
    counts->attempts[method][reason]++;
    guard_histogram_add(&counts->attempt[method], (int64_t)duration_ns);
}

void guard_count_reload(struct guard_counts *counts, bool taken, int64_t now)
{
    counts->reloads[taken ? 0 : 1]++;
    if (taken)
        counts->reloaded_at = now;
}

void guard_count_session(struct guard_counts *counts, enum guard_auth_method method, int by)
{
    counts->sessions[method == GUARD_AUTH_NONE ? GUARD_AUTH_ANONYMOUS : method] += by;
}
