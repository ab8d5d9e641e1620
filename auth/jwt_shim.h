/*
 * libjwt behind one small window: it mints tokens, and it is a second, independent judge of claims text for the tests.
 * Verification does not go through it: it re-parses a PEM text for every token, has neither kid nor JWKS, and reading
 * the claims with it takes as long as the whole rest of a check beside an RSA signature.
 */
#ifndef GUARD_AUTH_JWT_SHIM_H
#define GUARD_AUTH_JWT_SHIM_H

#include "auth/algorithm.h"

#include <stdbool.h>

/* Whether libjwt can sign with algorithm: RS*, ES* and HS*. */
bool auth_jwt_can_sign(enum auth_algorithm algorithm);

/*
 * A signed token, freed by guard_free_string, or NULL. key: the private key as PEM text, or the secret's octets. kid
 * may be NULL.
 */
char *auth_jwt_sign(enum auth_algorithm algorithm, const unsigned char *key, int key_length, const char *kid,
                    const char *claims_json);

/* Whether libjwt reads claims_json as the claims of a token. */
bool auth_jwt_accepts(const char *claims_json);

#endif
