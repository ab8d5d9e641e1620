#include "auth/password.h"

#include "auth/password_hash.h"
#include "core/memory.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

static enum auth_password_result verify_crypt(const struct password_hash *hash, const char *password, size_t length,
                                              struct guard_error *err)
{
    if (length > CRYPT_MAX_PASSPHRASE_SIZE - 1 || memchr(password, '\0', length))
        return AUTH_PASSWORD_MISMATCH; /* crypt(3) cannot have made it */
    char *terminated = malloc(length + 1), *computed = NULL;
    if (!terminated) {
        guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
        return AUTH_PASSWORD_ERROR;
    }
    memcpy(terminated, password, length);
    terminated[length] = '\0';
    enum auth_password_result result = AUTH_PASSWORD_ERROR;
    if (password_hash_crypt(terminated, hash->stored, &computed, err) == GUARD_OK) {
        size_t size = strlen(computed);
        bool same = size == strlen(hash->stored) && CRYPTO_memcmp(computed, hash->stored, size) == 0;
        result = same ? AUTH_PASSWORD_MATCH : AUTH_PASSWORD_MISMATCH;
    }
    guard_free_string(&computed);
    guard_free_secret(&terminated, length + 1);
    return result;
}

static enum auth_password_result verify_key(const struct password_hash *hash, const char *password, size_t length,
                                            struct guard_error *err)
{
    uint8_t key[PASSWORD_KEY_MAX];
    enum auth_password_result result = AUTH_PASSWORD_MISMATCH;
    for (size_t i = 0; i < hash->salts && result == AUTH_PASSWORD_MISMATCH; i++) {
        if (password_hash_derive(hash, i, password, length, key, err) != GUARD_OK)
            result = AUTH_PASSWORD_ERROR;
        else if (CRYPTO_memcmp(key, hash->key, hash->key_length) == 0)
            result = AUTH_PASSWORD_MATCH;
    }
    guard_wipe(key, sizeof key);
    return result;
}

enum auth_password_result auth_password_verify(const char *stored, const char *password, size_t length,
                                               struct guard_error *err)
{
    struct password_hash hash;
    if (password_hash_parse(stored, &hash, err) != GUARD_OK)
        return AUTH_PASSWORD_ERROR;
    if (length > AUTH_PASSWORD_MAX_LENGTH)
        return AUTH_PASSWORD_MISMATCH; /* MQTT has no longer ones */
    enum auth_password_result result = hash.kind == PASSWORD_CRYPT ? verify_crypt(&hash, password, length, err)
                                                                   : verify_key(&hash, password, length, err);
    ERR_clear_error();
    return result;
}

int auth_password_check(const char *stored, struct guard_error *err)
{
    struct password_hash hash;
    int rc = password_hash_parse(stored, &hash, err);
#ifndef GUARD_HAVE_ARGON2
    if (!rc && hash.kind == PASSWORD_ARGON2ID)
        rc = guard_fail(err, GUARD_ERR_UNSUPPORTED, "this build has no argon2id (it was made without libargon2)");
#endif
    return rc;
}

/* Measured on one core of a 2020 server; in nanoseconds per iteration, or per KiB and pass. */
static uint64_t estimate_ns(const struct password_hash *hash)
{
    switch (hash->kind) {
    case PASSWORD_ARGON2ID:
        return (uint64_t)hash->memory_kib * hash->iterations * 640;
    case PASSWORD_PBKDF2: {
        size_t block = strcmp(hash->digest, "SHA512") == 0 ? 64 : strcmp(hash->digest, "SHA256") == 0 ? 32 : 20;
        uint64_t blocks = (hash->key_length + block - 1) / block;
        return hash->iterations * blocks * hash->salts * (block == 64 ? 620U : 380U);
    }
    case PASSWORD_DIGEST:
        return 2000;
    case PASSWORD_CRYPT:
        if (hash->crypt == CRYPT_BCRYPT)
            return (uint64_t)51000 << hash->iterations;
        return hash->crypt == CRYPT_SHA512 ? (uint64_t)hash->iterations * 440 : (uint64_t)4000 << hash->iterations;
    }
    return 0;
}

