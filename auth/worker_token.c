#include "auth/worker.h"

#include "auth/worker_clock.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

static char *copy_of(const char *text)
{
    return text ? strdup(text) : NULL;
}

struct auth_token_job *auth_token_job_new(struct auth_token_verifier *verifier,
                                          const struct auth_token_request *request)
{
    struct auth_token_job *job = calloc(1, sizeof *job);
    char *token = malloc(request->length + 1);
    if (!job || !token) {
        free(job);
        free(token);
        return NULL;
    }
    memcpy(token, request->token, request->length);
    token[request->length] = '\0';
    job->verifier = auth_token_verifier_ref(verifier);
    job->reason = GUARD_REASON_INTERNAL_ERROR; /* until it was run */
    job->request = *request;
    job->request.token = token;
    job->request.client_id = copy_of(request->client_id);
    job->request.username = copy_of(request->username);
    job->request.revoked = NULL;
    job->request.revoked_context = NULL;
    if (request->certificate_sha256) {
        memcpy(job->certificate_sha256, request->certificate_sha256, sizeof job->certificate_sha256);
        job->request.certificate_sha256 = job->certificate_sha256;
    }
    if ((request->client_id && !job->request.client_id) || (request->username && !job->request.username)) {
        auth_token_job_release(job);
        return NULL;
    }
    return job;
}

void auth_token_job_run(void *argument)
{
    struct auth_token_job *job = argument;
    int64_t begin = auth_worker_thread_us();
    job->reason = auth_token_verify(job->verifier, &job->request, &job->identity);
    job->cost_us = auth_worker_cost_us(begin);
}

void auth_token_job_release(void *argument)
{
    struct auth_token_job *job = argument;
    char *token = (char *)(uintptr_t)job->request.token;
    guard_free_secret(&token, job->request.length + 1);
    free((void *)(uintptr_t)job->request.client_id);
    free((void *)(uintptr_t)job->request.username);
    guard_identity_free(&job->identity);
    auth_token_verifier_unref(&job->verifier);
    free(job);
}
