#include "auth/thumbprint.h"

#include "core/file.h"
#include "core/memory.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define CERTIFICATE_MAX (1024U * 1024U)

static X509 *parse(const char *content, size_t length)
{
    const unsigned char *der = (const unsigned char *)content;
    BIO *bio = BIO_new_mem_buf(content, (int)length);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return certificate ? certificate : d2i_X509(NULL, &der, (long)length);
}

int auth_thumbprint_file(const char *path, uint8_t out[32], struct guard_error *err)
{
    char *content;
    size_t length;
    int rc = guard_file_read(path, GUARD_FILE_PUBLIC, CERTIFICATE_MAX, &content, &length, err);
    if (rc != GUARD_OK)
        return rc;
    X509 *certificate = parse(content, length);
    unsigned size = 0;
    if (!certificate || X509_digest(certificate, EVP_sha256(), out, &size) != 1 || size != 32)
        rc = guard_fail_at(err, GUARD_ERR_INVALID, path, 0, 0, "holds no certificate");
    X509_free(certificate);
    guard_free_secret(&content, length);
    ERR_clear_error();
    return rc;
}
