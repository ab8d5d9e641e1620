/* Inside the certificate unit: what a certificate states, taken out of it once and carefully. */
#ifndef GUARD_AUTH_CERTIFICATE_FACTS_H
#define GUARD_AUTH_CERTIFICATE_FACTS_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CERTIFICATE_VALUES_MAX 64U

enum certificate_list {
    CERTIFICATE_CN,
    CERTIFICATE_OU,
    CERTIFICATE_O,
    CERTIFICATE_C,
    CERTIFICATE_ISSUER_CN,
    CERTIFICATE_DNS,
    CERTIFICATE_URI,
    CERTIFICATE_EMAIL,
    CERTIFICATE_UPN,
    CERTIFICATE_LISTS
};

struct certificate_values {
    char *value[CERTIFICATE_VALUES_MAX]; /* UTF-8 without NUL, in the order of the certificate */
    size_t count;  /* as often as the certificate states it, usable or not; may be above the maximum */
    bool unusable; /* at least one holds NUL or broken text, or there are too many: use none of them */
};

struct certificate_facts {
    struct certificate_values list[CERTIFICATE_LISTS];
    char *subject, *issuer; /* RFC 2253 */
    char serial[41];        /* upper-case hex without leading zeros or sign */
    char sha256[65];        /* upper-case hex */
    char spki_sha256[65];
    int64_t not_before, not_after; /* Unix seconds */
};

/*
 * *out is freed by certificate_facts_free, on success only. GUARD_ERR_INVALID: the certificate is malformed in a way
 * that no use of it would be safe (err says how); GUARD_ERR_CRYPTO, GUARD_ERR_NOMEM. May leave errors in OpenSSL's
 * queue.
 */
int certificate_facts_read(const void *certificate, struct certificate_facts **out, struct guard_error *err);
void certificate_facts_free(struct certificate_facts **facts);

/* The SHA-256 in the 64 digits and NUL of out. GUARD_OK or GUARD_ERR_CRYPTO. */
int certificate_digest_hex(const void *bytes, size_t length, char out[65]);

#endif
