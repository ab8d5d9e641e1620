#include "plugin/access.h"

#include "acl/acl.h"
#include "audit/audit.h"
#include "core/clients.h"
#include "core/clock.h"
#include "plugin/admission.h"
#include "plugin/broker.h"
#include "plugin/bypass.h"
#include "plugin/http_api.h"
#include "plugin/plugin.h"
#include "plugin/policy_set.h"
#include "plugin/publish.h"
#include "plugin/session_table.h"
#include "plugin/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLING 64 /* one check of so many is timed, of those on the long way */

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct check {
    struct guard_plugin *plugin;
    struct guard_session *session;
    const struct mosquitto_evt_acl_check *event;
    struct acl_decision decision;
    int64_t time_ns; /* of a publish that may be audited; 0 = the clock was not read */
    bool timed;
};

/* ---- audit ---- */

static struct audit_text rule_of(const struct check *check)
{
    return guard_rule_name(check->plugin, check->session->subject, check->decision.rule);
}

static struct audit_message message_of(const struct check *check)
{
    const struct mosquitto_evt_acl_check *event = check->event;
    return (struct audit_message){
        .time_ns = check->time_ns,
        .topic = audit_text(event->topic),
        .rule_id = rule_of(check),
        .payload_bytes = event->payloadlen,
        .reason = check->decision.reason,
        .qos = event->qos > 2 ? 2 : event->qos,
        .retain = event->retain,
    };
}

static void audit_write_denied(struct check *check, bool will)
{
    struct audit_message message = message_of(check);
    message.will = will;
    audit_push_publish(check->plugin->audit, check->session->peer, &message);
}

static void audit_delivery(struct check *check)
{
    struct audit_message message = message_of(check);
    audit_push_deliver(check->plugin->audit, check->session->peer, &message);
}

static void audit_subscription(struct check *check)
{
    struct audit_subscription event = {
        .filter = audit_text(check->event->topic),
        .rule_id = rule_of(check),
        .reason = check->decision.reason,
        .qos = check->event->qos > 2 ? 2 : check->event->qos,
    };
    if (check->event->access == MOSQ_ACL_UNSUBSCRIBE)
        audit_push_unsubscribe(check->plugin->audit, check->session->peer, &event);
    else
        audit_push_subscribe(check->plugin->audit, check->session->peer, &event);
}

/* ---- decision ---- */

static enum guard_reason ended_reason(const struct guard_session *session)
{
    switch (session->kick_reason) {
    case GUARD_REASON_NONE:
    case GUARD_REASON_TOKEN_EXPIRED:
        return GUARD_REASON_TOKEN_EXPIRED;
    case GUARD_REASON_TOKEN_REVOKED:
        return GUARD_REASON_TOKEN_REVOKED;
    default:
        return GUARD_REASON_ACL_NO_MATCH;
    }
}

static bool refuse(struct check *check, enum guard_reason reason)
{
    check->decision = (struct acl_decision){.verdict = ACL_DENY, .reason = reason};
    return false;
}

static void warn_capped(struct check *check)
{
    if (check->plugin->warned_capped)
        return;
    check->plugin->warned_capped = true;
    guard_log(&check->plugin->log, GUARD_LOG_ERROR,
              "a check of client '%.128s' was given up because the rules it holds take too many steps: it is denied. "
              "`guardctl lint` names such rules",
              check->session->client_id);
}

/* The session has ended, or has nothing it is bound to. */
static bool __attribute__((noinline)) decide_unusual(struct check *check)
{
    struct guard_session *session = check->session;
    struct guard_plugin *plugin = check->plugin;
    if (plugin->closed)
        return refuse(check, GUARD_REASON_POLICY_UNAVAILABLE);
    if (session->state == SESSION_WAITING)
        return refuse(check, GUARD_REASON_INTERNAL_ERROR);
    bool last_will =
        session->state == SESSION_OFFLINE && session->will_after_kick && check->event->access == MOSQ_ACL_WRITE;
    if (plugin->now >= session->ends_at && !last_will)
        return refuse(check, ended_reason(session));
    guard_rebind(plugin, session);
    return session->subject ? true : refuse(check, GUARD_REASON_INTERNAL_ERROR);
}

/* The engine wants something: the rules took too many steps, or the session is bound to an older policy. */
static bool __attribute__((noinline)) decide_again(struct check *check, const struct acl_request *request)
{
    struct guard_plugin *plugin = check->plugin;
    if (check->decision.flags & ACL_STALE) {
        guard_rebind(plugin, check->session);
        if (!check->session->subject)
            return refuse(check, GUARD_REASON_INTERNAL_ERROR);
        acl_check(plugin->acl, plugin->policy->acl, check->session->subject, request, &check->decision);
    }
    if (check->decision.flags & ACL_CAPPED)
        warn_capped(check);
    return check->decision.verdict == ACL_ALLOW;
}

