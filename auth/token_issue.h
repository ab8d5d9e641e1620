/* Making tokens and keys: for guardctl and for issuers of one's own. Never used by the plugin. */
#ifndef GUARD_AUTH_TOKEN_ISSUE_H
#define GUARD_AUTH_TOKEN_ISSUE_H

#include "auth/algorithm.h"
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

/* What the key can do, as a mask; the first that a newcomer should use with it (ES256 for P-256, RS256 for RSA …). */
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
 * The public JWK of a private or public key file (PEM or JWK), e.g. to put it in a JWKS. A secret has no public half:
 * GUARD_ERR_INVALID. kid NULL: the key's own, or the RFC 7638 thumbprint.
 */
int auth_key_public_jwk(const char *path, const char *kid, char **jwk, struct guard_error *err);

#endif
