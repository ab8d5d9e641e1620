/*
 * Every allocation of ours and of OpenSSL made to fail, one after the other: nothing crashes or leaks, no error stays
 * in OpenSSL's queue, a good token is refused rather than half read, and a bad one is never let in.
 */
#include "auth/jwks.h"
#include "auth/token.h"
#include "token_maker.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1800000000

/* -1 = never; otherwise how many allocations still succeed before one fails. */
static long countdown = -1;
static bool failed;

static bool fails_now(void)
{
    if (countdown < 0 || countdown-- > 0)
        return false;
    failed = true;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return fails_now() ? NULL : __real_reallocarray(memory, count, size);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails_now() ? NULL : __real_malloc(size);
}

static void *crypto_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails_now() ? NULL : realloc(memory, size);
}

static void crypto_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

static struct test_key keys[4];
static char *good[4], *bad[4], *set;

static const enum auth_algorithm algorithms[4] = {AUTH_RS256, AUTH_ES256, AUTH_EDDSA, AUTH_HS256};
static const char *const names[4] = {"rs", "es", "ed", "hs"};

static int make_tokens(void **state)
{
    (void)state;
    char *jwk[4];
    for (int i = 0; i < 4; i++) {
        test_key_make(&keys[i], algorithms[i], names[i]);
        good[i] = test_token(
            &keys[i], names[i],
            "{\"sub\":\"sensor-7\",\"exp\":1800000600,\"iat\":1799999940,\"iss\":\"i\",\"jti\":\"j\",\"n\":1,"
            "\"roles\":[\"a\",\"b\"],\"acl\":{\"pub\":[]},\"o\":{\"p\":\"q\"}}");
        bad[i] = strdup(good[i]);
        char *signature = strrchr(bad[i], '.') + 1;
        signature[2] = signature[2] == 'A' ? 'B' : 'A';
        jwk[i] = test_read(keys[i].path);
    }
    int length = asprintf(&set, "{\"keys\":[%s,%s,%s,%s]}", jwk[0], jwk[1], jwk[2], jwk[3]);
    for (int i = 0; i < 4; i++)
        free(jwk[i]);
    return length > 0 ? 0 : -1;
}

static int free_tokens(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        test_key_free(&keys[i]);
        free(good[i]);
        free(bad[i]);
    }
    free(set);
    return 0;
}

/* Makes a verifier from the text of the set; NULL if something failed on the way. */
static struct auth_token_verifier *make_verifier(void)
{
    struct auth_issuer issuer = {.roles_claim = "roles"};
    struct auth_token_verifier *verifier = NULL;
    struct guard_error err = {0};
    if (auth_jwks_parse(set, strlen(set), "test", NULL, &issuer.keys, &err) == GUARD_OK) {
        if (auth_token_verifier_new(&issuer, 1, &verifier, &err) != GUARD_OK)
            assert_null(verifier);
        auth_jwks_unref(&issuer.keys);
    }
    return verifier;
}

static void loading_survives(void **state)
{
    (void)state;
    long step = 0;
    do {
        failed = false;
        countdown = step++;
        struct auth_token_verifier *verifier = make_verifier();
        countdown = -1;
        assert_true(verifier || failed);
        assert_int_equal(ERR_peek_error(), 0);
        auth_token_verifier_unref(&verifier);
    } while (failed);
    assert_true(step > 50);
}

static enum guard_reason verify(const struct auth_token_verifier *verifier, const char *token)
{
    struct guard_identity *identity;
    struct auth_token_request request = {.token = token, .length = strlen(token), .now = NOW};
    enum guard_reason reason = auth_token_verify(verifier, &request, &identity);
    countdown = -1;
    assert_int_equal(identity != NULL, reason == GUARD_REASON_NONE);
    if (identity) {
        assert_int_equal(identity->role_count, 2);
        assert_int_equal(identity->attribute_count, 8);
        assert_non_null(identity->acl_json);
    }
    guard_identity_free(&identity);
    assert_int_equal(ERR_peek_error(), 0);
    return reason;
}

static void verifying_survives(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        long step = 0;
        do { /* a new verifier each time: its first token prepares contexts */
            struct auth_token_verifier *verifier = make_verifier();
            assert_non_null(verifier);
            failed = false;
            countdown = step;
            enum guard_reason reason = verify(verifier, good[i]);
            if (!failed)
                assert_int_equal(reason, GUARD_REASON_NONE);
            bool any = failed;
            countdown = step++;
            assert_int_not_equal(verify(verifier, bad[i]), GUARD_REASON_NONE);
            assert_int_equal(verify(verifier, good[i]), GUARD_REASON_NONE); /* and all is well afterwards */
            auth_token_verifier_unref(&verifier);
            failed = any;
        } while (failed);
        assert_true(step > 5);
    }
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free))
        return 2; /* OpenSSL has allocated already */
    const struct CMUnitTest tests[] = {cmocka_unit_test(loading_survives), cmocka_unit_test(verifying_survives)};
    return cmocka_run_group_tests(tests, make_tokens, free_tokens);
}
