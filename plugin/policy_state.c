/* How the store stands, told to people and to the audit trail; and whether its policy may be used. Broker thread. */
#include "audit/audit.h"
#include "core/clock.h"
#include "plugin/policy_files.h"
#include "plugin/policy_store.h"
#include "plugin/policy_store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state_message {
    struct guard_message message;
    struct guard_store_state state;
};

/* The store answers, but its policy is not taken. */
static bool is_refused_policy(const struct guard_store_state *state)
{
    return !state->up &&
           (state->reason == GUARD_REASON_POLICY_PARSE_ERROR || state->reason == GUARD_REASON_POLICY_ROLLBACK ||
            state->reason == GUARD_REASON_POLICY_UNAVAILABLE);
}

static bool denies_when_stale(const struct guard_plugin *plugin)
{
    return strcmp(plugin->options.max_stale_action, "deny") == 0;
}

/* "connection refused; the policy in use is 3600 s old (from the snapshot)" */
static void describe_outage(const struct guard_store_state *state, char *text, size_t size)
{
    long long age = (long long)(guard_clock_now() - state->fresh_at);
    if (!state->have_policy || !state->fresh_at)
        snprintf(text, size, "%s; there is no policy from it", state->text);
    else
        snprintf(text, size, "%s; the policy in use was confirmed %lld s ago%s", state->text, age > 0 ? age : 0,
                 state->from_snapshot ? " (it is from the snapshot)" : "");
}

static void tell_down(struct guard_plugin *plugin, const struct guard_store_state *state)
{
    char text[600];
    describe_outage(state, text, sizeof text);
    guard_log(&plugin->log, GUARD_LOG_WARNING, "redis %s is down: %s", state->server, text);
    if (!plugin->audit)
        return;
    bool any = state->have_policy || guard_policy_in_files(&plugin->options);
    /* the trail's list has no "unavailable" for a store: hung up is nearest to refused */
    enum guard_reason reason =
        state->reason == GUARD_REASON_STORE_UNAVAILABLE ? GUARD_REASON_STORE_REFUSED : state->reason;
    audit_push_store_down(plugin->audit, &(struct audit_store_down){
                                             .reason = reason,
                                             .name = "redis",
                                             .address = state->server[0] ? state->server : NULL,
                                             .fail_mode = any ? AUDIT_FAIL_CACHE : AUDIT_FAIL_DENY,
                                             .cache_entries = (int64_t)state->clients,
                                             .error_text = text,
                                         });
}

static void tell_up(struct guard_plugin *plugin, const struct guard_store_state *state, int64_t down_since_ns)
{
    if (plugin->audit)
        audit_push_store_up(plugin->audit,
                            &(struct audit_store_up){
                                .name = "redis",
                                .address = state->server[0] ? state->server : NULL,
                                .outage_ms = (uint64_t)(guard_clock_monotonic_ns() - down_since_ns) / 1000000,
                                .denied_while_down = -1,
                            });
}

/* One store-down for an outage, however often its reason changes, and one store-up. */
static void tell_connection(struct guard_plugin *plugin, const struct guard_store_state *state)
{
    struct guard_policy_store *link = plugin->policy_store;
    bool answers = state->up || is_refused_policy(state);
    if (answers && link->outage)
        tell_up(plugin, state, link->down_since_ns);
    if (state->up && !link->state.up)
        guard_log(&plugin->log, GUARD_LOG_NOTICE, "redis %s is up: %llu roles, %llu client records", state->server,
                  (unsigned long long)state->roles, (unsigned long long)state->clients);
    if (!answers && !link->outage) {
        link->down_since_ns = guard_clock_monotonic_ns();
        tell_down(plugin, state);
    } else if (!answers && state->reason != link->state.reason) {
        guard_log(&plugin->log, GUARD_LOG_WARNING, "redis %s is still down: %s", state->server, state->text);
    }
    link->outage = !answers;
}

