/* Single measurements and what is made of them. */
#ifndef GUARD_BENCH_ACL_MEASURE_H
#define GUARD_BENCH_ACL_MEASURE_H

#include <stddef.h>

/* Sorts values; p is 0 to 1. */
double percentile(double *values, size_t count, double p);

/* Nanoseconds that reading the clock takes, to be taken off single measurements. */
double clock_cost(void);

#endif
