/* How connections begin and end, and what is due from time to time: CONNECT, DISCONNECT, CLIENT_OFFLINE, TICK, RELOAD.
 */
#ifndef GUARD_PLUGIN_LIFECYCLE_H
#define GUARD_PLUGIN_LIFECYCLE_H

int guard_on_connect(int event, void *event_data, void *userdata);    /* 2.1 only */
int guard_on_disconnect(int event, void *event_data, void *userdata); /* also CLIENT_OFFLINE of 2.1 */
int guard_on_tick(int event, void *event_data, void *userdata);
int guard_on_reload(int event, void *event_data, void *userdata);

struct audit_disconnect;
struct guard_plugin;
struct guard_session;

/*
 * What the trail says of a session's end: why we ended it, or the broker's reason (2.1), or what can be known without
 * it (2.0). The identity in it is the session's.
 */
struct audit_disconnect guard_disconnect_event(struct guard_plugin *plugin, const struct guard_session *session,
                                               int reason);

/* Writes an mqtt-disconnect for everybody who is connected; called once, before the sessions are freed. */
void guard_sessions_audit_shutdown(struct guard_plugin *plugin);

#endif
