/* SHA-256 (FIPS 180-4), and the one thing everybody who calls OpenSSL has to remember. */
#ifndef GUARD_CORE_DIGEST_H
#define GUARD_CORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_SHA256_SIZE 32
#define GUARD_SHA256_HEX  65 /* with its NUL */

struct guard_sha256; /* a computation under way */

/* NULL when out of memory. Ended by guard_sha256_end, which frees it. */
struct guard_sha256 *guard_sha256_begin(void);
void guard_sha256_add(struct guard_sha256 *sha, const void *bytes, size_t length);
/* False if OpenSSL failed somewhere; hash is then all zero. */
bool guard_sha256_end(struct guard_sha256 **sha, uint8_t hash[GUARD_SHA256_SIZE]);

/* Lower-case hex, NUL-terminated; out has room for 2 * length + 1. */
void guard_hex(const uint8_t *bytes, size_t length, char *out);

/*
 * Empties OpenSSL's error queue of this thread. Mosquitto takes what it finds there for the fault of whichever TLS
 * client it reads from next, and ends it.
 */
void guard_forget_openssl_errors(void);

#endif
