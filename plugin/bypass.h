/*
 * Clients that the broker lets in without asking this plugin: use_identity_as_username, use_subject_as_username, a
 * plugin before this one. They have the rights of their user name. 2.1 tells when they come; 2.0 does not, and there
 * the trail has what they do, but neither their connect nor their disconnect.
 */
#ifndef GUARD_PLUGIN_BYPASS_H
#define GUARD_PLUGIN_BYPASS_H

#include <stdbool.h>

struct guard_plugin;
struct guard_session;
struct mosquitto;

/* Whether it is a session that the broker restored from its file and whose client has not come back. */
bool guard_bypass_is_restored(const struct mosquitto *client);

/* The broker's CONNECT event (2.1) of a client that never was asked about. */
void guard_bypass_connected(struct guard_plugin *plugin, struct mosquitto *client);

/* The derived session of a client that the broker asks a check for, or NULL. If that client has just ended, its will.
 */
struct guard_session *guard_bypass_session(struct guard_plugin *plugin, struct mosquitto *client);

/* The end of a derived session, which is removed. */
void guard_bypass_ended(struct guard_plugin *plugin, struct guard_session *session, int reason);

#endif
