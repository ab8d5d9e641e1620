#include "plugin/token_issuers.h"

#include "core/file.h"
#include "core/nearest.h"
#include "core/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT (1024 * 1024)

enum field_type {
    FIELD_KEYS,
    FIELD_TEXT,
    FIELD_PATTERN,
    FIELD_AUDIENCES,
    FIELD_ALGORITHMS,
    FIELD_NUMBER,
    FIELD_BINDING
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* in struct guard_issuer */
    int64_t high;  /* of a number, from 0 */
};

#define AT(member) offsetof(struct guard_issuer, member)

static const struct field fields[] = {
    {"keys", FIELD_KEYS, AT(keys), 0},
    {"audience", FIELD_AUDIENCES, AT(audiences), 0},
    {"algorithms", FIELD_ALGORITHMS, AT(config.algorithms), 0},
    {"identity_claim", FIELD_TEXT, AT(config.identity_claim), 0},
    {"roles_claim", FIELD_TEXT, AT(config.roles_claim), 0},
    {"leeway", FIELD_NUMBER, AT(config.leeway), 3600},
    {"max_lifetime", FIELD_NUMBER, AT(config.max_lifetime), 315360000},
    {"bind_client_id", FIELD_BINDING, AT(config.client_id), 0},
    {"client_id_claim", FIELD_TEXT, AT(config.client_id_claim), 0},
    {"client_id_pattern", FIELD_PATTERN, AT(config.client_id_pattern), 0},
    {"bind_username", FIELD_BINDING, AT(config.username), 0},
    {"bind_certificate", FIELD_BINDING, AT(config.certificate), 0},
};

#define FIELD_COUNT  (sizeof fields / sizeof *fields)
#define GIVEN(field) (1U << ((field)-fields))

static void *member(struct guard_issuer *issuer, const struct field *field)
{
    return (char *)issuer + field->offset;
}

static struct guard_issuer initial_issuer(void)
{
    return (struct guard_issuer){.config = {.leeway = 30, .certificate = AUTH_BINDING_OPTIONAL}};
}

/* ---- values ---- */

static int set_audiences(struct guard_issuer *issuer, char *list, struct guard_error *err)
{
    char *rest = NULL;
    issuer->config.audience_count = 0;
    for (char *one = strtok_r(list, ", \t", &rest); one; one = strtok_r(NULL, ", \t", &rest)) {
        if (issuer->config.audience_count == GUARD_AUDIENCES_MAX)
            return guard_fail(err, GUARD_ERR_LIMIT, "more than %d audiences", GUARD_AUDIENCES_MAX);
        issuer->audiences[issuer->config.audience_count++] = one;
    }
    return issuer->config.audience_count ? GUARD_OK
                                         : guard_fail(err, GUARD_ERR_INVALID, "audience: the list names nobody");
}

static int set_number(const struct field *field, const char *value, int64_t *out, struct guard_error *err)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || number < 0 || number > field->high)
        return guard_fail(err, GUARD_ERR_INVALID, "%s: '%.32s' is not a number of seconds from 0 to %lld", field->name,
                          value, (long long)field->high);
    *out = number;
    return GUARD_OK;
}

static int set_binding(const struct field *field, const char *value, enum auth_binding *out, struct guard_error *err)
{
    static const char *const names[] = {
        [AUTH_BINDING_OFF] = "off", [AUTH_BINDING_OPTIONAL] = "optional", [AUTH_BINDING_REQUIRED] = "required"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(value, names[i]) == 0) {
            *out = (enum auth_binding)i;
            return GUARD_OK;
        }
    return guard_fail(err, GUARD_ERR_INVALID, "%s: '%.32s' is not one of off, optional, required", field->name, value);
}

static int set_pattern(const struct field *field, const char *value, const char **out, struct guard_error *err)
{
    const char *fault = auth_client_id_pattern_fault(value);
    *out = value;
    return fault ? guard_fail(err, GUARD_ERR_INVALID, "%s %s", field->name, fault) : GUARD_OK;
}

