#include "ctl/foreign.h"

#include "acl/acl.h"
#include "core/base64.h"
#include "core/memory.h"
#include "store/policy_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- filters ---- */

static const struct {
    const char *text, *ours;
    enum foreign_placeholders kind;
} placeholders[] = {
    {"%u", "${username}", FOREIGN_PERCENT},
    {"%c", "${client_id}", FOREIGN_PERCENT},
    {"${username}", "${username}", FOREIGN_DOLLAR},
    {"${clientid}", "${client_id}", FOREIGN_DOLLAR},
    {"${cert_common_name}", "${cert.cn}", FOREIGN_DOLLAR},
};

/* The placeholder that begins at text[0..length), or -1. */
static int placeholder_at(const char *text, size_t length, enum foreign_placeholders kind)
{
    for (size_t i = 0; i < sizeof placeholders / sizeof *placeholders; i++) {
        size_t width = strlen(placeholders[i].text);
        if (placeholders[i].kind == kind && length >= width && memcmp(text, placeholders[i].text, width) == 0)
            return (int)i;
    }
    return -1;
}

static const char *append_level(struct guard_buffer *out, const char *level, size_t length,
                                enum foreign_placeholders kind)
{
    size_t literal = 0;
    bool found = false;
    for (size_t i = 0; i < length; i++) {
        int which = placeholder_at(level + i, length - i, kind);
        if (which < 0) {
            if (kind == FOREIGN_DOLLAR && level[i] == '$' && i + 1 < length && level[i + 1] == '{')
                return "it holds a placeholder that has no counterpart";
            continue;
        }
        if (found)
            return "two placeholders stand in one level";
        guard_template_level(out, level + literal, i - literal);
        guard_buffer_text(out, placeholders[which].ours);
        i += strlen(placeholders[which].text) - 1;
        literal = i + 1;
        found = true;
    }
    if (!guard_template_level(out, level + literal, length - literal))
        return "a level is **, which here means every topic";
    return NULL;
}

const char *foreign_template(struct guard_buffer *out, const char *filter, enum foreign_placeholders kind)
{
    size_t begun = out->length;
    const char *fault = NULL;
    if (!acl_filter_is_valid(filter, strlen(filter)) || guard_topic_impossible(filter, strlen(filter)))
        return "it is no valid topic filter";
    for (const char *level = filter; level && !fault;) {
        size_t length = strcspn(level, "/");
        fault = append_level(out, level, length, kind);
        if (level[length])
            guard_buffer_byte(out, '/');
        level = level[length] ? level + length + 1 : NULL;
    }
    if (fault && out->data)
        out->data[out->length = begun] = '\0';
    return fault;
}

const char *foreign_name_fault(const char *name)
{
    if (!*name)
        return "its name is empty";
    if (strlen(name) + strlen("user:") > GUARD_POLICY_NAME_MAX)
        return "its name is too long";
    if (guard_topic_impossible(name, strlen(name)))
        return "its name holds control characters, or is not UTF-8";
    return strchr(name, ']') ? "its name holds ']'" : NULL;
}

/* ---- hashes ---- */

/* The `$`-separated fields that are not empty; false unless there are five. text is cut up. */
static bool split_five(char *text, char *fields[5])
{
    size_t count = 0;
    char *rest = NULL;
    for (char *field = strtok_r(text, "$", &rest); field; field = strtok_r(NULL, "$", &rest), count++)
        if (count < 5)
            fields[count] = field;
    return count == 5 && strcmp(fields[0], "PBKDF2") == 0;
}

static const char *digest_of(const char *name, bool loose)
{
    static const char *const known[] = {"sha256", "sha512", "sha1"};
    for (size_t i = 0; i < 3; i++)
        if (strcasecmp(name, known[i]) == 0 && !(loose && i == 2))
            return known[i];
    return loose ? "sha512" : NULL;
}

static char *raw_base64(const void *octets, size_t count)
{
    char *text = malloc(GUARD_BASE64_ENCODED(count));
    if (text)
        text[strcspn((guard_base64_encode(octets, count, text), text), "=")] = '\0';
    return text;
}

static int join(char *const fields[5], enum foreign_salt salt, const char *digest, char **stored)
{
    size_t salt_length = strlen(fields[3]);
    unsigned char *octets = malloc(GUARD_BASE64_DECODED(salt_length) + GUARD_BASE64_DECODED(strlen(fields[4])));
    ssize_t key = octets ? guard_base64_decode(fields[4], strlen(fields[4]), octets) : -1;
    char *key_text = key > 0 ? raw_base64(octets, (size_t)key) : NULL, *salt_text = NULL;
    ssize_t decoded = octets && salt == FOREIGN_SALT_BASE64 ? guard_base64_decode(fields[3], salt_length, octets) : 0;
    int rc = GUARD_ERR_SYNTAX;
    if (key_text && decoded >= 0)
        salt_text =
            salt == FOREIGN_SALT_TEXT ? raw_base64(fields[3], salt_length) : raw_base64(octets, (size_t)decoded);
    if (salt_text)
        rc = asprintf(stored, "pbkdf2-%s$i=%s,l=%zd$%s$%s", digest, fields[2], key, salt_text, key_text) < 0
                 ? GUARD_ERR_NOMEM
                 : GUARD_OK;
    free(octets);
    guard_free_string(&key_text);
    guard_free_string(&salt_text);
    return rc;
}

int foreign_pbkdf2(const char *hash, enum foreign_salt salt, bool loose, char **stored, struct guard_error *err)
{
    char *text = strdup(hash), *fields[5];
    *stored = NULL;
    if (!text)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    int rc = GUARD_ERR_SYNTAX;
    if (split_five(text, fields) && digest_of(fields[1], loose))
        rc = join(fields, salt, digest_of(fields[1], loose), stored);
    guard_free_string(&text);
    return rc == GUARD_OK ? rc
                          : guard_fail(err, rc, "the stored hash is no complete PBKDF2$digest$iterations$salt$key");
}

/* ---- lines ---- */

void foreign_rule_add(struct guard_translation *translation, const struct foreign_rule *rule)
{
    struct guard_buffer value = {0};
    char name[64];
    snprintf(name, sizeof name, "%s-%zu", rule->label, rule->number);
    guard_buffer_printf(&value, "%s ", rule->text);
    guard_template_write(&value, rule->topic, strlen(rule->topic));
    guard_buffer_text(&value, rule->conditions);
    if (value.failed)
        translation->failed = true;
    else
        guard_translation_add(translation, &(struct guard_policy_line){.section = GUARD_SECTION_ROLE,
                                                                       .name = rule->role,
                                                                       .field = name,
                                                                       .value = value.data,
                                                                       .place = rule->place});
    guard_buffer_free(&value);
}

void foreign_client_add(struct guard_translation *translation, const char *place, const char *name, const char *field,
                        const char *value)
{
    guard_translation_add(
        translation,
        &(struct guard_policy_line){
            .section = GUARD_SECTION_CLIENT, .name = name, .field = field, .value = value, .place = place});
}
