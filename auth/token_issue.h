/* Making tokens and keys: for guardctl and for issuers of one's own. Never used by the plugin. */
#ifndef GUARD_AUTH_TOKEN_ISSUE_H
#define GUARD_AUTH_TOKEN_ISSUE_H

#include "auth/algorithm.h"
#include "auth/jwks.h"
#include "core/error.h"

struct auth_signing_key;

/*
 * Reads a private key (PEM, not encrypted; or JWK) or an HMAC secret, by content as auth_jwks_load_file does. The file
 * may not be readable by others. *out is freed by auth_signing_key_free, which wipes it.
 */
int auth_signing_key_load(const char *path, struct auth_signing_key **out, struct guard_error *err);
void auth_signing_key_free(struct auth_signing_key **key);

/* The kid of a JWK, or NULL. Lives as long as the key. */
const char *auth_signing_key_id(const struct auth_signing_key *key);

/* What the key can do, as a mask; and what to sign with when nobody says (ES256 with P-256, RS256 with RSA …). */
uint32_t auth_signing_key_algorithms(const struct auth_signing_key *key);
enum auth_algorithm auth_signing_key_preferred(const struct auth_signing_key *key);

/*
 * Signs a JWT with claims_json (a JSON object) and the header {"typ":"JWT","alg":…,"kid":…}; kid may be NULL. *token is
 * NUL-terminated and freed by guard_free_string.
 */
int auth_token_issue(const struct auth_signing_key *key, enum auth_algorithm algorithm, const char *kid,
                     const char *claims_json, char **token, struct guard_error *err);

/*
 * Makes a key for an algorithm: RSA of 3072 bits, the algorithm's curve, Ed25519, or a random secret as long as the
 * hash. *private_jwk is the private JWK with kid and alg (freed by guard_free_string). kid NULL: the RFC 7638
 * thumbprint.
 */
int auth_key_generate(enum auth_algorithm algorithm, const char *kid, char **private_jwk, struct guard_error *err);

/*
 * The public JWK Set of a set's keys, e.g. of the private keys of an issuer. Keys without kid get their RFC 7638
 * thumbprint. *jwks is freed by guard_free_string. GUARD_ERR_INVALID if there is a secret in it: that has no public
 * half.
 */
int auth_jwks_public(const struct auth_jwks *keys, char **jwks, struct guard_error *err);

#endif
