/*
 * Hours of the day, in UTC, at which an identity is used to be active. Each hour in which it does something adds to
 * that hour of the day, once; each day takes a little of everything, so that habits may change. An hour that has less
 * than half a percent of all is unusual, once the identity is known for two weeks.
 */
#include "audit/detect_internal.h"

#include <stdlib.h>

#define HOUR_NS     (3600 * DETECT_SECOND_NS)
#define LEARN_HOURS (14 * 24)
#define WEIGHT      128          /* of an active hour */
#define FADES       32           /* a day takes one part of so many: half is gone after three weeks */
#define FADED_ALL   (FADES * 12) /* days after which nothing is left */
#define PER_UNUSUAL 200          /* one of so many is half a percent */

bool detect_watch_hours(struct detect *detect)
{
    detect->learned.hours = calloc((size_t)DETECT_HOURS_SETS * DETECT_WAYS, sizeof *detect->learned.hours);
    return detect->learned.hours != NULL;
}

/* The entry of a user; if it is new, in the place of the one of its set that was active longest ago. */
static struct detect_hours *entry_of(struct detect *detect, uint64_t user, uint32_t hour)
{
    struct detect_hours *set = detect->learned.hours + (user & (DETECT_HOURS_SETS - 1)) * DETECT_WAYS, *oldest = set;
    for (unsigned i = 0; i < DETECT_WAYS; i++) {
        if (set[i].key == user)
            return &set[i];
        if (set[i].last < oldest->last)
            oldest = &set[i];
    }
    *oldest = (struct detect_hours){.key = user, .first = hour, .last = hour - 1};
    return oldest;
}

static void fade(struct detect_hours *entry, uint32_t hour)
{
    uint32_t days = hour / DETECT_DAY_HOURS - entry->last / DETECT_DAY_HOURS;
    for (uint32_t day = 0; day < days && day < FADED_ALL; day++)
        for (unsigned i = 0; i < DETECT_DAY_HOURS; i++)
            entry->weight[i] = (uint16_t)(entry->weight[i] - entry->weight[i] / FADES - (entry->weight[i] % FADES > 0));
}

void detect_active(struct detect *detect, const struct detect_keys *who, uint32_t *hour, int64_t now_ns)
{
    uint32_t now = (uint32_t)(now_ns / HOUR_NS), total = 0;
    if (now == *hour || !detect->learned.hours || !who->user)
        return;
    *hour = now;
    struct detect_hours *entry = entry_of(detect, who->user, now);
    if ((int32_t)(now - entry->last) <= 0)
        return; /* another connection of it was first, or the clock went back */
    fade(entry, now);
    entry->last = now;
    for (unsigned i = 0; i < DETECT_DAY_HOURS; i++)
        total += entry->weight[i];
    uint16_t *weight = &entry->weight[now % DETECT_DAY_HOURS];
    if (now - entry->first >= LEARN_HOURS && total && (uint32_t)*weight * PER_UNUSUAL < total) {
        struct detect_alert alert = detect_alert_of(DETECT_HOURS, 0, now_ns);
        alert.observed = 100.0 * *weight / total;
        alert.threshold = 100.0 / PER_UNUSUAL;
        detect_say(detect, &alert, &entry->alerted_s, &entry->suppressed);
    }
    *weight = (uint16_t)(*weight + WEIGHT); /* fading keeps it below WEIGHT * FADES */
}
