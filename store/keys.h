/* The keys of the Redis home (docs/policy.md, "Homes"; docs/redis.md). */
#ifndef GUARD_STORE_KEYS_H
#define GUARD_STORE_KEYS_H

#include "core/revocations.h"

#include <stdbool.h>
#include <stddef.h>

#define GUARD_STORE_PREFIX     "guard:" /* unless configured otherwise */
#define GUARD_STORE_PREFIX_MAX 128

/* set of keys (without prefix) of revocations, bans and key sets: the index of what is no role and no client */
#define GUARD_KEY_INDEX "index"

/* The first ones stand in snapshot files: new ones go behind GUARD_KEY_CONFIRM. */
enum guard_key_kind {
    GUARD_KEY_ROLE,   /* role:NAME      hash */
    GUARD_KEY_CLIENT, /* client:NAME    hash */
    GUARD_KEY_ASSIGN, /* assign         hash */
    GUARD_KEY_DEFAULT,
    GUARD_KEY_REVOKED_TOKEN,  /* revoked:jti:JTI       string, any */
    GUARD_KEY_REVOKED_CERT,   /* revoked:cert:SHA256   string, any */
    GUARD_KEY_REVOKED_BEFORE, /* revoked:before:USER   string, Unix seconds */
    GUARD_KEY_BAN_ADDRESS,    /* ban:ip:ADDRESS        string, the reason */
    GUARD_KEY_BAN_CLIENT,     /* ban:client:ID */
    GUARD_KEY_BAN_USER,       /* ban:user:NAME */
    GUARD_KEY_JWKS,           /* jwks:ISSUER           string, JSON */
    GUARD_KEY_VERSION,        /* version               string, a number that grows */
    GUARD_KEY_CONFIRM,        /* confirm-empty         string, any: what the store holds now is meant */
    GUARD_KEY_REVOKED_KEY,    /* revoked:kid:KID       string, any */
    GUARD_KEY_REVOKED_SERIAL, /* revoked:serial:SERIAL/ISSUER */
    GUARD_KEY_ROLES,          /* roles                 set of names: the index */
    GUARD_KEY_CLIENTS,        /* clients               set of names: the index */
    GUARD_KEY_OTHER           /* log, draft:…, history:…, status:…: nothing a broker reads */
};

/* What a key without its prefix is; *name points behind "role:" and so on ("" where there is no name). */
enum guard_key_kind guard_key_parse(const char *key, const char **name);

/* The text before the name: "role:", "assign" …; "" for GUARD_KEY_OTHER. */
const char *guard_key_text(enum guard_key_kind kind);

/* What a key of revocations or bans is in core/revocations.h; GUARD_REVOCATION_KINDS for the others. */
enum guard_revocation_kind guard_key_revocation(enum guard_key_kind kind);

/* Whether its value is a hash that is read whole. */
bool guard_key_is_hash(enum guard_key_kind kind);

/* Whether brokers read that key (without prefix): what a policy, revocations, bans or key sets are made of. */
bool guard_key_is_read(const char *key);

/* The prefixes to be told of changes of, none the beginning of another: index < count. */
size_t guard_key_watched_count(void);
const char *guard_key_watched(size_t index);

#endif
