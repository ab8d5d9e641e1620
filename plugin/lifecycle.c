#include "plugin/lifecycle.h"

#include "audit/audit.h"
#include "core/clock.h"
#include "plugin/access.h"
#include "plugin/admission.h"
#include "plugin/background.h"
#include "plugin/basic_auth.h"
#include "plugin/broker.h"
#include "plugin/bypass.h"
#include "plugin/compose.h"
#include "plugin/kick.h"
#include "plugin/metrics.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"
#include "plugin/publish.h"
#include "plugin/sweep.h"
#include "plugin/waiting.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHORE_NS     50000000 /* between two looks at the clock-driven work */
#define EXPIRIES_MAX 2000     /* in one of them: who is not ended yet is denied everything all the same */

int guard_on_connect(int event, void *event_data, void *userdata)
{
    struct guard_plugin *plugin = userdata;
    const struct guard_evt_client *connect = event_data;
    (void)event;
    guard_settle_pending(plugin, NULL);
    guard_sessions_doubt(plugin->sessions, connect->client);
    plugin->bypass_ended = NULL;
    struct guard_session *session = guard_sessions_find(plugin->sessions, connect->client);
    if ((!session || session->state == SESSION_DERIVED) && !plugin->coexist)
        guard_bypass_connected(plugin, connect->client);
    if (!session || session->state != SESSION_PENDING)
        return MOSQ_ERR_SUCCESS;
    session->state = SESSION_ONLINE;
    guard_count_session(&plugin->counts, session->identity->method, 1);
    guard_connected(plugin, session, NULL);
    if (session->offer)
        guard_waiting_name(plugin, session);
    guard_sessions_find(plugin->sessions, connect->client); /* quick from now on: what that needs is in the caches */
    return MOSQ_ERR_SUCCESS;
}

/* ---- ends ---- */

struct audit_disconnect guard_disconnect_event(struct guard_plugin *plugin, const struct guard_session *session,
                                               int reason)
{
    struct audit_disconnect event = {.reason = GUARD_REASON_UNKNOWN, .initiator = AUDIT_BY_NETWORK};
    const struct guard_session *newest = guard_sessions_by_id(plugin->sessions, session->client_id);
    bool taken_over = newest && newest != session && newest->connected_ns >= session->connected_ns &&
                      (newest->state == SESSION_ONLINE || newest->state == SESSION_PENDING);
    if (session->kick_reason != GUARD_REASON_NONE) {
        event.reason = session->kick_reason;
        event.initiator = AUDIT_BY_SERVER;
        event.identity = session->identity;
    } else if (reason == GUARD_BROKER_TAKEN_OVER || (reason < 0 && taken_over)) {
        event.reason = GUARD_REASON_SESSION_TAKEN_OVER;
        event.initiator = AUDIT_BY_SERVER;
    } else if (reason == GUARD_BROKER_CLEAN) {
        event.reason = GUARD_REASON_CLIENT_DISCONNECT;
        event.initiator = AUDIT_BY_CLIENT;
    } else if (reason == GUARD_BROKER_CONNECTION_LOST || reason == GUARD_BROKER_NO_CONNECTION) {
        event.reason = GUARD_REASON_CONNECTION_LOST;
    } else if (reason == GUARD_BROKER_KEEPALIVE) {
        event.reason = GUARD_REASON_KEEPALIVE_TIMEOUT;
        event.initiator = AUDIT_BY_SERVER;
    } else if (reason == GUARD_BROKER_ADMINISTRATIVE) {
        event.reason = GUARD_REASON_ADMIN_KICK;
        event.initiator = AUDIT_BY_SERVER;
    } else if (reason == GUARD_BROKER_SHUTTING_DOWN) {
        event.reason = GUARD_REASON_BROKER_SHUTDOWN;
        event.initiator = AUDIT_BY_SERVER;
    } else if (reason > 0) {
        event.reason = GUARD_REASON_PROTOCOL_ERROR;
        event.initiator = AUDIT_BY_SERVER;
    }
    event.duration_ns = (uint64_t)(guard_clock_monotonic_ns() - session->connected_ns);
    event.messages_in = guard_session_messages_in(session);
    event.messages_denied = session->messages_denied;
    return event;
}

