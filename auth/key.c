#include "auth/key.h"

#include "auth/key_ed25519.h"
#include "auth/key_private.h"
#include "core/memory.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#define RSA_MIN_BITS       2048
#define RSA_MAX_BITS       16384 /* OpenSSL verifies nothing longer */
#define RSA_FAST_BITS      4096  /* up to here one check takes less than 0.1 ms, if the exponent is a usual one */
#define RSA_FAST_EXPONENT  32    /* bits */
#define RSA_BIG_BITS       3072  /* above this OpenSSL takes exponents of at most 64 bits */
#define EXPONENT_MAX_BITS  256
#define EXPONENT_MAX_SMALL 64
#define SECRET_MAX         4096

static const struct {
    const char *name, *group; /* group: OpenSSL's name of the curve */
    unsigned coordinate;      /* octets */
    uint32_t algorithms;
} types[AUTH_KEY_TYPE_COUNT] = {
    [AUTH_KEY_RSA] = {"RSA", NULL, 0,
                      AUTH_ALGORITHM_BIT(AUTH_RS256) | AUTH_ALGORITHM_BIT(AUTH_RS384) | AUTH_ALGORITHM_BIT(AUTH_RS512) |
                          AUTH_ALGORITHM_BIT(AUTH_PS256) | AUTH_ALGORITHM_BIT(AUTH_PS384) |
                          AUTH_ALGORITHM_BIT(AUTH_PS512)},
    [AUTH_KEY_P256] = {"P-256", "prime256v1", 32, AUTH_ALGORITHM_BIT(AUTH_ES256)},
    [AUTH_KEY_P384] = {"P-384", "secp384r1", 48, AUTH_ALGORITHM_BIT(AUTH_ES384)},
    [AUTH_KEY_P521] = {"P-521", "secp521r1", 66, AUTH_ALGORITHM_BIT(AUTH_ES512)},
    [AUTH_KEY_ED25519] = {"Ed25519", NULL, 32, AUTH_ALGORITHM_BIT(AUTH_EDDSA)},
    [AUTH_KEY_SECRET] = {"oct", NULL, 0, AUTH_ALGORITHMS_HMAC},
};

const char *auth_key_type_name(enum auth_key_type type)
{
    return types[type].name;
}

static int fail_crypto(struct guard_error *err)
{
    ERR_clear_error();
    return guard_fail(err, GUARD_ERR_CRYPTO, "OpenSSL could not build the key");
}

static int check_rsa(struct auth_key *key, struct guard_error *err)
{
    const EVP_PKEY *pkey = key->pkey;
    unsigned *bits = &key->bits;
    BIGNUM *n = NULL, *e = NULL;
    const char *fault = NULL;
    if (!EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) ||
        !EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e))
        fault = "an RSA key without modulus or exponent";
    else if (*bits = (unsigned)BN_num_bits(n), *bits < RSA_MIN_BITS)
        fault = "an RSA modulus below 2048 bits";
    else if (*bits > RSA_MAX_BITS)
        fault = "an RSA modulus above 16384 bits";
    else if (!BN_is_odd(n))
        fault = "an RSA modulus that is even";
    else if (!BN_is_odd(e) || BN_is_one(e) || BN_is_negative(e))
        fault = "an RSA exponent that is even or 1";
    else if (BN_num_bits(e) > (*bits > RSA_BIG_BITS ? EXPONENT_MAX_SMALL : EXPONENT_MAX_BITS))
        fault = "an RSA exponent that is too long";
    else
        key->slow = *bits > RSA_FAST_BITS || BN_num_bits(e) > RSA_FAST_EXPONENT;
    BN_free(n);
    BN_free(e);
    return fault ? guard_fail(err, GUARD_ERR_INVALID, "%s", fault) : GUARD_OK;
}

static int check_ec(EVP_PKEY *pkey, enum auth_key_type *type, struct guard_error *err)
{
    char group[64];
    size_t length;
    if (!EVP_PKEY_get_group_name(pkey, group, sizeof group, &length))
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "an elliptic curve without a name");
    for (*type = AUTH_KEY_P256; *type <= AUTH_KEY_P521; (*type)++)
        if (strcmp(group, types[*type].group) == 0)
            break;
    if (*type > AUTH_KEY_P521)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the elliptic curve %s; there are P-256, P-384 and P-521", group);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    int good = context ? EVP_PKEY_public_check(context) : -1;
    EVP_PKEY_CTX_free(context);
    return good == 1 ? GUARD_OK
                     : guard_fail(err, GUARD_ERR_INVALID, "a point that is not on the curve %s", types[*type].name);
}