static inline bool decide_untimed(struct check *check, enum acl_action action)
{
    struct guard_plugin *plugin = check->plugin;
    const struct guard_session *session = check->session;
    const struct mosquitto_evt_acl_check *event = check->event;
    if (unlikely(plugin->now >= session->ends_at || !session->subject || plugin->closed) && !decide_unusual(check))
        return false;
    struct acl_request request = {
        .action = action,
        .qos = event->qos,
        .retain = event->retain,
        .topic = event->topic,
        .payload = event->payload ? event->payload : "",
        .payload_length = event->payloadlen,
        .now = plugin->now,
    };
    acl_check(plugin->acl, plugin->policy->acl, session->subject, &request, &check->decision);
    if (unlikely(check->decision.flags))
        return decide_again(check, &request);
    return check->decision.verdict == ACL_ALLOW;
}

static bool __attribute__((noinline)) decide_timed(struct check *check, enum acl_action action)
{
    int64_t start = guard_clock_monotonic_ns();
    bool allowed = decide_untimed(check, action);
    guard_histogram_add(&check->plugin->counts.decision, guard_clock_monotonic_ns() - start);
    return allowed;
}

static inline bool decide(struct check *check, enum acl_action action)
{
    return unlikely(check->timed) ? decide_timed(check, action) : decide_untimed(check, action);
}

/* ---- the four kinds of access ---- */

/* One look for the decision and for the event, which MESSAGE sends next: no other event comes between the two. */
static inline void look_at_clock(struct check *check)
{
    if (!check->plugin->audit_publishes) {
        check->plugin->now = guard_plugin_now();
        return;
    }
    check->time_ns = guard_clock_real_ns();
    check->plugin->now = check->time_ns / 1000000000;
}

static bool on_write(struct check *check)
{
    struct guard_plugin *plugin = check->plugin;
    bool will = check->session->state == SESSION_OFFLINE || check->session->last_will;
    look_at_clock(check);
    bool allowed = decide(check, ACL_PUBLISH);
    if (allowed && plugin->audit && unlikely(!audit_accepting(plugin->audit)))
        allowed = refuse(check, GUARD_REASON_RATE_LIMITED);
    plugin->counts.checks[ACCESS_PUBLISH][!allowed]++;
    if (!allowed) {
        check->session->messages_denied++;
        if (plugin->audit)
            audit_write_denied(check, will);
        return false;
    }
    if (!will)
        guard_count_message_in(check->session->slot);
    if (plugin->audit_publishes) {
        guard_keep_publish(plugin, check->session, check->event, check->decision.rule, check->time_ns);
        if (will || strncmp(check->event->topic, "$CONTROL/", 9) == 0)
            guard_write_kept(plugin, will);
    }
    return true;
}

static bool on_read(struct check *check)
{
    struct guard_plugin *plugin = check->plugin;
    bool allowed = decide(check, ACL_RECEIVE);
    if (unlikely(!allowed) && check->session->state == SESSION_DERIVED &&
        guard_bypass_is_restored(check->event->client))
        return true; /* judged when the client comes back: then the broker asks again, with who it is by then */
    plugin->counts.checks[ACCESS_DELIVER][!allowed]++;
    if (plugin->audit && (unlikely(!allowed) || plugin->audit_deliveries))
        audit_delivery(check);
    return allowed;
}

static bool on_subscribe(struct check *check)
{
    struct guard_plugin *plugin = check->plugin;
    plugin->now = guard_plugin_now();
    bool allowed = decide(check, ACL_SUBSCRIBE);
    if (plugin->kicking)
        return allowed;
    plugin->counts.checks[ACCESS_SUBSCRIBE][!allowed]++;
    if (plugin->audit)
        audit_subscription(check);
    return allowed;
}

static bool on_unsubscribe(struct check *check)
{
    check->decision = (struct acl_decision){.verdict = ACL_ALLOW};
    check->plugin->counts.checks[ACCESS_UNSUBSCRIBE][0]++;
    if (check->plugin->audit)
        audit_subscription(check);
    return true;
}

/* The session of that client id, if it is of the same user; or NULL. */
static struct guard_session *source_session(const struct guard_plugin *plugin, const struct mosquitto *client)
{
    const char *id = mosquitto_client_id(client), *name = mosquitto_client_username(client);
    struct guard_session *known = id ? guard_sessions_by_id(plugin->sessions, id) : NULL;
    bool same = known && known->subject &&
                (name && known->username ? strcmp(name, known->username) == 0 : name == known->username);
    return same ? known : NULL;
}

