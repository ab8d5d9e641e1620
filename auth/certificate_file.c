#include "auth/certificate.h"

#include "core/file.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define FILE_MAX ((size_t)64 << 10)

/* OpenSSL's own would ask on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

int auth_certificate_read(const char *path, void **certificate, struct guard_error *err)
{
    char *pem;
    size_t length;
    *certificate = NULL;
    int rc = guard_file_read(path, GUARD_FILE_PUBLIC, FILE_MAX, &pem, &length, err);
    if (rc)
        return rc;
    BIO *bio = BIO_new_mem_buf(pem, (int)length);
    *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    free(pem);
    ERR_clear_error();
    if (!*certificate)
        return guard_fail_at(err, GUARD_ERR_INVALID, path, 0, 0, "there is no PEM certificate in this file");
    return GUARD_OK;
}
