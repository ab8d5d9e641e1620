/* What ties a token to the connection that shows it: client id, user name, certificate. For auth/ only. */
#ifndef GUARD_AUTH_TOKEN_BINDINGS_H
#define GUARD_AUTH_TOKEN_BINDINGS_H

#include "auth/token.h"
#include "core/json.h"

/*
 * GUARD_REASON_NONE, client_id_mismatch (client id or user name), cert_missing, cert_identity_mismatch, or
 * jwt_missing_claim where the claim that is to be compared is missing or of a wrong form.
 */
enum guard_reason auth_bindings_check(const struct auth_issuer *issuer, const struct guard_json *claims,
                                      const char *identity, const struct auth_token_request *request);

#endif
