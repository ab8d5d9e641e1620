/* ACL_CHECK: session, verdict, audit. Never returns anything to the broker but "allowed" and "denied". */
#ifndef GUARD_PLUGIN_ACCESS_H
#define GUARD_PLUGIN_ACCESS_H

#include <stdbool.h>

struct guard_plugin;
struct guard_session;
struct mosquitto;

/* Callbacks of MOSQ_EVT_ACL_CHECK: of 2.0, and of 2.1, whose HTTP API asks from a thread of its own. */
int guard_on_acl_check(int event, void *event_data, void *userdata);
int guard_on_acl_check_from_any_thread(int event, void *event_data, void *userdata);

#endif
