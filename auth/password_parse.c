#include "auth/password.h"
#include "auth/password_fields.h"

#include <string.h>

/* $7$iterations$salt$key */
static int parse_mosquitto_pbkdf2(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    hash->kind = PASSWORD_PBKDF2;
    hash->digest = "SHA512";
    hash->salts = 1;
    int rc = password_fields_expect(f, 4, err);
    if (!rc)
        rc = password_field_number(&f->field[1], "iteration count", 1, AUTH_PASSWORD_MAX_ITERATIONS, &hash->iterations,
                                   err);
    if (!rc)
        rc = password_salt_from_base64(&f->field[2], &hash->salt[0], err);
    if (!rc)
        rc = password_padded_key_from_base64(&f->field[3], 64, hash, err);
    return rc;
}

static bool is_crypt_text(const struct password_field *field)
{
    for (size_t i = 0; i < field->length; i++)
        if (field->at[i] == '+' || field->at[i] == '=' || field->at[i] <= ' ' || field->at[i] > '~')
            return false;
    return true;
}

/* $6$[rounds=N$]salt$key of crypt(3): 86 characters of key. */
static int parse_sha512crypt(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    hash->kind = PASSWORD_CRYPT;
    hash->crypt = CRYPT_SHA512;
    hash->iterations = 5000;
    int rc = GUARD_OK;
    if (f->count == 4) {
        struct password_field rounds = f->field[1];
        if (!password_field_begins(&rounds, "rounds="))
            return guard_fail(err, GUARD_ERR_SYNTAX, "the stored hash has a field too many");
        rounds.at += strlen("rounds=");
        rounds.length -= strlen("rounds=");
        rc = password_field_number(&rounds, "number of rounds", 1000, AUTH_PASSWORD_MAX_ITERATIONS, &hash->iterations,
                                   err);
    }
    if (!rc && !f->field[f->count - 2].length)
        rc = guard_fail(err, GUARD_ERR_INVALID, "the salt of the stored hash is empty");
    if (!rc && f->field[f->count - 2].length > 16)
        rc = guard_fail(err, GUARD_ERR_INVALID, "the salt of the stored hash is longer than 16 characters");
    return rc;
}

/* $6$salt$key of mosquitto_passwd, or crypt(3)'s */
static int parse_six(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    const struct password_field *last = &f->field[f->count - 1];
    if ((f->count == 3 || f->count == 4) && last->length == 86 && is_crypt_text(last))
        return parse_sha512crypt(f, hash, err);
    hash->kind = PASSWORD_DIGEST;
    hash->digest = "SHA512";
    hash->salts = 1;
    int rc = password_fields_expect(f, 3, err);
    if (!rc)
        rc = password_salt_from_base64(&f->field[1], &hash->salt[0], err);
    if (!rc)
        rc = password_padded_key_from_base64(&f->field[2], 64, hash, err);
    return rc;
}

/* $argon2id$v=19$m=…,t=…,p=…$salt$key */
static int parse_argon2id(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    static const char *const names[] = {"m", "t", "p"};
    struct password_field values[3];
    hash->kind = PASSWORD_ARGON2ID;
    hash->salts = 1;
    int rc = password_fields_expect(f, 5, err);
    if (!rc && !password_field_is(&f->field[1], "v=19"))
        rc = guard_fail(err, GUARD_ERR_UNSUPPORTED, "the stored hash is not of argon2 version 19");
    if (!rc)
        rc = password_field_parameters(&f->field[2], names, values, 3, err);
    if (!rc)
        rc = password_field_number(&values[2], "parallelism", 1, AUTH_PASSWORD_MAX_LANES, &hash->lanes, err);
    if (!rc)
        rc = password_field_number(&values[0], "memory", 8 * hash->lanes, AUTH_PASSWORD_MAX_MEMORY, &hash->memory_kib,
                                   err);
    if (!rc)
        rc = password_field_number(&values[1], "number of passes", 1, AUTH_PASSWORD_MAX_WORK / hash->memory_kib,
                                   &hash->iterations, err);
    if (!rc)
        rc = password_salt_from_base64(&f->field[3], &hash->salt[0], err);
    if (!rc && hash->salt[0].length < 8)
        rc = guard_fail(err, GUARD_ERR_INVALID, "the salt of the stored hash is shorter than the 8 octets of argon2");
    if (!rc)
        rc = password_key_from_base64(&f->field[4], 0, hash, err);
    return rc;
}

