#include "auth/certificate.h"

#include "auth/certificate_mapping.h"
#include "core/buffer.h"
#include "core/identity_rules.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void auth_certificate_release(void *certificate)
{
    X509_free(certificate);
}

int auth_certificate_sha256(const void *certificate, uint8_t out[32])
{
    unsigned size = 32;
    int rc = X509_digest(certificate, EVP_sha256(), out, &size) == 1 ? GUARD_OK : GUARD_ERR_CRYPTO;
    ERR_clear_error();
    return rc;
}

/* What the certificate itself says about its use; RFC 5280 §4.2.1.3, .9, .12. */
static int check_usage(const void *certificate, struct guard_error *why)
{
    X509 *leaf = (X509 *)(uintptr_t)certificate; /* OpenSSL caches the extensions in it, under its own lock */
    uint32_t flags = X509_get_extension_flags(leaf);
    if (flags & EXFLAG_INVALID)
        return guard_fail(why, GUARD_ERR_INVALID, "an extension of the certificate is malformed or there twice");
    if (flags & EXFLAG_CA)
        return guard_fail(why, GUARD_ERR_INVALID, "it is the certificate of a CA");
    if ((flags & EXFLAG_XKUSAGE) && !(X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT))
        return guard_fail(why, GUARD_ERR_INVALID, "its extended key usage does not include client authentication");
    if ((flags & EXFLAG_KUSAGE) && !(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE))
        return guard_fail(why, GUARD_ERR_INVALID, "its key usage does not include digital signatures");
    return GUARD_OK;
}

static enum guard_reason check_dates(const struct certificate_facts *facts, int64_t now, struct guard_error *why)
{
    if (now >= facts->not_before && now <= facts->not_after)
        return GUARD_REASON_NONE;
    guard_fail(why, GUARD_ERR_INVALID, "the certificate %s",
               now > facts->not_after ? "has expired" : "is not valid yet");
    return GUARD_REASON_CERT_REVOKED;
}

/* The first mapping that fits; NULL if none, and why then has the last one's reason. */
static const struct certificate_mapping *find_mapping(const struct auth_certificate_config *config,
                                                      const void *certificate, const struct certificate_facts *facts,
                                                      struct certificate_match *match, struct guard_buffer *username,
                                                      struct guard_error *why)
{
    for (size_t i = 0; i < config->count; i++) {
        int rc = certificate_mapping_apply(&config->mapping[i], certificate, facts, match, username, why);
        if (rc == GUARD_OK) {
            if (why)
                *why = (struct guard_error){0}; /* what an earlier mapping had against it */
            return &config->mapping[i];
        }
        if (rc != GUARD_ERR_NOT_FOUND)
            return NULL;
    }
    return NULL;
}

static int add_lists(struct guard_identity *identity, const struct certificate_facts *facts)
{
    static const char *const names[CERTIFICATE_LISTS] = {
        [CERTIFICATE_CN] = "cert.cn",
        [CERTIFICATE_OU] = "cert.ou",
        [CERTIFICATE_O] = "cert.o",
        [CERTIFICATE_C] = "cert.c",
        [CERTIFICATE_DNS] = "cert.san.dns",
        [CERTIFICATE_URI] = "cert.san.uri",
        [CERTIFICATE_EMAIL] = "cert.san.email",
        [CERTIFICATE_UPN] = "cert.san.upn",
        [CERTIFICATE_ISSUER_CN] = "cert.issuer.cn",
    };
    int rc = GUARD_OK;
    for (size_t list = 0; list < CERTIFICATE_LISTS; list++) {
        const struct certificate_values *values = &facts->list[list];
        if (!rc && values->unusable)
            rc = guard_identity_add_attribute(identity, names[list], NULL);
        for (size_t i = 0; !rc && !values->unusable && i < values->count; i++)
            rc = guard_identity_add_attribute(identity, names[list], values->value[i]);
    }
    return rc;
}

static int add_captures(struct guard_identity *identity, const struct certificate_pattern *pattern,
                        const struct certificate_match *match)
{
    int rc = GUARD_OK;
    const char *capture;
    for (size_t i = 0; !rc && pattern && (capture = certificate_pattern_capture(pattern, i)); i++) {
        char name[64];
        snprintf(name, sizeof name, "attr.%s", capture);
        char *value = strndup(match->capture[i].at, match->capture[i].length);
        rc = value ? guard_identity_add_attribute(identity, name, value) : GUARD_ERR_NOMEM;
        free(value);
    }
    return rc;
}

