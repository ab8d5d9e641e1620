/*
 * X.509 client certificates as credentials: a certificate whose chain the broker's TLS has verified in, an identity or
 * the reason of the refusal out.
 *
 * Certificates cross this header as `const void *`, in truth an OpenSSL `X509 *` as mosquitto_client_certificate()
 * gives it.
 *
 * Nothing is taken from the handshake on trust that a resumed session could have outlived: dates, usage and the deny
 * list are looked at every time. Every function leaves OpenSSL's error queue of the thread empty.
 */
#ifndef GUARD_AUTH_CERTIFICATE_H
#define GUARD_AUTH_CERTIFICATE_H

#include "core/error.h"
#include "core/identity.h"
#include "core/reason.h"

#include <stdint.h>

/*
 * The first certificate of a PEM file, freed by auth_certificate_release. GUARD_ERR_INVALID: there is none; or what
 * guard_file_read says. Never asks for a passphrase.
 */
int auth_certificate_read(const char *path, void **certificate, struct guard_error *err);

/* Gives back the reference that mosquitto_client_certificate() added. NULL is allowed. */
void auth_certificate_release(void *certificate);

/* SHA-256 of the DER certificate, for tokens bound by cnf.x5t#S256 (RFC 8705 §3.1). GUARD_OK or GUARD_ERR_CRYPTO. */
int auth_certificate_sha256(const void *certificate, uint8_t out[32]);

/*
 * What a deny list may call a certificate by, to be kept for as long as a connection lasts that was made with it. Hex
 * is upper-case.
 */
struct auth_certificate_names {
    char sha256[65];      /* fingerprint of the certificate */
    char spki_sha256[65]; /* of the DER SubjectPublicKeyInfo */
    char serial[41];      /* hex without leading zeros or sign, "0" for zero; "" if it is longer than RFC 5280 allows */
    char *issuer;         /* RFC 2253 */
};

/* *out is freed by auth_certificate_names_free. GUARD_ERR_NOMEM or GUARD_ERR_CRYPTO: *out is NULL. */
int auth_certificate_names_read(const void *certificate, struct auth_certificate_names **out);
void auth_certificate_names_free(struct auth_certificate_names **names); /* *names may be NULL */

/* The mappings of the option cert_identity: immutable, safe for any number of threads at once. */
struct auth_certificate_config;

/*
 * text    := mapping { ";" mapping }        the first mapping that fits decides
 * mapping := SOURCE [ ":" PATTERN [ "=" TEMPLATE ] ] { issuer=DN | issuer_file=PATH }
 *
 * SOURCE: cn, o, ou, ou[N] (N from 1, in the order of the certificate), san.uri, san.dns, san.email, san.upn, serial,
 * sha256 (both upper-case hex), subject (RFC 2253 text).
 *
 * PATTERN: compared with the whole value, octet by octet. {name} is a capture: one segment, or the part of one between
 * fixed text; never empty; one a segment. Segments end at `/ : ? #` in san.uri, `.` in san.dns, `@` in san.email and
 * san.upn, `. / @ :` in cn, o and ou, `, +` in subject. `\` takes the meaning from `{ = \`. Without a pattern the whole
 * value counts.
 *
 * TEMPLATE: the user name, of text and {captures}. Without one: the capture named username, or the only capture, or the
 * whole value.
 *
 * issuer: the certificate's issuer must be exactly this DN (`openssl x509 -noout -issuer -nameopt RFC2253` prints it).
 * issuer_file: the PEM certificate of the CA that must have signed this certificate; proves more than a name does.
 *
 * Words are separated by white space. What holds spaces or `;` stands in double quotes ("issuer=CN=Plant
 * CA,O=Example"), where `\"` and `\\` mean `"` and `\`.
 *
 * A source has to be there exactly once; of san.dns and san.email with a pattern exactly one value has to fit. san.uri:
 * one URI in all, and one of the scheme spiffe must be a well-formed SPIFFE ID of a workload.
 *
 * *out is freed by auth_certificate_config_free. On failure err has the column and what was expected.
 */
int auth_certificate_config_parse(const char *text, struct auth_certificate_config **out, struct guard_error *err);
void auth_certificate_config_free(struct auth_certificate_config **config);

/* What a deny list may go by. Hex is upper-case; strings live for the call only. */
struct auth_certificate_query {
    const char *sha256;      /* fingerprint of the certificate, 64 hex digits */
    const char *issuer;      /* RFC 2253 */
    const char *serial;      /* hex without leading zeros or sign, "0" for zero */
    const char *spki_sha256; /* of the DER SubjectPublicKeyInfo, 64 hex digits */
    const char *username;    /* the identity it maps to */
    int64_t not_before;      /* Unix seconds; for users revoked "before t" */
};

struct auth_certificate_request {
    const void *certificate; /* borrowed; NULL = the client sent none: GUARD_REASON_CERT_MISSING */
    int64_t now;             /* Unix seconds */
    /*
     * Called last, for a certificate that is good otherwise. GUARD_REASON_NONE = not denied, GUARD_REASON_CERT_REVOKED
     * = it is; anything else refuses with that reason (a look-up that failed must not answer NONE). May be NULL.
     */
    enum guard_reason (*denied)(void *context, const struct auth_certificate_query *query);
    void *denied_context;
};

/*
 * GUARD_REASON_NONE: *out is the identity, freed by guard_identity_free: method, username, attributes, not_after =
 * expires_at = the certificate's notAfter, subject, issuer, issued_at = its notBefore, certificate_sha256,
 * certificate_serial. Attributes: cert.cn, cert.ou, cert.o, cert.c, cert.serial, cert.sha256, cert.spki.sha256,
 * cert.issuer.cn, cert.san.dns, cert.san.uri, cert.san.email, cert.san.upn, and attr.<name> for each capture. Facts the
 * certificate states in a way that cannot be used (NUL or broken text among the values, more than 64 of them) are there
 * without value.
 *
 * Otherwise *out is NULL and the reason is cert_missing, cert_revoked (expired, not yet valid, or what the deny list
 * said), cert_identity_mismatch (a CA, not for client authentication, malformed, no mapping fits), another reason that
 * denied answered, or internal_error; why (may be NULL) says it in words for the log.
 */
enum guard_reason auth_certificate_verify(const struct auth_certificate_config *config,
                                          const struct auth_certificate_request *request, struct guard_identity **out,
                                          struct guard_error *why);

#endif
