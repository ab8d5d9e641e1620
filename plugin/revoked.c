#include "plugin/revoked.h"

#include "auth/certificate.h"
#include "core/revocations.h"
#include "plugin/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has(const struct guard_plugin *plugin, enum guard_revocation_kind kind, const char *name)
{
    return name && guard_revocations_find(plugin->revocations, kind, name, strlen(name));
}

enum guard_reason guard_banned(const struct guard_plugin *plugin, const char *address, const char *client_id,
                               const char *username)
{
    if (!plugin->revocations)
        return GUARD_REASON_NONE;
    if (has(plugin, GUARD_BANNED_ADDRESS, address))
        return GUARD_REASON_IP_BLOCKED;
    if (has(plugin, GUARD_BANNED_CLIENT, client_id) || has(plugin, GUARD_BANNED_USER, username))
        return GUARD_REASON_USER_DISABLED;
    return GUARD_REASON_NONE;
}

bool guard_certificates_listed(const struct guard_plugin *plugin)
{
    return guard_revocations_count_kind(plugin->revocations, GUARD_REVOKED_CERT) ||
           guard_revocations_count_kind(plugin->revocations, GUARD_REVOKED_SERIAL);
}

static bool serial_revoked(const struct guard_plugin *plugin, const struct auth_certificate_names *names)
{
    char *name = NULL;
    if (!guard_revocations_count_kind(plugin->revocations, GUARD_REVOKED_SERIAL) || !names->serial[0])
        return false;
    if (asprintf(&name, "%s/%s", names->serial, names->issuer) < 0)
        return true; /* out of memory: nobody knows */
    bool revoked = has(plugin, GUARD_REVOKED_SERIAL, name);
    free(name);
    return revoked;
}

bool guard_certificate_revoked(const struct guard_plugin *plugin, const struct auth_certificate_names *names)
{
    return names && (has(plugin, GUARD_REVOKED_CERT, names->sha256) ||
                     has(plugin, GUARD_REVOKED_CERT, names->spki_sha256) || serial_revoked(plugin, names));
}

bool guard_token_revoked(const struct guard_plugin *plugin, const char *token_id, const char *key_id)
{
    return has(plugin, GUARD_REVOKED_TOKEN, token_id) || has(plugin, GUARD_REVOKED_KEY, key_id);
}

bool guard_user_revoked(const struct guard_plugin *plugin, const char *username, int64_t since)
{
    return username && guard_revoked_before(plugin->revocations, username, strlen(username), since);
}