static int set_field(struct guard_issuer *issuer, const struct field *field, char *value, struct guard_error *err)
{
    switch (field->type) {
    case FIELD_KEYS:
        issuer->keys = strcmp(value, "redis") == 0 ? NULL : value;
        return GUARD_OK;
    case FIELD_TEXT:
        *(const char **)member(issuer, field) = value;
        return GUARD_OK;
    case FIELD_PATTERN:
        return set_pattern(field, value, member(issuer, field), err);
    case FIELD_AUDIENCES:
        return set_audiences(issuer, value, err);
    case FIELD_ALGORITHMS:
        return auth_algorithms_parse(value, &issuer->config.algorithms, err);
    case FIELD_NUMBER:
        return set_number(field, value, member(issuer, field), err);
    default:
        return set_binding(field, value, member(issuer, field), err);
    }
}

/* ---- lines ---- */

static int unknown_field(const char *name, struct guard_error *err)
{
    const char *names[FIELD_COUNT];
    for (size_t i = 0; i < FIELD_COUNT; i++)
        names[i] = fields[i].name;
    return guard_fail(err, GUARD_ERR_INVALID, "an issuer has no field '%.64s'; did you mean '%s'?", name,
                      guard_nearest(name, names, FIELD_COUNT));
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    char *end = text + strlen(text);
    while (end > text && strchr(" \t\r", end[-1]))
        end--;
    *end = '\0';
    return text;
}

/* Cuts off a comment: the whole line, or what follows a ';' behind white space. */
static void cut_comment(char *line)
{
    char *first = line + strspn(line, " \t");
    if (*first == '#' || *first == ';')
        *first = '\0';
    for (char *c = line; (c = strchr(c, ';')); c++)
        if (c > line && strchr(" \t", c[-1])) {
            *c = '\0';
            return;
        }
}

static int read_field(struct guard_issuer *issuer, char *line, struct guard_error *err)
{
    char *value = strchr(line, '=');
    if (!value)
        return guard_fail(err, GUARD_ERR_SYNTAX, "expected [issuer NAME] or FIELD = VALUE");
    *value++ = '\0';
    char *name = trim(line);
    value = trim(value);
    for (const struct field *field = fields; field < fields + FIELD_COUNT; field++) {
        if (strcmp(field->name, name) != 0)
            continue;
        if (issuer->given & GIVEN(field))
            return guard_fail(err, GUARD_ERR_INVALID, "%s is given twice", name);
        issuer->given |= GIVEN(field);
        return *value ? set_field(issuer, field, value, err)
                      : guard_fail(err, GUARD_ERR_SYNTAX, "%s has no value", name);
    }
    return unknown_field(name, err);
}

static int read_head(struct guard_issuers *out, const struct guard_issuer *defaults, char *line,
                     struct guard_error *err)
{
    size_t length = strlen(line);
    if (line[length - 1] != ']' || strncmp(line, "[issuer", 7) != 0 || !strchr(" \t", line[7]))
        return guard_fail(err, GUARD_ERR_SYNTAX, "expected [issuer NAME]");
    line[length - 1] = '\0';
    char *name = trim(line + 7);
    if (!*name)
        return guard_fail(err, GUARD_ERR_SYNTAX, "expected the issuer's name, exactly as in the token's iss");
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->items[i].config.issuer, name) == 0)
            return guard_fail(err, GUARD_ERR_INVALID, "issuer %.200s stands twice", name);
    if (out->count == AUTH_ISSUERS_MAX)
        return guard_fail(err, GUARD_ERR_LIMIT, "more than %u issuers", AUTH_ISSUERS_MAX);
    struct guard_issuer *issuer = &out->items[out->count++];
    *issuer = *defaults;
    issuer->given = 0;
    issuer->config.issuer = name;
    return GUARD_OK;
}

/* The line's issuer: the last one begun, or, before any, the defaults of all. */
static int read_line(struct guard_issuers *out, struct guard_issuer *defaults, char *line, struct guard_error *err)
{
    cut_comment(line);
    line = trim(line);
    if (!*line)
        return GUARD_OK;
    if (*line == '[')
        return read_head(out, defaults, line, err);
    if (!out->count && strncmp(line, "keys", 4) == 0 && strchr(" \t=", line[4]))
        return guard_fail(err, GUARD_ERR_INVALID, "keys belong to one issuer: expected [issuer NAME] before");
    return read_field(out->count ? &out->items[out->count - 1] : defaults, line, err);
}