/* Accepted by us, and gone before the broker said CONNECT (2.1). */
static void never_connected(struct guard_plugin *plugin, struct guard_session *session)
{
    guard_count_attempt(&plugin->counts, session->identity->method, GUARD_REASON_QUOTA_EXCEEDED, session->verdict_ns);
    if (!plugin->audit)
        return;
    audit_push_connect(plugin->audit, session->peer,
                       &(struct audit_connect){.reason = GUARD_REASON_QUOTA_EXCEEDED,
                                               .method = session->identity->method,
                                               .identity = session->identity,
                                               .duration_ns = session->verdict_ns,
                                               .keep_alive = -1,
                                               .clean_start = -1,
                                               .tls = -1});
}

/* The entry that the event is about. 2.0 may have taken the id from the client already: then the pointer tells. */
static struct guard_session *ended_session(struct guard_plugin *plugin, const struct mosquitto *client)
{
    struct guard_session *session = guard_sessions_find(plugin->sessions, client);
    if (session)
        return session;
    session = guard_sessions_peek(plugin->sessions, client);
    return session && (session->state == SESSION_ONLINE || session->state == SESSION_PENDING) ? session : NULL;
}

int guard_on_disconnect(int event, void *event_data, void *userdata)
{
    struct guard_plugin *plugin = userdata;
    const struct guard_evt_client *disconnect = event_data;
    (void)event;
    struct guard_session *session = ended_session(plugin, disconnect->client);
    guard_settle_pending(plugin, session);
    guard_sessions_doubt(plugin->sessions, disconnect->client);
    plugin->bypass_ended = NULL;
    if (session && session->state == SESSION_DERIVED) {
        guard_bypass_ended(plugin, session, disconnect->reason);
        return MOSQ_ERR_SUCCESS;
    }
    /* an offline session that is resumed or dropped has this event again: not a connection's end */
    if (!session || (session->state != SESSION_ONLINE && session->state != SESSION_PENDING))
        return MOSQ_ERR_SUCCESS;
    bool was_online = session->state == SESSION_ONLINE;
    session->state = SESSION_OFFLINE;
    if (was_online)
        guard_count_session(&plugin->counts, session->identity->method, -1);
    guard_session_changed(session);
    if (!was_online) {
        never_connected(plugin, session);
        return MOSQ_ERR_SUCCESS;
    }
    if (!plugin->audit)
        return MOSQ_ERR_SUCCESS;
    struct audit_disconnect ended = guard_disconnect_event(plugin, session, disconnect->reason);
    audit_push_disconnect(plugin->audit, session->peer, &ended);
    return MOSQ_ERR_SUCCESS;
}

/* The broker stops without telling who was connected: the trail says it. */
void guard_sessions_audit_shutdown(struct guard_plugin *plugin)
{
    struct guard_session *session;
    guard_sessions_walk_begin(plugin->sessions);
    while (plugin->audit && (session = guard_sessions_walk_next(plugin->sessions))) {
        if (session->state != SESSION_ONLINE && !session->announced)
            continue;
        struct audit_disconnect ended = {
            .reason = GUARD_REASON_BROKER_SHUTDOWN,
            .initiator = AUDIT_BY_SERVER,
            .duration_ns = (uint64_t)(guard_clock_monotonic_ns() - session->connected_ns),
            .messages_in = guard_session_messages_in(session),
            .messages_denied = session->messages_denied,
        };
        audit_push_disconnect(plugin->audit, session->peer, &ended);
    }
}

/* ---- what is due ---- */

