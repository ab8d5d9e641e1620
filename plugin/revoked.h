/* What the list of revocations and bans in use says about somebody. Broker thread only. */
#ifndef GUARD_PLUGIN_REVOKED_H
#define GUARD_PLUGIN_REVOKED_H

#include "core/identity.h"
#include "core/reason.h"

#include <stdbool.h>
#include <stdint.h>

struct auth_certificate_names;
struct guard_plugin;

/* GUARD_REASON_NONE, ip_blocked or user_disabled. Each name may be NULL. */
enum guard_reason guard_banned(const struct guard_plugin *plugin, const char *address, const char *client_id,
                               const char *username);

/* Whether anything on the list could meet a certificate at all. */
bool guard_certificates_listed(const struct guard_plugin *plugin);

/* By its fingerprint, its key's hash, or its issuer and serial number. names NULL: no certificate. */
bool guard_certificate_revoked(const struct guard_plugin *plugin, const struct auth_certificate_names *names);

/* A token of that jti, or signed with the key of that kid. Each may be NULL. */
bool guard_token_revoked(const struct guard_plugin *plugin, const char *token_id, const char *key_id);

/* Whether what the user had before "now" is void, and since (Unix seconds; 0 = not known) is before that. */
bool guard_user_revoked(const struct guard_plugin *plugin, const char *username, int64_t since);

#endif
