#include "plugin/sweep.h"

#include "acl/acl.h"
#include "core/clock.h"
#include "plugin/admission.h"
#include "plugin/background.h"
#include "plugin/kick.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"

#define SLICE_NS    2000000
#define CLOCK_EVERY 16 /* sessions between two looks at the clock */

void guard_rebind(struct guard_plugin *plugin, struct guard_session *session)
{
    uint64_t generation = acl_policy_generation(plugin->policy->acl);
    if (session->binding == generation && session->subject)
        return;
    struct acl_subject *subject = NULL;
    guard_bind(plugin->policy, session->identity, session->client_id, session->address, &subject, NULL);
    guard_session_bind(session, subject, generation);
}

void guard_review(struct guard_plugin *plugin, struct guard_session *session)
{
    if (session->state == SESSION_DERIVED) {
        session->kick_reason = GUARD_REASON_NONE;
        guard_sessions_set_end(plugin->sessions, session, GUARD_NEVER);
    }
    if (session->state == SESSION_WAITING || session->kick_reason != GUARD_REASON_NONE)
        return;
    enum guard_reason reason = guard_still_good(plugin, session);
    if (reason != GUARD_REASON_NONE)
        guard_end_session(plugin, session, reason, reason == GUARD_REASON_TOKEN_EXPIRED);
    else
        guard_rebind(plugin, session);
}

void guard_sweep_begin(struct guard_plugin *plugin, bool records)
{
    plugin->sweep_binds = records || (plugin->sweeping && plugin->sweep_binds); /* one that was not through */
    plugin->sweeping = true;
    guard_sessions_walk_begin(plugin->sessions);
}

void guard_sweep_run(struct guard_plugin *plugin)
{
    int64_t until = guard_clock_monotonic_ns() + SLICE_NS;
    unsigned looked = 0;
    struct guard_session *session;
    while ((session = guard_sessions_walk_next(plugin->sessions))) {
        if (plugin->sweep_binds)
            session->binding = 0; /* its record may be another one, although the rules are the same */
        guard_review(plugin, session);
        if (++looked % CLOCK_EVERY == 0 && guard_clock_monotonic_ns() >= until) {
            guard_background_wake_soon(plugin->background); /* an idle broker would take 100 ms to the next slice */
            return;
        }
    }
    plugin->sweeping = false;
}
