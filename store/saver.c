#include "store/saver.h"

#include "core/clock.h"
#include "core/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NS          INT64_C(1000000000)
#define DELAY_NS    (NS / 2) /* several edits in a row are saved together */
#define COST_FACTOR 20       /* what takes a second to be written as a whole is so every twenty at most */

struct saving {
    struct guard_content content;
    void *image;
};

struct guard_saver {
    char *path, *prefix;
    const struct guard_store_callbacks *callbacks;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct saving next; /* to be saved; valid if has_next */
    bool has_next, stop, has_failure;
    bool is_saved;      /* the file holds what was offered last */
    int64_t confirm_at; /* Unix seconds to be noted in the file; 0: none */
    struct guard_error failure;
    int64_t due; /* CLOCK_MONOTONIC ns */

    /* of the thread */
    struct guard_content held; /* what the file holds */
    struct guard_snapshot_end end;
    int64_t quiet_until;
};

static void free_saving(struct guard_saver *saver, struct saving *saving)
{
    guard_content_free(&saving->content);
    if (saving->image)
        saver->callbacks->image_free(saving->image);
    *saving = (struct saving){0};
}

/* What the thread has to do next: save something, note a time, or end (neither). */
struct job {
    struct saving saving;
    bool save, last;
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
            return (struct job){.saving = saver->next, .save = true, .last = saver->stop};
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

/* Not yet: it comes again, unless something newer came meanwhile. */
static void put_back(struct guard_saver *saver, struct saving *saving)
{
    pthread_mutex_lock(&saver->lock);
    saver->due = saver->quiet_until;
    if (!saver->has_next) {
        saver->next = *saving;
        saver->has_next = true;
        *saving = (struct saving){0};
    }
    pthread_mutex_unlock(&saver->lock);
    free_saving(saver, saving);
}

static int write_whole(struct guard_saver *saver, const struct guard_snapshot_save *save, struct guard_error *err)
{
    int64_t start = guard_clock_monotonic_ns();
    int rc = guard_snapshot_write(saver->path, saver->prefix, save, &saver->end, err);
    int64_t end = guard_clock_monotonic_ns();
    saver->quiet_until = end + (end - start) * COST_FACTOR;
    return rc;
}

static void save(struct guard_saver *saver, struct job *job)
{
    struct guard_error err = {0};
    struct guard_snapshot_save content = {.content = &job->saving.content,
                                          .callbacks = saver->callbacks,
                                          .image = job->saving.image,
                                          .saved_at = guard_clock_now()};
    int rc = guard_snapshot_append(saver->path, &saver->held, &content, &saver->end, &err);
    if (rc == GUARD_ERR_UNSUPPORTED && !job->last && guard_clock_monotonic_ns() < saver->quiet_until) {
        put_back(saver, &job->saving);
        return;
    }
    if (rc == GUARD_ERR_UNSUPPORTED)
        rc = write_whole(saver, &content, &err);
    if (rc == GUARD_OK) {
        guard_content_free(&saver->held);
        guard_content_copy(&saver->held, &job->saving.content);
    }
    free_saving(saver, &job->saving);
    pthread_mutex_lock(&saver->lock);
    if (rc != GUARD_OK) {
        saver->failure = err;
        saver->has_failure = true;
    }
    saver->is_saved = rc == GUARD_OK && !saver->has_next;
    pthread_mutex_unlock(&saver->lock);
}

static void run(void *argument)
{
    struct guard_saver *saver = argument;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19); /* Linux: of this thread alone */
    for (;;) {
        pthread_mutex_lock(&saver->lock);
        struct job job = next_job(saver);
        pthread_mutex_unlock(&saver->lock);
        if (job.save)
            save(saver, &job);
        else if (job.confirm_at)
            guard_snapshot_confirm(saver->path, &saver->end, job.confirm_at);
        else
            return;
    }
}

static bool start_thread(struct guard_saver *saver)
{
    struct guard_error err;
    struct guard_thread thread = {.name = "guard-snapshot", .run = run, .context = saver, .wake_fd = GUARD_NO_WAKE_FD};
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&saver->lock, NULL);
    pthread_cond_init(&saver->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    return guard_thread_start(&thread, &saver->thread, &err) == GUARD_OK;
}

struct guard_saver *guard_saver_new(const struct guard_saver_start *start)
{
    struct guard_saver *saver = calloc(1, sizeof *saver);
    if (!saver)
        return NULL;
    saver->callbacks = start->callbacks;
    saver->path = strdup(start->path);
    saver->prefix = strdup(start->prefix);
    if (start->held) {
        guard_content_copy(&saver->held, start->held);
        saver->end = *start->end;
        saver->is_saved = true;
    }
    if (saver->path && saver->prefix && start_thread(saver))
        return saver;
    guard_content_free(&saver->held);
    free(saver->path);
    free(saver->prefix);
    free(saver);
    return NULL;
}

void guard_saver_offer(struct guard_saver *saver, const struct guard_content *content, void *image)
{
    struct saving copy = {.image = image}, old = {0};
    guard_content_copy(&copy.content, content);
    pthread_mutex_lock(&saver->lock);
    if (saver->has_next)
        old = saver->next;
    else
        saver->due = guard_clock_monotonic_ns() + DELAY_NS;
    saver->next = copy;
    saver->has_next = true;
    saver->is_saved = false;
    pthread_cond_signal(&saver->wake);
    pthread_mutex_unlock(&saver->lock);
    free_saving(saver, &old);
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
    guard_content_free(&s->held);
    free(s->path);
    free(s->prefix);
    free(s);
}
