/*
 * JSON Web Tokens as credentials: the octets of a token in, an identity or the reason of the refusal out.
 *
 * A verifier is an immutable snapshot of issuers and their keys, reference-counted, safe for any number of threads at
 * once: the broker thread, and workers. To change keys make a new one (auth_token_verifier_with_keys) and exchange the
 * pointer; verifications under way keep their own.
 *
 * The order of checks (each refuses before the next one runs, so that a stranger's bytes meet as little code as
 * possible): size <= 8 KiB; three non-empty strict base64url parts; header JSON (<= 4 KiB, depth <= 16, no duplicate
 * names); `alg` on the allow-list; `crit`, `enc`, `b64` other than true, a `typ` other than JWT or at+jwt refused (jwk,
 * jku, x5u, x5c, x5t and what else is unknown are ignored); the key by `kid`, or the only one that fits when there is
 * no kid; alg as the key allows; signature length; signature; and only then the payload: strict JSON, claims, identity,
 * bindings, revocation.
 */
#ifndef GUARD_AUTH_TOKEN_H
#define GUARD_AUTH_TOKEN_H

#include "auth/algorithm.h"
#include "auth/jwks.h"
#include "core/error.h"
#include "core/identity.h"
#include "core/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUTH_TOKEN_MAX_SIZE 8192U /* octets; longer ones are malformed */
#define AUTH_ISSUERS_MAX    16U

enum auth_binding {
    AUTH_BINDING_OFF,      /* not looked at */
    AUTH_BINDING_OPTIONAL, /* must agree where both sides are there, see each member below */
    AUTH_BINDING_REQUIRED  /* must be there and agree */
};

/*
 * One issuer. Everything is copied (keys: referenced) by auth_token_verifier_new. Claim names are paths:
 * "realm_access.roles" is the member roles of the member realm_access; a claim whose own name is the whole path
 * ("https://example.com/roles") comes first, and longer names before shorter ones.
 */
struct auth_issuer {
    const char *issuer; /* `iss` must be exactly this; NULL: any iss, or none, will do, but the key must fit */
    const char *const *audiences; /* `aud` must hold one of these; with none, aud is not compared */
    size_t audience_count;
    struct auth_jwks *keys;
    uint32_t algorithms;        /* mask of enum auth_algorithm; 0 = AUTH_ALGORITHMS_DEFAULT */
    const char *identity_claim; /* NULL = "sub" */
    const char *roles_claim;    /* NULL = none. A string is one role, an array of strings several; `scope` and `scp`
                                   as a string are split at spaces. A claim of another type refuses the token. */
    int64_t leeway;             /* seconds that clocks may differ by, 0..3600; for exp, nbf and iat */
    int64_t max_lifetime;       /* exp - iat at most, in seconds; 0 = any. Needs iat. */

    /*
     * Client id = the value of client_id_claim (NULL = the identity). optional: a token without that claim binds
     * nothing. With client_id_pattern ("${identity}", "${identity}-*", "site7-${identity}-*") the client id must look
     * like that instead: ${identity} is the value of the claim, a `*` at the end is one octet or more of anything.
     */
    enum auth_binding client_id;
    const char *client_id_claim;
    const char *client_id_pattern;
    /* MQTT user name = identity. optional: a client may leave the user name out. */
    enum auth_binding username;
    /*
     * cnf."x5t#S256" = SHA-256 of the client certificate (RFC 8705 §3.1). optional: a token that carries it is good
     * only with that certificate, over a connection without one it is refused; a token without it binds nothing.
     */
    enum auth_binding certificate;
};

/* NULL if pattern is a good client_id_pattern; otherwise what is wrong, as a static phrase that follows its name. */
const char *auth_client_id_pattern_fault(const char *pattern);

struct auth_token_verifier;

/*
 * *out holds one reference. GUARD_ERR_INVALID (err says which issuer and why): no issuer or more than AUTH_ISSUERS_MAX,
 * one without keys, two of one name, one for any iss among several, a bad pattern or number.
 */
int auth_token_verifier_new(const struct auth_issuer *issuers, size_t count, struct auth_token_verifier **out,
                            struct guard_error *err);

/* A new verifier that differs in one issuer's keys: issuer is the index it had in auth_token_verifier_new. */
int auth_token_verifier_with_keys(const struct auth_token_verifier *verifier, size_t issuer, struct auth_jwks *keys,
                                  struct auth_token_verifier **out, struct guard_error *err);

struct auth_token_verifier *auth_token_verifier_ref(struct auth_token_verifier *verifier);
/* Gives a reference back and sets *verifier to NULL; the last one frees. *verifier may be NULL. */
void auth_token_verifier_unref(struct auth_token_verifier **verifier);

/* Calls visit for each kid among the keys of from that none of to has (NULL: there are no keys any more). */
void auth_token_verifier_withdrawn(const struct auth_token_verifier *from, const struct auth_token_verifier *to,
                                   void (*visit)(void *context, const char *kid), void *context);

/* What a revocation look-up may go by. Strings live for the call only. */
struct auth_revocation_query {
    const char *token_id; /* jti; NULL = none */
    const char *key_id;   /* kid of the key that verified; NULL = none */
    const char *username; /* the identity; never NULL */
    const char *issuer;   /* iss; NULL = none */
    int64_t issued_at;    /* iat rounded down, Unix seconds; only if has_issued_at */
    bool has_issued_at;   /* false: a user revoked "before t" has to count as revoked */
};

struct auth_token_request {
    const char *token; /* length octets, any of which may be NUL; not kept */
    size_t length;
    const char *client_id;             /* NULL = none */
    const char *username;              /* as the client sent it; NULL = none */
    const uint8_t *certificate_sha256; /* 32 octets: SHA-256 of the DER certificate; NULL = no client certificate */
    int64_t now;                       /* Unix seconds */
    /*
     * Called last, for a token that is good otherwise. GUARD_REASON_NONE = not revoked, GUARD_REASON_JWT_REVOKED = it
     * is; anything else refuses with that reason (a look-up that failed must not answer NONE). May be NULL.
     */
    enum guard_reason (*revoked)(void *context, const struct auth_revocation_query *query);
    void *revoked_context;
};

/*
 * GUARD_REASON_NONE: the token is good, *out is the identity, freed by guard_identity_free: method, username, roles,
 * attributes ("jwt.<claim>": strings, booleans and whole numbers as text, arrays of strings as lists, members of
 * objects by their dotted path; anything else without value), acl_json, not_after = exp + leeway, subject, issuer,
 * token_id, key_id, issued_at, expires_at = exp rounded down, token_hash. Otherwise *out is NULL and the reason is one
 * of jwt_…, client_id_mismatch (client id or user name), cert_identity_mismatch, cert_missing or internal_error.
 *
 * jwt_missing_claim covers claims that are there, but of the wrong type or out of their range. OpenSSL's error queue of
 * this thread is empty on return. No token text is logged or left behind.
 */
enum guard_reason auth_token_verify(const struct auth_token_verifier *verifier,
                                    const struct auth_token_request *request, struct guard_identity **out);

/*
 * Whether verifying these octets would take a signature check that is slow (auth_key_is_slow). False for whatever is
 * refused before the signature is looked at. Costs nothing where no key is slow, else about what reading a header does.
 */
bool auth_token_is_slow(const struct auth_token_verifier *verifier, const char *token, size_t length);

/*
 * Whether a password has the shape of a token: three non-empty parts of base64url characters with dots between, the
 * first of them beginning as every JSON object does ("ey" or "ew"). For the method chain; says nothing about validity.
 */
bool auth_token_looks_like(const char *password, size_t length);

#endif
