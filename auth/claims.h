/* The claims of a token whose signature is good: finding them, and the checks of RFC 7519 §4.1. For auth/ only. */
#ifndef GUARD_AUTH_CLAIMS_H
#define GUARD_AUTH_CLAIMS_H

#include "auth/token.h"
#include "core/json.h"

#define AUTH_CLAIMS_DEPTH 16 /* nesting of the payload */

/*
 * The claim of that path, or NULL: the member whose name is the whole path, else, longest first, a member named by a
 * part of the path before a dot, which must be an object that holds the rest.
 */
const struct guard_json *auth_claim_find(const struct guard_json *claims, const char *path);

/* What of the registered claims goes on into the identity. Strings belong to the claims; NULL = not there. */
struct auth_claims {
    const char *issuer, *subject, *token_id;
    int64_t expires_at; /* exp rounded down */
    int64_t issued_at;  /* iat rounded down; only if has_issued_at */
    bool has_issued_at;
};

/* Whether `iss` is the issuer's: GUARD_REASON_NONE, jwt_missing_claim or jwt_wrong_issuer. */
enum guard_reason auth_claims_issuer(const struct guard_json *claims, const struct auth_issuer *issuer,
                                     struct auth_claims *out);

/*
 * exp, nbf, iat, lifetime, aud, sub and jti, in this order. exp and the others may have a fraction: exp is rounded
 * down, nbf and iat up, so that a fraction never makes a token live longer. A token is good while max(nbf, iat) -
 * leeway <= now < exp + leeway.
 */
enum guard_reason auth_claims_check(const struct guard_json *claims, const struct auth_issuer *issuer, int64_t now,
                                    struct auth_claims *out);

#endif
