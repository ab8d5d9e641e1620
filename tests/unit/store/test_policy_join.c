/* A policy beside Mosquitto's own files: they add up. */
#include "store/policy_file.h"
#include "store/policy_join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Joins the two; expected NULL: a fault, whose first problem holds `says`. */
static void expect(const char *policy, const char *files, const char *expected, const char *says)
{
    struct guard_policy_text a = {0}, b = {0}, joined = {0};
    struct guard_problems problems = {0};
    struct guard_buffer out = {0};
    assert_int_equal(guard_policy_file_parse("policy", policy, strlen(policy), &a, NULL), GUARD_OK);
    assert_int_equal(guard_policy_file_parse("files", files, strlen(files), &b, NULL), GUARD_OK);
    assert_int_equal(guard_policy_join(&a, &b, &joined, &problems), expected ? GUARD_OK : GUARD_ERR_SYNTAX);
    if (expected) {
        assert_int_equal(guard_policy_file_write(&joined, &out, NULL), GUARD_OK);
        assert_string_equal(out.data, expected);
    }
    assert_int_equal(problems.errors + problems.warnings, says ? 1 : 0);
    if (says)
        assert_non_null(strstr(problems.items[0].error.text, says));
    guard_buffer_free(&out);
    guard_problems_free(&problems);
    guard_policy_text_free(&a);
    guard_policy_text_free(&b);
    guard_policy_text_free(&joined);
}

static void other_names_stand_side_by_side(void **state)
{
    (void)state;
    expect("[role a]\nx = allow publish x\n[client c]\nroles = a\n[default]\npublish = deny\n",
           "[role b]\nx = allow publish y\n[client d]\nroles = b\n[default]\nmode = off\n",
           "[role a]\nx = allow publish x\n\n[client c]\nroles = a\n\n[default]\npublish = deny\n\n"
           "[role b]\nx = allow publish y\n\n[client d]\nroles = b\n\n[default]\nmode = off\n",
           NULL);
}

static void role_lists_are_joined(void **state)
{
    (void)state;
    expect("[client c]\nroles = a, b:2\n[default]\nroles = everyone\nmode = strict\n",
           "[client c]\nroles = \"user:c\":1\n[default]\nroles = patterns\nmode = off\n",
           "[client c]\nroles = a, b:2, \"user:c\":1\n\n[default]\n"
           "roles = everyone, patterns\nmode = strict\n",
           NULL);
}

static void passwords_are_the_policys(void **state)
{
    (void)state;
    expect("[client c]\npassword = $new\n[client d]\nroles = a\n",
           "[client c]\npassword = $old\n[client d]\npassword = $x\n",
           "[client c]\npassword = $new\n\n[client d]\nroles = a\npassword = $x\n",
           "the password of client 'c' is that of policy");
}

static void nothing_may_be_lost(void **state)
{
    (void)state;
    expect("[role patterns]\na = allow publish x\n", "[role patterns]\nline-1 = deny all y\nline-2 = deny all z\n",
           NULL, "role 'patterns' is also made from files");
    expect("[assign]\nanonymous = a when anonymous\n", "[assign]\nanonymous = b when anonymous\n", NULL,
           "assignment 'anonymous'");
}

static void with_no_policy_the_files_are_all(void **state)
{
    (void)state;
    expect("", "[client c]\npassword = $x\n", "[client c]\npassword = $x\n", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_names_stand_side_by_side),   cmocka_unit_test(role_lists_are_joined),
        cmocka_unit_test(passwords_are_the_policys),        cmocka_unit_test(nothing_may_be_lost),
        cmocka_unit_test(with_no_policy_the_files_are_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
