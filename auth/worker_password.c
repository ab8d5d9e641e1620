#include "auth/worker.h"

#include "auth/worker_clock.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

struct auth_password_job *auth_password_job_new(const char *stored, const char *password, size_t length, bool decoy)
{
    struct auth_password_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->stored = strdup(stored);
    job->password = malloc(length + 1);
    job->length = length;
    job->decoy = decoy;
    if (!job->stored || !job->password) {
        job->length = 0; /* nothing was copied yet */
        auth_password_job_release(job);
        return NULL;
    }
    memcpy(job->password, password, length);
    job->password[length] = '\0';
    return job;
}

static void forget_password(struct auth_password_job *job)
{
    guard_free_secret(&job->password, job->length + 1);
    job->length = 0;
}

void auth_password_job_run(void *argument)
{
    struct auth_password_job *job = argument;
    int64_t begin = auth_worker_thread_us();
    job->result = auth_password_verify(job->stored, job->password, job->length, &job->error);
    if (job->decoy && job->result == AUTH_PASSWORD_MATCH)
        job->result = AUTH_PASSWORD_MISMATCH;
    job->cost_us = auth_worker_cost_us(begin);
    forget_password(job);
}

void auth_password_job_release(void *argument)
{
    struct auth_password_job *job = argument;
    if (job->password)
        forget_password(job);
    guard_free_string(&job->stored);
    free(job);
}
