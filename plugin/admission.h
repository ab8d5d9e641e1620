/*
 * From an identity to a session: the client record, bans, bindings, takeover, the rules it holds; then the entry in the
 * session table and the audit event. Broker thread only.
 */
#ifndef GUARD_PLUGIN_ADMISSION_H
#define GUARD_PLUGIN_ADMISSION_H

#include "plugin/login.h"
#include "plugin/session.h"

struct acl_subject;
struct guard_error;
struct guard_plugin;
struct guard_policy_set;

/*
 * Whether the identity of the login may be here: bans, client record, takeover, rules that can be bound, audit.
 * GUARD_REASON_NONE: *subject is it, bound to the policy in use, freed by acl_subject_free. Otherwise it is NULL or to
 * be freed as well.
 */
enum guard_reason guard_judge(struct guard_plugin *plugin, struct guard_login *login, struct acl_subject **subject);

/*
 * Admits a login or refuses it. On success the session of login->client is in the table, PENDING or ONLINE, and
 * owns the identity; the broker knows the user name. Otherwise login->reason says why not. Either way the audit has the
 * event (a success on 2.1 only with the CONNECT event).
 */
void guard_admit(struct guard_plugin *plugin, struct guard_login *login);

/*
 * The same for a login whose password a worker verified, with its WAITING session. The broker's struct may be gone by
 * now, so it is not touched: login->client serves as a number. Answers the broker.
 */
void guard_admit_waiting(struct guard_plugin *plugin, struct guard_login *login, struct guard_session *session);

/* Keeps a login whose password goes to a worker as a WAITING session, which allows nothing. NULL when out of memory. */
struct guard_session *guard_keep_waiting(struct guard_plugin *plugin, struct guard_login *login);

/* Audit and log line of a refused login. */
void guard_refused(struct guard_plugin *plugin, struct guard_login *login);

/* mqtt-connect success of a session. */
void guard_connected(struct guard_plugin *plugin, struct guard_session *session, const struct guard_login *login);

/*
 * Binds an identity to a policy, with the roles and attributes of its client record. *out is NULL on failure.
 * username: as the broker has it.
 */
int guard_bind(const struct guard_policy_set *policy, const struct guard_identity *identity, const char *client_id,
               const char *address, struct acl_subject **out, struct guard_error *err);

/*
 * The session of a client that did not come through BASIC_AUTH here: restored from disk, or let in by the broker or
 * another plugin. Its rights are those the policy gives to its user name and client id. NULL when out of memory.
 */
struct guard_session *guard_derive(struct guard_plugin *plugin, struct mosquitto *client);

/* Why a session that was good once must end now, or NONE: expired, revoked, banned, disabled, removed, password
 * changed. */
enum guard_reason guard_still_good(const struct guard_plugin *plugin, const struct guard_session *session);

/* What nameless clients are called in the broker, which would drop them at SIGHUP otherwise. */
#define GUARD_ANONYMOUS_NAME "$anonymous"

#endif
