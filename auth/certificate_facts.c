#include "auth/certificate_facts.h"

#include "auth/certificate.h"
#include "core/memory.h"
#include "core/serial.h"
#include "core/utf8.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void to_hex(const uint8_t *bytes, size_t count, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < count; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

int certificate_digest_hex(const void *bytes, size_t length, char out[65])
{
    uint8_t digest[32];
    if (EVP_Digest(bytes, length, digest, NULL, EVP_sha256(), NULL) != 1)
        return GUARD_ERR_CRYPTO;
    to_hex(digest, sizeof digest, out);
    return GUARD_OK;
}

/* Counts the value; keeps a copy if it is text that can be used. */
static int add_value(struct certificate_values *list, const char *text, int length)
{
    list->count++;
    if (length < 0 || list->count > CERTIFICATE_VALUES_MAX || memchr(text, '\0', (size_t)length) ||
        !guard_utf8_valid(text, (size_t)length)) {
        list->unusable = true;
        return GUARD_OK;
    }
    list->value[list->count - 1] = strndup(text, (size_t)length);
    return list->value[list->count - 1] ? GUARD_OK : GUARD_ERR_NOMEM;
}

/* Any string type, by its real encoding: a BMPString is UTF-16, not octets with NULs between. */
static int add_asn1_text(struct certificate_values *list, const ASN1_STRING *string)
{
    unsigned char *utf8 = NULL;
    int length = ASN1_STRING_to_UTF8(&utf8, string);
    int rc = add_value(list, (const char *)utf8, length);
    OPENSSL_free(utf8);
    return rc;
}

