/* Certificates for tests, odd ones included, made with OpenSSL at run time. */
#ifndef GUARD_TESTS_CERTIFICATE_MAKER_H
#define GUARD_TESTS_CERTIFICATE_MAKER_H

#include <openssl/x509.h>
#include <stdint.h>

#define MAKER_NOW INT64_C(1800000000) /* what tests take for the present; certificates hold for a day around it */

/* One attribute of a subject. */
struct maker_name {
    int nid;
    int type;         /* V_ASN1_UTF8STRING, V_ASN1_BMPSTRING … as the octets are encoded */
    const char *text; /* NULL ends a list */
    int length;       /* -1 = up to the NUL */
    int same_rdn;     /* joins the RDN of the one before: a multi-valued RDN */
};

struct maker_san {
    int type;         /* GEN_DNS, GEN_URI, GEN_EMAIL, GEN_IPADD; GEN_OTHERNAME = a UPN */
    const char *text; /* NULL ends a list */
    int length;       /* -1 = up to the NUL */
};

struct maker_spec {
    const struct maker_name *subject;
    const struct maker_san *san;
    const char *extended_key_usage, *key_usage, *basic_constraints; /* as in openssl.cnf; NULL = none */
    const char *san_der; /* raw octets as the value of subjectAltName, in place of san */
    int san_der_length, san_twice;
    long serial;                   /* 0 = 1 */
    const char *serial_hex;        /* instead */
    int64_t not_before, not_after; /* 0 = a day before, a day after MAKER_NOW */
};

struct maker_ca {
    EVP_PKEY *key;
    X509 *certificate;
};

void maker_ca_make(struct maker_ca *ca, const char *common_name);
void maker_ca_free(struct maker_ca *ca);

/* Signed by ca (NULL = by itself). The caller frees it. Asserts on failure. */
X509 *maker_certificate(const struct maker_ca *ca, const struct maker_spec *spec);

/* With the subject CN=common_name only. */
X509 *maker_plain(const struct maker_ca *ca, const char *common_name);

/* Writes the certificate as PEM. */
void maker_write_pem(const X509 *certificate, const char *path);

#endif
