#include "auth/signing_key.h"
#include "core/base64.h"
#include "core/buffer.h"
#include "core/memory.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#define NUMBER_MAX 2048 /* octets of a number: a 16384-bit modulus */

/* `"name":"base64url"`, with a comma before it unless it is the first member. */
static void put_octets(struct guard_buffer *to, const char *name, const unsigned char *octets, size_t length)
{
    char text[GUARD_BASE64_ENCODED(NUMBER_MAX)];
    guard_base64url_encode(octets, length, text);
    guard_buffer_printf(to, "%s\"%s\":\"%s\"", to->length && to->data[to->length - 1] != '{' ? "," : "", name, text);
    guard_wipe(text, sizeof text);
}

static void put_text(struct guard_buffer *to, const char *name, const char *text)
{
    guard_buffer_printf(to, "%s\"%s\":", to->length && to->data[to->length - 1] != '{' ? "," : "", name);
    guard_buffer_json_string(to, text, strlen(text));
}

/* A number of the key, with at least width octets (coordinates and private scalars have the full size). */
static void put_number(struct guard_buffer *to, const char *name, const EVP_PKEY *pkey, const char *parameter,
                       int width)
{
    unsigned char octets[NUMBER_MAX];
    BIGNUM *number = NULL;
    if (EVP_PKEY_get_bn_param(pkey, parameter, &number) != 1 || BN_num_bytes(number) > NUMBER_MAX) {
        to->failed = true;
    } else {
        int length = BN_num_bytes(number) > width ? BN_num_bytes(number) : width;
        if (BN_bn2binpad(number, octets, length) == length)
            put_octets(to, name, octets, (size_t)length);
        else
            to->failed = true;
        guard_wipe(octets, sizeof octets);
    }
    BN_clear_free(number);
}

static void put_raw(struct guard_buffer *to, const char *name, const EVP_PKEY *pkey,
                    int (*get)(const EVP_PKEY *, unsigned char *, size_t *))
{
    unsigned char octets[32];
    size_t length = sizeof octets;
    if (get(pkey, octets, &length) == 1)
        put_octets(to, name, octets, length);
    else
        to->failed = true;
    guard_wipe(octets, sizeof octets);
}

/* The members of RFC 7638 §3.2, in its order: `{"crv":…` without the closing brace. */
static void put_required(struct guard_buffer *to, const EVP_PKEY *pkey, enum auth_key_type type)
{
    int size = type == AUTH_KEY_P256 ? 32 : type == AUTH_KEY_P384 ? 48 : 66;
    guard_buffer_byte(to, '{');
    switch (type) {
    case AUTH_KEY_RSA:
        put_number(to, "e", pkey, OSSL_PKEY_PARAM_RSA_E, 1);
        put_text(to, "kty", "RSA");
        put_number(to, "n", pkey, OSSL_PKEY_PARAM_RSA_N, 1);
        break;
    case AUTH_KEY_ED25519:
        put_text(to, "crv", "Ed25519");
        put_text(to, "kty", "OKP");
        put_raw(to, "x", pkey, EVP_PKEY_get_raw_public_key);
        break;
    default:
        put_text(to, "crv", auth_key_type_name(type));
        put_text(to, "kty", "EC");
        put_number(to, "x", pkey, OSSL_PKEY_PARAM_EC_PUB_X, size);
        put_number(to, "y", pkey, OSSL_PKEY_PARAM_EC_PUB_Y, size);
    }
}

static void put_private(struct guard_buffer *to, const EVP_PKEY *pkey, enum auth_key_type type)
{
    switch (type) {
    case AUTH_KEY_RSA:
        put_number(to, "d", pkey, OSSL_PKEY_PARAM_RSA_D, 1);
        put_number(to, "p", pkey, OSSL_PKEY_PARAM_RSA_FACTOR1, 1);
        put_number(to, "q", pkey, OSSL_PKEY_PARAM_RSA_FACTOR2, 1);
        put_number(to, "dp", pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1, 1);
        put_number(to, "dq", pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2, 1);
        put_number(to, "qi", pkey, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, 1);
        break;
    case AUTH_KEY_ED25519:
        put_raw(to, "d", pkey, EVP_PKEY_get_raw_private_key);
        break;
    default:
        put_number(to, "d", pkey, OSSL_PKEY_PARAM_PRIV_KEY,
                   type == AUTH_KEY_P256   ? 32
                   : type == AUTH_KEY_P384 ? 48
                                           : 66);
    }
}

/* SHA-256 of the required members (RFC 7638 §3.1), as kid. */
static void put_thumbprint(struct guard_buffer *to, const struct guard_buffer *required)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    struct guard_buffer canonical = {0};
    guard_buffer_append(&canonical, required->data, required->length);
    guard_buffer_byte(&canonical, '}');
    if (canonical.failed || EVP_Digest(canonical.data, canonical.length, hash, &length, EVP_sha256(), NULL) != 1)
        to->failed = true;
    else
        put_octets(to, "kid", hash, length);
    guard_buffer_free(&canonical);
}

static void put_purpose(struct guard_buffer *to, const struct guard_buffer *required, const char *kid, int algorithm)
{
    put_text(to, "use", "sig");
    if (algorithm >= 0)
        put_text(to, "alg", auth_algorithm_name((enum auth_algorithm)algorithm));
    if (kid)
        put_text(to, "kid", kid);
    else
        put_thumbprint(to, required);
}

static char *finish(struct guard_buffer *required, const char *kid, int algorithm, const EVP_PKEY *pkey,
                    enum auth_key_type type, bool with_private)
{
    struct guard_buffer jwk = {0};
    jwk.failed = required->failed;
    guard_buffer_append(&jwk, required->data, required->length);
    if (!jwk.failed) {
        put_purpose(&jwk, required, kid, algorithm);
        if (with_private)
            put_private(&jwk, pkey, type);
    }
    guard_buffer_byte(&jwk, '}');
    guard_buffer_free(required);
    return guard_buffer_take(&jwk);
}

char *auth_jwk_write(const EVP_PKEY *pkey, enum auth_key_type type, const char *kid, int algorithm, bool with_private)
{
    struct guard_buffer required = {0};
    put_required(&required, pkey, type);
    return finish(&required, kid, algorithm, pkey, type, with_private);
}

char *auth_jwk_write_secret(struct auth_octets secret, const char *kid, int algorithm)
{
    struct guard_buffer required = {0};
    guard_buffer_byte(&required, '{');
    put_octets(&required, "k", secret.data, secret.length);
    put_text(&required, "kty", "oct");
    return finish(&required, kid, algorithm, NULL, AUTH_KEY_SECRET, false);
}