static int check_ed25519(const EVP_PKEY *pkey, struct guard_error *err)
{
    unsigned char raw[32];
    size_t length = sizeof raw;
    if (EVP_PKEY_get_raw_public_key(pkey, raw, &length) != 1 || length != sizeof raw)
        return fail_crypto(err);
    const char *fault = auth_ed25519_fault(raw);
    return fault ? guard_fail(err, GUARD_ERR_INVALID, "an Ed25519 key that %s", fault) : GUARD_OK;
}

/* Finds what kind of key it is, and examines it. */
static int examine(struct auth_key *key, struct guard_error *err)
{
    EVP_PKEY *pkey = key->pkey;
    key->bits = (unsigned)EVP_PKEY_get_bits(pkey);
    if (EVP_PKEY_is_a(pkey, "RSA") || EVP_PKEY_is_a(pkey, "RSA-PSS")) {
        key->type = AUTH_KEY_RSA;
        return check_rsa(key, err);
    }
    if (EVP_PKEY_is_a(pkey, "EC"))
        return check_ec(pkey, &key->type, err);
    if (EVP_PKEY_is_a(pkey, "ED25519")) {
        key->type = AUTH_KEY_ED25519;
        return check_ed25519(pkey, err);
    }
    return guard_fail(err, GUARD_ERR_UNSUPPORTED,
                      "a key of a kind that signs no tokens here; there are RSA, EC and Ed25519");
}

int auth_key_adopt(EVP_PKEY **pkey, struct auth_key **out, struct guard_error *err)
{
    *out = NULL;
    struct auth_key *key = calloc(1, sizeof *key);
    if (!key) {
        EVP_PKEY_free(*pkey);
        *pkey = NULL;
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    key->pkey = *pkey;
    *pkey = NULL;
    int rc = examine(key, err);
    for (unsigned i = 0; rc == GUARD_OK && i < AUTH_ALGORITHM_COUNT; i++)
        if (types[key->type].algorithms >> i & 1 && auth_key_can_prepare(key, (enum auth_algorithm)i))
            key->algorithms |= AUTH_ALGORITHM_BIT(i);
    ERR_clear_error();
    if (rc == GUARD_OK && !key->algorithms)
        rc = guard_fail(err, GUARD_ERR_UNSUPPORTED, "a key that can do none of its algorithms with this OpenSSL");
    if (rc != GUARD_OK) {
        auth_key_free(&key);
        return rc;
    }
    *out = key;
    return GUARD_OK;
}

/* Builds a public key of OpenSSL's type name from parameters, and adopts it. */
static int from_parameters(const char *type, OSSL_PARAM_BLD *builder, bool complete, struct auth_key **out,
                           struct guard_error *err)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *parameters = complete ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    EVP_PKEY_CTX *context = parameters ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    bool built = context && EVP_PKEY_fromdata_init(context) == 1 &&
                 EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, parameters) == 1;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    ERR_clear_error();
    if (!built && complete)
        return guard_fail(err, GUARD_ERR_INVALID,
                          strcmp(type, "EC") == 0 ? "a point that is not on its curve" : "numbers that make no key");
    return built ? auth_key_adopt(&pkey, out, err) : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

int auth_key_new_rsa(struct auth_octets n, struct auth_octets e, struct auth_key **out, struct guard_error *err)
{
    *out = NULL;
    if (n.length > RSA_MAX_BITS / 8 + 1 || e.length > RSA_MAX_BITS / 8 + 1 || !n.length || !e.length)
        return guard_fail(err, GUARD_ERR_INVALID, "an RSA modulus or exponent of an impossible length");
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(n.data, (int)n.length, NULL), *exponent = BN_bin2bn(e.data, (int)e.length, NULL);
    bool complete = builder && modulus && exponent && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
                    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent);
    int rc = from_parameters("RSA", builder, complete, out, err);
    BN_free(modulus);
    BN_free(exponent);
    return rc;
}

int auth_key_new_ec(enum auth_key_type curve, struct auth_octets x, struct auth_octets y, struct auth_key **out,
                    struct guard_error *err)
{
    unsigned char point[1 + 2 * 66] = {0x04}; /* uncompressed (SEC 1 §2.3.3) */
    size_t size = types[curve].coordinate;
    *out = NULL;
    if (x.length != size || y.length != size)
        return guard_fail(err, GUARD_ERR_INVALID, "a coordinate that has not the %zu octets of %s", size,
                          types[curve].name);
    memcpy(point + 1, x.data, size);
    memcpy(point + 1 + size, y.data, size);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    bool complete = builder &&
                    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, types[curve].group, 0) &&
                    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size);
    return from_parameters("EC", builder, complete, out, err);
}

