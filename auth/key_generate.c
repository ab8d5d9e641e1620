#include "auth/jwks_private.h"
#include "auth/key_private.h"
#include "auth/signing_key.h"
#include "core/base64.h"
#include "core/buffer.h"
#include "core/memory.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#define RSA_BITS 3072

static EVP_PKEY *generate(enum auth_algorithm algorithm, enum auth_key_type *type)
{
    switch (algorithm) {
    case AUTH_ES256:
        *type = AUTH_KEY_P256;
        break;
    case AUTH_ES384:
        *type = AUTH_KEY_P384;
        break;
    case AUTH_ES512:
        *type = AUTH_KEY_P521;
        break;
    case AUTH_EDDSA:
        *type = AUTH_KEY_ED25519;
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    default:
        *type = AUTH_KEY_RSA;
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS);
    }
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", auth_key_type_name(*type));
}

int auth_key_generate(enum auth_algorithm algorithm, const char *kid, char **private_jwk, struct guard_error *err)
{
    *private_jwk = NULL;
    if (AUTH_ALGORITHM_BIT(algorithm) & AUTH_ALGORITHMS_HMAC) {
        unsigned char secret[64], name[16];
        char text[GUARD_BASE64_ENCODED(sizeof name)];
        size_t length = auth_algorithm_hash_size(algorithm);
        if (RAND_priv_bytes(secret, (int)length) == 1 && RAND_bytes(name, sizeof name) == 1) {
            guard_base64url_encode(name, sizeof name, text);
            *private_jwk =
                auth_jwk_write_secret((struct auth_octets){secret, length}, kid ? kid : text, (int)algorithm);
        }
        guard_wipe(secret, sizeof secret);
    } else {
        enum auth_key_type type;
        EVP_PKEY *pkey = generate(algorithm, &type);
        if (pkey)
            *private_jwk = auth_jwk_write(pkey, type, kid, (int)algorithm, true);
        EVP_PKEY_free(pkey);
    }
    ERR_clear_error();
    return *private_jwk ? GUARD_OK : guard_fail(err, GUARD_ERR_CRYPTO, "the key could not be made");
}

/* The algorithm, if the key is good for one only; else -1. */
static int only_algorithm(uint32_t mask)
{
    return mask & (mask - 1) ? -1 : __builtin_ctz(mask);
}

int auth_jwks_public(const struct auth_jwks *keys, char **jwks, struct guard_error *err)
{
    struct guard_buffer text = {0};
    *jwks = NULL;
    guard_buffer_text(&text, "{\"keys\":[");
    for (size_t i = 0; i < auth_jwks_count(keys); i++) {
        const struct auth_key *key = auth_jwks_at(keys, i);
        if (key->type == AUTH_KEY_SECRET) {
            guard_buffer_free(&text);
            return guard_fail(err, GUARD_ERR_INVALID,
                              "a secret has no public half: give the file itself to the broker");
        }
        char *jwk = auth_jwk_write(key->pkey, key->type, key->kid, only_algorithm(key->algorithms), false);
        guard_buffer_text(&text, i ? ",\n" : "\n");
        if (jwk)
            guard_buffer_text(&text, jwk);
        else
            text.failed = true;
        guard_free_string(&jwk);
    }
    guard_buffer_text(&text, "\n]}\n");
    *jwks = guard_buffer_take(&text);
    return *jwks ? GUARD_OK : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}
