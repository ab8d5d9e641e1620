/*
 * Remembers verified passwords, so that a reconnect or the re-check at SIGHUP costs microseconds instead of a KDF.
 *
 * What is kept is a keyed MAC (HMAC-SHA-256, random key of this process) over user name, stored hash and password:
 * without the key it says nothing about the password, and a changed stored hash makes another MAC, so a password change
 * or a removed user is never answered from the cache. Only successes are kept. Not thread-safe: the broker thread owns
 * it.
 */
#ifndef GUARD_AUTH_CREDENTIAL_CACHE_H
#define GUARD_AUTH_CREDENTIAL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct auth_credential_mac {
    uint8_t bytes[32];
};

struct auth_credential_cache;

/*
 * For at most `entries` credentials (the least recently used goes first; 0 = none is kept, MACs still work), each good
 * for ttl_ms from its verification. NULL when out of memory, or if the system has no randomness.
 */
struct auth_credential_cache *auth_credential_cache_new(size_t entries, int64_t ttl_ms);
void auth_credential_cache_free(struct auth_credential_cache **cache); /* wipes */

/*
 * The MAC of one attempt; false if OpenSSL failed (then look nothing up). username may be NULL. A session may keep its
 * MAC to be recognised at SIGHUP however old it is; the MAC hides the password, so a worker's answer can be stored
 * without it.
 */
bool auth_credential_mac(struct auth_credential_cache *cache, const char *username, const char *stored,
                         const char *password, size_t length, struct auth_credential_mac *out);

/* Constant time. */
bool auth_credential_mac_equal(const struct auth_credential_mac *a, const struct auth_credential_mac *b);

/* Whether these credentials were verified less than ttl_ms before now_ms. A hit does not prolong that. */
bool auth_credential_cache_lookup(struct auth_credential_cache *cache, const struct auth_credential_mac *mac,
                                  int64_t now_ms);

/* Only after AUTH_PASSWORD_MATCH with exactly the stored hash that went into the MAC. */
void auth_credential_cache_store(struct auth_credential_cache *cache, const struct auth_credential_mac *mac,
                                 int64_t now_ms);

/* Forgets all. The key stays. */
void auth_credential_cache_clear(struct auth_credential_cache *cache);

struct auth_credential_cache_counts {
    uint64_t hits, misses, evictions;
    size_t entries; /* in use now */
};
struct auth_credential_cache_counts auth_credential_cache_counts(const struct auth_credential_cache *cache);

#endif