uint64_t auth_password_estimate_us(const char *stored)
{
    struct password_hash hash;
    if (auth_password_check(stored, NULL) != GUARD_OK || password_hash_parse(stored, &hash, NULL) != GUARD_OK)
        return 0;
    return (estimate_ns(&hash) + 999) / 1000;
}

enum auth_password_cost auth_password_cost(const char *stored)
{
    return auth_password_estimate_us(stored) < 1000 ? AUTH_PASSWORD_CHEAP : AUTH_PASSWORD_SLOW;
}

bool auth_password_outdated(const char *stored)
{
    struct password_hash hash;
    if (password_hash_parse(stored, &hash, NULL) != GUARD_OK)
        return true;
    switch (hash.kind) {
    case PASSWORD_ARGON2ID:
        return (uint64_t)hash.memory_kib * hash.iterations < UINT64_C(2) * 19456;
    case PASSWORD_PBKDF2:
        return hash.iterations < (strcmp(hash.digest, "SHA512") == 0 ? 210000U : 600000U);
    case PASSWORD_DIGEST:
        return true;
    case PASSWORD_CRYPT:
        return hash.crypt == CRYPT_SHA512 || (hash.crypt == CRYPT_BCRYPT && hash.iterations < 10);
    }
    return true;
}

/* Other key, same everything else: what stands behind the last `$` (in bcrypt behind its 22 characters of salt) made
 * random. */
static bool randomise_key(char *stored, bool bcrypt)
{
    char *key = strrchr(stored, '$');
    key = key ? key + 1 + (bcrypt ? 22 : 0) : stored;
    size_t length = strcspn(key, "=");
    uint8_t random[AUTH_PASSWORD_MAX_STORED];
    if (RAND_bytes(random, (int)length) != 1)
        return false;
    for (size_t i = 0; i < length; i++)
        key[i] = (char)('A' + random[i] % 26);
    if (length)
        key[length - 1] = 'A'; /* six zero bits: no unused bit of base64 is set */
    return true;
}

char *auth_password_decoy(const char *usual)
{
    struct password_hash hash;
    char *decoy = NULL;
    if (usual && auth_password_check(usual, NULL) == GUARD_OK && password_hash_parse(usual, &hash, NULL) == GUARD_OK) {
        decoy = strdup(usual);
    } else if (auth_password_make(NULL, "decoy", 5, &decoy, NULL) == GUARD_OK) {
        password_hash_parse(decoy, &hash, NULL);
    }
    if (decoy && !randomise_key(decoy, hash.kind == PASSWORD_CRYPT && hash.crypt == CRYPT_BCRYPT))
        guard_free_string(&decoy);
    ERR_clear_error();
    return decoy;
}

void auth_password_dummy(const char *decoy, const char *password, size_t length)
{
    (void)auth_password_verify(decoy, password, length, NULL);
}

/* Characters that name the kind and its parameters: all before the salt. */
static size_t parameters_length(const char *stored)
{
    const char *last = strrchr(stored, '$');
    if (!last || strlen(last + 1) == 53) /* bcrypt keeps salt and key in one field */
        return last ? (size_t)(last - stored) : 0;
    const char *salt = memrchr(stored, '$', (size_t)(last - stored));
    return salt ? (size_t)(salt - stored) : 0;
}

void auth_password_usual_add(struct auth_password_usual *usual, const char *stored)
{
    size_t length = parameters_length(stored);
    bool same =
        usual->example && parameters_length(usual->example) == length && memcmp(usual->example, stored, length) == 0;
    if (same) {
        usual->lead++;
    } else if (usual->lead == 0) {
        usual->example = stored;
        usual->lead = 1;
    } else {
        usual->lead--;
    }
}
