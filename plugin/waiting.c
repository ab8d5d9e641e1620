#include "plugin/waiting.h"

#include "auth/throttle.h"
#include "auth/worker.h"
#include "core/clients.h"
#include "core/clock.h"
#include "plugin/admission.h"
#include "plugin/background.h"
#include "plugin/broker.h"
#include "plugin/kick.h"
#include "plugin/login.h"
#include "plugin/login_methods.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000
#define SLICE_NS  2000000 /* for answers, before the broker goes on */

static uint64_t job_id(const struct mosquitto *client)
{
    return (uint64_t)(uintptr_t)client;
}

/* ---- begin ---- */

/* What is the same in every job of a login. */
static struct auth_worker_job job_of(const struct guard_plugin *plugin, const struct mosquitto *client,
                                     const char *address, const struct guard_session *session)
{
    return (struct auth_worker_job){
        .id = job_id(client),
        .generation = session->attempt,
        .group = plugin->throttle ? auth_throttle_address_key(plugin->throttle, address) : 0,
        .deadline_ms = session->connected_ns / NS_PER_MS + plugin->options.auth_timeout * 1000,
    };
}

/* Takes the argument over, whatever comes of it (NULL: out of memory). */
static bool submit(struct guard_plugin *plugin, const struct auth_worker_job *job)
{
    if (job->argument && auth_worker_submit(plugin->workers, job) == GUARD_OK)
        return true;
    if (job->argument)
        job->release(job->argument);
    return false;
}

static bool submit_password(struct guard_plugin *plugin, const struct guard_login *login,
                            const struct guard_session *session)
{
    struct auth_worker_job job = job_of(plugin, login->client, login->address, session);
    const char *stored = login->stored_hash ? login->stored_hash : plugin->policy->decoy;
    job.run = auth_password_job_run;
    job.release = auth_password_job_release;
    job.argument = auth_password_job_new(stored, login->password, login->password_length, !login->stored_hash);
    return submit(plugin, &job);
}

static bool submit_token(struct guard_plugin *plugin, const struct auth_token_request *request, const char *address,
                         const struct guard_session *session)
{
    struct auth_worker_job job = job_of(plugin, session->client, address, session);
    job.run = auth_token_job_run;
    job.release = auth_token_job_release;
    job.argument = auth_token_job_new(plugin->tokens, request);
    return submit(plugin, &job);
}

static bool submit_login(struct guard_plugin *plugin, struct guard_login *login, const struct guard_session *session)
{
    uint8_t fingerprint[32];
    if (login->method == GUARD_AUTH_PASSWORD)
        return submit_password(plugin, login, session);
    struct auth_token_request request = guard_login_token_request(plugin, login, fingerprint);
    return submit_token(plugin, &request, login->address, session);
}

/*
 * The session is there from now on. Whatever replaces it in the table (another CONNECT under this id, or another client
 * at this address) makes the answer void.
 */
int guard_waiting_begin(struct guard_plugin *plugin, struct guard_login *login)
{
    struct guard_session *session = guard_keep_waiting(plugin, login);
    if (session && submit_login(plugin, login, session)) {
        plugin->waiting++;
        if (session->offer && login->username) {
            login->username = NULL; /* freed */
            mosquitto_set_username(login->client, NULL);
        }
        return GUARD_MOSQ_ERR_AUTH_DELAYED;
    }
    guard_login_refuse(login, session ? GUARD_REASON_RATE_LIMITED : GUARD_REASON_INTERNAL_ERROR,
                       session ? "the queue of credential checks is full" : "");
    guard_sessions_remove(plugin->sessions, login->client);
    guard_refused(plugin, login);
    return MOSQ_ERR_AUTH;
}

static void forget(struct guard_plugin *plugin, const struct guard_session *session)
{
    auth_worker_cancel(plugin->workers, job_id(session->client), session->attempt);
    plugin->waiting--;
    guard_sessions_remove(plugin->sessions, session->client);
}

void guard_waiting_supersede(struct guard_plugin *plugin, const struct guard_login *login)
{
    struct guard_session *session = guard_sessions_peek(plugin->sessions, login->client);
    if (session && session->state == SESSION_WAITING)
        forget(plugin, session);
    session = guard_sessions_by_id(plugin->sessions, login->client_id);
    while (session && session->state == SESSION_WAITING) {
        forget(plugin, session);
        session = guard_sessions_by_id(plugin->sessions, login->client_id);
    }
}

/* ---- answers ---- */

static void judge_password(struct guard_plugin *plugin, struct guard_login *login, const struct auth_password_job *job)
{
    struct guard_client_view record;
    bool known = guard_clients_find(plugin->policy->clients, login->username, strlen(login->username), &record);
    bool changed =
        login->stored_hash && (!known || !record.password || strcmp(record.password, login->stored_hash) != 0);
    guard_login_password_result(plugin, login, changed ? AUTH_PASSWORD_MISMATCH : job->result, &job->error);
    guard_login_outcome(plugin, login, job->cost_us);
}

