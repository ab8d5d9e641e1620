/* How much processor time a job took. For the jobs of the worker pool only. */
#ifndef GUARD_AUTH_WORKER_CLOCK_H
#define GUARD_AUTH_WORKER_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Processor time of this thread, in microseconds. */
static inline int64_t auth_worker_thread_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* What this thread has spent since begin_us. */
static inline uint32_t auth_worker_cost_us(int64_t begin_us)
{
    int64_t spent = auth_worker_thread_us() - begin_us;
    return spent > UINT32_MAX ? UINT32_MAX : (uint32_t)spent;
}

#endif
