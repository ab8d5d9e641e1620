/* JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2) to keys. For the units of auth/ only. */
#ifndef GUARD_AUTH_JWK_H
#define GUARD_AUTH_JWK_H

#include "auth/key.h"
#include "core/json.h"

/*
 * GUARD_OK: *out is a key with its kid and algorithms. GUARD_ERR_UNSUPPORTED: to be skipped, err says why (RFC 7517 §5:
 * an unknown kty or curve, not for signatures). Anything else: a weak or broken key, err says what.
 */
int auth_jwk_to_key(const struct guard_json *jwk, struct auth_key **out, struct guard_error *err);

/* Whether the JWK holds a secret or the private half of a key. */
bool auth_jwk_is_secret(const struct guard_json *jwk);

/*
 * Decodes a member that is base64url text. *octets is freed by guard_free_secret. GUARD_ERR_INVALID (missing, another
 * type, not base64url) names the member.
 */
int auth_jwk_octets(const struct guard_json *jwk, const char *member, unsigned char **octets, size_t *length,
                    struct guard_error *err);

#endif
