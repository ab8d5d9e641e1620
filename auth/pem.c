#include "auth/pem.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

bool auth_pem_is(const char *text, size_t length)
{
    return memmem(text, length, "-----BEGIN ", 11) != NULL;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static EVP_PKEY *decode(const char *text, size_t length, int selection)
{
    EVP_PKEY *pkey = NULL;
    const unsigned char *at = (const unsigned char *)text;
    OSSL_DECODER_CTX *context = OSSL_DECODER_CTX_new_for_pkey(&pkey, "PEM", NULL, NULL, selection, NULL, NULL);
    if (context && OSSL_DECODER_CTX_set_pem_password_cb(context, no_passphrase, NULL) == 1 &&
        OSSL_DECODER_from_data(context, &at, &length) != 1)
        pkey = NULL;
    OSSL_DECODER_CTX_free(context);
    ERR_clear_error();
    return pkey;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t end_length = strlen(end);
    return length >= end_length && memcmp(text + length - end_length, end, end_length) == 0;
}

/* The first block whose label ends so ("RSA PRIVATE KEY"), or NULL. `openssl ecparam` puts parameters before the key.
 */
static const char *find_block(const char *text, size_t length, const char *label_end)
{
    static const char begin[] = "-----BEGIN ", dashes[] = "-----";
    const char *end = text + length, *at = text;
    while ((at = memmem(at, (size_t)(end - at), begin, sizeof begin - 1))) {
        const char *label = at + sizeof begin - 1;
        const char *close = memmem(label, (size_t)(end - label), dashes, sizeof dashes - 1);
        if (close && ends_with(label, (size_t)(close - label), label_end))
            return at;
        at = label;
    }
    return NULL;
}

int auth_pem_read(const char *text, size_t length, bool need_private, EVP_PKEY **out, bool *is_private,
                  struct guard_error *err)
{
    const char *block = find_block(text, length, "PRIVATE KEY");
    *is_private = block != NULL;
    *out = NULL;
    if (!block && !need_private)
        block = find_block(text, length, "PUBLIC KEY");
    if (block)
        *out = decode(block, length - (size_t)(block - text), *is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY);
    if (*out)
        return GUARD_OK;
    if (*is_private && memmem(text, length, "ENCRYPTED", 9))
        return guard_fail(err, GUARD_ERR_INVALID, "a private key that is encrypted; decrypt it with openssl pkey");
    return guard_fail(err, GUARD_ERR_INVALID, "PEM that holds no %s key that OpenSSL can read",
                      need_private ? "private" : "public or private");
}
