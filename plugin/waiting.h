/*
 * Log-ins whose password or token a worker verifies while the broker goes on (2.1, delayed authentication): begun in
 * BASIC_AUTH, answered from TICK, each under a number of its own, so that a late answer never admits another client.
 */
#ifndef GUARD_PLUGIN_WAITING_H
#define GUARD_PLUGIN_WAITING_H

struct guard_login;
struct guard_plugin;
struct guard_session;

/* Sends a login that is by_worker to a worker: what BASIC_AUTH returns. Refused and audited if there is no room. */
int guard_waiting_begin(struct guard_plugin *plugin, struct guard_login *login);

/*
 * One outstanding check for a client id: a new CONNECT under it makes the old one void. And one for an address: the
 * broker does not tell when a client goes whose log-in is pending, and gives its struct to the next one.
 */
void guard_waiting_supersede(struct guard_plugin *plugin, const struct guard_login *login);

/* TICK: answers the CONNECTs whose credentials the workers have verified. */
void guard_waiting_answer(struct guard_plugin *plugin);

/* CONNECT of a client with a token that a worker verified: the broker gets to know its user name. */
void guard_waiting_name(struct guard_plugin *plugin, struct guard_session *session);

#endif
