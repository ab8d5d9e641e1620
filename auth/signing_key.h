/* Private keys, for issuing tokens. For auth/ only; others see token_issue.h. */
#ifndef GUARD_AUTH_SIGNING_KEY_H
#define GUARD_AUTH_SIGNING_KEY_H

#include "auth/key.h"
#include "auth/token_issue.h"

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */
struct guard_json;

struct auth_signing_key {
    struct auth_key *key;         /* the public half, or the secret */
    struct evp_pkey_st *private_; /* NULL for a secret */
    unsigned char *secret;
    size_t secret_length;
};

/* The private key of a JWK (RFC 7518 §6.2.2, §6.3.2, RFC 8037 §2), freed by EVP_PKEY_free; NULL with err. */
struct evp_pkey_st *auth_jwk_private(const struct guard_json *jwk, const struct auth_key *key, struct guard_error *err);

/*
 * The JWK of a key as JSON text, freed by guard_free_string; NULL when out of memory. kid NULL: the RFC 7638
 * thumbprint. algorithm -1: no `alg`. with_private needs a private key.
 */
char *auth_jwk_write(const struct evp_pkey_st *pkey, enum auth_key_type type, const char *kid, int algorithm,
                     bool with_private);
/* The same for a secret; kid is not NULL (a thumbprint would say something about the secret, RFC 7638 §7). */
char *auth_jwk_write_secret(struct auth_octets secret, const char *kid, int algorithm);

#endif
