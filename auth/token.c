#include "auth/token.h"

#include "auth/claims.h"
#include "auth/jwks_private.h"
#include "auth/jws.h"
#include "auth/token_bindings.h"
#include "auth/token_identity.h"
#include "auth/token_verifier.h"
#include "core/identity_rules.h"
#include "core/json.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

/* One token on its way through the checks. */
struct check {
    const struct auth_token_verifier *verifier;
    const struct auth_token_request *request;
    const struct auth_issuer *issuer; /* the one whose key verified */
    const struct auth_key *key;
    struct guard_json *claims;
    struct auth_claims registered;
    const char *username;
    struct auth_whole whole; /* its hash goes to the audit */
    struct auth_jws jws;
};

bool auth_token_looks_like(const char *password, size_t length)
{
    unsigned dots = 0;
    size_t part = 0;
    /* `{` and what may follow it in JSON: a quote or a space gives "ey", a line end or tab "ew" */
    if (length < 2 || password[0] != 'e' || (password[1] != 'y' && password[1] != 'w'))
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = password[i];
        if (c == '.') {
            if (!part)
                return false;
            dots++;
            part = 0;
            continue;
        }
        bool in_alphabet =
            (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!in_alphabet)
            return false;
        part++;
    }
    return dots == 2 && part;
}

/* How far a token came with an issuer: the farthest reason of all issuers is the one that is told. */
static enum guard_reason farther(enum guard_reason a, enum guard_reason b)
{
    static const enum guard_reason order[] = {GUARD_REASON_JWT_UNKNOWN_KEY, GUARD_REASON_JWT_ALG_NOT_ALLOWED,
                                              GUARD_REASON_JWT_BAD_SIGNATURE, GUARD_REASON_JWT_WRONG_ISSUER};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (order[i] == a)
            return b;
        if (order[i] == b)
            return a;
    }
    return a;
}

/* The key of one issuer, and the signature with it. */
static enum guard_reason check_signature(struct check *check, const struct auth_issuer_state *state)
{
    const struct auth_jws *jws = &check->jws;
    bool known;
    check->key = auth_jwks_find(state->config.keys, jws->kid, jws->algorithm, &known);
    if (!check->key)
        return known ? GUARD_REASON_JWT_ALG_NOT_ALLOWED : GUARD_REASON_JWT_UNKNOWN_KEY;
    if (!(state->algorithms & AUTH_ALGORITHM_BIT(jws->algorithm)))
        return GUARD_REASON_JWT_ALG_NOT_ALLOWED;
    struct auth_octets text = {(const unsigned char *)jws->signing_input, jws->signing_length};
    struct auth_octets signature = {jws->signature, jws->signature_length};
    switch (auth_key_verify(check->key, jws->algorithm, text, signature, &check->whole)) {
    case AUTH_SIGNATURE_GOOD:
        return GUARD_REASON_NONE;
    case AUTH_SIGNATURE_BAD:
        return GUARD_REASON_JWT_BAD_SIGNATURE;
    default:
        return GUARD_REASON_INTERNAL_ERROR;
    }
}

/* Whether check_signature would come to a slow key with a signature of the right length. */
static bool is_slow_with(const struct auth_jws *jws, const struct auth_issuer_state *state)
{
    bool known;
    const struct auth_key *key = auth_jwks_find(state->config.keys, jws->kid, jws->algorithm, &known);
    return key && auth_key_is_slow(key) && state->algorithms & AUTH_ALGORITHM_BIT(jws->algorithm) &&
           jws->signature_length == auth_key_signature_size(key, jws->algorithm);
}

bool auth_token_is_slow(const struct auth_token_verifier *verifier, const char *token, size_t length)
{
    struct auth_jws jws;
    bool slow = false;
    if (!verifier->slow)
        return false;
    if (auth_jws_parse(token, length, verifier->algorithms, verifier->headers, &jws) == GUARD_REASON_NONE)
        for (size_t i = 0; i < verifier->count && !slow; i++)
            slow = is_slow_with(&jws, &verifier->issuers[i]);
    auth_jws_clear(&jws);
    return slow;
}

/* Only ever called when a signature was good. The payload of the first good one is read once. */
static enum guard_reason read_claims(struct check *check)
{
    if (check->claims)
        return GUARD_REASON_NONE;
    int rc = guard_json_parse(check->jws.payload, check->jws.payload_length, AUTH_CLAIMS_DEPTH, &check->claims, NULL);
    if (rc == GUARD_ERR_NOMEM)
        return GUARD_REASON_INTERNAL_ERROR;
    return guard_json_is(check->claims, GUARD_JSON_OBJECT) ? GUARD_REASON_NONE : GUARD_REASON_JWT_MALFORMED;
}

/*
 * Which issuer the token is from is not read from the payload before a signature is good; each issuer's own key is
 * tried instead. Almost always one issuer has the kid.
 */
