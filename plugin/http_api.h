/*
 * Mosquitto 2.1's HTTP API asks from a thread of its own, with a client that lives on that thread's stack: id
 * "http-api", no address. It is answered from references taken under a lock; sessions, kicks and the broker's log are
 * never touched.
 */
#ifndef GUARD_PLUGIN_HTTP_API_H
#define GUARD_PLUGIN_HTTP_API_H

struct guard_plugin;
struct mosquitto_evt_acl_check;
struct mosquitto_evt_basic_auth;

/*
 * Password only; the user must have a client record. An unknown user costs as much time as a known one, and a failure
 * takes 200 ms more: five guesses a second are possible, whoever makes them. In coexist mode a user without a record,
 * and nobody, is left to the plugins and files behind this one.
 */
int guard_http_api_login(struct guard_plugin *plugin, const struct mosquitto_evt_basic_auth *event);

/* A `receive` on the path ("/api/v1/systree"), by the rules of the user name and client id "http-api"; coexist as
 * above. */
int guard_http_api_access(struct guard_plugin *plugin, const struct mosquitto_evt_acl_check *event);

#endif
