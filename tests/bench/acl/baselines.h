/* What a check is held against. */
#ifndef GUARD_BENCH_ACL_BASELINES_H
#define GUARD_BENCH_ACL_BASELINES_H

#include <stddef.h>

/* Nanoseconds of a scan over that many rules with a matcher like the broker's own. */
double bench_linear_scan(size_t rules);

/* Nanoseconds of the least there is: hash the topic, probe a table, compare. */
double bench_floor(void);

/*
 * The same in a table of as many lines as the policy has rules, and a quarter more, on large pages like the engine's,
 * asked at random: what one line of memory that is in no cache costs here.
 */
void bench_cold_floor(size_t rules, double *p50, double *p99);

#endif
