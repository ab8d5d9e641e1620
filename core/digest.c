#include "core/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct guard_sha256 {
    EVP_MD_CTX *context;
    bool failed;
};

struct guard_sha256 *guard_sha256_begin(void)
{
    struct guard_sha256 *sha = calloc(1, sizeof *sha);
    if (!sha)
        return NULL;
    sha->context = EVP_MD_CTX_new();
    sha->failed = !sha->context || EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL) != 1;
    return sha;
}

void guard_sha256_add(struct guard_sha256 *sha, const void *bytes, size_t length)
{
    sha->failed = sha->failed || EVP_DigestUpdate(sha->context, bytes, length) != 1;
}

bool guard_sha256_end(struct guard_sha256 **sha_pointer, uint8_t hash[GUARD_SHA256_SIZE])
{
    struct guard_sha256 *sha = *sha_pointer;
    bool ok = !sha->failed && EVP_DigestFinal_ex(sha->context, hash, NULL) == 1;
    if (!ok)
        memset(hash, 0, GUARD_SHA256_SIZE);
    EVP_MD_CTX_free(sha->context);
    free(sha);
    *sha_pointer = NULL;
    guard_forget_openssl_errors();
    return ok;
}

void guard_hex(const uint8_t *bytes, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

void guard_forget_openssl_errors(void)
{
    ERR_clear_error();
}
