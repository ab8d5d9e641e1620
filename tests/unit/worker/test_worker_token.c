/* Tokens at a worker: which ones belong there, and that the answer is the one auth_token_verify gives. */
#include "auth/worker.h"
#include "core/clock.h"
#include "token_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NOW    1800000000
#define CLAIMS "{\"iss\":\"i\",\"sub\":\"sensor-7\",\"exp\":1800000600,\"iat\":1799999940"

static struct test_key key_384, key_256;
static struct auth_token_verifier *verifier;

static struct auth_token_verifier *verifier_of(struct auth_jwks *keys, uint32_t algorithms)
{
    struct auth_issuer issuer = {.issuer = "i",
                                 .keys = keys,
                                 .algorithms = algorithms,
                                 .client_id = AUTH_BINDING_REQUIRED,
                                 .certificate = AUTH_BINDING_OPTIONAL};
    struct auth_token_verifier *made;
    assert_int_equal(auth_token_verifier_new(&issuer, 1, &made, NULL), GUARD_OK);
    return made;
}

static int begin(void **state)
{
    (void)state;
    test_key_make(&key_384, AUTH_ES384, "slow");
    test_key_make(&key_256, AUTH_ES256, "quick");
    struct auth_jwks *both = test_keys_of(&key_384, &key_256);
    verifier = verifier_of(both, AUTH_ALGORITHM_BIT(AUTH_ES384) | AUTH_ALGORITHM_BIT(AUTH_ES256));
    auth_jwks_unref(&both);
    return 0;
}

static int end(void **state)
{
    (void)state;
    auth_token_verifier_unref(&verifier);
    test_key_free(&key_384);
    test_key_free(&key_256);
    return 0;
}

static bool is_slow(const struct auth_token_verifier *with, const char *token)
{
    return auth_token_is_slow(with, token, strlen(token));
}

static void test_which_are_slow(void **state)
{
    (void)state;
    char *slow = test_token(&key_384, "slow", CLAIMS "}"), *quick = test_token(&key_256, "quick", CLAIMS "}");
    char *stranger = test_token(&key_384, "nobody", CLAIMS "}"), *crossed = test_token(&key_384, "quick", CLAIMS "}");
    assert_true(is_slow(verifier, slow));
    assert_false(is_slow(verifier, quick));
    assert_false(is_slow(verifier, stranger));
    assert_false(is_slow(verifier, crossed));
    assert_false(is_slow(verifier, "ey.ey"));
    assert_false(is_slow(verifier, ""));
    struct auth_token_verifier *not_listed = verifier_of(key_384.keys, AUTH_ALGORITHM_BIT(AUTH_ES256));
    assert_false(is_slow(not_listed, slow));
    auth_token_verifier_unref(&not_listed);
    struct auth_token_verifier *none_slow = verifier_of(key_256.keys, 0);
    assert_false(is_slow(none_slow, slow));
    auth_token_verifier_unref(&none_slow);
    slow[strlen(slow) - 4] = '\0'; /* a signature of another length is refused without a look */
    assert_false(is_slow(verifier, slow));
    free(slow);
    free(quick);
    free(stranger);
    free(crossed);
}

static struct auth_worker_answer answer_of(struct auth_worker_pool *pool)
{
    struct auth_worker_answer answer;
    while (!auth_worker_poll(pool, guard_clock_monotonic_ns() / 1000000, &answer))
        nanosleep(&(struct timespec){0, 200000}, NULL);
    return answer;
}

/* Every text of the request is gone before the worker looks. */
static struct auth_token_job *job_of(const char *token, const char *client_id, const uint8_t *certificate)
{
    char *lent = strdup(token), *id = client_id ? strdup(client_id) : NULL;
    struct auth_token_request request = {.token = lent,
                                         .length = strlen(lent),
                                         .client_id = id,
                                         .username = NULL,
                                         .certificate_sha256 = certificate,
                                         .now = NOW};
    struct auth_token_job *job = auth_token_job_new(verifier, &request);
    assert_non_null(job);
    memset(lent, 'x', strlen(lent));
    free(lent);
    if (id)
        memset(id, 'x', strlen(id));
    free(id);
    return job;
}

static void test_jobs(void **state)
{
    (void)state;
    uint8_t certificate[32] = {0};
    struct auth_worker_settings settings = {.threads = 2, .queue = 8};
    struct auth_worker_pool *pool;
    assert_int_equal(auth_worker_pool_new(&settings, &pool, NULL), GUARD_OK);
    char *good = test_token(&key_384, "slow", CLAIMS "}"), *wrong = test_token(&key_384, "quick", CLAIMS "}");
    /* "x5t#S256" of 32 zeros */
    char *bound =
        test_token(&key_384, "slow", CLAIMS ",\"cnf\":{\"x5t#S256\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}");
    const struct {
        const char *token, *client_id;
        const uint8_t *certificate;
        enum guard_reason reason;
    } rows[] = {
        {good, "sensor-7", NULL, GUARD_REASON_NONE},
        {good, "another", NULL, GUARD_REASON_CLIENT_ID_MISMATCH},
        {good, NULL, NULL, GUARD_REASON_CLIENT_ID_MISMATCH},
        {wrong, "sensor-7", NULL, GUARD_REASON_JWT_ALG_NOT_ALLOWED},
        {bound, "sensor-7", certificate, GUARD_REASON_NONE},
        {bound, "sensor-7", NULL, GUARD_REASON_CERT_MISSING},
        {"", "sensor-7", NULL, GUARD_REASON_JWT_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct auth_token_job *argument = job_of(rows[i].token, rows[i].client_id, rows[i].certificate);
        struct auth_worker_job job = {i, 1, 0, INT64_MAX, auth_token_job_run, auth_token_job_release, argument};
        assert_int_equal(auth_worker_submit(pool, &job), GUARD_OK);
        struct auth_worker_answer answer = answer_of(pool);
        assert_ptr_equal(answer.argument, argument);
        assert_int_equal(argument->reason, rows[i].reason);
        assert_int_equal(argument->identity != NULL, rows[i].reason == GUARD_REASON_NONE);
        if (argument->identity) {
            assert_string_equal(argument->identity->username, "sensor-7");
            assert_true(argument->cost_us > 50);
        }
        answer.release(answer.argument);
    }
    auth_token_job_release(job_of(good, NULL, NULL)); /* never run */
    auth_worker_pool_free(&pool);
    free(good);
    free(wrong);
    free(bound);
}

/* The keys may be exchanged while the job waits: it keeps its own. */
static void test_keeps_its_verifier(void **state)
{
    (void)state;
    char *token = test_token(&key_384, "slow", CLAIMS "}");
    struct auth_token_verifier *passing = verifier_of(key_384.keys, AUTH_ALGORITHM_BIT(AUTH_ES384));
    struct auth_token_request request = {.token = token, .length = strlen(token), .client_id = "sensor-7", .now = NOW};
    struct auth_token_job *job = auth_token_job_new(passing, &request);
    assert_non_null(job);
    auth_token_verifier_unref(&passing);
    assert_int_equal(job->reason, GUARD_REASON_INTERNAL_ERROR); /* as long as it was not run */
    auth_token_job_run(job);
    assert_int_equal(job->reason, GUARD_REASON_NONE);
    auth_token_job_release(job);
    free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_are_slow),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_keeps_its_verifier),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
