/* The cache of verified credentials: what it recognises, for how long, and what it gives up first. */
#include "auth/credential_cache.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static struct auth_credential_mac mac_of(struct auth_credential_cache *cache, const char *user, const char *stored,
                                         const char *password)
{
    struct auth_credential_mac mac;
    assert_true(auth_credential_mac(cache, user, stored, password, strlen(password), &mac));
    assert_int_equal(ERR_peek_error(), 0);
    return mac;
}

static void test_hit_needs_everything(void **state)
{
    (void)state;
    static const struct {
        const char *user, *stored, *password;
        bool hit;
    } rows[] = {
        {"u", "$7$1$a$b", "secret", true},  {"v", "$7$1$a$b", "secret", false},  {"u", "$7$1$a$c", "secret", false},
        {"u", "$7$1$a$b", "Secret", false}, {NULL, "$7$1$a$b", "secret", false}, {"u", "$7$1$a$b", "", false},
        {"u$", "7$1$a$b", "secret", false}, {"", "u$7$1$a$b", "secret", false},  {"u", "$7$1$a$bs", "ecret", false},
    };
    struct auth_credential_cache *cache = auth_credential_cache_new(16, 1000);
    struct auth_credential_mac good = mac_of(cache, "u", "$7$1$a$b", "secret");
    assert_false(auth_credential_cache_lookup(cache, &good, 0));
    auth_credential_cache_store(cache, &good, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct auth_credential_mac mac = mac_of(cache, rows[i].user, rows[i].stored, rows[i].password);
        assert_int_equal(auth_credential_cache_lookup(cache, &mac, 1), rows[i].hit);
        assert_int_equal(auth_credential_mac_equal(&mac, &good), rows[i].hit);
    }
    struct auth_credential_mac none = mac_of(cache, NULL, "s", "p"), empty = mac_of(cache, "", "s", "p");
    assert_false(auth_credential_mac_equal(&none, &empty));
    auth_credential_cache_free(&cache);
    assert_null(cache);
}

static void test_key_is_random(void **state)
{
    (void)state;
    struct auth_credential_cache *a = auth_credential_cache_new(1, 1000), *b = auth_credential_cache_new(1, 1000);
    struct auth_credential_mac first = mac_of(a, "u", "s", "p"), second = mac_of(b, "u", "s", "p");
    assert_false(auth_credential_mac_equal(&first, &second));
    auth_credential_cache_free(&a);
    auth_credential_cache_free(&b);
}

static void test_ttl(void **state)
{
    (void)state;
    struct auth_credential_cache *cache = auth_credential_cache_new(4, 1000);
    struct auth_credential_mac mac = mac_of(cache, "u", "s", "p");
    auth_credential_cache_store(cache, &mac, 50);
    assert_true(auth_credential_cache_lookup(cache, &mac, 1049)); /* and does not live longer for it */
    assert_false(auth_credential_cache_lookup(cache, &mac, 1050));
    assert_int_equal(auth_credential_cache_counts(cache).entries, 0);
    auth_credential_cache_store(cache, &mac, 2000);
    auth_credential_cache_store(cache, &mac, 2500); /* verified again: counts from then */
    assert_int_equal(auth_credential_cache_counts(cache).entries, 1);
    assert_true(auth_credential_cache_lookup(cache, &mac, 3400));
    auth_credential_cache_clear(cache);
    assert_false(auth_credential_cache_lookup(cache, &mac, 2500));
    auth_credential_cache_free(&cache);
}

static void test_none_kept(void **state)
{
    (void)state;
    struct auth_credential_cache *cache = auth_credential_cache_new(0, 1000);
    struct auth_credential_mac mac = mac_of(cache, "u", "s", "p");
    auth_credential_cache_store(cache, &mac, 0);
    assert_false(auth_credential_cache_lookup(cache, &mac, 0));
    auth_credential_cache_free(&cache);
}

#define KEYS     64
#define CAPACITY 13

/* Against the plainest thing that does the same: an array with the time of last use. */
static void test_against_model(void **state)
{
    (void)state;
    struct {
        bool in;
        int64_t until, used;
    } model[KEYS] = {0};
    struct auth_credential_mac mac[KEYS];
    struct auth_credential_cache *cache = auth_credential_cache_new(CAPACITY, 500);
    srand(7);
    for (int i = 0; i < KEYS; i++) {
        char user[2] = {(char)('0' + i), 0};
        mac[i] = mac_of(cache, user, "s", "p");
    }
    for (int64_t now = 1; now < 20000; now++) {
        int key = rand() % (rand() % 2 ? KEYS : CAPACITY), inside = 0, oldest = -1;
        if (rand() % 2) {
            bool expected = model[key].in && model[key].until > now;
            assert_int_equal(auth_credential_cache_lookup(cache, &mac[key], now), expected);
            model[key].in = expected;
            model[key].used = now;
            continue;
        }
        model[key].in = false;
        for (int i = 0; i < KEYS; i++) {
            inside += model[i].in;
            if (model[i].in && (oldest < 0 || model[i].used < model[oldest].used))
                oldest = i;
        }
        if (inside == CAPACITY)
            model[oldest].in = false;
        model[key].in = true;
        model[key].until = now + 500;
        model[key].used = now;
        auth_credential_cache_store(cache, &mac[key], now);
    }
    struct auth_credential_cache_counts counts = auth_credential_cache_counts(cache);
    assert_true(counts.hits > 1000 && counts.misses > 1000 && counts.evictions > 1000);
    assert_in_range(counts.entries, 1, CAPACITY);
    auth_credential_cache_free(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit_needs_everything),
        cmocka_unit_test(test_key_is_random),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_none_kept),
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