/* $2b$12$ and 22 characters of salt, 31 of key */
static int parse_bcrypt(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    hash->kind = PASSWORD_CRYPT;
    hash->crypt = CRYPT_BCRYPT;
    int rc = password_fields_expect(f, 3, err);
    struct password_field cost = rc ? (struct password_field){"", 0} : f->field[1];
    if (!rc && cost.length != 2)
        rc = guard_fail(err, GUARD_ERR_SYNTAX, "the cost of the stored hash is not two digits");
    if (!rc && cost.at[0] == '0')
        cost = (struct password_field){cost.at + 1, 1};
    if (!rc)
        rc = password_field_number(&cost, "cost", 4, AUTH_PASSWORD_MAX_BCRYPT, &hash->iterations, err);
    if (!rc && f->field[2].length != 53)
        rc = guard_fail(err, GUARD_ERR_SYNTAX, "the salt and key of the stored hash have %zu characters instead of 53",
                        f->field[2].length);
    if (!rc && !is_crypt_text(&f->field[2]))
        rc = guard_fail(err, GUARD_ERR_SYNTAX, "the stored hash holds characters that bcrypt does not use");
    return rc;
}

/* $y$j9T$salt$key: "j" for the flags, then log2 of N (9 = 2^12), then r = 32 (T) or 8 (5). */
static int parse_yescrypt(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    static const char costs[] = "789ABCD"; /* j9T takes 16 MiB, jDT the AUTH_PASSWORD_MAX_MEMORY of 256 */
    hash->kind = PASSWORD_CRYPT;
    hash->crypt = CRYPT_YESCRYPT;
    int rc = password_fields_expect(f, 4, err);
    if (rc)
        return rc;
    const struct password_field *setting = &f->field[1];
    if (setting->length != 3 || setting->at[0] != 'j' || !strchr("5T", setting->at[2]))
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the stored hash has unusual yescrypt parameters");
    const char *cost = strchr(costs, setting->at[1]);
    if (!cost || !*cost)
        return guard_fail(err, GUARD_ERR_LIMIT, "the yescrypt cost of the stored hash is not within j7 to jD");
    hash->iterations = 10U + (uint32_t)(cost - costs);
    if (!f->field[2].length || f->field[3].length != 43 || !is_crypt_text(&f->field[2]) || !is_crypt_text(&f->field[3]))
        return guard_fail(err, GUARD_ERR_SYNTAX, "the salt or key of the stored hash is truncated or malformed");
    return GUARD_OK;
}

/*
 * A PBKDF2 key cut short still is the beginning of the right key, and this form does not say how long it was. Padding
 * proves that the end is there. Without, only the keys of mosquitto-auth-plug are believed: 24 octets, and a salt
 * without padding too (that of mosquitto-go-auth has some).
 */
static int check_unmarked_key(const struct password_fields *f, const struct password_hash *hash,
                              struct guard_error *err)
{
    const struct password_field *salt = &f->field[3], *key = &f->field[4];
    bool authplug = hash->key_length == 24 && salt->length && salt->at[salt->length - 1] != '=';
    if (authplug || (key->length && key->at[key->length - 1] == '='))
        return GUARD_OK;
    return guard_fail(err, GUARD_ERR_SYNTAX, "the key of the stored hash is truncated");
}

/* PBKDF2$sha256$iterations$salt$key */
static int parse_goauth(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    size_t size;
    hash->kind = PASSWORD_PBKDF2;
    int rc = password_fields_expect(f, 5, err);
    if (rc)
        return rc;
    hash->digest = password_digest_name(f->field[1].at, f->field[1].length, &size);
    if (!hash->digest || size == 16)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the digest of the stored hash is not sha1, sha256 or sha512");
    rc =
        password_field_number(&f->field[2], "iteration count", 1, AUTH_PASSWORD_MAX_ITERATIONS, &hash->iterations, err);
    if (!rc)
        rc = password_padded_key_from_base64(&f->field[4], 0, hash, err);
    if (!rc)
        rc = check_unmarked_key(f, hash, err);
    if (rc)
        return rc;
    /* mosquitto-auth-plug: keys of 24 octets, salt as text; mosquitto-go-auth: other keys, salt in base64 by default */
    size_t text = hash->key_length == 24 ? 0 : 1;
    rc = password_salt_from_text(&f->field[3], &hash->salt[text], err);
    hash->salts = 2;
    if (!rc && password_salt_from_base64(&f->field[3], &hash->salt[1 - text], NULL) != GUARD_OK) {
        hash->salt[0] = hash->salt[text];
        hash->salts = 1;
    }
    return rc;
}

/* pbkdf2-sha512$i=N,l=N$salt$key */
static int parse_pbkdf2_phc(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    static const char *const names[] = {"i", "l"};
    struct password_field values[2];
    uint32_t key_length = 0;
    size_t size;
    hash->kind = PASSWORD_PBKDF2;
    hash->salts = 1;
    hash->digest = password_digest_name(f->field[0].at + 7, f->field[0].length - 7, &size);
    if (!hash->digest || size == 16)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the digest of the stored hash is not sha1, sha256 or sha512");
    int rc = password_fields_expect(f, 4, err);
    if (!rc)
        rc = password_field_parameters(&f->field[1], names, values, 2, err);
    if (!rc)
        rc = password_field_number(&values[0], "iteration count", 1, AUTH_PASSWORD_MAX_ITERATIONS, &hash->iterations,
                                   err);
    if (!rc)
        rc = password_field_number(&values[1], "key length", PASSWORD_KEY_MIN, PASSWORD_KEY_MAX, &key_length, err);
    if (!rc)
        rc = password_salt_from_base64(&f->field[2], &hash->salt[0], err);
    if (!rc)
        rc = password_key_from_base64(&f->field[3], key_length, hash, err);
    return rc;
}

