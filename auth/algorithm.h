/*
 * The signature algorithms of JSON Web Tokens that the guard knows (RFC 7518 §3.1, RFC 8037, RFC 9864). A set of them
 * is a mask of bits. `none` is not an algorithm here and cannot be configured.
 */
#ifndef GUARD_AUTH_ALGORITHM_H
#define GUARD_AUTH_ALGORITHM_H

#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

enum auth_algorithm {
    AUTH_RS256, /* RSASSA-PKCS1-v1_5 with SHA-256 */
    AUTH_RS384,
    AUTH_RS512,
    AUTH_PS256, /* RSASSA-PSS, salt as long as the hash */
    AUTH_PS384,
    AUTH_PS512,
    AUTH_ES256, /* ECDSA on P-256 */
    AUTH_ES384, /* P-384 */
    AUTH_ES512, /* P-521 */
    AUTH_EDDSA, /* Ed25519; written "EdDSA" (RFC 8037) or "Ed25519" (RFC 9864) */
    AUTH_HS256, /* HMAC */
    AUTH_HS384,
    AUTH_HS512,
    AUTH_ALGORITHM_COUNT
};

#define AUTH_ALGORITHM_BIT(algorithm) (UINT32_C(1) << (algorithm))

/* What is allowed when nothing is configured. HS256 only ever works where a secret is among the keys. */
#define AUTH_ALGORITHMS_DEFAULT                                                                         \
    (AUTH_ALGORITHM_BIT(AUTH_RS256) | AUTH_ALGORITHM_BIT(AUTH_PS256) | AUTH_ALGORITHM_BIT(AUTH_ES256) | \
     AUTH_ALGORITHM_BIT(AUTH_EDDSA) | AUTH_ALGORITHM_BIT(AUTH_HS256))

#define AUTH_ALGORITHMS_HMAC \
    (AUTH_ALGORITHM_BIT(AUTH_HS256) | AUTH_ALGORITHM_BIT(AUTH_HS384) | AUTH_ALGORITHM_BIT(AUTH_HS512))

/* The algorithm of exactly that name (case matters), or -1. text need not be NUL-terminated. */
int auth_algorithm_parse(const char *text, size_t length);

/* "RS256" …; AUTH_EDDSA is "EdDSA". Never NULL. */
const char *auth_algorithm_name(enum auth_algorithm algorithm);

/* Octets of its hash: 32, 48, 64; 0 for EdDSA. */
unsigned auth_algorithm_hash_size(enum auth_algorithm algorithm);

/*
 * Reads a list separated by commas and/or spaces into *mask. An unknown name (`none` included), or an empty list, is
 * GUARD_ERR_INVALID with a text that lists what there is.
 */
int auth_algorithms_parse(const char *list, uint32_t *mask, struct guard_error *err);

#endif
