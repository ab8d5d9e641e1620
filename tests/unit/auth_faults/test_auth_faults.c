/*
 * Every allocation fails once, ours and OpenSSL's: nothing crashes or leaks (address sanitizer), nobody is let in who
 * would not be otherwise, and no error stays in OpenSSL's queue.
 */
#include "auth/certificate.h"
#include "auth/credential_cache.h"
#include "auth/password.h"
#include "auth/throttle.h"
#include "auth/worker.h"
#include "core/memory.h"
#include "tests/unit/certificate/certificate_maker.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long countdown; /* the allocation that fails: 1 = the next one; 0 = none */
static atomic_long failed;

static int fails(void)
{
    if (atomic_load(&countdown) <= 0 || atomic_fetch_sub(&countdown, 1) != 1)
        return 0;
    atomic_fetch_add(&failed, 1);
    return 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(memory, count, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t length)
{
    return fails() ? NULL : __real_strndup(text, length);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return fails() ? NULL : __real_malloc(size);
}

static void *openssl_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return fails() ? NULL : __real_realloc(memory, size);
}

static void openssl_free(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    free(memory);
}

/* Runs step with the first, second, … allocation failing, until none is left to fail. step sees whether one did by its
 * results. */
static void fail_each(void (*step)(void *context), void *context)
{
    step(context); /* what is allocated once and for all, is now */
    for (long n = 1; n < 100000; n++) {
        atomic_store(&failed, 0);
        atomic_store(&countdown, n);
        step(context);
        atomic_store(&countdown, 0);
        assert_int_equal(ERR_peek_error(), 0);
        if (!atomic_load(&failed))
            return;
    }
    fail_msg("there is no end of allocations");
}

static void verify_password(void *context)
{
    struct guard_error err = {0};
    enum auth_password_result right = auth_password_verify(context, "secret", 6, &err);
    assert_true(right == AUTH_PASSWORD_MATCH || (right == AUTH_PASSWORD_ERROR && err.text[0]));
    assert_true(right == AUTH_PASSWORD_MATCH || atomic_load(&failed));
    assert_int_not_equal(auth_password_verify(context, "Secret", 6, NULL), AUTH_PASSWORD_MATCH);
}

static void test_verify(void **state)
{
    (void)state;
    static const struct auth_password_params params[] = {
        {AUTH_PASSWORD_ARGON2ID, 1, 64, 1}, {AUTH_PASSWORD_PBKDF2, 2, 0, 0}, {AUTH_PASSWORD_BCRYPT, 4, 0, 0}};
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        char *stored;
        assert_int_equal(auth_password_make(&params[i], "secret", 6, &stored, NULL), GUARD_OK);
        fail_each(verify_password, stored);
        guard_free_string(&stored);
    }
    char digest[] = "$sha256-plain$K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols"; /* of "secret" */
    fail_each(verify_password, digest);
}

static void make_password(void *context)
{
    char *stored;
    int rc = auth_password_make(context, "secret", 6, &stored, NULL);
    assert_true((rc == GUARD_OK) == (stored != NULL));
    guard_free_string(&stored);
}

static void test_make(void **state)
{
    (void)state;
    struct auth_password_params params[] = {
        {AUTH_PASSWORD_ARGON2ID, 1, 64, 1}, {AUTH_PASSWORD_PBKDF2, 2, 0, 0}, {AUTH_PASSWORD_BCRYPT, 4, 0, 0}};
    for (size_t i = 0; i < sizeof params / sizeof *params; i++)
        fail_each(make_password, &params[i]);
}

static void make_decoy(void *context)
{
    free(auth_password_decoy(context));
    char *stored;
    struct auth_password_emqx scheme = {"sha256", "suffix", NULL, 0};
    int rc = auth_password_from_emqx(&scheme, "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "s",
                                     &stored, NULL);
    assert_true((rc == GUARD_OK) == (stored != NULL));
    guard_free_string(&stored);
}

