#include "auth/token_issue.h"

#include "auth/jwt_shim.h"
#include "auth/signing_key.h"
#include "core/base64.h"
#include "core/buffer.h"
#include "core/json.h"
#include "core/memory.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define CLAIMS_DEPTH 16

static char *sign_with_libjwt(const struct auth_signing_key *key, enum auth_algorithm algorithm, const char *kid,
                              const char *claims)
{
    if (!key->private_)
        return auth_jwt_sign(algorithm, key->secret, (int)key->secret_length, kid, claims);
    BIO *pem = BIO_new(BIO_s_secmem());
    char *text, *token = NULL;
    if (pem && PEM_write_bio_PrivateKey(pem, key->private_, NULL, NULL, 0, NULL, NULL) == 1) {
        long length = BIO_get_mem_data(pem, &text);
        token = auth_jwt_sign(algorithm, (const unsigned char *)text, (int)length, kid, claims);
    }
    BIO_free(pem); /* secure memory is wiped */
    return token;
}

static void append_base64url(struct guard_buffer *to, const void *octets, size_t length)
{
    char *room = guard_buffer_reserve(to, GUARD_BASE64_ENCODED(length));
    if (room)
        to->length += guard_base64url_encode(octets, length, room);
}

static const char *digest_name(enum auth_algorithm algorithm)
{
    switch (auth_algorithm_hash_size(algorithm)) {
    case 32:
        return "SHA256";
    case 48:
        return "SHA384";
    case 64:
        return "SHA512";
    default:
        return NULL; /* EdDSA hashes by itself */
    }
}

/* PS* and EdDSA, which libjwt 1.x does not have. */
static bool append_signature(const struct auth_signing_key *key, enum auth_algorithm algorithm, struct guard_buffer *to)
{
    unsigned char signature[2048];
    size_t length = sizeof signature;
    EVP_PKEY_CTX *options;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ready = context &&
                 EVP_DigestSignInit_ex(context, &options, digest_name(algorithm), NULL, NULL, key->private_, NULL) == 1;
    if (ready && algorithm != AUTH_EDDSA)
        ready = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
    bool signed_ = ready && EVP_DigestSign(context, signature, &length, (unsigned char *)to->data, to->length) == 1;
    EVP_MD_CTX_free(context);
    if (signed_) {
        guard_buffer_byte(to, '.');
        append_base64url(to, signature, length);
    }
    return signed_;
}

static char *sign_with_openssl(const struct auth_signing_key *key, enum auth_algorithm algorithm, const char *kid,
                               const char *claims)
{
    struct guard_buffer header = {0}, token = {0};
    guard_buffer_printf(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\"", auth_algorithm_name(algorithm));
    if (kid) {
        guard_buffer_text(&header, ",\"kid\":");
        guard_buffer_json_string(&header, kid, strlen(kid));
    }
    guard_buffer_byte(&header, '}');
    token.failed = header.failed;
    append_base64url(&token, header.data, header.length);
    guard_buffer_byte(&token, '.');
    append_base64url(&token, claims, strlen(claims));
    if (!token.failed && !append_signature(key, algorithm, &token))
        token.failed = true;
    guard_buffer_free(&header);
    return guard_buffer_take(&token);
}

int auth_token_issue(const struct auth_signing_key *key, enum auth_algorithm algorithm, const char *kid,
                     const char *claims_json, char **token, struct guard_error *err)
{
    struct guard_json *claims;
    *token = NULL;
    if (!(auth_key_algorithms(key->key) & AUTH_ALGORITHM_BIT(algorithm)))
        return guard_fail(err, GUARD_ERR_INVALID, "%s cannot be done with this key (%s, %u bits)",
                          auth_algorithm_name(algorithm), auth_key_type_name(auth_key_kind(key->key)),
                          auth_key_bits(key->key));
    int rc = guard_json_parse(claims_json, strlen(claims_json), CLAIMS_DEPTH, &claims, err);
    bool object = guard_json_is(claims, GUARD_JSON_OBJECT);
    guard_json_free(&claims);
    if (rc != GUARD_OK)
        return rc;
    if (!object)
        return guard_fail(err, GUARD_ERR_INVALID, "the claims are no JSON object");
    *token = auth_jwt_can_sign(algorithm) ? sign_with_libjwt(key, algorithm, kid, claims_json)
                                          : sign_with_openssl(key, algorithm, kid, claims_json);
    ERR_clear_error();
    return *token ? GUARD_OK : guard_fail(err, GUARD_ERR_CRYPTO, "signing failed");
}
