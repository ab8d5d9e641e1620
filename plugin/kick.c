#include "plugin/kick.h"

#include "core/clock.h"
#include "plugin/background.h"
#include "plugin/broker.h"
#include "plugin/plugin.h"

#include <stdlib.h>
#include <string.h>

#define SLICE_NS 5000000 /* of kicks, before the broker goes on: the tokens of a whole fleet may end in one second */

struct guard_kick {
    char *client_id;
    uint64_t connection; /* another connection may have the id by then */
    bool with_will;
};

static bool is_connected(const struct guard_session *session)
{
    return session->state == SESSION_ONLINE || session->state == SESSION_PENDING;
}

static void remember(struct guard_plugin *plugin, const struct guard_session *session, bool with_will)
{
    if (plugin->kick_count == plugin->kick_capacity) {
        size_t capacity = plugin->kick_capacity ? plugin->kick_capacity * 2 : 64;
        struct guard_kick *grown = reallocarray(plugin->kicks, capacity, sizeof *grown);
        if (!grown)
            return; /* it stays connected, and may do nothing */
        plugin->kicks = grown;
        plugin->kick_capacity = capacity;
    }
    char *id = strdup(session->client_id);
    if (id)
        plugin->kicks[plugin->kick_count++] = (struct guard_kick){id, session->connection, with_will};
}

void guard_end_session(struct guard_plugin *plugin, struct guard_session *session, enum guard_reason reason,
                       bool with_will)
{
    if (session->kick_reason != GUARD_REASON_NONE)
        return;
    session->kick_reason = reason;
    session->will_after_kick = with_will;
    guard_sessions_end(plugin->sessions, session);
    if (is_connected(session))
        remember(plugin, session, with_will);
}

static void carry_out(struct guard_plugin *plugin, const struct guard_kick *kick)
{
    const struct guard_session *session = guard_sessions_connected(plugin->sessions, kick->client_id, NULL);
    if (!session || session->connection != kick->connection)
        return;
    guard_log(&plugin->log, GUARD_LOG_NOTICE, "disconnecting client '%.128s': %s", kick->client_id,
              guard_reason_sentence(session->kick_reason));
    plugin->counts.kicks[session->kick_reason]++;
    plugin->kicking = true;
    mosquitto_kick_client_by_clientid(kick->client_id, kick->with_will);
    plugin->kicking = false;
}

void guard_kicks_run(struct guard_plugin *plugin)
{
    int64_t until = guard_clock_monotonic_ns() + SLICE_NS;
    size_t count = plugin->kick_count, done = 0; /* a kick runs callbacks, which may add more: those wait */
    while (done < count && (!done || guard_clock_monotonic_ns() < until)) {
        struct guard_kick kick = plugin->kicks[done++];
        carry_out(plugin, &kick);
        free(kick.client_id);
    }
    plugin->kick_count -= done;
    memmove(plugin->kicks, plugin->kicks + done, plugin->kick_count * sizeof *plugin->kicks);
    if (plugin->kick_count)
        guard_background_wake_soon(plugin->background); /* an idle broker would take 100 ms to the next ones */
}

void guard_kicks_free(struct guard_plugin *plugin)
{
    for (size_t i = 0; i < plugin->kick_count; i++)
        free(plugin->kicks[i].client_id);
    free(plugin->kicks);
    plugin->kicks = NULL;
    plugin->kick_count = plugin->kick_capacity = 0;
}