static void end_expired(struct guard_plugin *plugin)
{
    struct guard_session *session;
    for (int i = 0; i < EXPIRIES_MAX && (session = guard_sessions_expired(plugin->sessions, plugin->now)); i++)
        guard_end_session(plugin, session, GUARD_REASON_TOKEN_EXPIRED, true);
}

static void publish_states(struct guard_plugin *plugin)
{
    struct audit_state_message message;
    char *damage = audit_take_damage(plugin->audit);
    if (damage)
        guard_log(&plugin->log, GUARD_LOG_ERROR, "audit trail: %s", damage);
    free(damage);
    while (audit_take_state_message(plugin->audit, &message)) {
        if (plugin->options.audit_mqtt)
            mosquitto_broker_publish_copy(NULL, message.topic, (int)message.length, message.payload, 0, message.retain,
                                          NULL);
        audit_state_message_free(&message);
    }
}

static int64_t coarse_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void do_chores(struct guard_plugin *plugin)
{
    plugin->now = guard_plugin_now();
    end_expired(plugin);
    if (plugin->waiting)
        guard_waiting_answer(plugin); /* time-outs */
    if (plugin->audit) {
        audit_tick(plugin->audit, 0);
        publish_states(plugin);
    }
    guard_metrics_run(plugin);
    guard_plugin_time_next(plugin);
}

/* Comes with every turn of the broker's loop, up to 100,000 times a second: a few loads when nothing is due. */
static void do_what_is_due(struct guard_plugin *plugin)
{
    bool messages = guard_background_has_messages(plugin->background);
    int64_t now = coarse_monotonic_ns();
    bool chores = now >= plugin->next_chore_ns;
    if (!messages && !plugin->waiting && !plugin->sweeping && !chores)
        return;
    int64_t start = guard_clock_monotonic_ns();
    if (messages)
        guard_background_deliver(plugin->background, plugin);
    if (plugin->waiting)
        guard_waiting_answer(plugin);
    if (plugin->sweeping)
        guard_sweep_run(plugin);
    if (chores) {
        plugin->next_chore_ns = now + CHORE_NS;
        do_chores(plugin);
    }
    guard_histogram_add(&plugin->counts.callback[CALLBACK_TICK], guard_clock_monotonic_ns() - start);
}

int guard_on_tick(int event, void *event_data, void *userdata)
{
    struct guard_plugin *plugin = userdata;
    (void)event;
    (void)event_data;
    if (!plugin->ticks) {
        plugin->ticks = true;
        guard_plugin_update_quick(plugin);
    }
    plugin->reloading = false;
    plugin->pending.session = NULL;
    plugin->bypass_ended = NULL;
    do_what_is_due(plugin);
    if (plugin->kick_count)
        guard_kicks_run(plugin);
    return MOSQ_ERR_SUCCESS;
}

void guard_plugin_without_tick(struct guard_plugin *plugin)
{
    do_what_is_due(plugin); /* no kicks: this is the inside of another callback. Who is to go may do nothing any more */
}

int guard_on_reload(int event, void *event_data, void *userdata)
{
    struct guard_plugin *plugin = userdata;
    (void)event;
    (void)event_data;
    int64_t start = guard_clock_monotonic_ns();
    plugin->reloading = true;
    guard_sessions_turn(plugin->sessions);
    guard_policy_reload(plugin);
    guard_compose_reload(plugin);
    if (plugin->audit)
        audit_reload(plugin->audit);
    guard_histogram_add(&plugin->counts.callback[CALLBACK_RELOAD], guard_clock_monotonic_ns() - start);
    /* 2.0 asks the next plugin only on DEFER; 2.1 takes anything but 0 for an error and exits */
    return guard_broker_is_2_1() ? MOSQ_ERR_SUCCESS : MOSQ_ERR_PLUGIN_DEFER;
}

__attribute__((noinline)) int64_t guard_plugin_now(void) /* the struct would cost its callers a stack guard */
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now.tv_sec;
}
