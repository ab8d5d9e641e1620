#include "auth/token_bindings.h"

#include "auth/claims.h"
#include "core/base64.h"

#include <openssl/crypto.h>
#include <string.h>

static const char placeholder[] = "${identity}";
#define PLACEHOLDER_LENGTH (sizeof placeholder - 1)

const char *auth_client_id_pattern_fault(const char *pattern)
{
    bool seen = false;
    for (const char *p = pattern; *p;) {
        if (strncmp(p, placeholder, PLACEHOLDER_LENGTH) == 0) {
            seen = true;
            p += PLACEHOLDER_LENGTH;
            continue;
        }
        if (strncmp(p, "${", 2) == 0)
            return "knows no other placeholder than ${identity}";
        if (*p == '*' && p[1])
            return "may have a * at its end only";
        p++;
    }
    return seen ? NULL : "does not hold ${identity}";
}

/* Octet by octet: the identity is compared, never read as a pattern. */
static bool matches(const char *pattern, const char *identity, const char *client_id)
{
    size_t identity_length = strlen(identity);
    while (*pattern) {
        if (pattern[0] == '*' && !pattern[1])
            return *client_id != '\0';
        if (strncmp(pattern, placeholder, PLACEHOLDER_LENGTH) == 0) {
            if (strncmp(client_id, identity, identity_length) != 0)
                return false;
            client_id += identity_length;
            pattern += PLACEHOLDER_LENGTH;
        } else if (*pattern++ != *client_id++) {
            return false;
        }
    }
    return *client_id == '\0';
}

static enum guard_reason check_client_id(const struct auth_issuer *issuer, const struct guard_json *claims,
                                         const char *identity, const char *client_id)
{
    const char *expected = identity;
    if (issuer->client_id == AUTH_BINDING_OFF)
        return GUARD_REASON_NONE;
    if (issuer->client_id_claim) {
        const struct guard_json *claim = auth_claim_find(claims, issuer->client_id_claim);
        if (!claim && issuer->client_id == AUTH_BINDING_OPTIONAL)
            return GUARD_REASON_NONE;
        expected = guard_json_string(claim);
        if (!expected || !*expected)
            return GUARD_REASON_JWT_MISSING_CLAIM;
    }
    if (!client_id ||
        !matches(issuer->client_id_pattern ? issuer->client_id_pattern : placeholder, expected, client_id))
        return GUARD_REASON_CLIENT_ID_MISMATCH;
    return GUARD_REASON_NONE;
}

static enum guard_reason check_username(const struct auth_issuer *issuer, const char *identity, const char *username)
{
    if (issuer->username == AUTH_BINDING_OFF || (!username && issuer->username == AUTH_BINDING_OPTIONAL))
        return GUARD_REASON_NONE;
    return username && strcmp(username, identity) == 0 ? GUARD_REASON_NONE : GUARD_REASON_CLIENT_ID_MISMATCH;
}

#define THUMBPRINT_SIZE 32U

/* RFC 8705 §3.1. Confirmation methods other than x5t#S256 are not understood, and ignored (RFC 7800 §3.1). */
static enum guard_reason check_certificate(const struct auth_issuer *issuer, const struct guard_json *claims,
                                           const uint8_t *certificate)
{
    unsigned char expected[GUARD_BASE64_DECODED(43)];
    if (issuer->certificate == AUTH_BINDING_OFF)
        return GUARD_REASON_NONE;
    const struct guard_json *cnf = guard_json_get(claims, "cnf"), *claim = guard_json_get(cnf, "x5t#S256");
    if (cnf && !guard_json_is(cnf, GUARD_JSON_OBJECT))
        return GUARD_REASON_JWT_MISSING_CLAIM;
    if (!claim)
        return issuer->certificate == AUTH_BINDING_OPTIONAL ? GUARD_REASON_NONE : GUARD_REASON_JWT_MISSING_CLAIM;
    const char *text = guard_json_string(claim);
    if (!text || strlen(text) != 43 || guard_base64url_decode(text, 43, expected) != THUMBPRINT_SIZE)
        return GUARD_REASON_JWT_MISSING_CLAIM;
    if (!certificate)
        return GUARD_REASON_CERT_MISSING;
    return CRYPTO_memcmp(expected, certificate, THUMBPRINT_SIZE) == 0 ? GUARD_REASON_NONE
                                                                      : GUARD_REASON_CERT_IDENTITY_MISMATCH;
}

enum guard_reason auth_bindings_check(const struct auth_issuer *issuer, const struct guard_json *claims,
                                      const char *identity, const struct auth_token_request *request)
{
    enum guard_reason reason = check_client_id(issuer, claims, identity, request->client_id);
    if (reason == GUARD_REASON_NONE)
        reason = check_username(issuer, identity, request->username);
    if (reason == GUARD_REASON_NONE)
        reason = check_certificate(issuer, claims, request->certificate_sha256);
    return reason;
}
