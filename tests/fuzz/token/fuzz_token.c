/*
 * Token verification. The first octet says what the rest is: 't' a token as it comes; 'p' a payload and 'h' a header,
 * which are put into a token with a good HMAC, so that what stands behind the signature is reached, too.
 */
#include "auth/jwt_shim.h"
#include "auth/token.h"
#include "core/base64.h"
#include "core/identity_rules.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW       1800000000
#define INPUT_MAX 16384

static const char secret[] = "0123456789abcdef0123456789abcdef";
static const char key_set[] =
    "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\",\"k\":"
    "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"},"
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\","
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static void expect(int condition)
{
    if (!condition)
        abort();
}

static const struct auth_token_verifier *the_verifier(void)
{
    static struct auth_token_verifier *verifier;
    struct auth_issuer issuer = {.roles_claim = "realm.roles",
                                 .leeway = 30,
                                 .client_id = AUTH_BINDING_OPTIONAL,
                                 .client_id_claim = "cid",
                                 .certificate = AUTH_BINDING_OPTIONAL};
    if (verifier)
        return verifier;
    expect(auth_jwks_parse(key_set, strlen(key_set), "fuzz", NULL, &issuer.keys, NULL) == GUARD_OK);
    expect(auth_token_verifier_new(&issuer, 1, &verifier, NULL) == GUARD_OK);
    auth_jwks_unref(&issuer.keys);
    return verifier;
}

/* jansson, in libjwt, reads no whole number beyond 64 bits; we do. */
static bool has_long_number(const uint8_t *text, size_t size)
{
    size_t digits = 0;
    for (size_t i = 0; i < size; i++) {
        digits = text[i] >= '0' && text[i] <= '9' ? digits + 1 : 0;
        if (digits > 18)
            return true;
    }
    return false;
}

/* What has to hold for everything that is accepted. */
static void check_identity(const struct guard_identity *identity, const uint8_t *payload, size_t size)
{
    expect(guard_identity_acceptable(identity->username, strlen(identity->username)));
    expect(identity->expires_at > NOW - 30 && identity->not_after == identity->expires_at + 30);
    expect(identity->issued_at <= NOW + 30);
    if (!payload || has_long_number(payload, size))
        return;
    char *text = strndup((const char *)payload, size);
    expect(text && strlen(text) == size && auth_jwt_accepts(text));
    free(text);
}

static void verify(const char *token, size_t length, const uint8_t *payload, size_t payload_size)
{
    static const uint8_t certificate[32] = {1};
    struct guard_identity *identity;
    struct auth_token_request request = {
        .token = token, .length = length, .client_id = "c", .certificate_sha256 = certificate, .now = NOW};
    enum guard_reason reason = auth_token_verify(the_verifier(), &request, &identity);
    expect((identity != NULL) == (reason == GUARD_REASON_NONE));
    expect(reason != GUARD_REASON_INTERNAL_ERROR);
    expect(ERR_peek_error() == 0);
    if (identity)
        check_identity(identity, payload, payload_size);
    guard_identity_free(&identity);
}

/* header.payload.HMAC */
static void verify_signed(const void *header, size_t header_size, const void *payload, size_t payload_size,
                          bool payload_is_input)
{
    size_t room = GUARD_BASE64_ENCODED(header_size) + GUARD_BASE64_ENCODED(payload_size) + 64;
    unsigned char tag[EVP_MAX_MD_SIZE];
    unsigned tag_size;
    char *token = malloc(room);
    expect(token != NULL);
    size_t length = guard_base64url_encode(header, header_size, token);
    token[length++] = '.';
    length += guard_base64url_encode(payload, payload_size, token + length);
    expect(HMAC(EVP_sha256(), secret, sizeof secret - 1, (unsigned char *)token, length, tag, &tag_size) != NULL);
    token[length++] = '.';
    length += guard_base64url_encode(tag, tag_size, token + length);
    verify(token, length, payload_is_input ? payload : NULL, payload_size);
    free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char header[] = "{\"alg\":\"HS256\",\"kid\":\"h\"}";
    static const char claims[] = "{\"sub\":\"s\",\"exp\":1800000600}";
    if (size < 1 || size > INPUT_MAX)
        return 0;
    switch (data[0]) {
    case 'p':
        verify_signed(header, sizeof header - 1, data + 1, size - 1, true);
        break;
    case 'h':
        verify_signed(data + 1, size - 1, claims, sizeof claims - 1, false);
        break;
    default:
        verify((const char *)data + 1, size - 1, NULL, 0);
    }
    return 0;
}