/* A token that was verified with keys that are not in use any more admits nobody. */
static void judge_token(struct guard_plugin *plugin, struct guard_login *login, struct auth_token_job *job)
{
    if (!plugin->tokens) {
        guard_login_refuse(login, GUARD_REASON_JWT_UNKNOWN_KEY, "the keys are gone");
        return;
    }
    if (job->verifier != plugin->tokens) {
        guard_login_refuse(login, GUARD_REASON_RATE_LIMITED, "the keys changed, and the queue is full");
        return;
    }
    login->reason = job->reason;
    login->identity = job->identity;
    job->identity = NULL;
    guard_login_token_result(plugin, login, job->cost_us);
}

static void judge(struct guard_plugin *plugin, struct guard_login *login, const struct auth_worker_answer *answer)
{
    if (answer->outcome != AUTH_WORKER_DONE) {
        login->reason = answer->outcome == AUTH_WORKER_DROPPED ? GUARD_REASON_IP_BLOCKED : GUARD_REASON_RATE_LIMITED;
        return;
    }
    if (login->method == GUARD_AUTH_PASSWORD)
        judge_password(plugin, login, answer->argument);
    else
        judge_token(plugin, login, answer->argument);
    guard_login_join(login);
}

/*
 * The keys were exchanged while the token was verified: it goes back to a worker, with those of now. False: nothing has
 * changed, or there is no room.
 */
static bool verify_again(struct guard_plugin *plugin, const struct guard_session *session,
                         const struct auth_worker_answer *answer)
{
    const struct auth_token_job *job = answer->argument;
    if (answer->outcome != AUTH_WORKER_DONE || !session->offer || job->verifier == plugin->tokens || !plugin->tokens)
        return false;
    if (!submit_token(plugin, &job->request, session->address, session))
        return false;
    plugin->waiting++;
    return true;
}

/* What a session that waits was before it waited. */
static struct guard_login login_of(const struct guard_session *session)
{
    const struct guard_offer *offer = session->offer;
    const char *username = offer ? offer->username : session->username;
    return (struct guard_login){
        .client = session->client,
        .client_id = strdup(session->client_id), /* the session may be freed before we are through */
        .username = username ? strdup(username) : NULL,
        .offer = offer,
        .address = session->address,
        .started_ns = session->connected_ns,
        .method = offer ? GUARD_AUTH_TOKEN : GUARD_AUTH_PASSWORD,
        .stored_hash = session->stored_hash,
        .mac = session->cache_mac,
        .has_mac = session->has_cache_mac,
        .certified = session->identity->method == GUARD_AUTH_CERTIFICATE ? session->identity : NULL,
    };
}

static void answer_session(struct guard_plugin *plugin, struct guard_session *session,
                           const struct auth_worker_answer *answer)
{
    struct guard_login login = login_of(session);
    if (login.client_id && (login.username || session->offer)) {
        judge(plugin, &login, answer);
        guard_admit_waiting(plugin, &login, session);
    } else { /* out of memory */
        mosquitto_complete_basic_auth(session->client_id, MOSQ_ERR_AUTH);
        guard_sessions_remove(plugin->sessions, session->client);
    }
    guard_identity_free(&login.identity);
    free((void *)(uintptr_t)login.client_id);
    free((void *)(uintptr_t)login.username);
}

static void answer_one(struct guard_plugin *plugin, const struct auth_worker_answer *answer)
{
    struct guard_session *session =
        guard_sessions_peek(plugin->sessions, (const struct mosquitto *)(uintptr_t)answer->id);
    plugin->waiting--; /* also if its session is gone */
    if (!session || session->state != SESSION_WAITING || session->attempt != answer->generation)
        return;
    if (!verify_again(plugin, session, answer))
        answer_session(plugin, session, answer);
}

/* A storm that times out brings thousands of answers at once: the clients that are there come in between. */
void guard_waiting_answer(struct guard_plugin *plugin)
{
    struct auth_worker_answer answer;
    int64_t now = guard_clock_monotonic_ns(), until = now + SLICE_NS;
    while (auth_worker_poll(plugin->workers, now / NS_PER_MS, &answer)) {
        answer_one(plugin, &answer);
        if (answer.argument)
            answer.release(answer.argument);
        now = guard_clock_monotonic_ns();
        if (now >= until) {
            guard_background_wake_soon(plugin->background); /* an idle broker would take 100 ms to the next slice */
            return;
        }
    }
}

void guard_waiting_name(struct guard_plugin *plugin, struct guard_session *session)
{
    const char *name = session->identity->username;
    guard_offer_free(&session->offer);
    if (guard_sessions_rename(plugin->sessions, session, name) != GUARD_OK ||
        mosquitto_set_username(session->client, name) != MOSQ_ERR_SUCCESS)
        guard_end_session(plugin, session, GUARD_REASON_INTERNAL_ERROR, false);
}
