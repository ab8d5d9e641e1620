#include "auth/worker.h"

#include "auth/worker_queue.h"
#include "core/clock.h"
#include "core/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_QUEUE 4096U
#define THREADS_MAX   64U
#define IDLE_SECONDS  5

struct auth_worker_pool {
    struct auth_worker_settings settings;
    pthread_mutex_t lock; /* held for a few instructions only, never while a job runs */
    pthread_cond_t work;  /* a job is waiting, or the pool stops */
    bool stopping;
    struct worker_queue *queue;
    pthread_t thread[THREADS_MAX];
    unsigned threads; /* started */
};

static int64_t now_ms(void)
{
    return guard_clock_monotonic_ns() / 1000000;
}

/* Releases an argument outside the lock. */
static void release(const struct auth_worker_job *job)
{
    if (job->release)
        job->release(job->argument);
}

static void be_nice(int nice)
{
    id_t thread = (id_t)syscall(SYS_gettid); /* on Linux, niceness belongs to the thread */
    if (nice > 0)
        (void)setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + nice);
}

/* Runs one job without the lock, and files its result. */
static void run_job(struct auth_worker_pool *pool, size_t slot)
{
    struct auth_worker_job job = *worker_queue_job(pool->queue, slot);
    bool in_time = now_ms() < job.deadline_ms;
    pthread_mutex_unlock(&pool->lock);
    if (in_time)
        job.run(job.argument);
    pthread_mutex_lock(&pool->lock);
    bool wanted = worker_queue_finish(pool->queue, slot, in_time);
    pthread_mutex_unlock(&pool->lock);
    if (!wanted || !in_time)
        release(&job);
    if (wanted && pool->settings.wake)
        pool->settings.wake(pool->settings.wake_context);
    pthread_mutex_lock(&pool->lock);
}

/* Waits for a job or the end; false at the end. After IDLE_SECONDS without work the scratch memory is given back. */
static bool await_job(struct auth_worker_pool *pool, struct auth_password_scratch *scratch, size_t *slot)
{
    struct timespec until;
    bool idle = scratch == NULL; /* nothing to give back */
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    for (;;) {
        if (pool->stopping)
            return false;
        if (worker_queue_begin(pool->queue, slot))
            return true;
        if (idle) {
            pthread_cond_wait(&pool->work, &pool->lock);
        } else if (pthread_cond_timedwait(&pool->work, &pool->lock, &until) == ETIMEDOUT) {
            pthread_mutex_unlock(&pool->lock);
            auth_password_scratch_trim(scratch);
            idle = true;
            pthread_mutex_lock(&pool->lock);
        }
    }
}

static void work(void *context)
{
    struct auth_worker_pool *pool = context;
    struct auth_password_scratch *scratch = auth_password_scratch_new(); /* without, hashes are slower */
    size_t slot;
    be_nice(pool->settings.nice);
    auth_password_scratch_lend(scratch);
    pthread_mutex_lock(&pool->lock);
    while (await_job(pool, scratch, &slot))
        run_job(pool, slot);
    pthread_mutex_unlock(&pool->lock);
    auth_password_scratch_lend(NULL);
    auth_password_scratch_free(&scratch);
}

static int start_thread(struct auth_worker_pool *pool, struct guard_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "guard-verify-%u", pool->threads);
    struct guard_thread thread = {.name = name, .run = work, .context = pool, .wake_fd = GUARD_NO_WAKE_FD};
    int rc = guard_thread_start(&thread, &pool->thread[pool->threads], err);
    pool->threads += rc == GUARD_OK;
    return rc;
}

static unsigned default_threads(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors <= 2 ? 1 : processors >= 5 ? 4 : (unsigned)processors - 1;
}

int auth_worker_pool_new(const struct auth_worker_settings *settings, struct auth_worker_pool **out,
                         struct guard_error *err)
{
    unsigned wanted = settings->threads ? settings->threads : default_threads();
    *out = NULL;
    if (wanted > THREADS_MAX || settings->nice < 0 || settings->nice > 19)
        return guard_fail(err, GUARD_ERR_INVALID, "at most %u workers of niceness 0 to 19", THREADS_MAX);
    struct auth_worker_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    pool->settings = *settings;
    pool->queue = worker_queue_new(settings->queue ? settings->queue : DEFAULT_QUEUE);
    if (!pool->queue) {
        free(pool);
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory for the workers' queue");
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->work, &attributes);
    pthread_condattr_destroy(&attributes);
    int rc = GUARD_OK;
    while (rc == GUARD_OK && pool->threads < wanted)
        rc = start_thread(pool, err);
    if (rc != GUARD_OK)
        auth_worker_pool_free(&pool);
    *out = pool;
    return rc;
}

void auth_worker_pool_free(struct auth_worker_pool **pool)
{
    struct auth_worker_pool *it = *pool;
    struct auth_worker_job job;
    if (!it)
        return;
    pthread_mutex_lock(&it->lock);
    it->stopping = true;
    pthread_cond_broadcast(&it->work);
    pthread_mutex_unlock(&it->lock);
    for (unsigned i = 0; i < it->threads; i++)
        pthread_join(it->thread[i], NULL);
    while (worker_queue_drain(it->queue, &job))
        release(&job);
    worker_queue_free(&it->queue);
    pthread_cond_destroy(&it->work);
    pthread_mutex_destroy(&it->lock);
    free(it);
    *pool = NULL;
}

int auth_worker_submit(struct auth_worker_pool *pool, const struct auth_worker_job *job)
{
    struct auth_worker_job superseded;
    pthread_mutex_lock(&pool->lock);
    bool release_it = worker_queue_cancel(pool->queue, job->id, NULL, &superseded);
    bool taken = worker_queue_add(pool->queue, job);
    if (taken)
        pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    if (release_it)
        release(&superseded);
    return taken ? GUARD_OK : GUARD_ERR_LIMIT;
}

void auth_worker_cancel(struct auth_worker_pool *pool, uint64_t id, uint64_t generation)
{
    struct auth_worker_job cancelled;
    pthread_mutex_lock(&pool->lock);
    bool release_it = worker_queue_cancel(pool->queue, id, &generation, &cancelled);
    pthread_mutex_unlock(&pool->lock);
    if (release_it)
        release(&cancelled);
}

size_t auth_worker_drop_group(struct auth_worker_pool *pool, uint64_t group)
{
    pthread_mutex_lock(&pool->lock);
    size_t count = worker_queue_drop_group(pool->queue, group);
    pthread_mutex_unlock(&pool->lock);
    return count;
}

bool auth_worker_poll(struct auth_worker_pool *pool, int64_t now, struct auth_worker_answer *answer)
{
    struct auth_worker_job unused = {0};
    pthread_mutex_lock(&pool->lock);
    bool found = worker_queue_answer(pool->queue, now, answer, &unused);
    pthread_mutex_unlock(&pool->lock);
    if (unused.release)
        release(&unused);
    return found;
}

struct auth_worker_load auth_worker_load(struct auth_worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct auth_worker_load load = worker_queue_load(pool->queue);
    pthread_mutex_unlock(&pool->lock);
    return load;
}
