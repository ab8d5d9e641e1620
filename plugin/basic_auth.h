/* BASIC_AUTH (its delayed form on 2.1 is in waiting.h) and MQTT 5 enhanced authentication. */
#ifndef GUARD_PLUGIN_BASIC_AUTH_H
#define GUARD_PLUGIN_BASIC_AUTH_H

struct guard_plugin;

int guard_on_basic_auth(int event, void *event_data, void *userdata);

/* EXT_AUTH_START: the data is a token; the method's name is the option jwt_enhanced_auth_method. Also
 * re-authentication. */
int guard_on_ext_auth(int event, void *event_data, void *userdata);

#endif
