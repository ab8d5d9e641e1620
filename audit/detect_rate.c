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

void detect_rate_turn(struct detect *detect, struct detect_rate *rate, uint32_t window, int64_t now_ns)
{
    (void)detect;
    (void)now_ns;
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
    struct detect_alert alert = {
        .rule = DETECT_RATE,
        .time_ns = now_ns,
        .observed = rate->count,
        .baseline = baseline(rate),
        .score = (double)rate->count / (baseline(rate) > 1 ? baseline(rate) : 1),
        .threshold = rate->limit,
        .window_s = DETECT_WINDOW_NS / DETECT_SECOND_NS,
        .distinct_users = -1,
        .distinct_ips = -1,
    };
    if (!rate->alarmed)
        rate->alarmed = 1;
    detect_say(detect, &alert, &rate->alerted_s, &rate->suppressed);
}
