/* After a change of policy or revocations every session is looked at again, a slice at each TICK. */
#ifndef GUARD_PLUGIN_SWEEP_H
#define GUARD_PLUGIN_SWEEP_H

struct guard_plugin;
struct guard_session;

/* Begins (again) with the first session. */
void guard_sweep_begin(struct guard_plugin *plugin);

/* TICK: goes on for at most two milliseconds; ends sessions that are no longer good and binds the others anew. */
void guard_sweep_run(struct guard_plugin *plugin);

/*
 * Binds a session whose subject belongs to an older policy generation to the one in use. Out of memory or without a
 * valid binding the session has no subject, which denies everything.
 */
void guard_rebind(struct guard_plugin *plugin, struct guard_session *session);

/* Looks at one session: ends it if it is no longer good, else binds it. */
void guard_review(struct guard_plugin *plugin, struct guard_session *session);

#endif
