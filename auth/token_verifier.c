#include "auth/token_verifier.h"

#include "auth/jwks_private.h"
#include "auth/token_bindings.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define LEEWAY_MAX 3600

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* Copies text to *to and moves *to behind it. */
static const char *put(char **to, const char *text)
{
    size_t size = text_size(text);
    char *copy = *to;
    if (!size)
        return NULL;
    memcpy(copy, text, size);
    *to += size;
    return copy;
}

/* HMAC without a secret among the keys is not allowed at all: a public key must never be taken for one. */
static uint32_t allowed_algorithms(const struct auth_issuer *issuer)
{
    uint32_t mask = issuer->algorithms ? issuer->algorithms : AUTH_ALGORITHMS_DEFAULT;
    return auth_jwks_algorithms(issuer->keys) & AUTH_ALGORITHMS_HMAC ? mask : mask & ~AUTH_ALGORITHMS_HMAC;
}

static bool copy_issuer(struct auth_issuer_state *state, const struct auth_issuer *from)
{
    const char *identity_claim = from->identity_claim ? from->identity_claim : "sub";
    size_t size = text_size(from->issuer) + text_size(identity_claim) + text_size(from->roles_claim) +
                  text_size(from->client_id_claim) + text_size(from->client_id_pattern) + 1;
    for (size_t i = 0; i < from->audience_count; i++)
        size += text_size(from->audiences[i]);
    state->strings = malloc(size);
    state->audiences = calloc(from->audience_count + 1, sizeof(const char *));
    if (!state->strings || !state->audiences)
        return false;
    char *to = state->strings;
    state->config = *from;
    state->config.issuer = put(&to, from->issuer);
    state->config.identity_claim = put(&to, identity_claim);
    state->config.roles_claim = put(&to, from->roles_claim);
    state->config.client_id_claim = put(&to, from->client_id_claim);
    state->config.client_id_pattern = put(&to, from->client_id_pattern);
    for (size_t i = 0; i < from->audience_count; i++)
        state->audiences[i] = put(&to, from->audiences[i]);
    state->config.audiences = state->audiences;
    state->config.keys = auth_jwks_ref(from->keys);
    state->algorithms = allowed_algorithms(from);
    return true;
}

static bool has_slow_key(const struct auth_jwks *keys)
{
    for (size_t i = 0; i < auth_jwks_count(keys); i++)
        if (auth_key_is_slow(auth_jwks_at(keys, i)))
            return true;
    return false;
}

static int check_issuer(const struct auth_issuer *issuers, size_t count, size_t index, struct guard_error *err)
{
    const struct auth_issuer *it = &issuers[index];
    const char *name = it->issuer ? it->issuer : "(any)";
    const char *fault = NULL;
    if (!it->keys)
        fault = "has no keys";
    else if (!it->issuer && count > 1)
        fault = "must have a name when there are several issuers";
    else if (it->leeway < 0 || it->leeway > LEEWAY_MAX)
        fault = "has a leeway that is not 0..3600 seconds";
    else if (it->max_lifetime < 0)
        fault = "has a negative maximum lifetime";
    else if ((it->identity_claim && !*it->identity_claim) || (it->roles_claim && !*it->roles_claim) ||
             (it->client_id_claim && !*it->client_id_claim))
        fault = "has an empty claim name";
    for (size_t i = 0; i < index && !fault; i++)
        if (it->issuer && issuers[i].issuer && strcmp(it->issuer, issuers[i].issuer) == 0)
            fault = "is there twice";
    if (fault)
        return guard_fail(err, GUARD_ERR_INVALID, "the issuer %s %s", name, fault);
    fault = it->client_id_pattern ? auth_client_id_pattern_fault(it->client_id_pattern) : NULL;
    return fault ? guard_fail(err, GUARD_ERR_INVALID, "the client id pattern of issuer %s %s", name, fault) : GUARD_OK;
}

int auth_token_verifier_new(const struct auth_issuer *issuers, size_t count, struct auth_token_verifier **out,
                            struct guard_error *err)
{
    *out = NULL;
    if (!count || count > AUTH_ISSUERS_MAX)
        return guard_fail(err, GUARD_ERR_INVALID, "%zu issuers; expected 1..%u", count, AUTH_ISSUERS_MAX);
    for (size_t i = 0; i < count; i++) {
        int rc = check_issuer(issuers, count, i, err);
        if (rc != GUARD_OK)
            return rc;
    }
    struct auth_token_verifier *verifier = calloc(1, sizeof *verifier + count * sizeof verifier->issuers[0]);
    if (!verifier)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    atomic_init(&verifier->references, 1);
    verifier->count = count;
    verifier->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    verifier->headers = calloc(1, sizeof *verifier->headers);
    bool complete = verifier->sha256 && verifier->headers;
    for (size_t i = 0; i < count && complete; i++) {
        complete = copy_issuer(&verifier->issuers[i], &issuers[i]);
        verifier->algorithms |= verifier->issuers[i].algorithms;
        verifier->slow |= has_slow_key(issuers[i].keys);
    }
    ERR_clear_error();
    if (!complete) {
        auth_token_verifier_unref(&verifier);
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    *out = verifier;
    return GUARD_OK;
}

int auth_token_verifier_with_keys(const struct auth_token_verifier *verifier, size_t issuer, struct auth_jwks *keys,
                                  struct auth_token_verifier **out, struct guard_error *err)
{
    struct auth_issuer issuers[AUTH_ISSUERS_MAX];
    *out = NULL;
    if (issuer >= verifier->count)
        return guard_fail(err, GUARD_ERR_INVALID, "there is no issuer %zu", issuer);
    for (size_t i = 0; i < verifier->count; i++)
        issuers[i] = verifier->issuers[i].config;
    issuers[issuer].keys = keys;
    return auth_token_verifier_new(issuers, verifier->count, out, err);
}

struct auth_token_verifier *auth_token_verifier_ref(struct auth_token_verifier *verifier)
{
    atomic_fetch_add_explicit(&verifier->references, 1, memory_order_relaxed);
    return verifier;
}

void auth_token_verifier_unref(struct auth_token_verifier **verifier)
{
    struct auth_token_verifier *it = *verifier;
    *verifier = NULL;
    if (!it || atomic_fetch_sub_explicit(&it->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < it->count; i++) {
        free(it->issuers[i].audiences);
        free(it->issuers[i].strings);
        auth_jwks_unref(&it->issuers[i].config.keys);
    }
    EVP_MD_free(it->sha256);
    if (it->headers)
        auth_header_memos_free(it->headers);
    free(it->headers);
    free(it);
}

static bool has_kid(const struct auth_token_verifier *verifier, const char *kid)
{
    for (size_t i = 0; verifier && i < verifier->count; i++)
        if (auth_jwks_has(verifier->issuers[i].config.keys, kid))
            return true;
    return false;
}

void auth_token_verifier_withdrawn(const struct auth_token_verifier *from, const struct auth_token_verifier *to,
                                   void (*visit)(void *context, const char *kid), void *context)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct auth_jwks *keys = from->issuers[i].config.keys;
        for (size_t k = 0; k < auth_jwks_count(keys); k++) {
            const char *kid = auth_key_id(auth_jwks_at(keys, k));
            if (kid && !has_kid(to, kid))
                visit(context, kid);
        }
    }
}
