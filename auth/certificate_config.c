#include "auth/certificate.h"

#include "auth/certificate_mapping.h"
#include "core/buffer.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

static const struct certificate_source sources[] = {
    {"cn", SOURCE_LIST, CERTIFICATE_CN, false, "./@:"},
    {"o", SOURCE_LIST, CERTIFICATE_O, false, "./@:"},
    {"ou", SOURCE_LIST, CERTIFICATE_OU, false, "./@:"},
    {"ou[", SOURCE_OU_N, CERTIFICATE_OU, false, "./@:"},
    {"san.uri", SOURCE_LIST, CERTIFICATE_URI, false, "/:?#"},
    {"san.dns", SOURCE_LIST, CERTIFICATE_DNS, true, "."},
    {"san.email", SOURCE_LIST, CERTIFICATE_EMAIL, true, "@"},
    {"san.upn", SOURCE_LIST, CERTIFICATE_UPN, false, "@"},
    {"serial", SOURCE_SERIAL, CERTIFICATE_LISTS, false, ""},
    {"sha256", SOURCE_SHA256, CERTIFICATE_LISTS, false, ""},
    {"subject", SOURCE_SUBJECT, CERTIFICATE_LISTS, false, ",+"},
};

/* Where the parser stands in the option's text. */
struct reader {
    const char *text, *at;
    struct guard_error *err;
};

static unsigned column(const struct reader *reader, const char *at)
{
    return (unsigned)(at - reader->text) + 1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/*
 * The next word into out, without its quotes; *begin is where it stood. GUARD_ERR_NOT_FOUND at a `;` or the end. Quotes
 * may open and close anywhere in it.
 */
static int read_word(struct reader *reader, struct guard_buffer *out, const char **begin)
{
    bool quoted = false;
    while (is_blank(*reader->at))
        reader->at++;
    *begin = reader->at;
    guard_buffer_clear(out);
    guard_buffer_append(out, "", 0); /* a text even when the word is "" */
    for (; *reader->at && (quoted || (!is_blank(*reader->at) && *reader->at != ';')); reader->at++) {
        if (*reader->at == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && *reader->at == '\\' && (reader->at[1] == '"' || reader->at[1] == '\\'))
            reader->at++;
        guard_buffer_byte(out, *reader->at);
    }
    if (quoted)
        return guard_fail_at(reader->err, GUARD_ERR_SYNTAX, NULL, 0, column(reader, *begin),
                             "the closing \" is missing");
    if (out->failed)
        return guard_fail(reader->err, GUARD_ERR_NOMEM, "out of memory");
    return reader->at == *begin ? GUARD_ERR_NOT_FOUND : GUARD_OK;
}

/* `ou[N]`: N from 1. */
static int read_place(const char *digits, size_t *place, size_t *used)
{
    char *end;
    unsigned long number = strtoul(digits, &end, 10);
    if (digits[0] < '1' || digits[0] > '9' || *end != ']' || number > CERTIFICATE_VALUES_MAX)
        return GUARD_ERR_SYNTAX;
    *place = number - 1;
    *used = (size_t)(end - digits) + 1;
    return GUARD_OK;
}

static const struct certificate_source *find_source(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        bool counted = sources[i].kind == SOURCE_OU_N;
        size_t name = strlen(sources[i].name);
        if ((counted ? length > name : length == name) && memcmp(word, sources[i].name, name) == 0)
            return &sources[i];
    }
    return NULL;
}

/* SOURCE[:PATTERN[=TEMPLATE]] */
static int read_source(const struct reader *reader, const char *word, const char *begin, struct certificate_mapping *to)
{
    size_t length = strcspn(word, ":"), used;
    to->source = find_source(word, length);
    if (!to->source)
        return guard_fail_at(reader->err, GUARD_ERR_INVALID, NULL, 0, column(reader, begin),
                             "unknown source; expected cn, o, ou, ou[N], san.uri, san.dns, san.email, san.upn, serial, "
                             "sha256 or subject");
    if (to->source->kind == SOURCE_OU_N && (read_place(word + 3, &to->place, &used) != GUARD_OK || used + 3 != length))
        return guard_fail_at(reader->err, GUARD_ERR_SYNTAX, NULL, 0, column(reader, begin),
                             "expected ou[N] with N from 1 to %u", CERTIFICATE_VALUES_MAX);
    if (!word[length])
        return GUARD_OK;
    int rc = certificate_pattern_compile(word + length + 1, to->source->separators, &to->pattern, reader->err);
    if (rc && reader->err)
        reader->err->column += column(reader, begin) + (unsigned)length; /* exact unless quotes stand before it */
    return rc;
}

