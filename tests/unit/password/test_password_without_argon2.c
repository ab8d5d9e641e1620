/* A build without libargon2: argon2id is refused in plain words, everything else works. */
#include "auth/password.h"
#include "core/memory.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdlib.h>
#include <string.h>

static const char argon2id[] = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$H6EsdyS2vVrr0N+sFlANZIjvCo0reRZ3+X7jbKDFS1E";

static void test_refused(void **state)
{
    (void)state;
    struct guard_error err = {0};
    assert_int_equal(auth_password_verify(argon2id, "secret", 6, &err), AUTH_PASSWORD_ERROR);
    assert_int_equal(err.code, GUARD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "argon2id"));
    assert_int_equal(auth_password_check(argon2id, NULL), GUARD_ERR_UNSUPPORTED);
    assert_int_equal(auth_password_estimate_us(argon2id), 0);
    assert_int_equal(auth_password_cost(argon2id), AUTH_PASSWORD_CHEAP);
}

static void test_make(void **state)
{
    (void)state;
    struct auth_password_params params = {AUTH_PASSWORD_ARGON2ID, 0, 0, 0};
    char *stored;
    assert_int_equal(auth_password_make(&params, "secret", 6, &stored, NULL), GUARD_ERR_UNSUPPORTED);
    assert_null(stored);
    assert_int_equal(auth_password_make(NULL, "secret", 6, &stored, NULL), GUARD_OK);
    assert_int_equal(strncmp(stored, "$7$210000$", 10), 0);
    assert_int_equal(auth_password_verify(stored, "secret", 6, NULL), AUTH_PASSWORD_MATCH);
    guard_free_string(&stored);
}

static void test_decoy(void **state)
{
    (void)state;
    char *decoy = auth_password_decoy(argon2id);
    assert_int_equal(strncmp(decoy, "$7$210000$", 10), 0);
    free(decoy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_decoy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
