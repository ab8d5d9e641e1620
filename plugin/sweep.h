/* After a change of policy or revocations every session is looked at again, a slice at each TICK. */
#ifndef GUARD_PLUGIN_SWEEP_H
#define GUARD_PLUGIN_SWEEP_H

#include <stdbool.h>

struct guard_plugin;
struct guard_session;

/* Begins (again) with the first session. records: client records may have changed, which no generation tells. */
void guard_sweep_begin(struct guard_plugin *plugin, bool records);

/* TICK: goes on for at most two milliseconds; ends sessions that are no longer good and binds the others anew. */
void guard_sweep_run(struct guard_plugin *plugin);

/*
 * Binds a session whose subject belongs to an older policy generation to the one in use. Out of memory or without a
 * valid binding the session has no subject, which denies everything.
 */
void guard_rebind(struct guard_plugin *plugin, struct guard_session *session);

/*
 * Looks at one session: ends it if it is no longer good, else binds it. One that did not come in through this plugin
 * (DERIVED) cannot be disconnected: it may do nothing for as long as it is not good.
 */
void guard_review(struct guard_plugin *plugin, struct guard_session *session);

#endif