/*
 * check_retain_source: a struct on the broker's stack with the name and id of whoever published a retained message
 * once. Judged with what is known of that client; a refusal concerns the delivery.
 */
static bool on_retained_source(struct check *check)
{
    struct guard_plugin *plugin = check->plugin;
    struct mosquitto *client = check->event->client;
    struct guard_session *known = source_session(plugin, client);
    plugin->now = guard_plugin_now();
    check->session = known ? known : guard_derive(plugin, client);
    if (!check->session)
        return false;
    int64_t end = check->session->ends_at;
    check->session->ends_at =
        GUARD_NEVER; /* it was entitled when it published; what counts is what the policy says now */
    bool allowed = decide(check, ACL_PUBLISH);
    check->session->ends_at = end;
    if (!allowed && plugin->audit)
        audit_delivery(check);
    if (!known)
        guard_sessions_remove(plugin->sessions, client); /* the stack is about to be something else */
    return allowed;
}

static inline int check_access(struct check *check)
{
    bool allowed;
    if (check->event->access == MOSQ_ACL_READ)
        return on_read(check) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
    check->plugin->pending.session = NULL; /* was there no MESSAGE, it was a re-check */
    switch (check->event->access) {
    case MOSQ_ACL_WRITE:
        allowed = on_write(check);
        break;
    case MOSQ_ACL_SUBSCRIBE:
        allowed = on_subscribe(check);
        break;
    case MOSQ_ACL_UNSUBSCRIBE:
        allowed = on_unsubscribe(check);
        break;
    default:
        allowed = false;
    }
    return allowed ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

/* Coexist: whether the plugin knows who published a retained message. A token's owner it knows by a session. */
static bool is_our_source(const struct guard_plugin *plugin, const struct mosquitto *client)
{
    const char *name = mosquitto_client_username(client);
    return name && (strcmp(name, GUARD_ANONYMOUS_NAME) == 0 || guard_clients_knows(plugin->policy->clients, name) ||
                    source_session(plugin, client));
}

/* Whatever is not the plain case of a connected client that was seen before. */
static int __attribute__((noinline)) check_thoroughly(struct check *check)
{
    struct guard_plugin *plugin = check->plugin;
    const struct mosquitto_evt_acl_check *event = check->event;
    if (!plugin->ticks && event->access != MOSQ_ACL_READ)
        guard_plugin_without_tick(plugin);
    check->session = guard_sessions_find(plugin->sessions, event->client);
    if (!check->session && event->access == MOSQ_ACL_WRITE && !mosquitto_client_address(event->client) &&
        (!plugin->coexist || is_our_source(plugin, event->client)))
        return on_retained_source(check) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
    if (!check->session && plugin->coexist)
        return MOSQ_ERR_PLUGIN_DEFER;
    if (!check->session && !(check->session = guard_bypass_session(plugin, event->client)))
        return MOSQ_ERR_ACL_DENIED;
    bool last = check->session->last_will;
    int answer = check_access(check);
    if (last)
        guard_sessions_remove(plugin->sessions, event->client);
    return answer;
}

void guard_plugin_time_next(struct guard_plugin *plugin)
{
    plugin->sample_due = true;
    guard_sessions_hold_quick(plugin->sessions, true); /* on their short way checks are not timed: the next has none */
}

void guard_plugin_update_quick(struct guard_plugin *plugin)
{
    /* without TICK it is the long way that takes in what changed meanwhile: policies, bans */
    guard_sessions_set_quick(plugin->sessions, plugin->ticks && !plugin->closed && !plugin->audit_deliveries);
}

static int __attribute__((noinline)) check_timed(struct check *check)
{
    int64_t start = guard_clock_monotonic_ns();
    check->timed = true;
    int answer = check->session ? check_access(check) : check_thoroughly(check);
    guard_histogram_add(&check->plugin->counts.callback[CALLBACK_ACL_CHECK], guard_clock_monotonic_ns() - start);
    return answer;
}

/* Whether a publish has read the clock before anything else, so that what follows need not. */
static inline bool publishes_look_at_clock(const struct guard_plugin *plugin)
{
    return plugin->audit_publishes || guard_sessions_some_end(plugin->sessions);
}

static int __attribute__((noinline))
check_fully(struct guard_plugin *plugin, struct guard_session *session, const struct mosquitto_evt_acl_check *event)
{
    struct check check;
    check.plugin = plugin;
    check.event = event;
    check.session = session;
    check.time_ns = 0;
    check.timed = false;
    if (event->access == MOSQ_ACL_READ && !publishes_look_at_clock(plugin))
        plugin->now = guard_plugin_now(); /* the publish of this message did not look */
    if (unlikely(++plugin->counts.sampled % SAMPLING == 0 || plugin->sample_due)) {
        plugin->sample_due = false;
        guard_sessions_hold_quick(plugin->sessions, false);
        return check_timed(&check);
    }
    return session ? check_access(&check) : check_thoroughly(&check);
}

/* What the engine has to be asked: the topic is of no pattern that is known. */
static const acl_rule_id *__attribute__((noinline))
ask_engine(struct guard_plugin *plugin, const struct slot *slot, const struct mosquitto_evt_acl_check *event)
{
    struct acl_decision decision;
    if (!publishes_look_at_clock(plugin))
        plugin->now = guard_plugin_now();
    struct acl_request request = {
        .action = ACL_PUBLISH,
        .qos = event->qos,
        .retain = event->retain,
        .topic = event->topic,
        .payload = event->payload ? event->payload : "",
        .payload_length = event->payloadlen,
        .now = plugin->now,
    };
    enum acl_verdict verdict = acl_check(plugin->acl, plugin->rules, slot->session->subject, &request, &decision);
    plugin->asked_rule = decision.rule;
    return verdict == ACL_ALLOW ? &plugin->asked_rule : NULL;
}

/*
 * A publish that the policy allows, of a connected client: most of them. The clock is for those whose sessions end, and
 * for the receivers of this message: nobody looks at it where no session does.
 */
static __attribute__((always_inline)) inline int publish(struct guard_plugin *plugin, struct slot *slot,
                                                         const struct mosquitto_evt_acl_check *event, bool audited)
{
    int64_t time_ns = audited ? guard_clock_real_ns() : 0;
    if (audited)
        plugin->now = time_ns / 1000000000;
    else if (guard_sessions_some_end(plugin->sessions))
        plugin->now = guard_plugin_now();
    if (unlikely(plugin->now >= slot->ends_at || (audited && event->topic[0] == '$')))
        return check_fully(plugin, slot->session, event);
    const acl_rule_id *rule = acl_publishes_again(plugin->acl, &slot->face, event->topic);
    if (unlikely(!rule) && !(rule = ask_engine(plugin, slot, event)))
        return check_fully(plugin, slot->session, event);
    if (plugin->audit && unlikely(!audit_accepting(plugin->audit)))
        return check_fully(plugin, slot->session, event);
    guard_expect_next(plugin->sessions, slot);
    guard_count_message_in(slot);
    plugin->counts.checks[ACCESS_PUBLISH][0]++;
    if (audited)
        guard_keep_publish(plugin, slot->session, event, *rule, time_ns);
    return MOSQ_ERR_SUCCESS;
}

/* Functions of their own, because their locals would cost a delivery. */
static int __attribute__((noinline))
check_publish(struct guard_plugin *plugin, struct slot *slot, const struct mosquitto_evt_acl_check *event)
{
    return publish(plugin, slot, event, false);
}

static int __attribute__((noinline))
check_audited(struct guard_plugin *plugin, struct slot *slot, const struct mosquitto_evt_acl_check *event)
{
    return publish(plugin, slot, event, true);
}

/* Looks the slot up again: the caller did not keep it, which would have cost every delivery. */
static int __attribute__((noinline))
check_delivery(struct guard_plugin *plugin, const struct mosquitto_evt_acl_check *event)
{
    const struct slot *slot = guard_sessions_quick(plugin->sessions, event->client);
    return check_fully(plugin, slot ? slot->session : NULL, event);
}

/* With a thousand subscribers this runs a thousand times for one message: first what most of those calls need. */
int guard_on_acl_check(int event_number, void *event_data, void *userdata)
{
    struct guard_plugin *plugin = userdata;
    const struct mosquitto_evt_acl_check *event = event_data;
    struct slot *slot = guard_sessions_quick(plugin->sessions, event->client);
    (void)event_number;
    if (unlikely(slot == NULL))
        return check_fully(plugin, NULL, event);
    if (likely(event->access == MOSQ_ACL_READ)) {
        if (likely(plugin->now < slot->ends_at) && acl_receives_again(plugin->acl, slot->face.key, event->topic)) {
            plugin->counts.checks[ACCESS_DELIVER][0]++;
            return MOSQ_ERR_SUCCESS;
        }
        return check_delivery(plugin, event);
    }
    if (event->access == MOSQ_ACL_WRITE)
        return plugin->audit_publishes ? check_audited(plugin, slot, event) : check_publish(plugin, slot, event);
    return check_fully(plugin, slot->session, event);
}

int guard_on_acl_check_from_any_thread(int event, void *event_data, void *userdata)
{
    struct guard_plugin *plugin = userdata;
    if (unlikely(!pthread_equal(pthread_self(), plugin->broker_thread)))
        return guard_http_api_access(plugin, event_data);
    return guard_on_acl_check(event, event_data, userdata);
}