static int fill_identity(struct guard_identity *identity, struct certificate_facts *facts, char *username)
{
    identity->method = GUARD_AUTH_CERTIFICATE;
    identity->username = username;
    identity->issued_at = facts->not_before;
    identity->not_after = identity->expires_at = facts->not_after;
    memcpy(identity->certificate_sha256, facts->sha256, sizeof identity->certificate_sha256);
    memcpy(identity->certificate_serial, facts->serial, sizeof identity->certificate_serial);
    identity->subject = strdup(facts->subject);
    identity->issuer = strdup(facts->issuer);
    int rc = identity->subject && identity->issuer ? GUARD_OK : GUARD_ERR_NOMEM;
    if (!rc)
        rc = add_lists(identity, facts);
    if (!rc)
        rc = guard_identity_add_attribute(identity, "cert.serial", facts->serial);
    if (!rc)
        rc = guard_identity_add_attribute(identity, "cert.sha256", facts->sha256);
    return rc ? rc : guard_identity_add_attribute(identity, "cert.spki.sha256", facts->spki_sha256);
}

static enum guard_reason check_denied(const struct auth_certificate_request *request,
                                      const struct certificate_facts *facts, const char *username,
                                      struct guard_error *why)
{
    struct auth_certificate_query query = {.sha256 = facts->sha256,
                                           .issuer = facts->issuer,
                                           .serial = facts->serial,
                                           .spki_sha256 = facts->spki_sha256,
                                           .username = username,
                                           .not_before = facts->not_before};
    enum guard_reason reason = request->denied ? request->denied(request->denied_context, &query) : GUARD_REASON_NONE;
    if (reason == GUARD_REASON_CERT_REVOKED)
        guard_fail(why, GUARD_ERR_INVALID, "the certificate is on the deny list");
    else if (reason != GUARD_REASON_NONE)
        guard_fail(why, GUARD_ERR_INVALID, "the deny list refused it: %s", guard_reason_sentence(reason));
    return reason;
}

/* Maps the certificate to its user name and makes the identity. */
static enum guard_reason identify(const struct auth_certificate_config *config,
                                  const struct auth_certificate_request *request, struct certificate_facts *facts,
                                  struct guard_identity **out, struct guard_error *why)
{
    struct certificate_match match = {0};
    struct guard_buffer username = {0};
    struct guard_identity *identity = NULL;
    enum guard_reason reason = GUARD_REASON_CERT_IDENTITY_MISMATCH;
    const struct certificate_mapping *mapping =
        find_mapping(config, request->certificate, facts, &match, &username, why);
    if (!mapping)
        goto end;
    if (!guard_identity_acceptable(username.data, username.length)) {
        guard_fail(why, GUARD_ERR_INVALID, "%s: what it holds cannot be a user name", mapping->source->name);
        goto end;
    }
    reason = check_denied(request, facts, username.data, why);
    if (reason != GUARD_REASON_NONE)
        goto end;
    identity = guard_identity_new();
    if (!identity || fill_identity(identity, facts, guard_buffer_take(&username)) != GUARD_OK ||
        add_captures(identity, mapping->pattern, &match) != GUARD_OK) {
        guard_fail(why, GUARD_ERR_NOMEM, "out of memory");
        guard_identity_free(&identity);
        reason = GUARD_REASON_INTERNAL_ERROR;
    }
    *out = identity;
end:
    guard_buffer_free(&username);
    return reason;
}

enum guard_reason auth_certificate_verify(const struct auth_certificate_config *config,
                                          const struct auth_certificate_request *request, struct guard_identity **out,
                                          struct guard_error *why)
{
    struct certificate_facts *facts = NULL;
    *out = NULL;
    if (!request->certificate) {
        guard_fail(why, GUARD_ERR_NOT_FOUND, "the client sent no certificate");
        return GUARD_REASON_CERT_MISSING;
    }
    enum guard_reason reason = GUARD_REASON_CERT_IDENTITY_MISMATCH;
    if (check_usage(request->certificate, why) == GUARD_OK) {
        int rc = certificate_facts_read(request->certificate, &facts, why);
        if (rc == GUARD_OK)
            reason = check_dates(facts, request->now, why);
        else if (rc != GUARD_ERR_INVALID)
            reason = GUARD_REASON_INTERNAL_ERROR;
        if (facts && reason == GUARD_REASON_NONE)
            reason = identify(config, request, facts, out, why);
    }
    certificate_facts_free(&facts);
    ERR_clear_error();
    return reason;
}
