#include "auth/password_fields.h"

#include "auth/password.h"
#include "core/base64.h"

#include <string.h>

bool password_field_is(const struct password_field *field, const char *text)
{
    return field->length == strlen(text) && memcmp(field->at, text, field->length) == 0;
}

bool password_field_begins(const struct password_field *field, const char *text)
{
    return field->length > strlen(text) && memcmp(field->at, text, strlen(text)) == 0;
}

int password_fields_split(const char *stored, struct password_fields *fields, struct guard_error *err)
{
    size_t length = strnlen(stored, AUTH_PASSWORD_MAX_STORED + 1);
    if (length > AUTH_PASSWORD_MAX_STORED)
        return guard_fail(err, GUARD_ERR_LIMIT, "the stored hash is longer than %u octets", AUTH_PASSWORD_MAX_STORED);
    if (!length)
        return guard_fail(err, GUARD_ERR_SYNTAX, "the stored hash is empty");
    fields->dollar = stored[0] == '$';
    fields->count = 0;
    for (const char *at = stored + (fields->dollar ? 1 : 0);; at++) {
        if (fields->count == PASSWORD_FIELDS_MAX)
            return guard_fail(err, GUARD_ERR_SYNTAX, "the stored hash has too many fields");
        size_t width = strcspn(at, "$");
        fields->field[fields->count++] = (struct password_field){at, width};
        at += width;
        if (!*at)
            return GUARD_OK;
    }
}

/* Decimal digits without leading zeros. */
int password_field_number(const struct password_field *field, const char *what, uint32_t lowest, uint32_t highest,
                          uint32_t *out, struct guard_error *err)
{
    uint64_t value = 0;
    if (!field->length || (field->at[0] == '0' && field->length > 1))
        return guard_fail(err, GUARD_ERR_SYNTAX, "the %s of the stored hash is not a decimal number", what);
    for (size_t i = 0; i < field->length; i++) {
        if (field->at[i] < '0' || field->at[i] > '9')
            return guard_fail(err, GUARD_ERR_SYNTAX, "the %s of the stored hash is not a decimal number", what);
        if (value <= UINT32_MAX) /* beyond, more digits do not matter */
            value = value * 10 + (uint64_t)(field->at[i] - '0');
    }
    if (value < lowest)
        return guard_fail(err, GUARD_ERR_INVALID, "the %s of the stored hash is below %u", what, lowest);
    if (value > highest)
        return guard_fail(err, GUARD_ERR_LIMIT, "the %s of the stored hash is above the limit of %u", what, highest);
    *out = (uint32_t)value;
    return GUARD_OK;
}

/* "i=1000,l=64" with exactly the names of `names`, in order. */
int password_field_parameters(const struct password_field *field, const char *const *names,
                              struct password_field *values, size_t count, struct guard_error *err)
{
    const char *at = field->at, *end = field->at + field->length;
    for (size_t i = 0; i < count; i++) {
        size_t name = strlen(names[i]);
        if ((size_t)(end - at) <= name || memcmp(at, names[i], name) != 0 || at[name] != '=')
            return guard_fail(err, GUARD_ERR_SYNTAX, "the stored hash lacks the parameter '%s='", names[i]);
        at += name + 1;
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        if ((i + 1 < count) != (comma != NULL))
            return guard_fail(err, GUARD_ERR_SYNTAX, "the stored hash has other parameters than %s", names[0]);
        values[i] = (struct password_field){at, (size_t)(stop - at)};
        at = stop + 1;
    }
    return GUARD_OK;
}

int password_salt_from_text(const struct password_field *field, struct password_salt *salt, struct guard_error *err)
{
    if (!field->length)
        return guard_fail(err, GUARD_ERR_INVALID, "the salt of the stored hash is empty");
    if (field->length > PASSWORD_SALT_MAX)
        return guard_fail(err, GUARD_ERR_LIMIT, "the salt of the stored hash is longer than %u octets",
                          PASSWORD_SALT_MAX);
    memcpy(salt->bytes, field->at, field->length);
    salt->length = field->length;
    return GUARD_OK;
}

int password_salt_from_base64(const struct password_field *field, struct password_salt *salt, struct guard_error *err)
{
    uint8_t bytes[GUARD_BASE64_DECODED(AUTH_PASSWORD_MAX_STORED)];
    if (!field->length)
        return guard_fail(err, GUARD_ERR_INVALID, "the salt of the stored hash is empty");
    ssize_t length = guard_base64_decode(field->at, field->length, bytes);
    if (length <= 0)
        return guard_fail(err, GUARD_ERR_SYNTAX, "the salt of the stored hash is not base64");
    return password_salt_from_text(&(struct password_field){(const char *)bytes, (size_t)length}, salt, err);
}

/* expected 0: any length that makes a key. */
int password_key_from_base64(const struct password_field *field, size_t expected, struct password_hash *hash,
                             struct guard_error *err)
{
    uint8_t bytes[GUARD_BASE64_DECODED(AUTH_PASSWORD_MAX_STORED)];
    ssize_t length = guard_base64_decode(field->at, field->length, bytes);
    if (length < 0)
        return guard_fail(err, GUARD_ERR_SYNTAX, "the key of the stored hash is not base64, or truncated");
    if (expected && (size_t)length != expected)
        return guard_fail(err, GUARD_ERR_INVALID, "the key of the stored hash has %zd octets instead of %zu", length,
                          expected);
    if ((size_t)length < PASSWORD_KEY_MIN || (size_t)length > PASSWORD_KEY_MAX)
        return guard_fail(err, GUARD_ERR_INVALID, "the key of the stored hash has %zd octets; %u to %u make sense",
                          length, PASSWORD_KEY_MIN, PASSWORD_KEY_MAX);
    memcpy(hash->key, bytes, (size_t)length);
    hash->key_length = (size_t)length;
    return GUARD_OK;
}

int password_fields_expect(const struct password_fields *fields, size_t count, struct guard_error *err)
{
    if (fields->count < count)
        return guard_fail(err, GUARD_ERR_SYNTAX, "the stored hash is truncated: %zu fields instead of %zu",
                          fields->count, count);
    if (fields->count > count)
        return guard_fail(err, GUARD_ERR_SYNTAX, "the stored hash has %zu fields instead of %zu", fields->count, count);
    return GUARD_OK;
}

int password_padded_key_from_base64(const struct password_field *field, size_t expected, struct password_hash *hash,
                                    struct guard_error *err)
{
    if (field->length % 4)
        return guard_fail(err, GUARD_ERR_SYNTAX, "the key of the stored hash is not whole base64: truncated?");
    return password_key_from_base64(field, expected, hash, err);
}

const char *password_digest_name(const char *name, size_t length, size_t *size)
{
    static const struct {
        const char *name, *openssl;
        size_t size;
    } digests[] = {{"md5", "MD5", 16}, {"sha1", "SHA1", 20}, {"sha256", "SHA256", 32}, {"sha512", "SHA512", 64}};
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
        if (strlen(digests[i].name) == length && memcmp(name, digests[i].name, length) == 0) {
            *size = digests[i].size;
            return digests[i].openssl;
        }
    return NULL;
}
