#include "plugin/policy_source.h"

#include "acl/acl.h"
#include "core/clients.h"
#include "core/clock.h"
#include "core/revocations.h"
#include "plugin/plugin.h"
#include "plugin/policy_files.h"
#include "plugin/policy_store.h"
#include "plugin/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- changes ---- */

static void free_change(struct guard_policy_change *change)
{
    guard_policy_set_free(&change->set);
    guard_revocations_unref(&change->revocations);
    for (size_t i = 0; i < change->user_count; i++)
        free(change->users[i]);
    free(change->users);
    free(change);
}

static void deliver_change(struct guard_plugin *plugin, struct guard_message *message)
{
    guard_policy_take(plugin, (struct guard_policy_change *)message);
}

static void discard_change(struct guard_message *message)
{
    free_change((struct guard_policy_change *)message);
}

struct guard_policy_change *guard_policy_change_new(void)
{
    struct guard_policy_change *change = calloc(1, sizeof *change);
    if (change)
        change->message = (struct guard_message){.deliver = deliver_change, .discard = discard_change};
    return change;
}

void guard_policy_send(struct guard_plugin *plugin, struct guard_policy_change *change)
{
    guard_background_post(plugin->background, &change->message);
}

/* Freeing a million rules takes its time. */
static void free_change_job(void *context)
{
    free_change(context);
}

static void retire(struct guard_plugin *plugin, struct guard_policy_change *change)
{
    bool little = !change->set && !change->revocations; /* at start there was none before: not worth a thread */
    if (little || !guard_background_run(plugin->background, free_change_job, change))
        free_change(change);
}

static void audit_taken(struct guard_plugin *plugin, const struct guard_policy_change *change,
                        const struct guard_policy_set *before)
{
    const struct guard_policy_set *set = plugin->policy;
    guard_count_reload(&plugin->counts, true, guard_clock_now());
    if (!plugin->audit)
        return;
    audit_set_policy(plugin->audit, set->ruleset, set->version);
    audit_push_policy_reload(plugin->audit, &(struct audit_policy_reload){
                                                .ruleset = set->ruleset,
                                                .version = set->version,
                                                .previous_version = before ? before->version : NULL,
                                                .sha256 = set->sha256[0] ? set->sha256 : NULL,
                                                .rules = set->rules,
                                                .source = change->source,
                                                .trigger = change->trigger,
                                                .duration_ns = change->duration_ns,
                                            });
}

static void tell_refused(struct guard_plugin *plugin, const struct guard_policy_change *change)
{
    char text[800];
    guard_error_format(&change->error, text, sizeof text);
    guard_count_reload(&plugin->counts, false, 0);
    if (change->partial)
        guard_log(&plugin->log, GUARD_LOG_ERROR, "a part of the policy was not taken: %s", text);
    else
        guard_log(&plugin->log, GUARD_LOG_ERROR, "policy not taken, version %s stays in use: %s",
                  plugin->policy->version, text);
    if (plugin->audit)
        audit_push_policy_reload(plugin->audit, &(struct audit_policy_reload){
                                                    .reason = change->reason,
                                                    .ruleset = plugin->policy->ruleset,
                                                    .version = plugin->policy->version,
                                                    .rules = -1,
                                                    .source = change->source,
                                                    .trigger = change->trigger,
                                                    .error_text = text,
                                                    .duration_ns = change->duration_ns,
                                                });
}

static void exchange_policy(struct guard_plugin *plugin, struct guard_policy_change *change)
{
    struct guard_policy_set *before = plugin->policy;
    pthread_mutex_lock(&plugin->shared_lock); /* the HTTP API's thread holds it only to take references */
    plugin->policy = change->set;
    plugin->rules = plugin->policy->acl;
    pthread_mutex_unlock(&plugin->shared_lock);
    if (plugin->sessions)
        guard_sessions_set_policy(plugin->sessions, plugin->rules);
    change->set = before;     /* goes back with the message */
    plugin->pending.rule = 0; /* it was of the old policy */
    audit_taken(plugin, change, before);
    guard_log(&plugin->log, GUARD_LOG_INFO, "policy %s version %s is in use: %lld rules, %zu client records",
              plugin->policy->ruleset, plugin->policy->version, (long long)plugin->policy->rules,
              guard_clients_count(plugin->policy->clients));
}

#define REVIEWED_AT_ONCE 64 /* sessions of the users that a change names */

struct review {
    struct guard_plugin *plugin;
    unsigned left;
    bool more; /* than that */
};

/* Its record changed: bound again although the rules are the same. A whole fleet may share the user name. */
static void review_user(void *context, struct guard_session *session)
{
    struct review *review = context;
    if (review->left) {
        review->left--;
        session->binding = 0;
        guard_review(review->plugin, session);
        return;
    }
    guard_session_bind(session, NULL, 0); /* bound when it is asked for next; a sweep looks at it */
    review->more = true;
}

