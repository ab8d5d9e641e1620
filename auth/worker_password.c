#include "auth/worker.h"

#include "core/memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* Processor time of this thread. */
static int64_t thread_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void forget_password(struct auth_password_job *job)
{
    guard_free_secret(&job->password, job->length + 1);
    job->length = 0;
}

void auth_password_job_run(void *argument)
{
    struct auth_password_job *job = argument;
    int64_t begin = thread_us();
    job->result = auth_password_verify(job->stored, job->password, job->length, &job->error);
    if (job->decoy && job->result == AUTH_PASSWORD_MATCH)
        job->result = AUTH_PASSWORD_MISMATCH;
    int64_t spent = thread_us() - begin;
    job->cost_us = spent > UINT32_MAX ? UINT32_MAX : (uint32_t)spent;
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
