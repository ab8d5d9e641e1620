/* The snapshot behind struct auth_token_verifier. For auth/token*.c only. */
#ifndef GUARD_AUTH_TOKEN_VERIFIER_H
#define GUARD_AUTH_TOKEN_VERIFIER_H

#include "auth/jws.h"
#include "auth/token.h"

#include <stdatomic.h>

struct evp_md_st; /* OpenSSL's EVP_MD */

struct auth_issuer_state {
    struct auth_issuer config; /* its texts point into strings; identity_claim is never NULL */
    const char **audiences;
    char *strings;
    uint32_t algorithms; /* allowed: configured or default, HMAC only where there is a secret among the keys */
};

struct auth_token_verifier {
    atomic_uint references;
    struct evp_md_st *sha256;          /* fetched once: each fetch costs as much as hashing a token */
    uint32_t algorithms;               /* what any issuer allows */
    bool slow;                         /* any key is */
    struct auth_header_memos *headers; /* filled while verifying; for tokens of any issuer */
    size_t count;
    struct auth_issuer_state issuers[];
};

#endif
