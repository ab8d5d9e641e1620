#include "auth/password_hash.h"

#include "auth/password_scratch.h"
#include "core/memory.h"

#include <crypt.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#ifdef GUARD_HAVE_ARGON2
#include <argon2.h>
#endif

#ifdef GUARD_HAVE_ARGON2
/*
 * argon2_ctx instead of argon2id_hash_raw: one thread whatever the lanes, for libargon2's own threads would take the
 * signals that are meant for the broker's.
 */
static int derive_argon2id(const struct password_hash *hash, const struct password_salt *salt, const char *password,
                           size_t length, uint8_t *out, struct guard_error *err)
{
    uint8_t salt_copy[PASSWORD_SALT_MAX];
    char *password_copy = malloc(length + 1); /* the interface is not const */
    if (!password_copy)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    memcpy(password_copy, password, length);
    memcpy(salt_copy, salt->bytes, salt->length);
    argon2_context context = {
        .out = out,
        .outlen = (uint32_t)hash->key_length,
        .pwd = (uint8_t *)password_copy,
        .pwdlen = (uint32_t)length,
        .salt = salt_copy,
        .saltlen = (uint32_t)salt->length,
        .t_cost = hash->iterations,
        .m_cost = hash->memory_kib,
        .lanes = hash->lanes,
        .threads = 1,
        .version = ARGON2_VERSION_13,
        .allocate_cbk = password_scratch_allocate,
        .free_cbk = password_scratch_release,
        .flags = ARGON2_DEFAULT_FLAGS,
    };
    int rc = argon2_ctx(&context, Argon2_id);
    guard_free_secret(&password_copy, length + 1);
    if (rc == ARGON2_MEMORY_ALLOCATION_ERROR)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory for argon2id with m=%u", hash->memory_kib);
    if (rc != ARGON2_OK)
        return guard_fail(err, GUARD_ERR_CRYPTO, "argon2id failed: %s", argon2_error_message(rc));
    return GUARD_OK;
}
#else
static int derive_argon2id(const struct password_hash *hash, const struct password_salt *salt, const char *password,
                           size_t length, uint8_t *out, struct guard_error *err)
{
    (void)hash, (void)salt, (void)password, (void)length, (void)out;
    return guard_fail(err, GUARD_ERR_UNSUPPORTED, "this build has no argon2id (it was made without libargon2)");
}
#endif

static int derive_pbkdf2(const struct password_hash *hash, const EVP_MD *digest, const struct password_salt *salt,
                         const char *password, size_t length, uint8_t *out)
{
    return PKCS5_PBKDF2_HMAC(password, (int)length, salt->bytes, (int)salt->length, (int)hash->iterations, digest,
                             (int)hash->key_length, out);
}

static int derive_digest(const struct password_hash *hash, const EVP_MD *digest, const struct password_salt *salt,
                         const char *password, size_t length, uint8_t *out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context && EVP_DigestInit_ex(context, digest, NULL) == 1;
    if (good && hash->salt_first)
        good = EVP_DigestUpdate(context, salt->bytes, salt->length) == 1;
    good = good && EVP_DigestUpdate(context, password, length) == 1;
    if (good && !hash->salt_first)
        good = EVP_DigestUpdate(context, salt->bytes, salt->length) == 1;
    good = good && EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

int password_hash_derive(const struct password_hash *hash, size_t which, const char *password, size_t length,
                         uint8_t *out, struct guard_error *err)
{
    const struct password_salt *salt = &hash->salt[which];
    if (hash->kind == PASSWORD_ARGON2ID)
        return derive_argon2id(hash, salt, password, length, out, err);
    EVP_MD *digest = EVP_MD_fetch(NULL, hash->digest, NULL);
    if (!digest)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "OpenSSL of this system has no %s", hash->digest);
    int good = hash->kind == PASSWORD_PBKDF2 ? derive_pbkdf2(hash, digest, salt, password, length, out)
                                             : derive_digest(hash, digest, salt, password, length, out);
    EVP_MD_free(digest);
    return good == 1 ? GUARD_OK : guard_fail(err, GUARD_ERR_CRYPTO, "OpenSSL could not compute the hash");
}

int password_hash_crypt(const char *password, const char *setting, char **out, struct guard_error *err)
{
    *out = NULL;
    struct crypt_data *data = calloc(1, sizeof *data); /* 32 KiB: too much for a stack */
    if (!data)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    const char *text = crypt_r(password, setting, data);
    int rc = GUARD_OK;
    if (!text || text[0] == '*')
        rc = guard_fail(err, GUARD_ERR_CRYPTO, "crypt(3) of this system does not take the stored hash");
    else if (!(*out = strdup(text)))
        rc = guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    guard_free_secret(&data, sizeof *data);
    return rc;
}