static int read_issuer_file(const struct reader *reader, const char *path, const char *begin,
                            struct certificate_mapping *to)
{
    void *certificate;
    int rc = auth_certificate_read(path, &certificate, reader->err);
    if (rc)
        return rc;
    to->issuer_certificate = certificate;
    if (X509_check_ca(to->issuer_certificate) == 0)
        return guard_fail_at(reader->err, GUARD_ERR_INVALID, NULL, 0, column(reader, begin),
                             "the certificate in issuer_file is not that of a CA");
    return GUARD_OK;
}

static int read_issuer(const struct reader *reader, const char *word, const char *begin, struct certificate_mapping *to)
{
    static const char dn[] = "issuer=", file[] = "issuer_file=";
    if (strncmp(word, dn, strlen(dn)) == 0 && word[strlen(dn)] && !to->issuer) {
        to->issuer = strdup(word + strlen(dn));
        return to->issuer ? GUARD_OK : guard_fail(reader->err, GUARD_ERR_NOMEM, "out of memory");
    }
    if (strncmp(word, file, strlen(file)) == 0 && word[strlen(file)] && !to->issuer_certificate)
        return read_issuer_file(reader, word + strlen(file), begin, to);
    return guard_fail_at(reader->err, GUARD_ERR_SYNTAX, NULL, 0, column(reader, begin),
                         "expected issuer=DN or issuer_file=PATH, each once, or ; before the next mapping");
}

static int read_mapping(struct reader *reader, struct guard_buffer *word, struct certificate_mapping *to)
{
    const char *begin;
    int rc = read_word(reader, word, &begin);
    if (rc == GUARD_ERR_NOT_FOUND)
        return guard_fail_at(reader->err, GUARD_ERR_SYNTAX, NULL, 0, column(reader, begin),
                             "expected SOURCE or SOURCE:PATTERN, for example cn or san.dns:{device}.example.org");
    if (!rc)
        rc = read_source(reader, word->data, begin, to);
    while (!rc) {
        int word_rc = read_word(reader, word, &begin);
        if (word_rc)
            return word_rc == GUARD_ERR_NOT_FOUND ? GUARD_OK : word_rc;
        rc = read_issuer(reader, word->data, begin, to);
    }
    return rc;
}

int auth_certificate_config_parse(const char *text, struct auth_certificate_config **out, struct guard_error *err)
{
    struct reader reader = {text, text, err};
    struct guard_buffer word = {0};
    *out = calloc(1, sizeof **out);
    if (!*out)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    int rc = GUARD_OK;
    bool more = true;
    while (!rc && more) {
        if ((*out)->count == CERTIFICATE_MAPPINGS_MAX)
            rc = guard_fail(err, GUARD_ERR_LIMIT, "more than %u mappings", CERTIFICATE_MAPPINGS_MAX);
        else
            rc = read_mapping(&reader, &word, &(*out)->mapping[(*out)->count++]);
        more = *reader.at == ';';
        if (more)
            reader.at++;
    }
    guard_buffer_free(&word);
    ERR_clear_error();
    if (rc)
        auth_certificate_config_free(out);
    return rc;
}

void auth_certificate_config_free(struct auth_certificate_config **config)
{
    if (!*config)
        return;
    for (size_t i = 0; i < (*config)->count; i++) {
        struct certificate_mapping *mapping = &(*config)->mapping[i];
        certificate_pattern_free(&mapping->pattern);
        free(mapping->issuer);
        X509_free(mapping->issuer_certificate);
    }
    free(*config);
    *config = NULL;
}
