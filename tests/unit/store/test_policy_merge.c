/* Policy file and Redis together: the file's part is fixed, Redis adds. */
#include "store/policy_file.h"
#include "store/policy_merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void parse(const char *place, const char *file, struct guard_policy_text *text)
{
    assert_int_equal(guard_policy_file_parse(place, file, strlen(file), text, NULL), GUARD_OK);
}

static void file_wins(void **state)
{
    (void)state;
    struct guard_policy_text fixed = {0}, added = {0}, merged = {0};
    struct guard_problems problems = {0};
    struct guard_buffer out = {0};
    parse("file",
          "[role device]\na = allow publish x\n[assign]\ns = device when anonymous\n[default]\nmode = strict\n"
          "[client c]\nroles = device\n",
          &fixed);
    parse("redis",
          "[role device]\nb = allow publish **\nc = allow publish y\n[role other]\nd = deny publish z\n[assign]\n"
          "s = root when anonymous\nt = other when anonymous\n[default]\nmode = off\nroles = other\n"
          "[client c]\npassword = $7$x\n[client d]\nroles = other\n",
          &added);
    assert_int_equal(guard_policy_merge(&fixed, &added, &merged, &problems), GUARD_OK);
    assert_int_equal(guard_policy_file_write(&merged, &out, NULL), GUARD_OK);
    assert_string_equal(
        out.data, "[role device]\na = allow publish x\n\n[assign]\ns = device when anonymous\n\n[default]\n"
                  "mode = strict\n\n[client c]\nroles = device\n\n[role other]\nd = deny publish z\n\n"
                  "[assign]\nt = other when anonymous\n\n[default]\nroles = other\n\n[client d]\nroles = other\n");
    assert_int_equal(problems.warnings, 4); /* role device (once), s, mode, client c */
    assert_int_equal(problems.errors, 0);
    assert_non_null(strstr(problems.items[0].error.text, "role 'device'"));
    assert_non_null(strstr(problems.items[0].error.text, "file:2"));
    guard_buffer_free(&out);
    guard_problems_free(&problems);
    guard_policy_text_free(&fixed);
    guard_policy_text_free(&added);
    guard_policy_text_free(&merged);
}

static void one_side_empty(void **state)
{
    (void)state;
    struct guard_policy_text some = {0}, none = {0}, a = {0}, b = {0};
    parse("file", "[role r]\na = allow publish x\n", &some);
    assert_int_equal(guard_policy_merge(&some, &none, &a, NULL), GUARD_OK);
    assert_int_equal(guard_policy_merge(&none, &some, &b, NULL), GUARD_OK);
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 1);
    guard_policy_text_free(&some);
    guard_policy_text_free(&a);
    guard_policy_text_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(file_wins), cmocka_unit_test(one_side_empty)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
