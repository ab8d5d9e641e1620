#include "auth/key.h"
#include "auth/key_private.h"
#include "auth/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* The public half as a key of its own, so that no private key stays in the process. */
static EVP_PKEY *public_half(const EVP_PKEY *pkey)
{
    unsigned char *der = NULL;
    int length = i2d_PUBKEY(pkey, &der);
    const unsigned char *at = der;
    EVP_PKEY *public = length > 0 ? d2i_PUBKEY(NULL, &at, length) : NULL;
    OPENSSL_free(der);
    return public;
}

static EVP_PKEY *from_certificate(const char *text, size_t length)
{
    BIO *bio = BIO_new_mem_buf(text, (int)length);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *pkey = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    BIO_free(bio);
    return pkey;
}

int auth_key_new_pem(const char *text, size_t length, struct auth_key **out, bool *holds_private,
                     struct guard_error *err)
{
    EVP_PKEY *found = NULL;
    bool private = false;
    int rc = GUARD_OK;
    *out = NULL;
    if (memmem(text, length, "-----BEGIN CERTIFICATE-----", 27))
        found = from_certificate(text, length);
    else
        rc = auth_pem_read(text, length, false, &found, &private, err);
    if (holds_private)
        *holds_private = private;
    EVP_PKEY *public = found ? public_half(found) : NULL;
    EVP_PKEY_free(found);
    ERR_clear_error();
    if (rc != GUARD_OK)
        return rc;
    return public ? auth_key_adopt(&public, out, err)
                  : guard_fail(err, GUARD_ERR_INVALID, "PEM that holds no public key, private key or certificate");
}
