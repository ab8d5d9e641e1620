/* What the tests of certificates share: shorthand for their parts, and one way to verify. */
#ifndef GUARD_TESTS_CERTIFICATE_CHECK_H
#define GUARD_TESTS_CERTIFICATE_CHECK_H

#include "auth/certificate.h"
#include "tests/unit/certificate/certificate_maker.h"

#include <openssl/x509v3.h>

#define UTF8 V_ASN1_UTF8STRING
#define CN(text)                          \
    {                                     \
        NID_commonName, UTF8, text, -1, 0 \
    }
#define OU(text)                                      \
    {                                                 \
        NID_organizationalUnitName, UTF8, text, -1, 0 \
    }
#define NAMES(...)              \
    (const struct maker_name[]) \
    {                           \
        __VA_ARGS__,            \
        {                       \
            0                   \
        }                       \
    }
#define SANS(...)              \
    (const struct maker_san[]) \
    {                          \
        __VA_ARGS__,           \
        {                      \
            0                  \
        }                      \
    }
#define DNS(text)         \
    {                     \
        GEN_DNS, text, -1 \
    }
#define URI(text)         \
    {                     \
        GEN_URI, text, -1 \
    }
#define EMAIL(text)         \
    {                       \
        GEN_EMAIL, text, -1 \
    }
#define UPN(text)               \
    {                           \
        GEN_OTHERNAME, text, -1 \
    }
#define MISMATCH GUARD_REASON_CERT_IDENTITY_MISMATCH
#define REVOKED  GUARD_REASON_CERT_REVOKED

/* The mappings of text; fails the test if they cannot be parsed. */
struct auth_certificate_config *config_of(const char *text);

/* Verifies with the mappings of text: the identity, which the caller frees, or NULL. */
struct guard_identity *verify(const char *text, const void *certificate, int64_t now, enum guard_reason *reason);

#endif
