/* What the tests of the detection share: one object with a fixed key, and a list of what it raised. */
#ifndef GUARD_TESTS_DETECT_FIXTURE_H
#define GUARD_TESTS_DETECT_FIXTURE_H

#include "audit/detect.h"

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)
#define START  (1700000000 * SECOND)

#define KEPT_ALERTS 64

extern const struct guard_siphash_key key;
extern struct detect *detect;
extern struct detect_alert alerts[KEPT_ALERTS]; /* the first ones */
extern unsigned alert_count;                    /* of all */

void collect(void *context, const struct detect_alert *alert);
int setup(void **state);
int teardown(void **state);

/* A pseudo-random number, the same in every run. */
uint32_t next_random(uint64_t *state);

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
