#include "auth/certificate_mapping.h"

#include "core/buffer.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

static int check_issuer(const struct certificate_mapping *mapping, const void *certificate,
                        const struct certificate_facts *facts, struct guard_error *err)
{
    if (mapping->issuer && strcmp(mapping->issuer, facts->issuer) != 0)
        return guard_fail(err, GUARD_ERR_NOT_FOUND, "%s: another issuer than the mapping's", mapping->source->name);
    X509 *ca = mapping->issuer_certificate,
         *leaf = (X509 *)(uintptr_t)certificate; /* OpenSSL caches in it, under its lock */
    if (ca && (X509_check_issued(ca, leaf) != X509_V_OK || X509_verify(leaf, X509_get0_pubkey(ca)) != 1))
        return guard_fail(err, GUARD_ERR_NOT_FOUND, "%s: not signed by the CA of the mapping's issuer_file",
                          mapping->source->name);
    return GUARD_OK;
}

/* A host name as certificates carry it; a wildcard is a pattern, not a name. */
static bool is_dns_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return name[0] != '.' && name[0] && name[strspn(name, allowed)] == '\0' && !strstr(name, "..") &&
           name[strlen(name) - 1] != '.';
}

/*
 * A SPIFFE ID (SPIFFE-ID §2): spiffe://trust-domain/segment{/segment}; lower-case trust domain; segments of letters,
 * digits, `.`,
 * `-`, `_`, neither empty nor `.` nor `..`; at most 2,048 octets. Of a leaf, so the path may not be empty (X509-SVID
 * §4.1).
 */
static bool is_spiffe_id(const char *uri)
{
    static const char domain[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";
    static const char segment[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    if (strncmp(uri, "spiffe://", 9) != 0 || strlen(uri) > 2048)
        return false;
    const char *at = uri + 9;
    size_t length = strspn(at, domain);
    if (!length || length > 255 || at[length] != '/')
        return false;
    for (at += length; *at; at += length) {
        at++; /* the slash */
        length = strspn(at, segment);
        bool dots = (length == 1 && at[0] == '.') || (length == 2 && at[0] == '.' && at[1] == '.');
        if (!length || dots || (at[length] && at[length] != '/'))
            return false;
    }
    return true;
}

static int check_form(const struct certificate_source *source, const char *value, struct guard_error *err)
{
    if (source->kind == SOURCE_LIST && source->list == CERTIFICATE_DNS && !is_dns_name(value))
        return guard_fail(err, GUARD_ERR_NOT_FOUND, "san.dns: not the name of one host");
    bool spiffe =
        source->kind == SOURCE_LIST && source->list == CERTIFICATE_URI && strncasecmp(value, "spiffe:", 7) == 0;
    if (spiffe && !is_spiffe_id(value))
        return guard_fail(err, GUARD_ERR_NOT_FOUND, "san.uri: not a well-formed SPIFFE ID");
    return GUARD_OK;
}

static int try_value(const struct certificate_mapping *mapping, const char *value, struct certificate_match *match,
                     struct guard_error *err)
{
    int rc = check_form(mapping->source, value, err);
    if (!rc && mapping->pattern && !certificate_pattern_match(mapping->pattern, value, match))
        rc = guard_fail(err, GUARD_ERR_NOT_FOUND, "%s: the value does not fit the pattern", mapping->source->name);
    return rc;
}

/* Among several values exactly one has to fit. */
static int pick_fitting(const struct certificate_mapping *mapping, const struct certificate_values *list,
                        const char **value, struct certificate_match *match, struct guard_error *err)
{
    struct certificate_match found;
    size_t fitting = 0;
    int rc = GUARD_ERR_NOT_FOUND;
    for (size_t i = 0; i < list->count; i++)
        if (try_value(mapping, list->value[i], &found, err) == GUARD_OK) {
            *value = list->value[i];
            *match = found;
            rc = GUARD_OK;
            fitting++;
        }
    if (fitting > 1)
        return guard_fail(err, GUARD_ERR_NOT_FOUND, "%s: %zu values fit the pattern; exactly one may",
                          mapping->source->name, fitting);
    return rc;
}

static int pick_from_list(const struct certificate_mapping *mapping, const struct certificate_values *list,
                          const char **value, struct certificate_match *match, struct guard_error *err)
{
    const struct certificate_source *source = mapping->source;
    if (list->unusable)
        return guard_fail(err, GUARD_ERR_INVALID, "%s: a value holds NUL or broken text, or there are more than %u",
                          source->name, CERTIFICATE_VALUES_MAX);
    if (source->kind == SOURCE_OU_N) {
        if (mapping->place >= list->count)
            return guard_fail(err, GUARD_ERR_NOT_FOUND, "the certificate has %zu OU, not %zu", list->count,
                              mapping->place + 1);
        *value = list->value[mapping->place];
        return try_value(mapping, *value, match, err);
    }
    if (source->several && mapping->pattern && list->count > 1)
        return pick_fitting(mapping, list, value, match, err);
    if (list->count != 1)
        return guard_fail(err, GUARD_ERR_NOT_FOUND, "%s: the certificate has %zu; exactly one is needed", source->name,
                          list->count);
    *value = list->value[0];
    return try_value(mapping, *value, match, err);
}

int certificate_mapping_apply(const struct certificate_mapping *mapping, const void *certificate,
                              const struct certificate_facts *facts, struct certificate_match *match,
                              struct guard_buffer *username, struct guard_error *err)
{
    const char *value = NULL;
    int rc = check_issuer(mapping, certificate, facts, err);
    if (rc)
        return rc;
    switch (mapping->source->kind) {
    case SOURCE_LIST:
    case SOURCE_OU_N:
        rc = pick_from_list(mapping, &facts->list[mapping->source->list], &value, match, err);
        break;
    case SOURCE_SERIAL:
        rc = try_value(mapping, value = facts->serial, match, err);
        break;
    case SOURCE_SHA256:
        rc = try_value(mapping, value = facts->sha256, match, err);
        break;
    case SOURCE_SUBJECT:
        rc = try_value(mapping, value = facts->subject, match, err);
        break;
    }
    if (rc)
        return rc;
    if (mapping->pattern)
        certificate_pattern_username(mapping->pattern, value, match, username);
    else
        guard_buffer_text(username, value);
    return username->failed ? guard_fail(err, GUARD_ERR_NOMEM, "out of memory") : GUARD_OK;
}
