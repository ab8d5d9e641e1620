/*
 * Threads beside the broker's. Each blocks every signal, since signals are the broker's, and has a descriptor table of
 * its own: while two threads share one, the kernel counts each use of a descriptor, which made every publish of the
 * broker 6 % dearer (tests/bench/broker/audit_cost.py). Therefore:
 *
 *   A descriptor is opened, used and closed by one thread; its number means nothing, or another file, to the others.
 *   Only wake_fd is known to two: the starter makes it before, and closes it after pthread_join.
 *   What must be free for others when the thread was joined (locks, ports) is closed before run returns.
 *
 * Where the kernel does not give a table (before Linux 5.9, a sandbox, ThreadSanitizer's builds) the threads share the
 * broker's, and whoever keeps these rules does not notice.
 */
#ifndef GUARD_CORE_THREAD_H
#define GUARD_CORE_THREAD_H

#include "core/error.h"

#include <pthread.h>

#define GUARD_NO_WAKE_FD (-1)

struct guard_thread {
    const char *name; /* at most 15 characters, as the system shows it */
    /* On the new thread, while the starter waits: opens what run needs. On failure it closes all that it opened. NULL:
     * nothing to do, and nobody waits. */
    int (*begin)(void *context, struct guard_error *err);
    void (*run)(void *context);
    void *context;
    int wake_fd; /* of the starter, stays open in the thread under the same number; GUARD_NO_WAKE_FD: none */
};

/*
 * Starts what is described (and may be forgotten afterwards). GUARD_OK: *thread is to be joined once. Else there is no
 * thread: GUARD_ERR_NOMEM, GUARD_ERR_INTERNAL (the system gives no thread) or what begin returned.
 */
int guard_thread_start(const struct guard_thread *what, pthread_t *thread, struct guard_error *err);

#endif
