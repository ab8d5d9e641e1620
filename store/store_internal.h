/* The store's parts and what they share. Included by store/store*.c, deliver.c and status.c only. */
#ifndef GUARD_STORE_STORE_INTERNAL_H
#define GUARD_STORE_STORE_INTERNAL_H

#include "store/content.h"
#include "store/link.h"
#include "store/saver.h"
#include "store/store.h"
#include "store/sync.h"

#include <pthread.h>
#include <stdatomic.h>

struct guard_store {
    /* set by start, read-only afterwards */
    struct guard_store_config config; /* its strings are ours */
    struct guard_store_callbacks callbacks;
    struct guard_redis_url url;
    char client_name[64];
    pthread_t thread;
    int wake_fd; /* eventfd: stop or resync was asked for */
    atomic_bool stop, resync;

    /* of the store thread */
    struct guard_redis_settings settings;
    struct guard_redis_tls *tls;
    char *password;
    size_t password_length;
    struct guard_link link;
    struct guard_content held; /* in force: what the composition took last */
    struct guard_content seen; /* what the store holds, checked; zeroed until it was read */
    struct guard_faults faults;
    struct guard_content_checks checks;
    struct guard_saver *saver; /* NULL without snapshot_file */
    struct guard_store_state state, told;
    int64_t told_at;       /* monotonic ns of the last state callback */
    bool owes_full;        /* the next update must be full: nothing was taken yet, or one was refused */
    bool emptied;          /* the store was emptied and nobody confirmed that it was meant */
    uint64_t confirm_used; /* digest of the confirmation already acted upon */
    bool status_refused;   /* the server does not let us write our status: said once */
    const struct guard_content *in_delivery; /* during an update callback: what will be in force after it */
    struct guard_redis_fault fault;
};

/* deliver.c: puts store->seen in force if it may be, otherwise says why not in state. noticed_ns: CLOCK_REALTIME. */
void guard_store_deliver(struct guard_store *store, int64_t noticed_ns);
/*
 * Hands a snapshot out as the first update. GUARD_OK, or the composition's error. *restored: with what the composition
 * had made of it.
 */
int guard_store_deliver_snapshot(struct guard_store *store, const struct guard_snapshot *snapshot, bool *restored,
                                 struct guard_error *err);

/* store_status.c: writes guard:status:<broker_id>. A refusal is a problem told once; 0, or -1 and store->fault. */
int guard_store_write_status(struct guard_store *store);

/* store_state.c */
void guard_store_tell(struct guard_store *store); /* the state, if it changed or was not told for ten seconds */
void guard_store_set_down(struct guard_store *store, enum guard_reason reason, const char *text);
void guard_store_set_up(struct guard_store *store);
void guard_store_problem(struct guard_store *store, enum guard_severity severity, const char *place, const char *format,
                         ...) __attribute__((format(printf, 4, 5)));

/* store_thread.c: the thread's main function; argument is the store. */
void guard_store_thread(void *argument);

#endif