static int read_lines(struct guard_issuers *out, const char *path, struct guard_error *err)
{
    struct guard_issuer defaults = initial_issuer();
    unsigned number = 1;
    for (char *line = out->content, *end; line; line = end, number++) {
        struct guard_error why;
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        int rc = read_line(out, &defaults, line, &why);
        if (rc != GUARD_OK)
            return guard_fail_at(err, why.code, path, number, 0, "%s", why.text);
    }
    return GUARD_OK;
}

/* What only the whole file shows. Audiences that were taken over from the defaults lie in the defaults until here. */
static int complete(struct guard_issuers *out, const char *path, struct guard_error *err)
{
    if (!out->count)
        return guard_fail_at(err, GUARD_ERR_INVALID, path, 0, 0, "there is no [issuer NAME]");
    for (size_t i = 0; i < out->count; i++) {
        struct guard_issuer *issuer = &out->items[i];
        if (!(issuer->given & GIVEN(&fields[0])))
            return guard_fail_at(err, GUARD_ERR_INVALID, path, 0, 0,
                                 "issuer %.200s has no keys: a file, a folder, or `redis`", issuer->config.issuer);
        issuer->config.audiences = issuer->audiences;
    }
    return GUARD_OK;
}

int guard_issuers_read(const char *path, struct guard_issuers **out, struct guard_error *err)
{
    size_t length;
    char *content;
    *out = NULL;
    int rc = guard_file_read(path, GUARD_FILE_PUBLIC, FILE_LIMIT, &content, &length, err);
    return rc == GUARD_OK ? guard_issuers_parse(content, length, path, out, err) : rc;
}

int guard_issuers_parse(char *content, size_t length, const char *path, struct guard_issuers **out,
                        struct guard_error *err)
{
    struct guard_issuers *issuers = calloc(1, sizeof *issuers);
    *out = NULL;
    if (!issuers) {
        free(content);
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    issuers->content = content;
    int rc = GUARD_OK;
    if (strlen(content) != length)
        rc = guard_fail_at(err, GUARD_ERR_SYNTAX, path, 0, 0, "there is a NUL in it");
    if (rc == GUARD_OK)
        rc = read_lines(issuers, path, err);
    if (rc == GUARD_OK)
        rc = complete(issuers, path, err);
    if (rc != GUARD_OK)
        guard_issuers_free(&issuers);
    *out = issuers;
    return rc;
}

/* ---- the options' one ---- */

static enum auth_binding binding(int64_t value)
{
    return value == GUARD_BINDING_REQUIRED   ? AUTH_BINDING_REQUIRED
           : value == GUARD_BINDING_OPTIONAL ? AUTH_BINDING_OPTIONAL
                                             : AUTH_BINDING_OFF;
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static struct auth_issuer config_of(const struct guard_options *options)
{
    return (struct auth_issuer){
        .issuer = or_null(options->jwt_issuer),
        .identity_claim = or_null(options->jwt_identity_claim),
        .roles_claim = or_null(options->jwt_roles_claim),
        .leeway = options->jwt_leeway,
        .max_lifetime = options->jwt_max_lifetime,
        .client_id = binding(options->jwt_bind_client_id),
        .username = binding(options->jwt_bind_username),
        .certificate = binding(options->jwt_bind_certificate),
    };
}

int guard_issuers_of_options(const struct guard_options *options, struct guard_issuers **out, struct guard_error *err)
{
    struct guard_issuers *issuers = calloc(1, sizeof *issuers);
    *out = issuers;
    if (!issuers)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    struct guard_issuer *issuer = &issuers->items[0];
    issuer->config = config_of(options);
    issuer->keys = or_null(options->jwt_jwks_file);
    issuer->audiences[0] = options->jwt_audience;
    issuer->config.audiences = issuer->audiences;
    issuer->config.audience_count = options->jwt_audience[0] ? 1 : 0;
    issuers->count = issuer->keys || issuer->config.issuer ? 1 : 0;
    int rc = auth_algorithms_parse(options->jwt_algorithms, &issuer->config.algorithms, err);
    if (rc != GUARD_OK)
        guard_issuers_free(out);
    return rc;
}

void guard_issuers_free(struct guard_issuers **issuers)
{
    if (*issuers)
        free((*issuers)->content);
    free(*issuers);
    *issuers = NULL;
}
