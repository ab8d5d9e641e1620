/*
 * One key that checks signatures: parsed and examined once, immutable afterwards, usable by many threads at once.
 * For the units of auth/ only; others see key sets (jwks.h).
 */
#ifndef GUARD_AUTH_KEY_H
#define GUARD_AUTH_KEY_H

#include "auth/algorithm.h"
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct auth_key;

enum auth_key_type {
    AUTH_KEY_RSA,
    AUTH_KEY_P256,
    AUTH_KEY_P384,
    AUTH_KEY_P521,
    AUTH_KEY_ED25519,
    AUTH_KEY_SECRET,
    AUTH_KEY_TYPE_COUNT
};

/* Octets of somebody else's. */
struct auth_octets {
    const unsigned char *data;
    size_t length;
};

/*
 * Makers. Each examines the key as jwks.h says and gives it to the caller (auth_key_free). GUARD_ERR_INVALID: weak or
 * broken, err tells why; GUARD_ERR_UNSUPPORTED: a kind of key the guard does not use; GUARD_ERR_CRYPTO or
 * GUARD_ERR_NOMEM. Numbers are big-endian; coordinates must have the full size of the curve (RFC 7518 §6.2.1.2).
 */
int auth_key_new_rsa(struct auth_octets n, struct auth_octets e, struct auth_key **out, struct guard_error *err);
int auth_key_new_ec(enum auth_key_type curve, struct auth_octets x, struct auth_octets y, struct auth_key **out,
                    struct guard_error *err);
int auth_key_new_ed25519(struct auth_octets x, struct auth_key **out, struct guard_error *err);
int auth_key_new_secret(struct auth_octets secret, struct auth_key **out, struct guard_error *err);
/* A public key, private key or certificate in PEM. *holds_private (may be NULL): text held a private key. */
int auth_key_new_pem(const char *text, size_t length, struct auth_key **out, bool *holds_private,
                     struct guard_error *err);
void auth_key_free(struct auth_key **key); /* *key may be NULL */

/* Set once, before the key is shared. GUARD_OK or GUARD_ERR_NOMEM. */
int auth_key_set_id(struct auth_key *key, const char *kid);
/* Pins the algorithm. GUARD_ERR_INVALID if the key cannot do it. */
int auth_key_pin(struct auth_key *key, enum auth_algorithm algorithm, struct guard_error *err);

const char *auth_key_id(const struct auth_key *key); /* NULL = none */
enum auth_key_type auth_key_kind(const struct auth_key *key);
const char *auth_key_type_name(enum auth_key_type type);
unsigned auth_key_bits(const struct auth_key *key);
uint32_t auth_key_algorithms(const struct auth_key *key);

/*
 * Whether checking one signature takes more than about 0.1 ms, however fast the machine is otherwise: P-384 and P-521
 * (0.6 and 0.5 ms where P-256 takes 0.06), RSA above 4,096 bits (0.2 ms for 7,680) or with a long exponent.
 */
bool auth_key_is_slow(const struct auth_key *key);

/* The same key material (in constant time for secrets), whatever the kid. */
bool auth_key_same(const struct auth_key *a, const struct auth_key *b);

/* The octets a signature of that algorithm has with this key, exactly. */
size_t auth_key_signature_size(const struct auth_key *key, enum auth_algorithm algorithm);

enum auth_signature { AUTH_SIGNATURE_GOOD = 0x600d, AUTH_SIGNATURE_BAD = 0, AUTH_SIGNATURE_ERROR = -1 };

/* The token that the signed text is the beginning of, to be hashed in the same pass where the algorithm uses SHA-256.
 */
struct auth_whole {
    size_t length; /* in octets, from the beginning of the signed text */
    bool hashed;   /* out: whether sha256 was made; only with a good signature */
    uint8_t sha256[32];
};

/*
 * Checks signature over text. An algorithm that is not among the key's, or another length than
 * auth_key_signature_size, is BAD before anything is computed. ERROR: out of memory or a fault inside OpenSSL; nothing
 * is known about the signature. whole may be NULL. Leaves OpenSSL's error queue empty.
 */
enum auth_signature auth_key_verify(const struct auth_key *key, enum auth_algorithm algorithm, struct auth_octets text,
                                    struct auth_octets signature, struct auth_whole *whole);

#endif
