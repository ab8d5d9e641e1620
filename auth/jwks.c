#include "auth/jwks.h"

#include "auth/jwk.h"
#include "auth/jwks_private.h"
#include "core/json.h"
#include "core/memory.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH 16

struct auth_jwks {
    atomic_uint references;
    struct auth_key **keys;  /* in the order of the source */
    struct auth_key **by_id; /* those with a kid, sorted by it */
    size_t count, with_id;
    uint32_t algorithms;
    const struct auth_key *only[AUTH_ALGORITHM_COUNT]; /* the key for tokens without kid; NULL: none, or several */
};

struct auth_jwks *auth_jwks_new(void)
{
    struct auth_jwks *keys = calloc(1, sizeof *keys);
    if (keys)
        atomic_init(&keys->references, 1);
    return keys;
}

struct auth_jwks *auth_jwks_ref(struct auth_jwks *keys)
{
    atomic_fetch_add_explicit(&keys->references, 1, memory_order_relaxed);
    return keys;
}

void auth_jwks_unref(struct auth_jwks **keys)
{
    struct auth_jwks *it = *keys;
    *keys = NULL;
    if (!it || atomic_fetch_sub_explicit(&it->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < it->count; i++)
        auth_key_free(&it->keys[i]);
    free(it->keys);
    free(it->by_id);
    free(it);
}

static bool same_id(const struct auth_key *a, const struct auth_key *b)
{
    const char *x = auth_key_id(a), *y = auth_key_id(b);
    return x && y ? strcmp(x, y) == 0 : x == y;
}

/* 1: already there; 0: new; negative: cannot be told from another key. */
static int compare_with_others(const struct auth_jwks *keys, const struct auth_key *key, struct guard_error *err)
{
    for (size_t i = 0; i < keys->count; i++) {
        const struct auth_key *other = keys->keys[i];
        if (!same_id(key, other) || !(auth_key_algorithms(key) & auth_key_algorithms(other)))
            continue;
        if (auth_key_same(key, other) && auth_key_algorithms(key) == auth_key_algorithms(other))
            return 1;
        if (auth_key_id(key))
            return guard_fail(err, GUARD_ERR_INVALID, "another key of the set has the same kid and algorithm");
    }
    return 0;
}

int auth_jwks_add(struct auth_jwks *keys, struct auth_key **key, const struct auth_jwks_source *source,
                  struct guard_error *err)
{
    int rc = compare_with_others(keys, *key, err);
    struct auth_key **grown = NULL;
    if (rc == 0 && keys->count >= AUTH_JWKS_MAX_KEYS)
        rc = guard_fail(err, GUARD_ERR_LIMIT, "more than %u keys", AUTH_JWKS_MAX_KEYS);
    if (rc == 0) {
        grown = reallocarray(keys->keys, keys->count + 1, sizeof(struct auth_key *));
        if (!grown)
            rc = guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    if (grown) {
        keys->keys = grown;
        keys->keys[keys->count++] = *key;
        *key = NULL;
        return GUARD_OK;
    }
    if (rc == 1)
        guard_log(source->log, GUARD_LOG_WARNING, "%s: a key that stands twice is used once", source->place);
    auth_key_free(key);
    return rc < 0 ? rc : GUARD_OK;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(auth_key_id(*(const struct auth_key *const *)a), auth_key_id(*(const struct auth_key *const *)b));
}

int auth_jwks_finish(struct auth_jwks *keys, const char *place, struct guard_error *err)
{
    bool several[AUTH_ALGORITHM_COUNT] = {false};
    if (!keys->count)
        return guard_fail_at(err, GUARD_ERR_INVALID, place, 0, 0, "there is no key that can check signatures");
    keys->by_id = calloc(keys->count, sizeof(struct auth_key *));
    if (!keys->by_id)
        return guard_fail_at(err, GUARD_ERR_NOMEM, place, 0, 0, "out of memory");
    for (size_t i = 0; i < keys->count; i++) {
        struct auth_key *key = keys->keys[i];
        keys->algorithms |= auth_key_algorithms(key);
        if (auth_key_id(key))
            keys->by_id[keys->with_id++] = key;
        for (unsigned a = 0; a < AUTH_ALGORITHM_COUNT; a++) {
            if (!(auth_key_algorithms(key) >> a & 1))
                continue;
            several[a] |= keys->only[a] != NULL;
            keys->only[a] = several[a] ? NULL : key;
        }
    }
    qsort(keys->by_id, keys->with_id, sizeof(struct auth_key *), compare_ids);
    return GUARD_OK;
}

/* The first of by_id whose kid is not less than kid. */
static size_t lower_bound(const struct auth_jwks *keys, const char *kid)
{
    size_t low = 0, high = keys->with_id;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(auth_key_id(keys->by_id[middle]), kid) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct auth_key *auth_jwks_find(const struct auth_jwks *keys, const char *kid, enum auth_algorithm algorithm,
                                      bool *known)
{
    *known = false;
    if (!kid)
        return keys->only[algorithm];
    for (size_t i = lower_bound(keys, kid); i < keys->with_id; i++) {
        const struct auth_key *key = keys->by_id[i];
        if (strcmp(auth_key_id(key), kid) != 0)
            break;
        *known = true;
        if (auth_key_algorithms(key) & AUTH_ALGORITHM_BIT(algorithm))
            return key;
    }
    return NULL;
}

bool auth_jwks_has(const struct auth_jwks *keys, const char *kid)
{
    size_t i = lower_bound(keys, kid);
    return i < keys->with_id && strcmp(auth_key_id(keys->by_id[i]), kid) == 0;
}

uint32_t auth_jwks_algorithms(const struct auth_jwks *keys)
{
    return keys->algorithms;
}

size_t auth_jwks_count(const struct auth_jwks *keys)
{
    return keys->count;
}

const struct auth_key *auth_jwks_at(const struct auth_jwks *keys, size_t index)
{
    return keys->keys[index];
}

struct auth_key_info auth_jwks_key(const struct auth_jwks *keys, size_t index)
{
    const struct auth_key *key = keys->keys[index];
    return (struct auth_key_info){.kid = auth_key_id(key),
                                  .type = auth_key_type_name(auth_key_kind(key)),
                                  .bits = auth_key_bits(key),
                                  .algorithms = auth_key_algorithms(key)};
}

int auth_jwks_equal(const struct auth_jwks *a, const struct auth_jwks *b)
{
    if (a->count != b->count)
        return 0;
    for (size_t i = 0; i < a->count; i++)
        if (!same_id(a->keys[i], b->keys[i]) || auth_key_algorithms(a->keys[i]) != auth_key_algorithms(b->keys[i]) ||
            !auth_key_same(a->keys[i], b->keys[i]))
            return 0;
    return 1;
}

/* "key 2 (kid abc)", with what could deceive a reader of the log left out. */
static const char *describe(const struct guard_json *jwk, size_t index, char *buffer, size_t size)
{
    const char *kid = guard_json_string(guard_json_get(jwk, "kid"));
    int length = snprintf(buffer, size, "key %zu", index + 1);
    if (!kid || length < 0)
        return buffer;
    char clean[49];
    size_t i = 0;
    for (; kid[i] && i < sizeof clean - 1; i++)
        clean[i] = kid[i] > 0x20 && kid[i] < 0x7f ? kid[i] : '?';
    clean[i] = '\0';
    snprintf(buffer + length, size - (size_t)length, " (kid %s)", clean);
    return buffer;
}

static int add_jwk(struct auth_jwks *keys, const struct guard_json *jwk, size_t index, struct auth_jwks_source *source,
                   struct guard_error *err)
{
    struct auth_key *key;
    struct guard_error why;
    char name[96];
    source->holds_secret |= auth_jwk_is_secret(jwk);
    int rc = auth_jwk_to_key(jwk, &key, &why);
    if (rc == GUARD_ERR_UNSUPPORTED) {
        guard_log(source->log, GUARD_LOG_WARNING, "%s: %s is not used: %s", source->place,
                  describe(jwk, index, name, sizeof name), why.text);
        return GUARD_OK;
    }
    if (rc == GUARD_OK)
        rc = auth_jwks_add(keys, &key, source, &why);
    if (rc == GUARD_OK)
        return GUARD_OK;
    return guard_fail_at(err, why.code, source->place, 0, 0, "%s: %s", describe(jwk, index, name, sizeof name),
                         why.text);
}

int auth_jwks_add_json(struct auth_jwks *keys, const char *text, size_t length, struct auth_jwks_source *source,
                       struct guard_error *err)
{
    struct guard_json *document;
    struct guard_error why;
    size_t index = 0;
    int rc = guard_json_parse(text, length, JSON_DEPTH, &document, &why);
    if (rc != GUARD_OK)
        return guard_fail_at(err, why.code, source->place, why.line, why.column, "not a JWK Set: %s", why.text);
    const struct guard_json *list = guard_json_get(document, "keys");
    if (guard_json_is(list, GUARD_JSON_ARRAY))
        for (const struct guard_json *k = guard_json_first(list); k && rc == GUARD_OK; k = guard_json_next(k))
            rc = add_jwk(keys, k, index++, source, err);
    else if (!list && guard_json_get(document, "kty"))
        rc = add_jwk(keys, document, 0, source, err);
    else
        rc = guard_fail_at(err, GUARD_ERR_INVALID, source->place, 0, 0,
                           "not a JWK Set: expected a member \"keys\" that is a list of keys");
    guard_json_free(&document);
    return rc;
}

int auth_jwks_parse(const char *text, size_t length, const char *place, const struct guard_log *log,
                    struct auth_jwks **out, struct guard_error *err)
{
    struct auth_jwks_source source = {.place = place, .log = log};
    *out = NULL;
    if (length > AUTH_JWKS_MAX_SIZE)
        return guard_fail_at(err, GUARD_ERR_LIMIT, place, 0, 0, "is larger than %u octets", AUTH_JWKS_MAX_SIZE);
    struct auth_jwks *keys = auth_jwks_new();
    if (!keys)
        return guard_fail_at(err, GUARD_ERR_NOMEM, place, 0, 0, "out of memory");
    int rc = auth_jwks_add_json(keys, text, length, &source, err);
    if (rc == GUARD_OK)
        rc = auth_jwks_finish(keys, place, err);
    if (rc != GUARD_OK)
        auth_jwks_unref(&keys);
    *out = keys;
    return rc;
}