static void tell_not_taken(struct guard_plugin *plugin, enum guard_reason reason, const char *text)
{
    guard_log(&plugin->log, GUARD_LOG_ERROR, "policy version %s stays in use: %s", plugin->policy->version, text);
    guard_count_reload(&plugin->counts, false, 0);
    if (plugin->audit)
        audit_push_policy_reload(plugin->audit, &(struct audit_policy_reload){
                                                    .reason = reason,
                                                    .ruleset = plugin->policy->ruleset,
                                                    .version = plugin->policy->version,
                                                    .rules = -1,
                                                    .source = AUDIT_POLICY_REDIS,
                                                    .trigger = AUDIT_TRIGGER_PUBSUB,
                                                    .error_text = text,
                                                });
}

/* Emptied, gone back in time, not readable: an alarm, once for each reason. */
static void tell_policy(struct guard_plugin *plugin, const struct guard_store_state *state)
{
    struct guard_policy_store *link = plugin->policy_store;
    char text[600];
    if (is_refused_policy(state) && state->reason != link->policy_refused) {
        snprintf(text, sizeof text, "redis %s: %s", state->server, state->text);
        tell_not_taken(plugin,
                       state->reason == GUARD_REASON_POLICY_UNAVAILABLE ? GUARD_REASON_POLICY_ROLLBACK : state->reason,
                       text);
        link->policy_refused = state->reason;
    } else if (state->up) {
        link->policy_refused = GUARD_REASON_NONE;
    }
    if (state->expired && !link->state.expired) {
        snprintf(text, sizeof text, "redis %s: the policy was not confirmed for longer than max_stale (%lld s): %s",
                 state->server, (long long)plugin->options.max_stale,
                 denies_when_stale(plugin) ? "everything is denied" : "it stays in use");
        tell_not_taken(plugin, GUARD_REASON_POLICY_READ_ERROR, text);
    }
}

static void open_or_close(struct guard_plugin *plugin, const struct guard_store_state *state)
{
    bool closed = (!state->have_policy && !guard_policy_in_files(&plugin->options)) ||
                  (state->expired && denies_when_stale(plugin));
    if (closed != plugin->closed)
        guard_log(&plugin->log, GUARD_LOG_WARNING, "%s",
                  closed ? "there is no policy that may be used: everything is denied" : "the policy is in force");
    pthread_mutex_lock(&plugin->shared_lock);
    plugin->closed = closed;
    pthread_mutex_unlock(&plugin->shared_lock);
    guard_plugin_update_quick(plugin);
}

void guard_policy_store_taken(struct guard_plugin *plugin)
{
    struct guard_store_state *state = &plugin->policy_store->state;
    state->have_policy = true; /* the message that says so comes behind this one */
    state->expired = false;
    open_or_close(plugin, state);
}

static void deliver(struct guard_plugin *plugin, struct guard_message *base)
{
    const struct guard_store_state *state = &((struct state_message *)base)->state;
    if (state->up || state->syncs || state->reconnects) { /* before the first attempt has ended there is no news */
        tell_connection(plugin, state);
        tell_policy(plugin, state);
    }
    open_or_close(plugin, state);
    plugin->policy_store->state = *state;
    free(base);
}

static void discard(struct guard_message *message)
{
    free(message);
}

void guard_policy_state_send(struct guard_plugin *plugin, const struct guard_store_state *state)
{
    struct state_message *message = calloc(1, sizeof *message);
    if (!message)
        return;
    message->message = (struct guard_message){.deliver = deliver, .discard = discard};
    message->state = *state;
    guard_background_post(plugin->background, &message->message);
}

bool guard_policy_store_read(const struct guard_plugin *plugin, struct guard_store_figures *out)
{
    const struct guard_policy_store *link = plugin->policy_store;
    if (!link || !link->store)
        return false;
    *out = (struct guard_store_figures){
        .up = link->state.up,
        .reconnects = link->state.reconnects,
        .syncs = link->state.syncs,
        .updates = link->state.updates,
        .fresh_at = link->state.fresh_at,
        .requests = link->state.requests,
    };
    return true;
}
