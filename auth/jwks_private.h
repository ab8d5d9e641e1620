/* What jwks.c and jwks_load.c share, and the look-ups of token verification. For the units of auth/ only. */
#ifndef GUARD_AUTH_JWKS_PRIVATE_H
#define GUARD_AUTH_JWKS_PRIVATE_H

#include "auth/jwks.h"
#include "auth/key.h"

#include <stdbool.h>

/* Where keys come from. */
struct auth_jwks_source {
    const char *place;           /* for errors and warnings */
    const struct guard_log *log; /* may be NULL */
    bool holds_secret;           /* out: a secret or a private key was seen */
};

/* An empty set with one reference, or NULL. */
struct auth_jwks *auth_jwks_new(void);

/*
 * Adds *key, which is the set's afterwards, or freed (a second copy, or an error); *key is NULL then. Before
 * auth_jwks_finish only.
 */
int auth_jwks_add(struct auth_jwks *keys, struct auth_key **key, const struct auth_jwks_source *source,
                  struct guard_error *err);

/* Refuses an empty set, builds the indexes. Afterwards the set is immutable. */
int auth_jwks_finish(struct auth_jwks *keys, const char *place, struct guard_error *err);

/*
 * The key for a token: with kid the one of exactly that kid that does algorithm; without (NULL) the only one that does.
 * NULL if there is none. *known (kid given): whether any key has the kid.
 */
const struct auth_key *auth_jwks_find(const struct auth_jwks *keys, const char *kid, enum auth_algorithm algorithm,
                                      bool *known);

/* Whether any key has the kid. */
bool auth_jwks_has(const struct auth_jwks *keys, const char *kid);

/* What any of the keys can do. */
uint32_t auth_jwks_algorithms(const struct auth_jwks *keys);

/* index < auth_jwks_count. */
const struct auth_key *auth_jwks_at(const struct auth_jwks *keys, size_t index);

/* Whether a file of that name is read as a key of the folder it is in. */
bool auth_jwks_is_key_file(const char *name);

/* Reads a JWKS or JWK text into an unfinished set. */
int auth_jwks_add_json(struct auth_jwks *keys, const char *text, size_t length, struct auth_jwks_source *source,
                       struct guard_error *err);

#endif