static void test_decoy_and_import(void **state)
{
    (void)state;
    char usual[] = "$7$1$ekj/eMOOlRpkgGdl$"
                   "vMzc1w67N/FsjKh1ueJTvnTpKJsoVkqdxJnuxH4DGkccDOZMJ6Slnv4KqaKz+a5wgGnjlWvptQHiCQqrBVOKrw==";
    fail_each(make_decoy, usual);
}

static const char mappings[] = "san.uri:spiffe://e/{a}/{b}={a}-{b} \"issuer=O=Example,CN=CA\" ; cn:dev-{id}";

static void verify_certificate(void *context)
{
    struct auth_certificate_config *config;
    struct guard_identity *identity;
    struct guard_error why = {0};
    struct auth_certificate_request request = {.certificate = context, .now = MAKER_NOW};
    if (auth_certificate_config_parse(mappings, &config, &why) != GUARD_OK) {
        assert_null(config);
        assert_true(why.text[0] && atomic_load(&failed));
        return;
    }
    enum guard_reason reason = auth_certificate_verify(config, &request, &identity, &why);
    assert_true((identity != NULL) == (reason == GUARD_REASON_NONE));
    assert_true(identity || atomic_load(&failed));
    if (identity)
        assert_string_equal(identity->username, "7");
    guard_identity_free(&identity);
    auth_certificate_config_free(&config);
}

static void test_certificate(void **state)
{
    (void)state;
    struct maker_ca ca;
    maker_ca_make(&ca, "CA");
    X509 *certificate = maker_plain(&ca, "dev-7");
    fail_each(verify_certificate, certificate);
    X509_free(certificate);
    maker_ca_free(&ca);
}

static void use_tables(void *context)
{
    struct auth_credential_mac mac;
    (void)context;
    struct auth_throttle *throttle = auth_throttle_new(NULL);
    auth_throttle_free(&throttle);
    struct auth_credential_cache *cache = auth_credential_cache_new(8, 1000);
    if (!cache)
        return;
    if (auth_credential_mac(cache, "u", "s", "p", 1, &mac)) {
        auth_credential_cache_store(cache, &mac, 0);
        assert_true(auth_credential_cache_lookup(cache, &mac, 0));
    }
    auth_credential_cache_free(&cache);
}

static void test_tables(void **state)
{
    (void)state;
    fail_each(use_tables, NULL);
}

static void use_workers(void *context)
{
    struct auth_worker_settings settings = {.threads = 1, .queue = 2};
    struct auth_worker_pool *pool;
    struct auth_worker_answer answer;
    struct auth_password_job *argument = auth_password_job_new(context, "secret", 6, false);
    if (!argument)
        return;
    if (auth_worker_pool_new(&settings, &pool, NULL) != GUARD_OK) {
        assert_null(pool);
        auth_password_job_release(argument);
        return;
    }
    struct auth_worker_job job = {1, 1, 0, INT64_MAX, auth_password_job_run, auth_password_job_release, argument};
    assert_int_equal(auth_worker_submit(pool, &job), GUARD_OK);
    while (!auth_worker_poll(pool, 0, &answer))
        ;
    assert_true(argument->result == AUTH_PASSWORD_MATCH || atomic_load(&failed));
    answer.release(answer.argument);
    auth_worker_pool_free(&pool);
}

static void test_workers(void **state)
{
    (void)state;
    char *stored;
    struct auth_password_params params = {AUTH_PASSWORD_ARGON2ID, 1, 64, 1};
    assert_int_equal(auth_password_make(&params, "secret", 6, &stored, NULL), GUARD_OK);
    fail_each(use_workers, stored);
    guard_free_string(&stored);
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify),      cmocka_unit_test(test_make),   cmocka_unit_test(test_decoy_and_import),
        cmocka_unit_test(test_certificate), cmocka_unit_test(test_tables), cmocka_unit_test(test_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
