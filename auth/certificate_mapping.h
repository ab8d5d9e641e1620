/* Inside the certificate unit: the mappings of cert_identity as certificate_config.c reads and certificate.c applies
 * them. */
#ifndef GUARD_AUTH_CERTIFICATE_MAPPING_H
#define GUARD_AUTH_CERTIFICATE_MAPPING_H

#include "auth/certificate_facts.h"
#include "auth/certificate_pattern.h"

#include <openssl/types.h>

#define CERTIFICATE_MAPPINGS_MAX 32U

enum certificate_source_kind {
    SOURCE_LIST,    /* the only value of a list, or with a pattern and `several` the only one that fits */
    SOURCE_OU_N,    /* one OU by its place */
    SOURCE_SERIAL,  /* facts.serial */
    SOURCE_SHA256,  /* facts.sha256 */
    SOURCE_SUBJECT, /* facts.subject */
};

struct certificate_source {
    const char *name;
    enum certificate_source_kind kind;
    enum certificate_list list; /* of LIST and OU_N */
    bool several;               /* with a pattern: other values may be there that do not fit */
    const char *separators;     /* of its patterns */
};

struct certificate_mapping {
    const struct certificate_source *source;
    size_t place;                        /* of OU_N, 0-based */
    struct certificate_pattern *pattern; /* NULL = the whole value */
    char *issuer;                        /* RFC 2253; NULL = any */
    X509 *issuer_certificate;            /* NULL = any */
};

struct auth_certificate_config {
    struct certificate_mapping mapping[CERTIFICATE_MAPPINGS_MAX];
    size_t count;
};

/*
 * Whether the certificate comes under the mapping. GUARD_OK: username was appended, and match holds the captures,
 * borrowed from facts. GUARD_ERR_NOT_FOUND: it does not, and err says why. GUARD_ERR_INVALID: what the mapping looks at
 * is unusable; refuse.
 */
int certificate_mapping_apply(const struct certificate_mapping *mapping, const void *certificate,
                              const struct certificate_facts *facts, struct certificate_match *match,
                              struct guard_buffer *username, struct guard_error *err);

#endif