static void review_users(struct guard_plugin *plugin, const struct guard_policy_change *change)
{
    struct review review = {plugin, REVIEWED_AT_ONCE, false};
    for (size_t i = 0; i < change->user_count; i++)
        guard_sessions_of_user(plugin->sessions, change->users[i], review_user, &review);
    if (review.more)
        guard_sweep_begin(plugin, false);
}

void guard_policy_take(struct guard_plugin *plugin, struct guard_policy_change *change)
{
    if (change->reason != GUARD_REASON_NONE)
        tell_refused(plugin, change);
    if (change->set) {
        exchange_policy(plugin, change);
        if (change->source == AUDIT_POLICY_REDIS)
            guard_policy_store_taken(plugin);
    }
    if (change->revocations) {
        struct guard_revocations *before = plugin->revocations;
        pthread_mutex_lock(&plugin->shared_lock);
        plugin->revocations = change->revocations;
        pthread_mutex_unlock(&plugin->shared_lock);
        change->revocations = before;
    }
    if (plugin->sessions && change->review_all)
        guard_sweep_begin(plugin, change->set != NULL);
    if (plugin->sessions)
        review_users(plugin, change);
    retire(plugin, change);
}

/* ---- the file ---- */

static void log_problems(const struct guard_log *log, const struct guard_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct guard_problem *problem = &problems->items[i];
        char line[800];
        bool error = problem->severity == GUARD_PROBLEM_ERROR;
        guard_log(log, error ? GUARD_LOG_ERROR : GUARD_LOG_WARNING, "policy: %s%s",
                  guard_error_format(&problem->error, line, sizeof line), error ? "" : " (warning)");
    }
    if (problems->errors + problems->warnings > problems->count)
        guard_log(log, GUARD_LOG_ERROR, "policy: %zu more problems",
                  problems->errors + problems->warnings - problems->count);
}

static void first_error(const struct guard_problems *problems, struct guard_error *err)
{
    for (size_t i = 0; i < problems->count; i++)
        if (problems->items[i].severity == GUARD_PROBLEM_ERROR) {
            *err = problems->items[i].error;
            return;
        }
    guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

/* Reads and compiles into change; without a set in it, reason and error say why. */
static void load(struct guard_plugin *plugin, const struct guard_log *log, struct guard_policy_change *change)
{
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    int64_t start = guard_clock_monotonic_ns();
    int rc = guard_policy_files_read(&plugin->options, &text, &problems, &change->error);
    change->source = AUDIT_POLICY_FILE;
    change->reason = GUARD_REASON_POLICY_PARSE_ERROR;
    change->review_all = true;
    if (rc == GUARD_OK)
        change->set = guard_policy_store_combine(plugin, &text, &problems);
    else if (rc != GUARD_ERR_SYNTAX)
        change->reason = GUARD_REASON_POLICY_READ_ERROR;
    log_problems(log, &problems);
    if (change->set)
        change->reason = GUARD_REASON_NONE;
    else if (change->reason == GUARD_REASON_POLICY_PARSE_ERROR)
        first_error(&problems, &change->error);
    change->duration_ns = (uint64_t)(guard_clock_monotonic_ns() - start);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
}

int guard_policy_source_open(struct guard_plugin *plugin, struct guard_error *err)
{
    struct guard_policy_change *first = guard_policy_change_new();
    if (!first || guard_policy_store_new(plugin) != GUARD_OK) {
        free(first);
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    load(plugin, &plugin->log, first);
    first->trigger = AUDIT_TRIGGER_STARTUP;
    int rc = first->set ? GUARD_OK : first->error.code;
    if (rc != GUARD_OK && err)
        *err = first->error;
    if (rc == GUARD_OK)
        guard_policy_take(plugin, first);
    else
        free_change(first);
    return rc;
}

void guard_policy_source_close(struct guard_plugin *plugin)
{
    guard_policy_store_free(plugin);
    guard_policy_set_free(&plugin->policy);
    guard_revocations_unref(&plugin->revocations);
}

static void reload_job(void *context)
{
    struct guard_plugin *plugin = context; /* of which options and background do not change any more */
    struct guard_policy_change *change = guard_policy_change_new();
    if (!change)
        return;
    load(plugin, guard_background_log(plugin->background), change);
    change->trigger = AUDIT_TRIGGER_SIGHUP;
    guard_policy_send(plugin, change);
}

void guard_policy_reload(struct guard_plugin *plugin)
{
    if (guard_policy_has_files(&plugin->options) && !guard_background_run(plugin->background, reload_job, plugin))
        guard_log(&plugin->log, GUARD_LOG_ERROR, "policy not read again: out of memory");
}
