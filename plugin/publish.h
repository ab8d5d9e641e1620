/*
 * What becomes of an allowed publish in the trail: ACL_CHECK asks, MESSAGE says that it was one. Between the two it
 * waits in the ring or, where that is not possible, beside it.
 */
#ifndef GUARD_PLUGIN_PUBLISH_H
#define GUARD_PLUGIN_PUBLISH_H

#include "audit/audit.h"

#include <stdbool.h>

struct acl_subject;
struct guard_plugin;
struct guard_session;
struct mosquitto_evt_acl_check;

/*
 * "role/rule" of the policy in use, or nothing (bytes NULL) for rule 0. Valid until the next call; a trail must be
 * there.
 */
struct audit_text guard_rule_name(struct guard_plugin *plugin, const struct acl_subject *subject, uint64_t rule);

/* An allowed WRITE, decided by rule at time_ns: kept until one of the functions below, or forgotten. */
void guard_keep_publish(struct guard_plugin *plugin, struct guard_session *session,
                        const struct mosquitto_evt_acl_check *event, uint64_t rule, int64_t time_ns);

/* Writes what was kept, if anything. */
void guard_write_kept(struct guard_plugin *plugin, bool will);

/* Callback of MOSQ_EVT_MESSAGE: an accepted WRITE was a publish. Registered only if allowed publishes are audited. */
int guard_on_message(int event, void *event_data, void *userdata);

/*
 * An accepted WRITE without MESSAGE: at the next event of the same client that is its end, it was the will (a
 * takeover); else it was a re-check, and nothing is written.
 */
void guard_settle_pending(struct guard_plugin *plugin, const struct guard_session *ending);

#endif
