/*
 * Inside the worker pool: the bounded set of jobs and where each of them stands. No locks, no threads, no calls into a
 * job: the pool holds its lock around every function, and does what takes time outside.
 */
#ifndef GUARD_AUTH_WORKER_QUEUE_H
#define GUARD_AUTH_WORKER_QUEUE_H

#include "auth/worker.h"

struct worker_queue;

/* NULL when out of memory. */
struct worker_queue *worker_queue_new(size_t capacity);
void worker_queue_free(struct worker_queue **queue);

/* False if it is full. */
bool worker_queue_add(struct worker_queue *queue, const struct auth_worker_job *job);

/* For a worker: the oldest waiting job becomes a running one. False if none waits. */
bool worker_queue_begin(struct worker_queue *queue, size_t *slot);
const struct auth_worker_job *worker_queue_job(const struct worker_queue *queue, size_t slot);

/*
 * For a worker: the job is over; `ran` tells whether it was run, or was too late for that. True: there is an answer
 * now, which owns the argument if the job ran. False: nobody waits any more. Where no answer owns the argument, the
 * caller releases it.
 */
bool worker_queue_finish(struct worker_queue *queue, size_t slot, bool ran);

/*
 * Forgets the job of that id (and generation, if not NULL). True: *job is a copy whose argument the caller has to
 * release; a running job's is released by its worker.
 */
bool worker_queue_cancel(struct worker_queue *queue, uint64_t id, const uint64_t *generation,
                         struct auth_worker_job *job);

/* Turns the group's waiting jobs into answers "dropped". */
size_t worker_queue_drop_group(struct worker_queue *queue, uint64_t group);

/* The next answer. *unused gets the job whose argument the caller has to release, if there is one. */
bool worker_queue_answer(struct worker_queue *queue, int64_t now_ms, struct auth_worker_answer *answer,
                         struct auth_worker_job *unused);

/* At the end, without workers: takes out one job whose argument is still owned by the queue. */
bool worker_queue_drain(struct worker_queue *queue, struct auth_worker_job *job);

struct auth_worker_load worker_queue_load(const struct worker_queue *queue);

#endif
