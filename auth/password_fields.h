/* Inside the password unit: the `$`-separated fields of a stored string, and how each is read strictly. */
#ifndef GUARD_AUTH_PASSWORD_FIELDS_H
#define GUARD_AUTH_PASSWORD_FIELDS_H

#include "auth/password_hash.h"

#define PASSWORD_FIELDS_MAX 8

/* Borrowed from the stored string. */
struct password_field {
    const char *at;
    size_t length;
};

struct password_fields {
    struct password_field field[PASSWORD_FIELDS_MAX];
    size_t count; /* at least 1 */
    bool dollar;  /* the text began with a $, which belongs to no field */
};

int password_fields_split(const char *stored, struct password_fields *fields, struct guard_error *err);
int password_fields_expect(const struct password_fields *fields, size_t count, struct guard_error *err);

bool password_field_is(const struct password_field *field, const char *text);
bool password_field_begins(const struct password_field *field, const char *text); /* and goes on */

/* Decimal digits without leading zeros, lowest..highest; what: its name for err. */
int password_field_number(const struct password_field *field, const char *what, uint32_t lowest, uint32_t highest,
                          uint32_t *out, struct guard_error *err);

/* "i=1000,l=64" with exactly the names of `names`, in that order. */
int password_field_parameters(const struct password_field *field, const char *const *names,
                              struct password_field *values, size_t count, struct guard_error *err);

/* Never an empty salt. */
int password_salt_from_text(const struct password_field *field, struct password_salt *salt, struct guard_error *err);
int password_salt_from_base64(const struct password_field *field, struct password_salt *salt, struct guard_error *err);

/* expected: octets of the key; 0 = any length that makes a key. */
int password_key_from_base64(const struct password_field *field, size_t expected, struct password_hash *hash,
                             struct guard_error *err);
/* The same for formats whose tools write the padding: where it is missing, something was cut off. */
int password_padded_key_from_base64(const struct password_field *field, size_t expected, struct password_hash *hash,
                                    struct guard_error *err);

#endif
