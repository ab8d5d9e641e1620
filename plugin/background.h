/*
 * The plugin's own thread for whatever may take time: reading and compiling policy files, loading keys, freeing what
 * the broker thread took out of use. Work goes there as jobs; results come back as messages, which the broker thread
 * delivers from TICK. The thread blocks every signal, never calls the broker, and is joined by guard_background_stop.
 */
#ifndef GUARD_PLUGIN_BACKGROUND_H
#define GUARD_PLUGIN_BACKGROUND_H

#include "core/error.h"
#include "core/log.h"

#include <stdbool.h>

struct guard_plugin;
struct guard_background;

/* Embedded at the front of a message; who delivers or discards it frees it. */
struct guard_message {
    struct guard_message *next;
    void (*deliver)(struct guard_plugin *plugin, struct guard_message *message); /* on the broker thread */
    void (*discard)(struct guard_message *message);                              /* at shutdown */
};

/*
 * The caller is the broker thread, which messages wake up (SIGURG, whose handler is set here). The thread itself is
 * started by the first job, or by the first message of another thread: a broker whose plugin has nothing to do stays
 * single-threaded, which spares the C library's locks.
 */
int guard_background_new(struct guard_background **out, struct guard_error *err);

/* Ends the thread, if it was started, after the jobs that wait, discards messages that nobody took. *background may be
 * NULL. */
void guard_background_stop(struct guard_background **background);

/*
 * Runs job(context) on the thread, in order. False when out of memory or threads: then nothing happens, and context
 * stays the caller's. Any thread.
 */
bool guard_background_run(struct guard_background *background, void (*job)(void *context), void *context);

/* The job that runs about once a second, between the others (watching files). False: there is no thread for it. */
bool guard_background_each_second(struct guard_background *background, void (*job)(void *context), void *context);

/* Hands a message to the broker thread and wakes it. Any thread; owns message from here on. */
void guard_background_post(struct guard_background *background, struct guard_message *message);

/* Whether messages wait: one relaxed load. */
bool guard_background_has_messages(const struct guard_background *background);

/* Broker thread: delivers all that wait. Never waits for a lock: what is being added comes with the next call. */
void guard_background_deliver(struct guard_background *background, struct guard_plugin *plugin);

/* Any thread but the broker's: interrupts the broker's wait, so that TICK comes at once. */
void guard_background_wake_broker(struct guard_background *background);

/* Broker thread: asks to be woken again shortly after it has begun to wait (work goes on at the next TICK). */
void guard_background_wake_soon(struct guard_background *background);

/* A log whose lines are posted and written by the broker thread. Valid as long as the background. */
const struct guard_log *guard_background_log(struct guard_background *background);

#endif
