#include "auth/credential_cache.h"

#include "core/memory.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* Lies in one chain of its bucket and in the list from most to least recently used; free ones are chained by next. */
struct entry {
    struct auth_credential_mac mac;
    int64_t good_until_ms;
    uint32_t next;         /* in the bucket */
    uint32_t newer, older; /* in the list */
};

struct auth_credential_cache {
    EVP_MAC_CTX *keyed; /* initialised with the key; never used up: duplicated for each MAC */
    int64_t ttl_ms;
    size_t capacity, used;
    uint32_t *bucket;
    size_t bucket_mask;
    struct entry *entry;
    uint32_t newest, oldest, free;
    uint64_t hits, misses, evictions;
};

static EVP_MAC_CTX *keyed_context(void)
{
    unsigned char key[32];
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac);
    if (context && (RAND_bytes(key, sizeof key) != 1 || EVP_MAC_init(context, key, sizeof key, params) != 1)) {
        EVP_MAC_CTX_free(context);
        context = NULL;
    }
    guard_wipe(key, sizeof key);
    ERR_clear_error();
    return context;
}

static bool allocate_tables(struct auth_credential_cache *cache)
{
    size_t buckets = 1;
    while (buckets < cache->capacity)
        buckets *= 2;
    cache->bucket_mask = buckets - 1;
    cache->bucket = calloc(buckets, sizeof *cache->bucket);
    cache->entry = calloc(cache->capacity ? cache->capacity : 1, sizeof *cache->entry);
    return cache->bucket && cache->entry;
}

struct auth_credential_cache *auth_credential_cache_new(size_t entries, int64_t ttl_ms)
{
    struct auth_credential_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->capacity = entries < NONE / 2 ? entries : NONE / 2;
    cache->ttl_ms = ttl_ms;
    cache->keyed = keyed_context();
    if (!cache->keyed || !allocate_tables(cache))
        auth_credential_cache_free(&cache);
    else
        auth_credential_cache_clear(cache);
    return cache;
}

void auth_credential_cache_free(struct auth_credential_cache **cache)
{
    struct auth_credential_cache *it = *cache;
    if (!it)
        return;
    EVP_MAC_CTX_free(it->keyed); /* OpenSSL wipes the key */
    guard_free_secret(&it->entry, it->entry ? it->capacity * sizeof *it->entry : 0);
    free(it->bucket);
    free(it);
    *cache = NULL;
}

void auth_credential_cache_clear(struct auth_credential_cache *cache)
{
    guard_wipe(cache->entry, cache->capacity * sizeof *cache->entry);
    for (size_t i = 0; i <= cache->bucket_mask; i++)
        cache->bucket[i] = NONE;
    for (size_t i = 0; i < cache->capacity; i++)
        cache->entry[i].next = i + 1 < cache->capacity ? (uint32_t)i + 1 : NONE;
    cache->free = cache->capacity ? 0 : NONE;
    cache->newest = cache->oldest = NONE;
    cache->used = 0;
}

/* Its length before each part: no two credentials have the same text. */
static bool add_part(EVP_MAC_CTX *context, const char *text, size_t length)
{
    uint64_t count = length;
    return EVP_MAC_update(context, (const unsigned char *)&count, sizeof count) == 1 &&
           EVP_MAC_update(context, (const unsigned char *)text, length) == 1;
}

bool auth_credential_mac(struct auth_credential_cache *cache, const char *username, const char *stored,
                         const char *password, size_t length, struct auth_credential_mac *out)
{
    size_t size = 0;
    const char *name = username ? username : "";
    char has_name = username != NULL;
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(cache->keyed);
    bool good = context && add_part(context, &has_name, 1) && add_part(context, name, strlen(name)) &&
                add_part(context, stored, strlen(stored)) && add_part(context, password, length) &&
                EVP_MAC_final(context, out->bytes, &size, sizeof out->bytes) == 1 && size == sizeof out->bytes;
    EVP_MAC_CTX_free(context);
    ERR_clear_error();
    return good;
}

bool auth_credential_mac_equal(const struct auth_credential_mac *a, const struct auth_credential_mac *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static uint32_t *bucket_of(struct auth_credential_cache *cache, const struct auth_credential_mac *mac)
{
    uint64_t number;
    memcpy(&number, mac->bytes, sizeof number);
    return &cache->bucket[number & cache->bucket_mask];
}

static uint32_t find(struct auth_credential_cache *cache, const struct auth_credential_mac *mac)
{
    uint32_t at = *bucket_of(cache, mac);
    while (at != NONE && !auth_credential_mac_equal(&cache->entry[at].mac, mac))
        at = cache->entry[at].next;
    return at;
}

static void take_from_list(struct auth_credential_cache *cache, uint32_t at)
{
    struct entry *entry = &cache->entry[at];
    if (entry->newer == NONE)
        cache->newest = entry->older;
    else
        cache->entry[entry->newer].older = entry->older;
    if (entry->older == NONE)
        cache->oldest = entry->newer;
    else
        cache->entry[entry->older].newer = entry->newer;
}

static void put_first(struct auth_credential_cache *cache, uint32_t at)
{
    struct entry *entry = &cache->entry[at];
    entry->newer = NONE;
    entry->older = cache->newest;
    if (cache->newest != NONE)
        cache->entry[cache->newest].newer = at;
    cache->newest = at;
    if (cache->oldest == NONE)
        cache->oldest = at;
}

static void discard(struct auth_credential_cache *cache, uint32_t at)
{
    uint32_t *link = bucket_of(cache, &cache->entry[at].mac);
    while (*link != at)
        link = &cache->entry[*link].next;
    *link = cache->entry[at].next;
    take_from_list(cache, at);
    guard_wipe(&cache->entry[at], sizeof cache->entry[at]);
    cache->entry[at].next = cache->free;
    cache->free = at;
    cache->used--;
}

bool auth_credential_cache_lookup(struct auth_credential_cache *cache, const struct auth_credential_mac *mac,
                                  int64_t now_ms)
{
    uint32_t at = find(cache, mac);
    if (at != NONE && cache->entry[at].good_until_ms <= now_ms) {
        discard(cache, at);
        at = NONE;
    }
    if (at == NONE) {
        cache->misses++;
        return false;
    }
    take_from_list(cache, at);
    put_first(cache, at);
    cache->hits++;
    return true;
}

void auth_credential_cache_store(struct auth_credential_cache *cache, const struct auth_credential_mac *mac,
                                 int64_t now_ms)
{
    uint32_t at = find(cache, mac);
    if (at != NONE)
        discard(cache, at);
    if (cache->free == NONE && cache->oldest != NONE) {
        discard(cache, cache->oldest);
        cache->evictions++;
    }
    if (cache->free == NONE)
        return; /* a cache for nothing */
    at = cache->free;
    struct entry *entry = &cache->entry[at];
    uint32_t *bucket = bucket_of(cache, mac);
    cache->free = entry->next;
    *entry = (struct entry){.mac = *mac, .good_until_ms = now_ms + cache->ttl_ms, .next = *bucket};
    *bucket = at;
    put_first(cache, at);
    cache->used++;
}

struct auth_credential_cache_counts auth_credential_cache_counts(const struct auth_credential_cache *cache)
{
    return (struct auth_credential_cache_counts){cache->hits, cache->misses, cache->evictions, cache->used};
}
