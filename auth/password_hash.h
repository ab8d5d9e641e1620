/* Inside the password unit: a stored string taken apart, and the derivation of its key. */
#ifndef GUARD_AUTH_PASSWORD_HASH_H
#define GUARD_AUTH_PASSWORD_HASH_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PASSWORD_SALT_MAX 256U
#define PASSWORD_KEY_MAX  128U
#define PASSWORD_KEY_MIN  16U

enum password_kind { PASSWORD_ARGON2ID, PASSWORD_PBKDF2, PASSWORD_DIGEST, PASSWORD_CRYPT };
enum password_crypt { CRYPT_BCRYPT, CRYPT_SHA512, CRYPT_YESCRYPT };

struct password_salt {
    uint8_t bytes[PASSWORD_SALT_MAX];
    size_t length;
};

struct password_hash {
    enum password_kind kind;
    enum password_crypt crypt;    /* of PASSWORD_CRYPT */
    const char *digest;           /* OpenSSL's name; of PBKDF2 and DIGEST */
    bool salt_first;              /* DIGEST: over salt and password; else over password and salt */
    uint32_t iterations;          /* PBKDF2; argon2id: t; sha512crypt: rounds; bcrypt, yescrypt: log2 of the cost */
    uint32_t memory_kib, lanes;   /* argon2id */
    struct password_salt salt[2]; /* the readings of the salt, the likelier first */
    size_t salts;                 /* how many there are: 1 or 2; CRYPT: 0 */
    uint8_t key[PASSWORD_KEY_MAX];
    size_t key_length;
    const char *stored; /* borrowed; what crypt(3) works on */
};

/* Takes stored apart. GUARD_OK, or the reason it is refused; err never holds a part of stored. */
int password_hash_parse(const char *stored, struct password_hash *hash, struct guard_error *err);

/*
 * Derives the key of the password with the reading salt[which] into out (PASSWORD_KEY_MAX octets; hash->key_length are
 * written). Not for CRYPT. GUARD_OK, GUARD_ERR_CRYPTO, _NOMEM or _UNSUPPORTED. May leave errors in OpenSSL's queue.
 */
int password_hash_derive(const struct password_hash *hash, size_t which, const char *password, size_t length,
                         uint8_t *out, struct guard_error *err);

/*
 * crypt(3) of the NUL-terminated password with the setting (a stored string will do): *out is freed by
 * guard_free_string. GUARD_OK, GUARD_ERR_CRYPTO or _NOMEM.
 */
int password_hash_crypt(const char *password, const char *setting, char **out, struct guard_error *err);

/* The one name of a digest for OpenSSL, whatever case; NULL unless md5, sha1, sha256 or sha512. size is that of its
 * value. */
const char *password_digest_name(const char *name, size_t length, size_t *size);

#endif
