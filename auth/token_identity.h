/* From checked claims to the identity of a session. For auth/ only. */
#ifndef GUARD_AUTH_TOKEN_IDENTITY_H
#define GUARD_AUTH_TOKEN_IDENTITY_H

#include "auth/claims.h"
#include "core/identity.h"

/* More than any issuer puts into a token; beyond it the token is refused. Both are walked in quadratic time. */
#define AUTH_CLAIM_NAMES_MAX 128U /* values that are no list, and lists, all levels together */
#define AUTH_CLAIM_ROLES_MAX 256U

/*
 * The roles, attributes and acl of the claims go into identity. GUARD_REASON_NONE, jwt_missing_claim (a roles claim of
 * another type, more than the limits above) or internal_error (out of memory).
 */
enum guard_reason auth_identity_from_claims(const struct auth_issuer *issuer, const struct guard_json *claims,
                                            struct guard_identity *identity);

#endif
