#include "store/saver.h"

#include "core/clock.h"
#include "store/snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NS          INT64_C(1000000000)
#define DELAY_NS    (NS / 2) /* several edits in a row make one file */
#define COST_FACTOR 20       /* a file that takes a second to write is written every twenty at most */

struct guard_saver {
    char *path, *prefix;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct guard_content next; /* to be saved; valid if has_next */
    bool has_next, stop, has_failure;
    bool is_saved;      /* the file holds what was offered last */
    int64_t confirm_at; /* Unix seconds to be noted in the file; 0: none */
    struct guard_error failure;
    int64_t due; /* CLOCK_MONOTONIC ns */
    int64_t quiet_until;
};

/* What the thread has to do next: save content, note a time, or end (both empty). */
struct job {
    struct guard_content content;
    bool save;
    int64_t confirm_at;
};

/* With the lock: waits until there is a job or the end. */
static struct job next_job(struct guard_saver *saver)
{
    for (;;) {
        int64_t now = guard_clock_monotonic_ns();
        struct job job = {.confirm_at = saver->is_saved ? saver->confirm_at : 0};
        saver->confirm_at = 0;
        if (saver->has_next && (saver->stop || now >= saver->due)) {
            saver->has_next = false;
            return (struct job){.content = saver->next, .save = true};
        }
        if (job.confirm_at || saver->stop)
            return job;
        if (saver->has_next) {
            struct timespec until = {.tv_sec = saver->due / NS, .tv_nsec = saver->due % NS};
            pthread_cond_timedwait(&saver->wake, &saver->lock, &until);
        } else {
            pthread_cond_wait(&saver->wake, &saver->lock);
        }
    }
}

static void save(struct guard_saver *saver, struct guard_content *content)
{
    struct guard_error err = {0};
    int64_t start = guard_clock_monotonic_ns();
    int rc = guard_snapshot_write(saver->path, saver->prefix, content, guard_clock_now(), &err);
    guard_content_free(content);
    int64_t end = guard_clock_monotonic_ns();
    pthread_mutex_lock(&saver->lock);
    saver->quiet_until = end + (end - start) * COST_FACTOR;
    if (rc != GUARD_OK) {
        saver->failure = err;
        saver->has_failure = true;
    }
    saver->is_saved = rc == GUARD_OK && !saver->has_next;
    pthread_mutex_unlock(&saver->lock);
}

static void *run(void *argument)
{
    struct guard_saver *saver = argument;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19); /* Linux: of this thread alone */
    for (;;) {
        pthread_mutex_lock(&saver->lock);
        struct job job = next_job(saver);
        pthread_mutex_unlock(&saver->lock);
        if (job.save)
            save(saver, &job.content);
        else if (job.confirm_at)
            guard_snapshot_confirm(saver->path, job.confirm_at);
        else
            return NULL;
    }
}

static bool start_thread(struct guard_saver *saver)
{
    sigset_t all, before;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&saver->lock, NULL);
    pthread_cond_init(&saver->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&saver->thread, NULL, run, saver);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_setname_np(saver->thread, "guard-snapshot");
    return rc == 0;
}

struct guard_saver *guard_saver_new(const char *path, const char *prefix, bool is_saved)
{
    struct guard_saver *saver = calloc(1, sizeof *saver);
    if (!saver)
        return NULL;
    saver->is_saved = is_saved;
    saver->path = strdup(path);
    saver->prefix = strdup(prefix);
    if (saver->path && saver->prefix && start_thread(saver))
        return saver;
    free(saver->path);
    free(saver->prefix);
    free(saver);
    return NULL;
}

void guard_saver_offer(struct guard_saver *saver, const struct guard_content *content)
{
    struct guard_content copy, old = {0};
    int64_t soon = guard_clock_monotonic_ns() + DELAY_NS;
    guard_content_copy(&copy, content);
    pthread_mutex_lock(&saver->lock);
    if (saver->has_next)
        old = saver->next;
    else
        saver->due = soon > saver->quiet_until ? soon : saver->quiet_until;
    saver->next = copy;
    saver->has_next = true;
    saver->is_saved = false;
    pthread_cond_signal(&saver->wake);
    pthread_mutex_unlock(&saver->lock);
    guard_content_free(&old);
}

void guard_saver_confirm(struct guard_saver *saver)
{
    pthread_mutex_lock(&saver->lock);
    saver->confirm_at = guard_clock_now();
    pthread_cond_signal(&saver->wake);
    pthread_mutex_unlock(&saver->lock);
}

bool guard_saver_failure(struct guard_saver *saver, struct guard_error *err)
{
    pthread_mutex_lock(&saver->lock);
    bool failed = saver->has_failure;
    saver->has_failure = false;
    *err = saver->failure;
    pthread_mutex_unlock(&saver->lock);
    return failed;
}

void guard_saver_free(struct guard_saver **saver)
{
    struct guard_saver *s = *saver;
    *saver = NULL;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s->prefix);
    free(s);
}
