#include "auth/password.h"

#include "auth/password_hash.h"
#include "core/base64.h"
#include "core/buffer.h"
#include "core/memory.h"

#include <crypt.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#ifdef GUARD_HAVE_ARGON2
#define BEST_FORMAT AUTH_PASSWORD_ARGON2ID
#else
#define BEST_FORMAT AUTH_PASSWORD_PBKDF2
#endif

#define ARGON2_SALT 16U
#define ARGON2_KEY  32U
#define PBKDF2_SALT 12U /* Mosquitto 2.0 reads no other length */
#define PBKDF2_KEY  64U

bool auth_password_format_parse(const char *name, enum auth_password_format *format)
{
    static const struct {
        const char *name;
        enum auth_password_format format;
    } names[] = {{"default", AUTH_PASSWORD_DEFAULT},
                 {"argon2id", AUTH_PASSWORD_ARGON2ID},
                 {"pbkdf2", AUTH_PASSWORD_PBKDF2},
                 {"bcrypt", AUTH_PASSWORD_BCRYPT}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, name) == 0) {
            *format = names[i].format;
            return true;
        }
    return false;
}

/* Appends "$" and the octets in base64, padded as standard base64 or bare as PHC strings have it. */
static void append_octets(struct guard_buffer *to, const uint8_t *octets, size_t count, bool padded)
{
    char text[GUARD_BASE64_ENCODED(PASSWORD_SALT_MAX)];
    size_t length = guard_base64_encode(octets, count, text);
    while (!padded && length && text[length - 1] == '=')
        length--;
    guard_buffer_byte(to, '$');
    guard_buffer_append(to, text, length);
}

