#include "auth/key_private.h"
#include "core/memory.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

struct auth_prepared {
    EVP_MD *digest;      /* RSA and ECDSA */
    EVP_PKEY_CTX *key;   /* RSA and ECDSA: ready for EVP_PKEY_verify */
    EVP_MD_CTX *message; /* RSA and ECDSA: hashes; EdDSA, which signs the message itself: verifies */
    EVP_MD_CTX *copy;    /* RSA and ECDSA: the hash of the signed text, while message goes on */
    EVP_MAC_CTX *mac;    /* HMAC: holds the key */
};

static const char *digest_name(enum auth_algorithm algorithm)
{
    switch (auth_algorithm_hash_size(algorithm)) {
    case 32:
        return "SHA256";
    case 48:
        return "SHA384";
    default:
        return "SHA512";
    }
}

static void free_prepared(struct auth_prepared *p)
{
    if (!p)
        return;
    EVP_PKEY_CTX_free(p->key);
    EVP_MD_CTX_free(p->message);
    EVP_MD_CTX_free(p->copy);
    EVP_MAC_CTX_free(p->mac);
    EVP_MD_free(p->digest);
    free(p);
}

/* RSA and ECDSA: the hash is computed first, then EVP_PKEY_verify takes it. */
static bool prepare_key(struct auth_prepared *p, const struct auth_key *key, enum auth_algorithm algorithm)
{
    p->digest = EVP_MD_fetch(NULL, digest_name(algorithm), NULL);
    p->key = p->digest ? EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL) : NULL;
    p->message = EVP_MD_CTX_new();
    p->copy = EVP_MD_CTX_new();
    if (!p->key || !p->copy || !p->message || EVP_DigestInit_ex(p->message, p->digest, NULL) != 1 ||
        EVP_PKEY_verify_init(p->key) != 1 || EVP_PKEY_CTX_set_signature_md(p->key, p->digest) != 1)
        return false;
    if (key->type != AUTH_KEY_RSA)
        return true;
    if (algorithm >= AUTH_RS256 && algorithm <= AUTH_RS512)
        return EVP_PKEY_CTX_set_rsa_padding(p->key, RSA_PKCS1_PADDING) == 1;
    /* RFC 7518 §3.5: MGF1 with the same hash, and a salt exactly as long as the hash */
    return EVP_PKEY_CTX_set_rsa_padding(p->key, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(p->key, p->digest) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(p->key, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool prepare_mac(struct auth_prepared *p, const struct auth_key *key, enum auth_algorithm algorithm)
{
    char name[8];
    memcpy(name, digest_name(algorithm), 7);
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                               OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    p->mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac);
    return p->mac && EVP_MAC_init(p->mac, key->secret, key->secret_length, parameters) == 1;
}

static struct auth_prepared *prepare(const struct auth_key *key, enum auth_algorithm algorithm)
{
    struct auth_prepared *p = calloc(1, sizeof *p);
    bool ready;
    if (!p)
        return NULL;
    if (key->type == AUTH_KEY_SECRET)
        ready = prepare_mac(p, key, algorithm);
    else if (key->type == AUTH_KEY_ED25519)
        ready = (p->message = EVP_MD_CTX_new()) != NULL;
    else
        ready = prepare_key(p, key, algorithm);
    if (ready)
        return p;
    free_prepared(p);
    return NULL;
}

static struct auth_prepared *take(const struct auth_key *key, enum auth_algorithm algorithm)
{
    struct auth_key *shared = (struct auth_key *)(uintptr_t)key; /* only the slots change, and they are atomic */
    for (int i = 0; i < AUTH_PREPARED_SLOTS; i++) {
        struct auth_prepared *p = atomic_exchange(&shared->prepared[algorithm][i], NULL);
        if (p)
            return p;
    }
    return prepare(key, algorithm);
}

static void put_back(const struct auth_key *key, enum auth_algorithm algorithm, struct auth_prepared *p)
{
    struct auth_key *shared = (struct auth_key *)(uintptr_t)key;
    for (int i = 0; i < AUTH_PREPARED_SLOTS; i++) {
        struct auth_prepared *expected = NULL;
        if (atomic_compare_exchange_strong(&shared->prepared[algorithm][i], &expected, p))
            return;
    }
    free_prepared(p);
}

void auth_key_drop_prepared(struct auth_key *key)
{
    for (int a = 0; a < AUTH_ALGORITHM_COUNT; a++)
        for (int i = 0; i < AUTH_PREPARED_SLOTS; i++)
            free_prepared(atomic_exchange(&key->prepared[a][i], NULL));
}

bool auth_key_can_prepare(const struct auth_key *key, enum auth_algorithm algorithm)
{
    struct auth_prepared *p = prepare(key, algorithm);
    bool can = p != NULL;
    free_prepared(p); /* most keys see one algorithm only: their context is made with the first token */
    return can;
}

/* The orders of the curves (SEC 2), big-endian: r and s lie in 1..n-1. */
static const unsigned char order_p256[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                             0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                             0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
static const unsigned char order_p384[48] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                             0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                             0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2,
                                             0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};
static const unsigned char order_p521[66] = {
    0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa,
    0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b,
    0xb5, 0xc9, 0xb8, 0x89, 0x9c, 0x47, 0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09};

static const unsigned char *order_of(enum auth_key_type type)
{
    return type == AUTH_KEY_P256 ? order_p256 : type == AUTH_KEY_P384 ? order_p384 : order_p521;
}

/* Writes a DER INTEGER of a positive number of size octets and returns its length; 0 if it is not in 1..order-1. */
static size_t der_integer(const unsigned char *number, size_t size, const unsigned char *order, unsigned char *out)
{
    size_t zeros = 0;
    if (memcmp(number, order, size) >= 0)
        return 0;
    while (zeros < size && number[zeros] == 0)
        zeros++;
    if (zeros == size)
        return 0;
    size_t length = size - zeros, pad = number[zeros] >> 7;
    out[0] = 0x02;
    out[1] = (unsigned char)(length + pad); /* 67 at most: one octet holds it */
    out[2] = 0;
    memcpy(out + 2 + pad, number + zeros, length);
    return 2 + pad + length;
}

#define DER_SIGNATURE_MAX (3 + 2 * (2 + 67))

/* RFC 7515 appendix A.3: r and s side by side, to ECDSA-Sig-Value (RFC 3279 §2.2.3). Returns its length, or 0. */
static size_t der_signature(const unsigned char *raw, size_t size, const unsigned char *order,
                            unsigned char out[DER_SIGNATURE_MAX])
{
    unsigned char body[DER_SIGNATURE_MAX];
    size_t r = der_integer(raw, size, order, body);
    size_t s = r ? der_integer(raw + size, size, order, body + r) : 0;
    size_t at = 0;
    if (!s)
        return 0;
    out[at++] = 0x30;
    if (r + s > 127)
        out[at++] = 0x81;
    out[at++] = (unsigned char)(r + s);
    memcpy(out + at, body, r + s);
    return at + r + s;
}

/* The hash of text. If the whole is to be hashed as well, p->message is left ready to go on behind text. */
static bool hash_text(struct auth_prepared *p, struct auth_octets text, bool goes_on, unsigned char *hash,
                      unsigned *length)
{
    if (EVP_DigestInit_ex(p->message, NULL, NULL) != 1 || EVP_DigestUpdate(p->message, text.data, text.length) != 1)
        return false;
    if (!goes_on)
        return EVP_DigestFinal_ex(p->message, hash, length) == 1;
    return EVP_MD_CTX_copy_ex(p->copy, p->message) == 1 && EVP_DigestFinal_ex(p->copy, hash, length) == 1;
}

static enum auth_signature verify_digest(const struct auth_key *key, struct auth_prepared *p, struct auth_octets text,
                                         struct auth_octets signature, struct auth_whole *whole)
{
    unsigned char digest[EVP_MAX_MD_SIZE], der[DER_SIGNATURE_MAX];
    unsigned digest_length;
    if (key->type != AUTH_KEY_RSA) {
        signature.length = der_signature(signature.data, signature.length / 2, order_of(key->type), der);
        signature.data = der;
        if (!signature.length)
            return AUTH_SIGNATURE_BAD;
    }
    if (!hash_text(p, text, whole != NULL, digest, &digest_length))
        return AUTH_SIGNATURE_ERROR;
    /* 0 and negative both mean "does not verify": OpenSSL returns either for a padding or an encoding it does not like
     */
    if (EVP_PKEY_verify(p->key, signature.data, signature.length, digest, digest_length) != 1)
        return AUTH_SIGNATURE_BAD;
    if (whole)
        whole->hashed = EVP_DigestUpdate(p->message, text.data + text.length, whole->length - text.length) == 1 &&
                        EVP_DigestFinal_ex(p->message, whole->sha256, NULL) == 1;
    return AUTH_SIGNATURE_GOOD;
}

static enum auth_signature verify_ed25519(const struct auth_key *key, struct auth_prepared *p, struct auth_octets text,
                                          struct auth_octets signature)
{
    if (EVP_DigestVerifyInit_ex(p->message, NULL, NULL, NULL, NULL, key->pkey, NULL) != 1)
        return AUTH_SIGNATURE_ERROR;
    return EVP_DigestVerify(p->message, signature.data, signature.length, text.data, text.length) == 1
               ? AUTH_SIGNATURE_GOOD
               : AUTH_SIGNATURE_BAD;
}

static enum auth_signature verify_mac(struct auth_prepared *p, struct auth_octets text, struct auth_octets signature)
{
    unsigned char tag[EVP_MAX_MD_SIZE];
    size_t length;
    /* without a key: begin again with the one the context holds */
    if (EVP_MAC_init(p->mac, NULL, 0, NULL) != 1 || EVP_MAC_update(p->mac, text.data, text.length) != 1 ||
        EVP_MAC_final(p->mac, tag, &length, sizeof tag) != 1)
        return AUTH_SIGNATURE_ERROR;
    bool good = length == signature.length && CRYPTO_memcmp(tag, signature.data, length) == 0;
    guard_wipe(tag, sizeof tag); /* it is the signature of a token nobody may have issued */
    return good ? AUTH_SIGNATURE_GOOD : AUTH_SIGNATURE_BAD;
}

enum auth_signature auth_key_verify(const struct auth_key *key, enum auth_algorithm algorithm, struct auth_octets text,
                                    struct auth_octets signature, struct auth_whole *whole)
{
    if (whole)
        whole->hashed = false;
    if (!(key->algorithms & AUTH_ALGORITHM_BIT(algorithm)) ||
        signature.length != auth_key_signature_size(key, algorithm))
        return AUTH_SIGNATURE_BAD;
    enum auth_signature result = AUTH_SIGNATURE_ERROR;
    struct auth_prepared *p = take(key, algorithm);
    if (auth_algorithm_hash_size(algorithm) != 32)
        whole = NULL;
    if (p) {
        result = key->type == AUTH_KEY_SECRET    ? verify_mac(p, text, signature)
                 : key->type == AUTH_KEY_ED25519 ? verify_ed25519(key, p, text, signature)
                                                 : verify_digest(key, p, text, signature, whole);
        if (result == AUTH_SIGNATURE_ERROR)
            free_prepared(p);
        else
            put_back(key, algorithm, p);
    }
    if (result != AUTH_SIGNATURE_GOOD || ERR_peek_error())
        ERR_clear_error();
    return result;
}
