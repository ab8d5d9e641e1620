#include "core/thread.h"

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREAD_NAME_SIZE 16 /* pthread_setname_np(3) */
#define FIRST_OWN_FD     3  /* after standard error */

/* ThreadSanitizer knows a descriptor by its number, and takes two tables for one. */
#if defined(__SANITIZE_THREAD__)
#define SHARES_DESCRIPTORS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHARES_DESCRIPTORS 1
#endif
#endif

/* What begin said, to the starter that waits for it. */
struct beginning {
    sem_t over;
    int rc;
    struct guard_error *err;
};

/* What the thread is told; it frees this. */
struct start {
    struct guard_thread what;
    char name[THREAD_NAME_SIZE];
    struct beginning *beginning; /* the starter's; NULL: nobody waits */
};

/*
 * Only what lies below wake_fd is copied, and closed again at once: a copy that stayed would keep a client's connection
 * open when the broker closes it.
 */
static void leave_descriptors(int wake_fd)
{
#ifdef SHARES_DESCRIPTORS
    (void)wake_fd;
#else
    int first = wake_fd < FIRST_OWN_FD ? FIRST_OWN_FD : wake_fd + 1;
    if (close_range((unsigned)first, ~0U, CLOSE_RANGE_UNSHARE) == 0 && wake_fd > FIRST_OWN_FD)
        close_range(FIRST_OWN_FD, (unsigned)wake_fd - 1, 0);
#endif
}

static void *live(void *argument)
{
    struct start *start = argument;
    struct guard_thread what = start->what;
    struct beginning *beginning = start->beginning;
    pthread_setname_np(pthread_self(), start->name);
    free(start);
    leave_descriptors(what.wake_fd);
    int rc = GUARD_OK;
    if (beginning) {
        rc = beginning->rc = what.begin(what.context, beginning->err);
        sem_post(&beginning->over); /* from here on it is gone */
    }
    if (rc == GUARD_OK)
        what.run(what.context);
    return NULL;
}

static void wait_until_over(struct beginning *beginning)
{
    while (sem_wait(&beginning->over) != 0)
        ; /* a signal came */
}

static int create(struct start *start, pthread_t *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the thread inherits it */
    int failed = pthread_create(thread, NULL, live, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

int guard_thread_start(const struct guard_thread *what, pthread_t *thread, struct guard_error *err)
{
    struct beginning beginning = {.rc = GUARD_OK, .err = err};
    struct start *start = malloc(sizeof *start);
    if (!start)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory for the thread %s", what->name);
    *start = (struct start){.what = *what, .beginning = what->begin ? &beginning : NULL};
    snprintf(start->name, sizeof start->name, "%s", what->name);
    sem_init(&beginning.over, 0, 0);
    int failed = create(start, thread);
    if (failed)
        free(start);
    else if (what->begin)
        wait_until_over(&beginning);
    sem_destroy(&beginning.over);
    if (failed)
        return guard_fail(err, GUARD_ERR_INTERNAL, "the thread %s cannot be started: %s", what->name, strerror(failed));
    if (beginning.rc != GUARD_OK)
        pthread_join(*thread, NULL);
    return beginning.rc;
}
