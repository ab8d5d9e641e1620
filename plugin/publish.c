#include "plugin/publish.h"

#include "acl/acl.h"
#include "plugin/broker.h"
#include "plugin/plugin.h"
#include "plugin/policy_set.h"

#include <stdlib.h>
#include <string.h>

/* Rules of a session's own are called so; the same id is another rule for another session. */
#define PRIVATE "token/"

struct audit_text guard_rule_name(struct guard_plugin *plugin, const struct acl_subject *subject, uint64_t rule)
{
    const struct acl_policy *policy = plugin->policy->acl;
    uint64_t generation = acl_policy_generation(policy);
    struct guard_rule_name *name = &plugin->rule_names[(rule ^ rule >> 32) % GUARD_RULE_NAMES];
    if (!rule)
        return (struct audit_text){0};
    if (name->rule != rule || name->generation != generation) {
        acl_rule_name(policy, subject, rule, name->text, sizeof name->text);
        name->length = strlen(name->text);
        name->rule = strncmp(name->text, PRIVATE, sizeof PRIVATE - 1) == 0 ? 0 : rule;
        name->generation = generation;
    }
    return (struct audit_text){name->text, name->length};
}

/* A copy of what MESSAGE will not tell, and of what is needed should there be no MESSAGE. */
static void keep_copy(struct guard_pending_publish *pending, const struct audit_message *message)
{
    size_t length = message->topic.length;
    if (length + 1 > pending->topic_capacity) {
        char *grown = realloc(pending->topic, length + 64);
        if (!grown) {
            pending->session = NULL;
            return;
        }
        pending->topic = grown;
        pending->topic_capacity = length + 64;
    }
    memcpy(pending->topic, message->topic.bytes, length + 1);
    pending->topic_length = length;
    pending->payload_bytes = message->payload_bytes;
    pending->qos = message->qos;
    pending->retain = message->retain;
}

void guard_keep_publish(struct guard_plugin *plugin, struct guard_session *session,
                        const struct mosquitto_evt_acl_check *event, uint64_t rule, int64_t time_ns)
{
    struct guard_pending_publish *pending = &plugin->pending;
    const struct audit_message message = {
        .time_ns = time_ns,
        .topic = audit_text(event->topic),
        .rule_id = guard_rule_name(plugin, session->subject, rule),
        .payload_bytes = event->payloadlen,
        .qos = event->qos > 2 ? 2 : event->qos,
        .retain = event->retain,
    };
    pending->session = session;
    pending->rule = rule;
    pending->time_ns = time_ns;
    pending->staged = audit_stage_publish(plugin->audit, session->peer, &message);
    if (!pending->staged)
        keep_copy(pending, &message);
}

static void write_copy(struct guard_plugin *plugin, const struct guard_session *session, bool will)
{
    const struct guard_pending_publish *pending = &plugin->pending;
    const struct audit_message message = {
        .time_ns = pending->time_ns,
        .topic = {pending->topic, pending->topic_length},
        .rule_id = guard_rule_name(plugin, session->subject, pending->rule),
        .payload_bytes = pending->payload_bytes,
        .qos = pending->qos,
        .retain = pending->retain,
        .will = will,
    };
    audit_push_publish(plugin->audit, session->peer, &message);
}

/* Another event has taken its place in the ring: nothing that is known comes between the two. It is declared as lost.
 */
static void declare_lost(struct guard_plugin *plugin)
{
    audit_push_publish(plugin->audit, NULL, &(struct audit_message){.time_ns = plugin->pending.time_ns});
}

void guard_write_kept(struct guard_plugin *plugin, bool will)
{
    struct guard_session *session = plugin->pending.session;
    if (!session)
        return;
    plugin->pending.session = NULL;
    if (!plugin->pending.staged)
        write_copy(plugin, session, will);
    else if (!audit_publish_staged(plugin->audit, will))
        declare_lost(plugin);
}

/*
 * 2.0 has no CONNECT event that would end the re-checks of a session that is resumed, and there a will comes before the
 * end only in a takeover.
 */
static bool may_be_will(const struct guard_plugin *plugin, const struct guard_session *ending)
{
    return plugin->connect_event || guard_sessions_by_id(plugin->sessions, ending->client_id) != ending;
}

void guard_settle_pending(struct guard_plugin *plugin, const struct guard_session *ending)
{
    if (plugin->pending.session && plugin->pending.session == ending && may_be_will(plugin, ending))
        guard_write_kept(plugin, true);
    plugin->pending.session = NULL;
}

int guard_on_message(int event, void *event_data, void *userdata)
{
    struct guard_plugin *plugin = userdata;
    const struct mosquitto_evt_message *message = event_data;
    (void)event;
    if (plugin->pending.session && plugin->pending.session->client == message->client)
        guard_write_kept(plugin, false);
    plugin->pending.session = NULL;
    return MOSQ_ERR_SUCCESS;
}
