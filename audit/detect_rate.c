/*
 * Rates against a connection's own habit: log2(1 + n) of each window of ten seconds, its mean and mean deviation. A
 * mean that follows whatever comes would be led up slowly by an attacker, so it rises by a factor of two an hour at
 * most, and not at all while there is an alarm. What lasts for an hour after an alarm is the new habit.
 */
#include "audit/detect_internal.h"

#include <math.h>

#define FLOOR_COUNT      100         /* a window with less is no spike, whatever the habit */
#define ALPHA            64.0        /* windows that the mean looks back on */
#define RISE             (1.0 / 360) /* of the mean, in a window: a doubling an hour */
#define DEVIATION_MAX    0.66        /* so that the limit is never above 97 times the habit */
#define SPIKE_LOG        3.3219      /* log2 of 10: at least so far above it */
#define SPIKE_DEVIATIONS 10
#define LEARNING         30  /* windows before there is a habit */
#define RELEARN          360 /* windows of alarm until it is the new habit */
#define IDLE_MAX         64  /* windows without a message that are taken into account */

static double baseline(const struct detect_rate *rate)
{
    return exp2((double)rate->mean) - 1;
}

static void set_limit(struct detect_rate *rate)
{
    double above = SPIKE_DEVIATIONS * (double)rate->deviation;
    double limit = exp2((double)rate->mean + (above > SPIKE_LOG ? above : SPIKE_LOG)) - 1;
    rate->limit = limit < FLOOR_COUNT ? FLOOR_COUNT : limit > 4e9 ? 4000000000U : (uint32_t)limit + 1;
    if (rate->seen < LEARNING)
        rate->limit = UINT32_MAX;
}

/* Begins a new habit with what is seen now. */
static void relearn(struct detect_rate *rate, double x)
{
    rate->mean = (float)x;
    rate->deviation = 0;
    rate->alarmed = 0;
}

static void learn(struct detect_rate *rate, double x)
{
    double weight = rate->seen < ALPHA ? 1.0 / (rate->seen + 1) : 1 / ALPHA;
    double off = x - (double)rate->mean, step = off * weight;
    double size = off < 0 ? -off : off;
    if (rate->seen >= LEARNING && step > RISE)
        step = RISE;
    if (rate->seen) {
        double deviation = (double)rate->deviation + (size - (double)rate->deviation) * weight;
        rate->deviation = (float)(deviation < DEVIATION_MAX ? deviation : DEVIATION_MAX);
    }
    rate->mean = (float)((double)rate->mean + step);
    if (rate->seen < UINT16_MAX)
        rate->seen++;
}

static void close_window(struct detect_rate *rate, uint32_t count)
{
    double x = log2(1.0 + count);
    if (!rate->alarmed)
        learn(rate, x);
    else if (count < rate->limit)
        rate->alarmed = 0;
    else if (++rate->alarmed > RELEARN)
        relearn(rate, x);
    set_limit(rate);
}

void detect_rate_turn(struct detect_rate *rate, uint32_t window)
{
    if (!rate->limit) { /* the first message: its window is not a whole one */
        rate->limit = UINT32_MAX;
        rate->window = window;
        return;
    }
    uint32_t passed = window > rate->window ? window - rate->window : 0;
    if (!passed)
        return; /* the clock went back */
    close_window(rate, rate->count);
    for (uint32_t i = 1; i < passed && i < IDLE_MAX; i++)
        close_window(rate, 0);
    rate->window = window;
    rate->count = 0;
}

void detect_rate_over(struct detect *detect, struct detect_rate *rate, int64_t now_ns)
{
    if (rate->count != rate->limit && rate->alarmed)
        return; /* of this window it was said */
    struct detect_alert alert = detect_alert_of(DETECT_RATE, 0, now_ns);
    alert.observed = rate->count;
    alert.baseline = baseline(rate);
    alert.score = (double)rate->count / (baseline(rate) > 1 ? baseline(rate) : 1);
    alert.threshold = rate->limit;
    if (!rate->alarmed)
        rate->alarmed = 1;
    detect_say(detect, &alert, &rate->alerted_s, &rate->suppressed);
}

#define SUMMARY_WINDOWS 360 /* of a summary's period: an hour */

void detect_publishes(struct detect *detect, struct detect_rate *rate, uint64_t count, int64_t first_ns,
                      int64_t last_ns)
{
    uint32_t first = (uint32_t)(first_ns / DETECT_WINDOW_NS), last = (uint32_t)(last_ns / DETECT_WINDOW_NS);
    uint64_t windows = last < first ? 1 : last - first < SUMMARY_WINDOWS ? last - first + 1 : SUMMARY_WINDOWS;
    for (uint64_t i = 0; i < windows; i++) {
        uint64_t share = count * (i + 1) / windows - count * i / windows;
        if (first + i != rate->window)
            detect_rate_turn(rate, first + (uint32_t)i);
        rate->count += (uint32_t)(share < UINT32_MAX / 2 ? share : UINT32_MAX / 2);
        if (rate->count >= rate->limit && !rate->alarmed)
            detect_rate_over(detect, rate, last_ns);
    }
}

/* ---- from one connection to the next ---- */

static struct detect_habit *set_of(struct detect *detect, uint64_t client)
{
    return detect->habits + (client & (DETECT_HABIT_SETS - 1)) * DETECT_WAYS;
}

void detect_rate_keep(struct detect *detect, const struct detect_keys *who, const struct detect_rate *rate)
{
    if (!who->client || !rate->seen)
        return;
    struct detect_habit *set = set_of(detect, who->client), *place = set;
    for (unsigned i = 0; i < DETECT_WAYS; i++) {
        if (set[i].key == who->client) {
            place = &set[i];
            break;
        }
        if (!set[i].key ? place->key != 0 : place->key && set[i].turn < place->turn)
            place = &set[i];
    }
    *place = (struct detect_habit){who->client, *rate, ++detect->habit_turn};
}

void detect_rate_resume(struct detect *detect, const struct detect_keys *who, struct detect_rate *rate, int64_t now_ns)
{
    const struct detect_habit *set = set_of(detect, who->client);
    for (unsigned i = 0; who->client && i < DETECT_WAYS; i++) {
        if (set[i].key != who->client)
            continue;
        *rate = set[i].rate;
        rate->window = (uint32_t)(now_ns / DETECT_WINDOW_NS);
        rate->count = 0;
    }
}
