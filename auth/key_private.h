/* What key.c, key_pem.c and key_verify.c share. OpenSSL's types appear by their struct names only: no OpenSSL header is
 * needed. */
#ifndef GUARD_AUTH_KEY_PRIVATE_H
#define GUARD_AUTH_KEY_PRIVATE_H

#include "auth/key.h"

#include <stdatomic.h>

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

/*
 * A context that is ready for one algorithm. Preparing takes about as long as an RSA verification, so contexts are
 * kept: a thread takes one out of a slot, nobody else can have it meanwhile, and puts it back.
 */
struct auth_prepared;
#define AUTH_PREPARED_SLOTS 4 /* how many threads find one at the same time; others make their own */

struct auth_key {
    char *kid;
    enum auth_key_type type;
    unsigned bits;
    bool slow;
    uint32_t algorithms;
    struct evp_pkey_st *pkey; /* NULL for secrets */
    unsigned char *secret;    /* NULL for all others */
    size_t secret_length;
    _Atomic(struct auth_prepared *) prepared[AUTH_ALGORITHM_COUNT][AUTH_PREPARED_SLOTS];
};

/* Frees the prepared contexts. */
void auth_key_drop_prepared(struct auth_key *key);

/* Whether a context can be prepared for algorithm (a restricted RSA-PSS key cannot do every hash). */
bool auth_key_can_prepare(const struct auth_key *key, enum auth_algorithm algorithm);

/*
 * Takes over *pkey (NULL afterwards, also on failure) after the checks of jwks.h. private_allowed is not asked for:
 * only the public half is ever used.
 */
int auth_key_adopt(struct evp_pkey_st **pkey, struct auth_key **out, struct guard_error *err);

#endif