static int finish(struct guard_buffer *buffer, char **stored, struct guard_error *err)
{
    *stored = guard_buffer_take(buffer);
    return *stored ? GUARD_OK : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

static int make_argon2id(const struct auth_password_params *params, const char *password, size_t length, char **stored,
                         struct guard_error *err)
{
    struct password_hash hash = {.kind = PASSWORD_ARGON2ID,
                                 .iterations = params->iterations ? params->iterations : 2,
                                 .memory_kib = params->memory_kib ? params->memory_kib : 19456,
                                 .lanes = params->lanes ? params->lanes : 1,
                                 .key_length = ARGON2_KEY};
    if (hash.lanes > AUTH_PASSWORD_MAX_LANES || hash.memory_kib > AUTH_PASSWORD_MAX_MEMORY ||
        hash.memory_kib < 8 * hash.lanes || hash.iterations > AUTH_PASSWORD_MAX_WORK / hash.memory_kib)
        return guard_fail(
            err, GUARD_ERR_INVALID,
            "argon2id wants 1 to %u lanes, at least 8 KiB a lane, at most %u KiB, and KiB times passes at "
            "most %u",
            AUTH_PASSWORD_MAX_LANES, AUTH_PASSWORD_MAX_MEMORY, AUTH_PASSWORD_MAX_WORK);
    hash.salt[0].length = ARGON2_SALT;
    if (RAND_bytes(hash.salt[0].bytes, ARGON2_SALT) != 1)
        return guard_fail(err, GUARD_ERR_CRYPTO, "OpenSSL has no random octets");
    int rc = password_hash_derive(&hash, 0, password, length, hash.key, err);
    if (rc)
        return rc;
    struct guard_buffer buffer = {0};
    guard_buffer_printf(&buffer, "$argon2id$v=19$m=%u,t=%u,p=%u", hash.memory_kib, hash.iterations, hash.lanes);
    append_octets(&buffer, hash.salt[0].bytes, ARGON2_SALT, false);
    append_octets(&buffer, hash.key, ARGON2_KEY, false);
    return finish(&buffer, stored, err);
}

static int make_pbkdf2(const struct auth_password_params *params, const char *password, size_t length, char **stored,
                       struct guard_error *err)
{
    struct password_hash hash = {.kind = PASSWORD_PBKDF2,
                                 .digest = "SHA512",
                                 .iterations = params->iterations ? params->iterations : 210000,
                                 .key_length = PBKDF2_KEY};
    if (hash.iterations > AUTH_PASSWORD_MAX_ITERATIONS)
        return guard_fail(err, GUARD_ERR_INVALID, "PBKDF2 may have at most %u iterations",
                          AUTH_PASSWORD_MAX_ITERATIONS);
    hash.salt[0].length = PBKDF2_SALT;
    if (RAND_bytes(hash.salt[0].bytes, PBKDF2_SALT) != 1)
        return guard_fail(err, GUARD_ERR_CRYPTO, "OpenSSL has no random octets");
    int rc = password_hash_derive(&hash, 0, password, length, hash.key, err);
    if (rc)
        return rc;
    struct guard_buffer buffer = {0};
    guard_buffer_printf(&buffer, "$7$%u", hash.iterations);
    append_octets(&buffer, hash.salt[0].bytes, PBKDF2_SALT, true);
    append_octets(&buffer, hash.key, PBKDF2_KEY, true);
    return finish(&buffer, stored, err);
}

static int make_bcrypt(const struct auth_password_params *params, const char *password, size_t length, char **stored,
                       struct guard_error *err)
{
    uint32_t cost = params->iterations ? params->iterations : 12;
    if (cost < 4 || cost > AUTH_PASSWORD_MAX_BCRYPT)
        return guard_fail(err, GUARD_ERR_INVALID, "the cost of bcrypt is 4 to %u (it is the logarithm of the rounds)",
                          AUTH_PASSWORD_MAX_BCRYPT);
    if (length > 72 || memchr(password, '\0', length))
        return guard_fail(err, GUARD_ERR_INVALID, "bcrypt takes at most 72 octets, none of them NUL");
    char random[16], setting[CRYPT_GENSALT_OUTPUT_SIZE], terminated[73];
    if (RAND_bytes((unsigned char *)random, sizeof random) != 1 ||
        !crypt_gensalt_rn("$2b$", cost, random, sizeof random, setting, sizeof setting))
        return guard_fail(err, GUARD_ERR_CRYPTO, "no salt for bcrypt could be made");
    memcpy(terminated, password, length);
    terminated[length] = '\0';
    int rc = password_hash_crypt(terminated, setting, stored, err);
    guard_wipe(terminated, sizeof terminated);
    return rc;
}

int auth_password_make(const struct auth_password_params *params, const char *password, size_t length, char **stored,
                       struct guard_error *err)
{
    static const struct auth_password_params defaults = {0};
    *stored = NULL;
    if (!params)
        params = &defaults;
    if (length > AUTH_PASSWORD_MAX_LENGTH)
        return guard_fail(err, GUARD_ERR_LIMIT, "the password is longer than %u octets", AUTH_PASSWORD_MAX_LENGTH);
    int rc = GUARD_ERR_INTERNAL;
    switch (params->format == AUTH_PASSWORD_DEFAULT ? BEST_FORMAT : params->format) {
    case AUTH_PASSWORD_ARGON2ID:
        rc = make_argon2id(params, password, length, stored, err);
        break;
    case AUTH_PASSWORD_BCRYPT:
        rc = make_bcrypt(params, password, length, stored, err);
        break;
    case AUTH_PASSWORD_PBKDF2:
    case AUTH_PASSWORD_DEFAULT:
        rc = make_pbkdf2(params, password, length, stored, err);
        break;
    }
    ERR_clear_error();
    return rc;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* expected 0: any length of a key. */
static int key_from_hex(const char *hex, size_t expected, uint8_t key[PASSWORD_KEY_MAX], size_t *count,
                        struct guard_error *err)
{
    size_t length = strlen(hex);
    *count = length / 2;
    if (length % 2 || *count < PASSWORD_KEY_MIN || *count > PASSWORD_KEY_MAX || (expected && *count != expected))
        return guard_fail(err, GUARD_ERR_INVALID, "password_hash has %zu hex digits, which is not a whole hash",
                          length);
    for (size_t i = 0; i < *count; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return guard_fail(err, GUARD_ERR_INVALID, "password_hash is not hexadecimal");
        key[i] = (uint8_t)(high << 4 | low);
    }
    return GUARD_OK;
}

static const char *lower_digest(const char *emqx_name)
{
    return strcmp(emqx_name, "sha") == 0 ? "sha1" : emqx_name;
}

static int emqx_pbkdf2(const struct auth_password_emqx *scheme, const char *hash, const char *salt, char **stored,
                       struct guard_error *err)
{
    uint8_t key[PASSWORD_KEY_MAX];
    size_t count, size;
    const char *digest = lower_digest(scheme->mac ? scheme->mac : "sha256");
    if (!password_digest_name(digest, strlen(digest), &size) || size == 16)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "pbkdf2 with mac_fun %s is not supported", digest);
    int rc = key_from_hex(hash, 0, key, &count, err);
    if (rc)
        return rc;
    struct guard_buffer buffer = {0};
    guard_buffer_printf(&buffer, "$pbkdf2-%s$i=%u,l=%zu", digest, scheme->iterations, count);
    append_octets(&buffer, (const uint8_t *)salt, strlen(salt), false);
    append_octets(&buffer, key, count, false);
    return finish(&buffer, stored, err);
}

static int emqx_digest(const struct auth_password_emqx *scheme, const char *hash, const char *salt, char **stored,
                       struct guard_error *err)
{
    uint8_t key[PASSWORD_KEY_MAX];
    size_t count, size;
    const char *digest = lower_digest(scheme->algorithm);
    const char *position = scheme->salt_position ? scheme->salt_position : "prefix";
    if (!password_digest_name(digest, strlen(digest), &size))
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the algorithm %s is not supported", scheme->algorithm);
    bool disabled = strcmp(position, "disable") == 0;
    if (!disabled && strcmp(position, "prefix") != 0 && strcmp(position, "suffix") != 0)
        return guard_fail(err, GUARD_ERR_INVALID, "salt_position is none of disable, prefix, suffix");
    int rc = key_from_hex(hash, size, key, &count, err);
    if (rc)
        return rc;
    if (!*salt) /* nothing before or behind the password: the same as disabled */
        disabled = true;
    struct guard_buffer buffer = {0};
    guard_buffer_printf(&buffer, "$%s-%s", digest, disabled ? "plain" : position);
    if (!disabled)
        append_octets(&buffer, (const uint8_t *)salt, strlen(salt), false);
    append_octets(&buffer, key, count, false);
    return finish(&buffer, stored, err);
}

int auth_password_from_emqx(const struct auth_password_emqx *scheme, const char *hash, const char *salt, char **stored,
                            struct guard_error *err)
{
    int rc;
    *stored = NULL;
    if (!salt)
        salt = "";
    if (strlen(salt) > PASSWORD_SALT_MAX)
        return guard_fail(err, GUARD_ERR_LIMIT, "the salt is longer than %u octets", PASSWORD_SALT_MAX);
    if (strcmp(scheme->algorithm, "plain") == 0)
        return auth_password_make(NULL, hash, strlen(hash), stored, err);
    if (strcmp(scheme->algorithm, "bcrypt") == 0)
        rc = (*stored = strdup(hash)) ? GUARD_OK : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    else if (strcmp(scheme->algorithm, "pbkdf2") == 0)
        rc = emqx_pbkdf2(scheme, hash, salt, stored, err);
    else
        rc = emqx_digest(scheme, hash, salt, stored, err);
    if (!rc)
        rc = auth_password_check(*stored, err); /* what no login could use is refused here, where somebody reads it */
    if (rc)
        guard_free_string(stored);
    return rc;
}
