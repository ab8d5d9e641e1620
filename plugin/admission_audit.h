/* What an admission leaves in the log and in the audit trail; guard_refused and guard_connected are in admission.h. */
#ifndef GUARD_PLUGIN_ADMISSION_AUDIT_H
#define GUARD_PLUGIN_ADMISSION_AUDIT_H

#include "plugin/login.h"
#include "plugin/session.h"

#include <stdint.h>

struct audit_peer;

/* What can be asked about a client as long as it is there; without a user name. */
struct guard_offer guard_offer_of(const struct mosquitto *client);

/*
 * The peer of a login's events; looks at the broker's struct unless there is login->offer. A user name that is a token
 * is not told. For audit_peer_free; NULL when out of memory.
 */
struct audit_peer *guard_audit_peer(struct guard_plugin *plugin, const struct guard_login *login, const char *username,
                                    uint64_t connection);

/* The log's line of a refused login. */
void guard_log_refusal(struct guard_plugin *plugin, const struct guard_login *login);

#endif