/* pbkdf2_sha256$iterations$salt-as-text$key */
static int parse_django(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    size_t size = 0;
    hash->kind = PASSWORD_PBKDF2;
    hash->salts = 1;
    hash->digest = password_digest_name(f->field[0].at + 7, f->field[0].length - 7, &size);
    if (!hash->digest || size == 16)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the digest of the stored hash is not sha1, sha256 or sha512");
    int rc = password_fields_expect(f, 4, err);
    if (!rc)
        rc = password_field_number(&f->field[1], "iteration count", 1, AUTH_PASSWORD_MAX_ITERATIONS, &hash->iterations,
                                   err);
    if (!rc)
        rc = password_salt_from_text(&f->field[2], &hash->salt[0], err);
    if (!rc)
        rc = password_padded_key_from_base64(&f->field[3], size, hash, err);
    return rc;
}

/* sha256-suffix$salt$key, sha256-plain$key */
static int parse_digest(const struct password_fields *f, struct password_hash *hash, struct guard_error *err)
{
    const struct password_field *name = &f->field[0];
    const char *dash = memchr(name->at, '-', name->length);
    size_t size = 0;
    if (!f->dollar || !dash)
        return GUARD_ERR_NOT_FOUND;
    struct password_field position = {dash + 1, name->length - (size_t)(dash + 1 - name->at)};
    hash->kind = PASSWORD_DIGEST;
    hash->digest = password_digest_name(name->at, (size_t)(dash - name->at), &size);
    bool plain = password_field_is(&position, "plain");
    hash->salt_first = password_field_is(&position, "prefix");
    if (!hash->digest || (!plain && !hash->salt_first && !password_field_is(&position, "suffix")))
        return GUARD_ERR_NOT_FOUND;
    hash->salts = 1;
    int rc = password_fields_expect(f, plain ? 2 : 3, err);
    if (!rc && !plain)
        rc = password_salt_from_base64(&f->field[1], &hash->salt[0], err);
    if (!rc)
        rc = password_key_from_base64(&f->field[f->count - 1], size, hash, err);
    return rc;
}

enum dollar { DOLLAR_NEEDED, DOLLAR_MAYBE, DOLLAR_NONE };

static const struct {
    const char *name;
    enum dollar dollar;
    int (*parse)(const struct password_fields *fields, struct password_hash *hash, struct guard_error *err);
} formats[] = {
    {"7", DOLLAR_NEEDED, parse_mosquitto_pbkdf2},
    {"6", DOLLAR_NEEDED, parse_six},
    {"argon2id", DOLLAR_NEEDED, parse_argon2id},
    {"2a", DOLLAR_NEEDED, parse_bcrypt},
    {"2b", DOLLAR_NEEDED, parse_bcrypt},
    {"2y", DOLLAR_NEEDED, parse_bcrypt},
    {"y", DOLLAR_NEEDED, parse_yescrypt},
    {"PBKDF2", DOLLAR_MAYBE, parse_goauth},
    {"pbkdf2-sha1", DOLLAR_MAYBE, parse_pbkdf2_phc},
    {"pbkdf2-sha256", DOLLAR_MAYBE, parse_pbkdf2_phc},
    {"pbkdf2-sha512", DOLLAR_MAYBE, parse_pbkdf2_phc},
    {"pbkdf2_sha1", DOLLAR_NONE, parse_django},
    {"pbkdf2_sha256", DOLLAR_NONE, parse_django},
    {"pbkdf2_sha512", DOLLAR_NONE, parse_django},
};

int password_hash_parse(const char *stored, struct password_hash *hash, struct guard_error *err)
{
    struct password_fields fields;
    *hash = (struct password_hash){.stored = stored};
    int rc = password_fields_split(stored, &fields, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        bool dollar_fits = formats[i].dollar == DOLLAR_MAYBE || fields.dollar == (formats[i].dollar == DOLLAR_NEEDED);
        if (dollar_fits && password_field_is(&fields.field[0], formats[i].name))
            return formats[i].parse(&fields, hash, err);
    }
    rc = parse_digest(&fields, hash, err);
    if (rc != GUARD_ERR_NOT_FOUND)
        return rc;
    return guard_fail(
        err, GUARD_ERR_UNSUPPORTED,
        "the stored hash has none of the known formats (plain text is not one; guardctl passwd makes a hash)");
}
