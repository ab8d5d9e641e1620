#include "detect_fixture.h"

const struct guard_siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
struct detect *detect;
struct detect_alert alerts[KEPT_ALERTS];
unsigned alert_count;

void collect(void *context, const struct detect_alert *alert)
{
    (void)context;
    if (alert_count < KEPT_ALERTS)
        alerts[alert_count] = *alert;
    alert_count++;
}

int setup(void **state)
{
    (void)state;
    alert_count = 0;
    detect = detect_new(&key, collect, NULL);
    return detect ? 0 : -1;
}

int teardown(void **state)
{
    (void)state;
    detect_free(&detect);
    return 0;
}

uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*state >> 33);
}