int auth_key_new_ed25519(struct auth_octets x, struct auth_key **out, struct guard_error *err)
{
    *out = NULL;
    if (x.length != types[AUTH_KEY_ED25519].coordinate)
        return guard_fail(err, GUARD_ERR_INVALID, "an Ed25519 key that has not 32 octets");
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, x.data, x.length);
    return pkey ? auth_key_adopt(&pkey, out, err) : fail_crypto(err);
}

int auth_key_new_secret(struct auth_octets secret, struct auth_key **out, struct guard_error *err)
{
    *out = NULL;
    if (secret.length < auth_algorithm_hash_size(AUTH_HS256))
        return guard_fail(err, GUARD_ERR_INVALID, "a secret of %zu octets; HS256 needs 32, HS384 48, HS512 64",
                          secret.length);
    if (secret.length > SECRET_MAX)
        return guard_fail(err, GUARD_ERR_INVALID, "a secret longer than %d octets", SECRET_MAX);
    struct auth_key *key = calloc(1, sizeof *key);
    if (key)
        key->secret = malloc(secret.length);
    if (!key || !key->secret) {
        free(key);
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    memcpy(key->secret, secret.data, secret.length);
    key->secret_length = secret.length;
    key->type = AUTH_KEY_SECRET;
    key->bits = (unsigned)secret.length * 8;
    for (unsigned i = AUTH_HS256; i <= AUTH_HS512; i++)
        if (secret.length >= auth_algorithm_hash_size((enum auth_algorithm)i))
            key->algorithms |= AUTH_ALGORITHM_BIT(i);
    *out = key;
    return GUARD_OK;
}

void auth_key_free(struct auth_key **key)
{
    if (!*key)
        return;
    auth_key_drop_prepared(*key);
    EVP_PKEY_free((*key)->pkey);
    guard_free_secret(&(*key)->secret, (*key)->secret_length);
    free((*key)->kid);
    free(*key);
    *key = NULL;
}

int auth_key_set_id(struct auth_key *key, const char *kid)
{
    char *copy = strdup(kid);
    if (!copy)
        return GUARD_ERR_NOMEM;
    free(key->kid);
    key->kid = copy;
    return GUARD_OK;
}

int auth_key_pin(struct auth_key *key, enum auth_algorithm algorithm, struct guard_error *err)
{
    if (!(key->algorithms & AUTH_ALGORITHM_BIT(algorithm))) {
        const char *why = key->type == AUTH_KEY_SECRET && algorithm >= AUTH_HS256 ? "too short" : "of another type";
        return guard_fail(err, GUARD_ERR_INVALID, "a key of \"alg\" %s that is %s (%s, %u bits)",
                          auth_algorithm_name(algorithm), why, types[key->type].name, key->bits);
    }
    key->algorithms = AUTH_ALGORITHM_BIT(algorithm);
    return GUARD_OK;
}

const char *auth_key_id(const struct auth_key *key)
{
    return key->kid;
}

enum auth_key_type auth_key_kind(const struct auth_key *key)
{
    return key->type;
}

unsigned auth_key_bits(const struct auth_key *key)
{
    return key->bits;
}

uint32_t auth_key_algorithms(const struct auth_key *key)
{
    return key->algorithms;
}

bool auth_key_is_slow(const struct auth_key *key)
{
    return key->slow || key->type == AUTH_KEY_P384 || key->type == AUTH_KEY_P521;
}

bool auth_key_same(const struct auth_key *a, const struct auth_key *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == AUTH_KEY_SECRET)
        return a->secret_length == b->secret_length && CRYPTO_memcmp(a->secret, b->secret, a->secret_length) == 0;
    bool same = EVP_PKEY_eq(a->pkey, b->pkey) == 1;
    ERR_clear_error();
    return same;
}

size_t auth_key_signature_size(const struct auth_key *key, enum auth_algorithm algorithm)
{
    switch (key->type) {
    case AUTH_KEY_RSA:
        return (key->bits + 7) / 8;
    case AUTH_KEY_SECRET:
        return auth_algorithm_hash_size(algorithm);
    default:
        return 2 * (size_t)types[key->type].coordinate;
    }
}
