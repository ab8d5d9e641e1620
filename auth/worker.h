/*
 * A few threads that compute what is too slow for the broker thread: password KDFs, and slow signatures.
 *
 * The broker thread submits, cancels, polls and stops. The workers block every signal, touch nothing but the job's own
 * argument, and call the wake function when there is something to poll. Results never touch the broker by themselves:
 * an answer comes out of auth_worker_poll with the id and generation it was submitted under, at most once, and never
 * after a cancel.
 */
#ifndef GUARD_AUTH_WORKER_H
#define GUARD_AUTH_WORKER_H

#include "auth/password.h"
#include "auth/token.h"
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct auth_worker_settings {
    unsigned threads; /* 1..64; 0 = processors - 1, at least 1, at most 4 */
    size_t queue;     /* jobs waiting or computing at once, at most; 0 = 4,096 */
    int nice;         /* added to the threads' niceness, so that the broker thread comes first; 0..19 */
    /* Called from a worker after a result became ready; must be async-signal-safe-simple (pthread_kill). May be NULL.
     */
    void (*wake)(void *context);
    void *wake_context;
};

struct auth_worker_pool;

/* Starts the threads. GUARD_ERR_NOMEM, _INVALID or _INTERNAL (the system gives no thread; none is left running). */
int auth_worker_pool_new(const struct auth_worker_settings *settings, struct auth_worker_pool **out,
                         struct guard_error *err);

/*
 * Waits for the jobs being computed (each ends by itself, within seconds), drops those waiting, joins all threads,
 * releases every argument, frees. *pool may be NULL.
 */
void auth_worker_pool_free(struct auth_worker_pool **pool);

struct auth_worker_job {
    uint64_t id;                 /* the caller's, e.g. the session slot */
    uint64_t generation;         /* the caller's: a new one for every attempt under the id */
    uint64_t group;              /* jobs that may be cancelled together, e.g. of one address; 0 = none */
    int64_t deadline_ms;         /* guard_clock_monotonic_ns / 1,000,000; an answer that is not there by then is
                                    AUTH_WORKER_TIMED_OUT */
    void (*run)(void *argument); /* on a worker */
    void (*release)(
        void *argument); /* wipes and frees; called exactly once if the job was taken, on some thread of the above */
    void *argument;
};

/*
 * Takes the job over. GUARD_ERR_LIMIT: the queue is full; the caller keeps the argument and refuses the client. An
 * unfinished job with the same id is cancelled first (what a new CONNECT under a client id supersedes must never be
 * answered).
 */
int auth_worker_submit(struct auth_worker_pool *pool, const struct auth_worker_job *job);

/* No answer will come for it any more. Unknown ones are ignored. Never waits for a computation. */
void auth_worker_cancel(struct auth_worker_pool *pool, uint64_t id, uint64_t generation);

/* Cancels the group's jobs no worker has begun. They are answered with AUTH_WORKER_DROPPED. Returns how many. */
size_t auth_worker_drop_group(struct auth_worker_pool *pool, uint64_t group);

enum auth_worker_outcome {
    AUTH_WORKER_DONE,      /* run returned; read the argument */
    AUTH_WORKER_TIMED_OUT, /* refuse the client; argument is NULL */
    AUTH_WORKER_DROPPED    /* by auth_worker_drop_group; refuse the client; argument is NULL */
};

struct auth_worker_answer {
    uint64_t id, generation;
    enum auth_worker_outcome outcome;
    void *argument; /* of a done job; the caller calls release when it has read the result */
    void (*release)(void *argument);
};

/* The next answer, if there is one at now_ms (monotonic). Never blocks on a computation. */
bool auth_worker_poll(struct auth_worker_pool *pool, int64_t now_ms, struct auth_worker_answer *answer);

/* Jobs waiting, jobs being computed: for metrics. A job that timed out counts until its worker is free again. */
struct auth_worker_load {
    size_t waiting, running;
};
struct auth_worker_load auth_worker_load(struct auth_worker_pool *pool);

/* The argument of a password job: owns copies of both strings, the password is wiped as soon as it was verified. */
struct auth_password_job {
    char *stored;
    char *password;
    size_t length;
    bool decoy; /* verify for the time it takes only: the result is AUTH_PASSWORD_MISMATCH at best */
    enum auth_password_result result; /* valid once done */
    struct guard_error error;         /* with AUTH_PASSWORD_ERROR */
    uint32_t cost_us;                 /* processor time it took, for auth_throttle_failure */
};

/* NULL when out of memory. Freed by auth_password_job_release unless a pool took it. */
struct auth_password_job *auth_password_job_new(const char *stored, const char *password, size_t length, bool decoy);
void auth_password_job_run(void *job);     /* for auth_worker_job.run */
void auth_password_job_release(void *job); /* for auth_worker_job.release */

/*
 * The argument of a token job: owns copies of all it needs, and a reference to the verifier. Revocations are the broker
 * thread's and are not asked here: whoever reads the answer asks them.
 */
struct auth_token_job {
    struct auth_token_verifier *verifier;
    struct auth_token_request request; /* its texts are the job's; revoked is NULL */
    uint8_t certificate_sha256[32];
    enum guard_reason reason;        /* valid once done */
    struct guard_identity *identity; /* with GUARD_REASON_NONE; whoever takes it sets it to NULL */
    uint32_t cost_us;                /* processor time it took, for auth_throttle_failure */
};

/* NULL when out of memory. Freed by auth_token_job_release unless a pool took it. The token is wiped then. */
struct auth_token_job *auth_token_job_new(struct auth_token_verifier *verifier,
                                          const struct auth_token_request *request);
void auth_token_job_run(void *job);
void auth_token_job_release(void *job);

#endif
