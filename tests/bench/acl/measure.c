#include "measure.h"

#include "core/clock.h"

#include <stdint.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double percentile(double *values, size_t count, double p)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[(size_t)((double)(count - 1) * p)];
}

double clock_cost(void)
{
    double cost[1001];
    for (int i = 0; i < 1001; i++) {
        int64_t start = guard_clock_monotonic_ns();
        cost[i] = (double)(guard_clock_monotonic_ns() - start);
    }
    return percentile(cost, 1001, 0.5);
}
