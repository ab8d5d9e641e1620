/* A policy so large that it is compiled in slices: every role is whole, in any slice, edited and put together again. */
#include "support.h"

#include "acl/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RULES (3 * ACL_SLICE_MIN)

/* Roles of 1, 2, 3 … 100, 1, 2 … rules, rule r of role n being "t/<n>/<r>"; the broken one has a rule that is none. */
static void fill(struct guard_policy_text *text, unsigned broken, unsigned *roles)
{
    char name[24], field[24], value[48];
    struct guard_policy_line line = {.name = name, .field = field, .value = value, .place = "large"};
    for (*roles = 0; text->count < RULES; ++*roles)
        for (unsigned rule = 0; rule <= *roles % 100; rule++) {
            snprintf(name, sizeof name, "r%u", *roles);
            snprintf(field, sizeof field, "f%u", rule);
            snprintf(value, sizeof value, *roles == broken ? "allow t/%u/%u" : "allow publish t/%u/%u", *roles, rule);
            assert_int_equal(guard_policy_text_add(text, &line), GUARD_OK);
        }
}

static bool allows(const struct acl_policy *policy, unsigned role, unsigned topic, unsigned rule)
{
    char words[32], request[48];
    struct acl_decision decision;
    struct acl_context *context = acl_context_new();
    snprintf(words, sizeof words, "roles=r%u", role);
    snprintf(request, sizeof request, "publish t/%u/%u", topic, rule);
    struct acl_subject *subject = support_subject(policy, words);
    struct acl_request asked = support_request(request);
    assert_non_null(context);
    assert_non_null(subject);
    acl_check(context, policy, subject, &asked, &decision);
    acl_subject_free(&subject);
    acl_context_free(&context);
    return decision.verdict == ACL_ALLOW;
}

/* Asks for the last rule of many roles, and of each for one of another role. */
static void expect_all(const struct acl_policy *policy, unsigned roles, unsigned changed)
{
    for (unsigned role = 0; role < roles; role += 7) {
        assert_int_equal(allows(policy, role, role, role % 100), role != changed);
        assert_false(allows(policy, role, role, role % 100 + 1));
        assert_false(allows(policy, role, role + 1, 0));
    }
}

static struct acl_policy *compile(unsigned broken, unsigned *roles)
{
    struct guard_policy_text text = {0};
    struct acl_policy *policy = NULL;
    struct guard_problems problems = {0};
    struct acl_compile_options options = {.keep_bad_roles = true};
    fill(&text, broken, roles);
    assert_int_equal(acl_policy_compile(&text, &options, &policy, &problems), GUARD_OK);
    assert_int_equal(problems.errors, broken == UINT32_MAX ? 0 : broken % 100 + 1);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
    return policy;
}

static void every_role_of_a_large_policy_is_found(void **state)
{
    unsigned roles;
    (void)state;
    struct acl_policy *policy = compile(UINT32_MAX, &roles), *edited, *compact;
    assert_true(policy->part_count > 1 && policy->part_count <= ACL_SLICES);
    assert_true(acl_policy_rule_count(policy) >= RULES);
    expect_all(policy, roles, UINT32_MAX);

    const char *const changed[] = {"r700"};
    struct guard_policy_text text = {0};
    assert_true(support_policy_text("[role r700]\nf = allow publish other\n", &text));
    struct acl_edit edit = {.text = &text, .roles = changed, .role_count = 1};
    assert_int_equal(acl_policy_edit(policy, &edit, NULL, &edited, NULL), GUARD_OK);
    expect_all(edited, roles, 700);
    expect_all(policy, roles, UINT32_MAX);
    assert_int_equal(acl_policy_compact(edited, &compact), GUARD_OK);
    acl_policy_release(policy);
    acl_policy_release(edited);
    expect_all(compact, roles, 700);
    acl_policy_release(compact);
    guard_policy_text_free(&text);
}

static void a_bad_role_in_a_slice_is_broken_alone(void **state)
{
    unsigned roles;
    (void)state;
    struct acl_policy *policy = compile(1401, &roles);
    expect_all(policy, roles, 1401);
    assert_false(allows(policy, 1401, 1401, 0));
    acl_policy_release(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_of_a_large_policy_is_found),
        cmocka_unit_test(a_bad_role_in_a_slice_is_broken_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
