#include "auth/token_identity.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LENGTH 256
#define PREFIX          "jwt."

static enum guard_reason from_code(int code)
{
    return code == GUARD_OK ? GUARD_REASON_NONE : GUARD_REASON_INTERNAL_ERROR;
}

static enum guard_reason add_role(struct guard_identity *identity, const char *role, size_t length)
{
    char name[NAME_MAX_LENGTH];
    if (!length)
        return GUARD_REASON_NONE;
    if (length >= sizeof name || identity->role_count >= AUTH_CLAIM_ROLES_MAX)
        return GUARD_REASON_JWT_MISSING_CLAIM;
    memcpy(name, role, length);
    name[length] = '\0';
    return from_code(guard_identity_add_role(identity, name, 0));
}

/* RFC 8693 §4.2: `scope` is a list separated by spaces; some providers call it `scp`. */
static bool is_space_separated(const char *path)
{
    const char *dot = strrchr(path, '.'), *last = dot ? dot + 1 : path;
    return strcmp(last, "scope") == 0 || strcmp(last, "scp") == 0;
}

static enum guard_reason add_role_words(struct guard_identity *identity, const char *words)
{
    enum guard_reason reason = GUARD_REASON_NONE;
    while (*words && reason == GUARD_REASON_NONE) {
        size_t length = strcspn(words, " ");
        reason = add_role(identity, words, length);
        words += length + (words[length] == ' ');
    }
    return reason;
}

static enum guard_reason add_roles(const char *path, const struct guard_json *claims, struct guard_identity *identity)
{
    const struct guard_json *claim = auth_claim_find(claims, path);
    const char *text = guard_json_string(claim);
    if (!claim)
        return GUARD_REASON_NONE;
    if (text)
        return is_space_separated(path) ? add_role_words(identity, text) : add_role(identity, text, strlen(text));
    if (!guard_json_is(claim, GUARD_JSON_ARRAY))
        return GUARD_REASON_JWT_MISSING_CLAIM; /* a role may also deny: what it is must be clear */
    enum guard_reason reason = GUARD_REASON_NONE;
    for (const struct guard_json *r = guard_json_first(claim); r && reason == GUARD_REASON_NONE;
         r = guard_json_next(r)) {
        const char *role = guard_json_string(r);
        reason = role ? add_role(identity, role, strlen(role)) : GUARD_REASON_JWT_MISSING_CLAIM;
    }
    return reason;
}

/* One walk over the payload. name holds "jwt." and the path so far. */
struct walk {
    struct guard_identity *identity;
    unsigned names;
    char name[NAME_MAX_LENGTH];
};

/* Decimal; every token has two or three such claims, and snprintf took longer than reading the payload. */
static const char *integer_text(int64_t integer, char buffer[24])
{
    uint64_t rest = integer < 0 ? -(uint64_t)integer : (uint64_t)integer;
    char *at = buffer + 23;
    *at = '\0';
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (integer < 0)
        *--at = '-';
    return at;
}

/* The text of a scalar in buffer or in place; NULL: it has none that a rule could use. */
static const char *scalar_text(const struct guard_json *value, char buffer[24])
{
    int64_t integer;
    switch (guard_json_type(value)) {
    case GUARD_JSON_STRING:
        return guard_json_string(value);
    case GUARD_JSON_BOOL:
        return guard_json_true(value) ? "true" : "false";
    case GUARD_JSON_NUMBER:
        if (!guard_json_integer(value, &integer))
            return NULL;
        return integer_text(integer, buffer);
    default:
        return NULL;
    }
}

/* A list becomes a list; one with anything but texts in it has no usable value. */
static enum guard_reason add_list(struct walk *walk, const struct guard_json *array)
{
    const char *few[32];
    size_t count = 0, room = 0;
    bool texts = true;
    for (const struct guard_json *e = guard_json_first(array); e; e = guard_json_next(e), room++)
        texts = texts && guard_json_string(e);
    const char **values = room <= sizeof few / sizeof *few ? few : calloc(room, sizeof *values);
    if (!values)
        return GUARD_REASON_INTERNAL_ERROR;
    for (const struct guard_json *e = guard_json_first(array); e && texts; e = guard_json_next(e))
        values[count++] = guard_json_string(e);
    int rc = guard_identity_new_attribute(walk->identity, walk->name, values, count);
    if (values != few)
        free(values);
    return from_code(rc);
}

static enum guard_reason add_value(struct walk *walk, const struct guard_json *value)
{
    char buffer[24];
    if (++walk->names > AUTH_CLAIM_NAMES_MAX)
        return GUARD_REASON_JWT_MISSING_CLAIM;
    /*
     * Names of one object differ, so only a path with a dot can be there already: {"a.b":1,"a":{"b":2}}. The first
     * keeps the name; they never become one list.
     */
    if (strchr(walk->name + sizeof PREFIX - 1, '.') && guard_identity_attribute(walk->identity, walk->name))
        return GUARD_REASON_NONE;
    if (guard_json_is(value, GUARD_JSON_ARRAY))
        return add_list(walk, value);
    const char *text = scalar_text(value, buffer);
    return from_code(guard_identity_new_attribute(walk->identity, walk->name, &text, text != NULL));
}

/* Recursion is as deep as the payload, AUTH_CLAIMS_DEPTH at most. Paths that are too long for a rule are left out. */
static enum guard_reason add_members(struct walk *walk, const struct guard_json *object, size_t name_length)
{
    enum guard_reason reason = GUARD_REASON_NONE;
    for (const struct guard_json *m = guard_json_first(object); m && reason == GUARD_REASON_NONE;
         m = guard_json_next(m)) {
        const char *name = guard_json_name(m);
        size_t length = strlen(name);
        bool is_acl = name_length == sizeof PREFIX - 1 && strcmp(name, "acl") == 0;
        if (is_acl || name_length + length + 2 > sizeof walk->name)
            continue;
        memcpy(walk->name + name_length, name, length + 1);
        if (!guard_json_is(m, GUARD_JSON_OBJECT)) {
            reason = add_value(walk, m);
        } else {
            memcpy(walk->name + name_length + length, ".", 2);
            reason = add_members(walk, m, name_length + length + 1);
        }
    }
    return reason;
}

enum guard_reason auth_identity_from_claims(const struct auth_issuer *issuer, const struct guard_json *claims,
                                            struct guard_identity *identity)
{
    struct walk walk = {.identity = identity, .name = PREFIX};
    enum guard_reason reason =
        issuer->roles_claim ? add_roles(issuer->roles_claim, claims, identity) : GUARD_REASON_NONE;
    if (reason == GUARD_REASON_NONE)
        reason = add_members(&walk, claims, sizeof PREFIX - 1);
    const struct guard_json *acl = guard_json_get(claims, "acl");
    if (reason == GUARD_REASON_NONE && acl) {
        identity->acl_json = guard_json_print(acl);
        reason = identity->acl_json ? GUARD_REASON_NONE : GUARD_REASON_INTERNAL_ERROR;
    }
    return reason;
}
