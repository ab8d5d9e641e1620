/*
 * Sets of keys that token signatures are checked with. A set is immutable and reference-counted; any number of threads
 * may verify with one set at the same time. Keys are parsed and examined once, here, and never again for a token.
 *
 * What is done with the keys of a set (RFC 7517 §5):
 *  - skipped, with a warning: a kty or curve the guard does not implement, `use` other than "sig", key_ops without
 *    "verify" or "sign", an `alg` that is no signature algorithm of the guard (encryption keys stand beside signing
 *    keys in many providers' sets), and a second copy of a key already there;
 *  - the whole set is refused: a signing key that is weak or broken (RSA modulus below 2048 bits or even, exponent even
 *    or 1; a point that is not on its curve, a coordinate of the wrong length; an Ed25519 key that is not canonical or
 * of small order; an HMAC key shorter than its hash; an `alg` that the key cannot do; required members missing or of
 *    another type), two different keys of one kid that an algorithm cannot tell apart, and a set without any usable
 * key. A refused set is an error the caller reports; it keeps the set it had. "No keys" never means "no check".
 */
#ifndef GUARD_AUTH_JWKS_H
#define GUARD_AUTH_JWKS_H

#include "core/error.h"
#include "core/log.h"

#include <stddef.h>
#include <stdint.h>

struct auth_jwks;

#define AUTH_JWKS_MAX_SIZE (1024U * 1024U) /* octets of a JWKS text or key file */
#define AUTH_JWKS_MAX_KEYS 1024U

/*
 * Reads a JWK Set ({"keys":[…]}, RFC 7517 §5) or a single JWK. place names the source in errors and warnings ("/etc/…",
 * "guard:jwks:https://idp.example"). Skipped keys are warned about on log (may be NULL). *out holds one reference, to
 * be given back by auth_jwks_unref; it is NULL on failure.
 */
int auth_jwks_parse(const char *text, size_t length, const char *place, const struct guard_log *log,
                    struct auth_jwks **out, struct guard_error *err);

/*
 * Reads a file by its content:
 *  - PEM: one public key (SPKI or PKCS #1), private key (of which the public half is used) or certificate; no kid;
 *  - JSON: a JWK or a JWK Set;
 *  - anything else is an HMAC secret, taken octet by octet; if it is printable ASCII, one line end behind it is not
 *    part of it. No kid. Content that looks like a public key in some other form (DER, base64 of it, OpenSSH, JSON with
 *    a byte order mark …) is refused: a public key must never become a secret.
 * A secret or private key in a file that others may read is used, and warned about.
 */
int auth_jwks_load_file(const char *path, const struct guard_log *log, struct auth_jwks **out, struct guard_error *err);

/*
 * Reads every file of a folder whose name ends in .pem, .jwk, .json, .jwks, .key or .secret and does not begin with a
 * dot, in the order of their names, into one set. A PEM key or secret gets the file's name without that ending as its
 * kid; secrets are taken from .secret and .key files only. One refused file refuses the folder.
 */
int auth_jwks_load_directory(const char *path, const struct guard_log *log, struct auth_jwks **out,
                             struct guard_error *err);

/* A folder or a file, whichever path is. A file is a secret only if its name ends in .secret or .key. */
int auth_jwks_load(const char *path, const struct guard_log *log, struct auth_jwks **out, struct guard_error *err);

/* One more reference; returns keys. */
struct auth_jwks *auth_jwks_ref(struct auth_jwks *keys);

/* Gives a reference back, and sets *keys to NULL; the last one wipes and frees the set. *keys may be NULL. */
void auth_jwks_unref(struct auth_jwks **keys);

/* For status pages and audit: what stands in the set. index < auth_jwks_count. */
struct auth_key_info {
    const char *kid;     /* NULL = the key has none; lives as long as the set */
    const char *type;    /* "RSA", "P-256", "P-384", "P-521", "Ed25519", "oct" */
    unsigned bits;       /* RSA modulus, curve or secret, in bits */
    uint32_t algorithms; /* what it may be used with */
};
size_t auth_jwks_count(const struct auth_jwks *keys);
struct auth_key_info auth_jwks_key(const struct auth_jwks *keys, size_t index);

/* Whether both sets hold the same keys with the same kids and algorithms, in the same order. */
int auth_jwks_equal(const struct auth_jwks *a, const struct auth_jwks *b);

#endif
