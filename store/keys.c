#include "store/keys.h"

#include <string.h>

static const struct {
    const char *text;
    bool named, hash;
} kinds[] = {
    [GUARD_KEY_ROLE] = {"role:", true, true},
    [GUARD_KEY_CLIENT] = {"client:", true, true},
    [GUARD_KEY_ASSIGN] = {"assign", false, true},
    [GUARD_KEY_DEFAULT] = {"default", false, true},
    [GUARD_KEY_REVOKED_TOKEN] = {"revoked:jti:", true, false},
    [GUARD_KEY_REVOKED_CERT] = {"revoked:cert:", true, false},
    [GUARD_KEY_REVOKED_BEFORE] = {"revoked:before:", true, false},
    [GUARD_KEY_BAN_ADDRESS] = {"ban:ip:", true, false},
    [GUARD_KEY_BAN_CLIENT] = {"ban:client:", true, false},
    [GUARD_KEY_BAN_USER] = {"ban:user:", true, false},
    [GUARD_KEY_JWKS] = {"jwks:", true, false},
    [GUARD_KEY_VERSION] = {"version", false, false},
    [GUARD_KEY_CONFIRM] = {"confirm-empty", false, false},
    [GUARD_KEY_REVOKED_KEY] = {"revoked:kid:", true, false},
    [GUARD_KEY_REVOKED_SERIAL] = {"revoked:serial:", true, false},
    [GUARD_KEY_ROLES] = {"roles", false, false},
    [GUARD_KEY_CLIENTS] = {"clients", false, false},
    [GUARD_KEY_OTHER] = {"", false, false},
};

/* "roles" and "clients" come under role and client. */
static const char *const watched[] = {
    "role", "client", "assign", "default", "revoked:", "ban:", "jwks:", "version", "confirm-"};

enum guard_key_kind guard_key_parse(const char *key, const char **name)
{
    for (int kind = 0; kind < GUARD_KEY_OTHER; kind++) {
        size_t length = strlen(kinds[kind].text);
        if (strncmp(key, kinds[kind].text, length) != 0 || (kinds[kind].named ? !key[length] : key[length] != '\0'))
            continue;
        *name = key + length;
        return (enum guard_key_kind)kind;
    }
    *name = "";
    return GUARD_KEY_OTHER;
}

const char *guard_key_text(enum guard_key_kind kind)
{
    return kinds[kind].text;
}

enum guard_revocation_kind guard_key_revocation(enum guard_key_kind kind)
{
    switch (kind) {
    case GUARD_KEY_REVOKED_TOKEN:
        return GUARD_REVOKED_TOKEN;
    case GUARD_KEY_REVOKED_CERT:
        return GUARD_REVOKED_CERT;
    case GUARD_KEY_REVOKED_BEFORE:
        return GUARD_REVOKED_BEFORE;
    case GUARD_KEY_REVOKED_KEY:
        return GUARD_REVOKED_KEY;
    case GUARD_KEY_REVOKED_SERIAL:
        return GUARD_REVOKED_SERIAL;
    case GUARD_KEY_BAN_ADDRESS:
        return GUARD_BANNED_ADDRESS;
    case GUARD_KEY_BAN_CLIENT:
        return GUARD_BANNED_CLIENT;
    case GUARD_KEY_BAN_USER:
        return GUARD_BANNED_USER;
    default:
        return GUARD_REVOCATION_KINDS;
    }
}

bool guard_key_is_hash(enum guard_key_kind kind)
{
    return kinds[kind].hash;
}

bool guard_key_is_read(const char *key)
{
    const char *name;
    return guard_key_parse(key, &name) < GUARD_KEY_ROLES;
}

size_t guard_key_watched_count(void)
{
    return sizeof watched / sizeof watched[0];
}

const char *guard_key_watched(size_t index)
{
    return watched[index];
}
