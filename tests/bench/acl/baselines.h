/* What a check is held against. */
#ifndef GUARD_BENCH_ACL_BASELINES_H
#define GUARD_BENCH_ACL_BASELINES_H

#include <stddef.h>

/* Nanoseconds of a scan over that many rules with a matcher like the broker's own. */
double bench_linear_scan(size_t rules);

/* Nanoseconds of the least there is: hash the topic, probe a table, compare. */
double bench_floor(void);

#endif
