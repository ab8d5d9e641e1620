#include "auth/pem.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

bool auth_pem_is(const char *text, size_t length)
{
    return memmem(text, length, "-----BEGIN ", 11) != NULL;
}

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

int auth_pem_read(const char *text, size_t length, bool need_private, EVP_PKEY **out, bool *is_private,
                  struct guard_error *err)
{
    *is_private = memmem(text, length, "PRIVATE KEY-----", 16) != NULL;
    *out = NULL;
    if (*is_private)
        *out = decode(text, length, EVP_PKEY_KEYPAIR);
    else if (!need_private)
        *out = decode(text, length, EVP_PKEY_PUBLIC_KEY);
    if (*out)
        return GUARD_OK;
    if (*is_private && (memmem(text, length, "ENCRYPTED", 9) != NULL))
        return guard_fail(err, GUARD_ERR_INVALID, "a private key that is encrypted; decrypt it with openssl pkey");
    return guard_fail(err, GUARD_ERR_INVALID, "PEM that holds no %s key that OpenSSL can read",
                      need_private ? "private" : "public or private");
}