static enum guard_reason find_issuer(struct check *check)
{
    enum guard_reason farthest = GUARD_REASON_JWT_UNKNOWN_KEY;
    for (size_t i = 0; i < check->verifier->count; i++) {
        const struct auth_issuer_state *state = &check->verifier->issuers[i];
        enum guard_reason reason = check_signature(check, state);
        if (reason == GUARD_REASON_NONE) {
            check->issuer = &state->config;
            reason = read_claims(check);
            if (reason == GUARD_REASON_NONE)
                reason = auth_claims_issuer(check->claims, check->issuer, &check->registered);
            if (reason != GUARD_REASON_JWT_WRONG_ISSUER)
                return reason;
        }
        if (reason == GUARD_REASON_INTERNAL_ERROR)
            return reason;
        farthest = farther(farthest, reason);
    }
    return farthest;
}

static enum guard_reason check_identity(struct check *check)
{
    check->username = guard_json_string(auth_claim_find(check->claims, check->issuer->identity_claim));
    return check->username && guard_identity_acceptable(check->username, strlen(check->username))
               ? GUARD_REASON_NONE
               : GUARD_REASON_JWT_MISSING_CLAIM;
}

static enum guard_reason check_revocation(const struct check *check)
{
    const struct auth_claims *claims = &check->registered;
    struct auth_revocation_query query = {.token_id = claims->token_id,
                                          .key_id = auth_key_id(check->key),
                                          .username = check->username,
                                          .issuer = claims->issuer,
                                          .issued_at = claims->issued_at,
                                          .has_issued_at = claims->has_issued_at};
    return check->request->revoked ? check->request->revoked(check->request->revoked_context, &query)
                                   : GUARD_REASON_NONE;
}

/* False when out of memory. from NULL gives NULL. */
static bool copy_text(struct guard_identity *identity, char **to, const char *from)
{
    *to = from ? guard_identity_copy(identity, from) : NULL;
    return !from || *to;
}

static bool hash_token(struct check *check)
{
    return check->whole.hashed || EVP_Digest(check->request->token, check->request->length, check->whole.sha256, NULL,
                                             check->verifier->sha256, NULL) == 1;
}

static enum guard_reason make_identity(struct check *check, struct guard_identity **out)
{
    const struct auth_claims *claims = &check->registered;
    struct guard_identity *identity = guard_identity_new_with_room(512 + 2 * check->jws.payload_length);
    *out = identity;
    if (!identity || !copy_text(identity, &identity->username, check->username) ||
        !copy_text(identity, &identity->subject, claims->subject) ||
        !copy_text(identity, &identity->issuer, claims->issuer) ||
        !copy_text(identity, &identity->token_id, claims->token_id) ||
        !copy_text(identity, &identity->key_id, auth_key_id(check->key)) || !hash_token(check))
        return GUARD_REASON_INTERNAL_ERROR;
    identity->method = GUARD_AUTH_TOKEN;
    identity->expires_at = claims->expires_at;
    identity->not_after = claims->expires_at + check->issuer->leeway;
    identity->issued_at = claims->issued_at;
    memcpy(identity->token_hash, check->whole.sha256, sizeof identity->token_hash);
    identity->has_token_hash = true;
    return auth_identity_from_claims(check->issuer, check->claims, identity);
}

static enum guard_reason run(struct check *check, struct guard_identity **out)
{
    const struct auth_token_verifier *verifier = check->verifier;
    const struct auth_token_request *request = check->request;
    enum guard_reason reason =
        auth_jws_parse(request->token, request->length, verifier->algorithms, verifier->headers, &check->jws);
    if (reason == GUARD_REASON_NONE)
        reason = find_issuer(check);
    if (reason == GUARD_REASON_NONE) {
        auth_jws_remember_header(verifier->headers, &check->jws);
        reason = auth_claims_check(check->claims, check->issuer, request->now, &check->registered);
    }
    if (reason == GUARD_REASON_NONE)
        reason = check_identity(check);
    if (reason == GUARD_REASON_NONE)
        reason = auth_bindings_check(check->issuer, check->claims, check->username, request);
    if (reason == GUARD_REASON_NONE)
        reason = check_revocation(check);
    return reason == GUARD_REASON_NONE ? make_identity(check, out) : reason;
}

enum guard_reason auth_token_verify(const struct auth_token_verifier *verifier,
                                    const struct auth_token_request *request, struct guard_identity **out)
{
    struct check check; /* not zeroed as a whole: most of it is room for the decoded token */
    check.verifier = verifier;
    check.request = request;
    check.claims = NULL;
    check.whole.length = request->length;
    check.registered = (struct auth_claims){0};
    *out = NULL;
    enum guard_reason reason = run(&check, out);
    if (reason != GUARD_REASON_NONE)
        guard_identity_free(out);
    guard_json_free(&check.claims);
    auth_jws_clear(&check.jws);
    if (reason == GUARD_REASON_INTERNAL_ERROR)
        ERR_clear_error(); /* hashing failed; auth_key_verify cleans up behind itself */
    return reason;
}
