/* SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash for tables whose keys strangers choose. */
#ifndef GUARD_CORE_SIPHASH_H
#define GUARD_CORE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct guard_siphash_key {
    uint64_t k0, k1;
};

/* A key from the system's random source. Never fails: without entropy the process is aborted. */
struct guard_siphash_key guard_siphash_random_key(void);

uint64_t guard_siphash(const struct guard_siphash_key *key, const void *bytes, size_t length);

#endif
