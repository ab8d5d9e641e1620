#include "auth/jwk.h"
#include "auth/signing_key.h"
#include "core/json.h"
#include "core/memory.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#define NUMBERS_MAX 8

/* Which members make a private key, and what OpenSSL calls them. */
struct number {
    const char *member, *parameter;
    bool optional;
};

static const struct number rsa_numbers[] = {
    {"n", OSSL_PKEY_PARAM_RSA_N, false},         {"e", OSSL_PKEY_PARAM_RSA_E, false},
    {"d", OSSL_PKEY_PARAM_RSA_D, false},         {"p", OSSL_PKEY_PARAM_RSA_FACTOR1, true},
    {"q", OSSL_PKEY_PARAM_RSA_FACTOR2, true},    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1, true},
    {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2, true}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1, true}};

/* Adds the number of a member to builder; *kept is freed by the caller once the key is built. */
static bool push_number(const struct guard_json *jwk, const struct number *number, OSSL_PARAM_BLD *builder,
                        BIGNUM **kept, struct guard_error *err)
{
    unsigned char *octets;
    size_t length;
    if (number->optional && !guard_json_get(jwk, number->member))
        return true;
    if (auth_jwk_octets(jwk, number->member, &octets, &length, err) != GUARD_OK)
        return false;
    *kept = BN_secure_new();
    bool pushed = *kept && BN_bin2bn(octets, (int)length, *kept) &&
                  OSSL_PARAM_BLD_push_BN(builder, number->parameter, *kept) == 1;
    guard_free_secret(&octets, length);
    if (!pushed)
        guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    return pushed;
}

static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = parameters ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    if (context && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_KEYPAIR, parameters) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return pkey;
}

static EVP_PKEY *rsa_private(const struct guard_json *jwk, struct guard_error *err)
{
    BIGNUM *kept[NUMBERS_MAX] = {NULL};
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    bool complete = builder != NULL;
    for (size_t i = 0; i < sizeof rsa_numbers / sizeof *rsa_numbers && complete; i++)
        complete = push_number(jwk, &rsa_numbers[i], builder, &kept[i], err);
    EVP_PKEY *pkey = complete ? build("RSA", builder) : NULL;
    OSSL_PARAM_BLD_free(builder);
    for (size_t i = 0; i < NUMBERS_MAX; i++)
        BN_clear_free(kept[i]);
    return pkey;
}

/* The point comes from the public half, which was examined already. */
static EVP_PKEY *ec_private(const struct guard_json *jwk, enum auth_key_type type, struct guard_error *err)
{
    static const struct number scalar = {"d", OSSL_PKEY_PARAM_PRIV_KEY, false};
    unsigned char point[1 + 2 * 66] = {0x04}, *x = NULL, *y = NULL;
    size_t x_length = 0, y_length = 0;
    BIGNUM *d = NULL;
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder && auth_jwk_octets(jwk, "x", &x, &x_length, err) == GUARD_OK &&
        auth_jwk_octets(jwk, "y", &y, &y_length, err) == GUARD_OK && x_length + y_length < sizeof point) {
        memcpy(point + 1, x, x_length);
        memcpy(point + 1 + x_length, y, y_length);
        if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, auth_key_type_name(type), 0) &&
            OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x_length + y_length) &&
            push_number(jwk, &scalar, builder, &d, err))
            pkey = build("EC", builder);
    }
    OSSL_PARAM_BLD_free(builder);
    BN_clear_free(d);
    guard_free_secret(&x, x_length);
    guard_free_secret(&y, y_length);
    return pkey;
}

static EVP_PKEY *ed25519_private(const struct guard_json *jwk, struct guard_error *err)
{
    unsigned char *d;
    size_t length = 0;
    EVP_PKEY *pkey = NULL;
    if (auth_jwk_octets(jwk, "d", &d, &length, err) == GUARD_OK)
        pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, d, length);
    guard_free_secret(&d, length);
    return pkey;
}

/* The halves must belong together: what one signs, the other has to verify. */
static bool is_pair(EVP_PKEY *pkey, const struct guard_json *jwk, enum auth_key_type type)
{
    if (type == AUTH_KEY_ED25519) {
        unsigned char own[32], *stated;
        size_t own_length = sizeof own, length = 0;
        bool same = EVP_PKEY_get_raw_public_key(pkey, own, &own_length) == 1 &&
                    auth_jwk_octets(jwk, "x", &stated, &length, NULL) == GUARD_OK && length == own_length &&
                    memcmp(own, stated, length) == 0;
        guard_free_secret(&stated, length);
        return same;
    }
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool pair = context && EVP_PKEY_pairwise_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    return pair;
}

EVP_PKEY *auth_jwk_private(const struct guard_json *jwk, const struct auth_key *key, struct guard_error *err)
{
    EVP_PKEY *pkey;
    enum auth_key_type type = auth_key_kind(key);
    guard_fail(err, GUARD_ERR_INVALID, "numbers that make no private key");
    if (type == AUTH_KEY_RSA)
        pkey = rsa_private(jwk, err);
    else if (type == AUTH_KEY_ED25519)
        pkey = ed25519_private(jwk, err);
    else
        pkey = ec_private(jwk, type, err);
    if (pkey && !is_pair(pkey, jwk, type)) {
        guard_fail(err, GUARD_ERR_INVALID, "a private key that does not belong to its public half");
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    ERR_clear_error();
    return pkey;
}
