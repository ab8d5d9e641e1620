/*
 * SHA-256 on a thread of its own: one thread reads a large file while this one computes its digest. Without a thread
 * (none can be had) it is computed by the caller, as it goes.
 */
#ifndef GUARD_STORE_HASHER_H
#define GUARD_STORE_HASHER_H

#include "core/digest.h"

struct guard_hasher;

/* NULL: out of memory. */
struct guard_hasher *guard_hasher_start(void);
/* The next octets, which must stay as they are until guard_hasher_end. */
void guard_hasher_add(struct guard_hasher *hasher, const void *bytes, size_t length);
/* Waits for the digest; frees hasher and sets it to NULL. False: OpenSSL failed. */
bool guard_hasher_end(struct guard_hasher **hasher, uint8_t digest[GUARD_SHA256_SIZE]);

#endif