/* An IA5String has 7 bits; what else stands in one is not text. */
static int add_ia5(struct certificate_values *list, const ASN1_STRING *string)
{
    const unsigned char *text = ASN1_STRING_get0_data(string);
    int length = ASN1_STRING_length(string);
    for (int i = 0; i < length; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return add_value(list, "", -1);
    return add_value(list, (const char *)text, length);
}

static int read_name(const X509_NAME *name, int nid, struct certificate_values *list)
{
    int rc = GUARD_OK;
    for (int at = -1; !rc && (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;)
        rc = add_asn1_text(list, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    return rc;
}

static int read_general_name(const GENERAL_NAME *name, struct certificate_facts *facts)
{
    int type;
    const void *value = GENERAL_NAME_get0_value(name, &type);
    switch (type) {
    case GEN_DNS:
        return add_ia5(&facts->list[CERTIFICATE_DNS], value);
    case GEN_URI:
        return add_ia5(&facts->list[CERTIFICATE_URI], value);
    case GEN_EMAIL:
        return add_ia5(&facts->list[CERTIFICATE_EMAIL], value);
    case GEN_OTHERNAME: {
        ASN1_OBJECT *kind;
        ASN1_TYPE *content;
        if (GENERAL_NAME_get0_otherName(name, &kind, &content) != 1 || OBJ_obj2nid(kind) != NID_ms_upn)
            return GUARD_OK;
        if (content->type != V_ASN1_UTF8STRING)
            return add_value(&facts->list[CERTIFICATE_UPN], "", -1);
        return add_asn1_text(&facts->list[CERTIFICATE_UPN], content->value.utf8string);
    }
    default:
        return GUARD_OK;
    }
}

static int read_alternative_names(const X509 *certificate, struct certificate_facts *facts, struct guard_error *err)
{
    int critical, rc = GUARD_OK;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
    if (!names && critical != -1) /* -1: not there; -2: twice; else: there and malformed */
        return guard_fail(err, GUARD_ERR_INVALID, "the subjectAltName extension is malformed or there twice");
    for (int i = 0; !rc && i < sk_GENERAL_NAME_num(names); i++)
        rc = read_general_name(sk_GENERAL_NAME_value(names, i), facts);
    GENERAL_NAMES_free(names);
    return rc ? guard_fail(err, rc, "out of memory") : GUARD_OK;
}

static char *name_text(const X509_NAME *name)
{
    char *text = NULL, *bytes;
    BIO *out = BIO_new(BIO_s_mem());
    if (out && X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) >= 0) {
        long length = BIO_get_mem_data(out, &bytes);
        text = length > 0 ? strndup(bytes, (size_t)length) : strdup("");
    }
    BIO_free(out);
    return text;
}

static int read_serial(const X509 *certificate, char out[41], struct guard_error *err)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    if (!number)
        return guard_fail(err, GUARD_ERR_CRYPTO, "the serial number cannot be read");
    int rc = GUARD_OK;
    if (BN_num_bytes(number) > 20) { /* RFC 5280 §4.1.2.2 */
        rc = guard_fail(err, GUARD_ERR_INVALID, "the serial number is longer than 20 octets");
    } else {
        char *hex = BN_bn2hex(number); /* upper case, with sign and one leading zero at times */
        rc = hex ? guard_serial_canonical(hex, strlen(hex), out) : GUARD_ERR_NOMEM;
        OPENSSL_free(hex);
    }
    BN_free(number);
    return rc;
}

static int read_time(const ASN1_TIME *time, int64_t *out)
{
    struct tm broken;
    if (ASN1_TIME_to_tm(time, &broken) != 1)
        return GUARD_ERR_INVALID;
    *out = timegm(&broken);
    return GUARD_OK;
}

static int read_digests(const X509 *certificate, char sha256[65], char spki_sha256[65])
{
    uint8_t digest[32];
    unsigned char *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    int rc = length > 0 ? certificate_digest_hex(der, (size_t)length, spki_sha256) : GUARD_ERR_CRYPTO;
    OPENSSL_free(der);
    if (!rc)
        rc = auth_certificate_sha256(certificate, digest);
    if (!rc)
        to_hex(digest, sizeof digest, sha256);
    return rc;
}

int auth_certificate_names_read(const void *certificate, struct auth_certificate_names **out)
{
    struct auth_certificate_names *names = calloc(1, sizeof *names);
    int rc = GUARD_ERR_NOMEM;
    *out = NULL;
    if (!names)
        return rc;
    names->issuer = name_text(X509_get_issuer_name(certificate));
    if (names->issuer)
        rc = read_digests(certificate, names->sha256, names->spki_sha256);
    if (rc == GUARD_OK && read_serial(certificate, names->serial, NULL) != GUARD_OK)
        names->serial[0] = '\0';
    ERR_clear_error();
    if (rc != GUARD_OK)
        auth_certificate_names_free(&names);
    *out = names;
    return rc;
}

void auth_certificate_names_free(struct auth_certificate_names **names)
{
    if (*names)
        free((*names)->issuer);
    free(*names);
    *names = NULL;
}

static int read_names(const X509 *certificate, struct certificate_facts *facts)
{
    static const struct {
        int nid;
        enum certificate_list list;
    } parts[] = {{NID_commonName, CERTIFICATE_CN},
                 {NID_organizationalUnitName, CERTIFICATE_OU},
                 {NID_organizationName, CERTIFICATE_O},
                 {NID_countryName, CERTIFICATE_C}};
    const X509_NAME *subject = X509_get_subject_name(certificate), *issuer = X509_get_issuer_name(certificate);
    int rc = GUARD_OK;
    for (size_t i = 0; !rc && i < sizeof parts / sizeof *parts; i++)
        rc = read_name(subject, parts[i].nid, &facts->list[parts[i].list]);
    if (!rc)
        rc = read_name(issuer, NID_commonName, &facts->list[CERTIFICATE_ISSUER_CN]);
    facts->subject = name_text(subject);
    facts->issuer = name_text(issuer);
    return !rc && facts->subject && facts->issuer ? GUARD_OK : GUARD_ERR_NOMEM;
}

static int read_all(const X509 *certificate, struct certificate_facts *facts, struct guard_error *err)
{
    if (read_names(certificate, facts) != GUARD_OK)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory for the certificate's names");
    if (read_time(X509_get0_notBefore(certificate), &facts->not_before) != GUARD_OK ||
        read_time(X509_get0_notAfter(certificate), &facts->not_after) != GUARD_OK)
        return guard_fail(err, GUARD_ERR_INVALID, "the certificate's dates are malformed");
    if (read_digests(certificate, facts->sha256, facts->spki_sha256) != GUARD_OK)
        return guard_fail(err, GUARD_ERR_CRYPTO, "OpenSSL could not hash the certificate");
    int rc = read_serial(certificate, facts->serial, err);
    return rc ? rc : read_alternative_names(certificate, facts, err);
}

int certificate_facts_read(const void *certificate, struct certificate_facts **out, struct guard_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    int rc = read_all(certificate, *out, err);
    if (rc)
        certificate_facts_free(out);
    return rc;
}

void certificate_facts_free(struct certificate_facts **facts)
{
    if (!*facts)
        return;
    for (size_t list = 0; list < CERTIFICATE_LISTS; list++)
        for (size_t i = 0; i < CERTIFICATE_VALUES_MAX; i++)
            free((*facts)->list[list].value[i]);
    free((*facts)->subject);
    free((*facts)->issuer);
    free(*facts);
    *facts = NULL;
}
