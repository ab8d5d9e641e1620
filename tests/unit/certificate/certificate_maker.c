#include "tests/unit/certificate/certificate_maker.h"

#undef NDEBUG /* the calls stand inside the asserts */
#include <assert.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static int length_of(const char *text, int length)
{
    return length < 0 ? (int)strlen(text) : length;
}

static void set_subject(X509 *certificate, const struct maker_name *names)
{
    X509_NAME *subject = X509_NAME_new();
    for (; names && names->text; names++) {
        X509_NAME_ENTRY *entry = X509_NAME_ENTRY_create_by_NID(
            NULL, names->nid, names->type, (const unsigned char *)names->text, length_of(names->text, names->length));
        assert(entry);
        assert(X509_NAME_add_entry(subject, entry, -1, names->same_rdn ? -1 : 0));
        X509_NAME_ENTRY_free(entry);
    }
    assert(X509_set_subject_name(certificate, subject));
    X509_NAME_free(subject);
}

static GENERAL_NAME *general_name(const struct maker_san *san)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    int length = length_of(san->text, san->length);
    if (san->type == GEN_OTHERNAME) {
        ASN1_UTF8STRING *text = ASN1_UTF8STRING_new();
        ASN1_TYPE *value = ASN1_TYPE_new();
        assert(ASN1_STRING_set(text, san->text, length));
        ASN1_TYPE_set(value, V_ASN1_UTF8STRING, text);
        assert(GENERAL_NAME_set0_othername(name, OBJ_nid2obj(NID_ms_upn), value));
        return name;
    }
    ASN1_STRING *text = san->type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    assert(ASN1_STRING_set(text, san->text, length));
    GENERAL_NAME_set0_value(name, san->type, text);
    return name;
}

static void add_raw_san(X509 *certificate, const char *der, int length)
{
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    assert(ASN1_STRING_set(octets, der, length));
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, octets);
    assert(X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
}

static void add_san(X509 *certificate, const struct maker_spec *spec)
{
    if (spec->san_der)
        add_raw_san(certificate, spec->san_der, spec->san_der_length);
    if (!spec->san)
        return;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    for (const struct maker_san *san = spec->san; san->text; san++)
        assert(sk_GENERAL_NAME_push(names, general_name(san)));
    for (int i = 0; i <= spec->san_twice; i++)
        assert(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND));
    GENERAL_NAMES_free(names);
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    if (!value)
        return;
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert(extension);
    assert(X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

static void set_serial(X509 *certificate, const struct maker_spec *spec)
{
    if (!spec->serial_hex) {
        assert(ASN1_INTEGER_set(X509_get_serialNumber(certificate), spec->serial ? spec->serial : 1));
        return;
    }
    BIGNUM *number = NULL;
    assert(BN_hex2bn(&number, spec->serial_hex));
    assert(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)));
    BN_free(number);
}

X509 *maker_certificate(const struct maker_ca *ca, const struct maker_spec *spec)
{
    X509 *certificate = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert(certificate && key);
    assert(X509_set_version(certificate, X509_VERSION_3));
    set_serial(certificate, spec);
    set_subject(certificate, spec->subject);
    assert(X509_set_issuer_name(certificate, X509_get_subject_name(ca ? ca->certificate : certificate)));
    ASN1_TIME_set(X509_getm_notBefore(certificate), spec->not_before ? spec->not_before : MAKER_NOW - 86400);
    ASN1_TIME_set(X509_getm_notAfter(certificate), spec->not_after ? spec->not_after : MAKER_NOW + 86400);
    assert(X509_set_pubkey(certificate, key));
    add_san(certificate, spec);
    add_extension(certificate, NID_basic_constraints, spec->basic_constraints);
    add_extension(certificate, NID_key_usage, spec->key_usage);
    add_extension(certificate, NID_ext_key_usage, spec->extended_key_usage);
    assert(X509_sign(certificate, ca ? ca->key : key, EVP_sha256()));
    EVP_PKEY_free(key);
    return certificate;
}

X509 *maker_plain(const struct maker_ca *ca, const char *common_name)
{
    const struct maker_name subject[] = {{NID_commonName, V_ASN1_UTF8STRING, common_name, -1, 0}, {0}};
    return maker_certificate(ca, &(struct maker_spec){.subject = subject});
}

void maker_ca_make(struct maker_ca *ca, const char *common_name)
{
    const struct maker_name subject[] = {{NID_commonName, V_ASN1_UTF8STRING, common_name, -1, 0},
                                         {NID_organizationName, V_ASN1_UTF8STRING, "Example", -1, 0},
                                         {0}};
    ca->key = EVP_EC_gen("P-256");
    ca->certificate = maker_certificate(NULL, &(struct maker_spec){.subject = subject,
                                                                   .basic_constraints = "critical,CA:TRUE",
                                                                   .key_usage = "critical,keyCertSign,cRLSign"});
    assert(X509_set_pubkey(ca->certificate, ca->key));
    assert(X509_sign(ca->certificate, ca->key, EVP_sha256()));
}

void maker_ca_free(struct maker_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->certificate);
}

void maker_write_pem(const X509 *certificate, const char *path)
{
    FILE *file = fopen(path, "w");
    assert(file);
    assert(PEM_write_X509(file, certificate));
    assert(fclose(file) == 0);
}
