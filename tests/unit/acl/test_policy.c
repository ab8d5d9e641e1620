/* Compiling, editing and looking into policies; faults with their places; what subjects are told. */
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void one_fault(unsigned number, char *line)
{
    char *words = strchr(line, '|'), *rule = words ? strchr(words + 1, '|') : NULL;
    if (!rule)
        fail_msg("rules.faults:%u: not a case", number);
    *words++ = '\0';
    /* the message may hold '|': the rule begins behind the last "|allow" or at the field's end */
    for (char *more = rule; (more = strstr(more + 1, "|allow")) != NULL;)
        rule = more;
    *rule++ = '\0';
    struct guard_error err = {0};
    unsigned column = (unsigned)atoi(line);
    int rc = acl_rule_parse_check(rule, &err);
    if ((rc == GUARD_OK) != (column == 0) || err.column != column || !strstr(err.text, words))
        fail_msg("rules.faults:%u: %s: column %u, \"%s\"", number, rule, err.column, err.text);
}

static void faults_of_rules_are_told_with_their_column(void **state)
{
    (void)state;
    FILE *file = fopen(GUARD_TEST_DATA "/acl/rules.faults", "r");
    char *line = NULL;
    size_t size = 0, cases = 0;
    assert_non_null(file);
    for (unsigned number = 1; getline(&line, &size, file) >= 0; number++) {
        line[strcspn(line, "\n")] = '\0';
        if (*line != '#') {
            one_fault(number, line);
            cases++;
        }
    }
    free(line);
    fclose(file);
    assert_true(cases > 50);
}

/* Compiles a source that has a fault and returns the problems. */
static struct guard_problems refused(const char *source)
{
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    struct acl_policy *policy = NULL;
    assert_true(support_policy_text(source, &text));
    assert_int_equal(acl_policy_compile(&text, NULL, &policy, &problems), GUARD_ERR_SYNTAX);
    assert_null(policy);
    guard_policy_text_free(&text);
    return problems;
}

static void every_fault_of_a_text_is_told(void **state)
{
    (void)state;
    struct guard_problems problems = refused("[role a]\n"
                                             "x = allow publish a/#/b\n"
                                             "  y =   deny write b\n"
                                             "w = allow publish c\n"
                                             "w = allow publish d\n"
                                             "[assign]\n"
                                             "z = a when cert.ou\n"
                                             "[default]\n"
                                             "mode = mild\n"
                                             "[client c]\n"
                                             "roles = a b\n"
                                             "colour = red\n"
                                             "disabled = perhaps\n");
    static const struct {
        unsigned line, column;
        const char *words;
    } expected[] = {{2, 21, "# must be"},     {3, 14, "expected an action"}, {5, 0, "stands twice"},
                    {7, 19, "=, has or"},     {9, 8, "strict, lenient"},     {11, 11, "','"},
                    {12, 0, "unknown field"}, {13, 12, "yes or no"}};
    assert_int_equal(problems.errors, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < problems.count; i++) {
        const struct guard_error *err = &problems.items[i].error;
        if (err->line != expected[i].line || err->column != expected[i].column || !strstr(err->text, expected[i].words))
            fail_msg("problem %zu: line %u, column %u, %s", i, err->line, err->column, err->text);
        assert_string_equal(err->place, "test.conf");
    }
    guard_problems_free(&problems);
}

static void columns_in_redis_count_from_the_value(void **state)
{
    (void)state;
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    struct acl_policy *policy;
    struct guard_policy_line line = {
        .section = GUARD_SECTION_ROLE, .name = "a", .field = "x", .value = "allow write a", .place = "guard:role:a"};
    assert_int_equal(guard_policy_text_add(&text, &line), GUARD_OK);
    assert_int_equal(acl_policy_compile(&text, NULL, &policy, &problems), GUARD_ERR_SYNTAX);
    assert_int_equal(problems.items[0].error.column, 7);
    assert_string_equal(problems.items[0].error.place, "guard:role:a");
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
}

static enum acl_verdict ask(const struct acl_policy *policy, const struct acl_subject *subject, enum acl_action action,
                            const char *topic, struct acl_decision *decision)
{
    struct acl_context *context = acl_context_new();
    struct acl_request request = {.action = action, .topic = topic};
    assert_non_null(context);
    enum acl_verdict verdict = acl_check(context, policy, subject, &request, decision);
    acl_context_free(&context);
    return verdict;
}

static bool allows(const struct acl_policy *policy, const struct acl_subject *subject, const char *topic)
{
    struct acl_decision decision;
    return ask(policy, subject, ACL_PUBLISH, topic, &decision) == ACL_ALLOW;
}

static int edit(const struct acl_policy *base, const char *source, const char *role, bool bindings, bool keep,
                struct acl_policy **out)
{
    struct guard_policy_text text = {0};
    struct acl_compile_options options = {.keep_bad_roles = keep};
    assert_true(support_policy_text(source, &text));
    struct acl_edit change = {.text = &text, .roles = &role, .role_count = role ? 1 : 0, .bindings = bindings};
    int rc = acl_policy_edit(base, &change, &options, out, NULL);
    guard_policy_text_free(&text);
    return rc;
}

static const char base_source[] = "[role a]\nx = allow publish a\n[role b]\nx = allow publish b\n"
                                  "[default]\nroles = a\n";

static void an_edit_changes_its_roles_and_nothing_else(void **state)
{
    (void)state;
    struct acl_policy *base = support_policy(base_source), *next;
    struct acl_subject *subject = support_subject(base, "username=u granted=b");
    assert_int_equal(
        edit(base, "[role a]\nx = allow publish c\n[role b]\nx = allow publish d\n", "a", false, false, &next),
        GUARD_OK);
    assert_true(allows(base, subject, "a") && !allows(base, subject, "c"));
    assert_true(acl_subject_is_current(next, subject)); /* no need to bind again */
    assert_true(!allows(next, subject, "a") && allows(next, subject, "c") && allows(next, subject, "b") &&
                !allows(next, subject, "d"));
    acl_policy_release(base);
    assert_int_equal(acl_policy_rule_count(next), 2);

    struct acl_policy *without;
    assert_int_equal(edit(next, "", "a", false, false, &without), GUARD_OK);
    assert_true(!allows(without, subject, "c") && allows(without, subject, "b"));
    assert_int_equal(acl_policy_rule_count(without), 1);
    assert_int_equal(acl_policy_role_count(without), 1);
    acl_policy_release(without);
    acl_policy_release(next);
    acl_subject_free(&subject);
}

static void generations_tell_when_to_bind_again(void **state)
{
    (void)state;
    struct acl_policy *base = support_policy(base_source), *next;
    struct acl_subject *subject = support_subject(base, "username=u granted=new");
    struct acl_decision decision;
    assert_int_equal(edit(base, "[role new]\nx = allow publish n\n", "new", false, false, &next), GUARD_OK);
    assert_false(acl_subject_is_current(next, subject));
    assert_int_equal(ask(next, subject, ACL_PUBLISH, "a", &decision), ACL_DENY);
    assert_int_equal(decision.flags, ACL_STALE);
    assert_null(acl_subject_unbindable(next, subject));
    acl_subject_free(&subject);
    subject = support_subject(next, "username=u granted=new");
    assert_true(allows(next, subject, "n"));
    acl_subject_free(&subject);
    acl_policy_release(next);

    assert_int_equal(edit(base, "[role a]\nx = allow publish ${attr.new}\n", "a", false, false, &next), GUARD_OK);
    assert_int_not_equal(acl_policy_generation(next), acl_policy_generation(base));
    acl_policy_release(next);
    assert_int_equal(edit(base, "[default]\nroles = b\n", NULL, true, false, &next), GUARD_OK);
    assert_int_not_equal(acl_policy_generation(next), acl_policy_generation(base));
    subject = support_subject(next, "username=u");
    assert_true(allows(next, subject, "b") && !allows(next, subject, "a"));
    acl_subject_free(&subject);
    acl_policy_release(next);
    acl_policy_release(base);
}

static void a_bad_role_keeps_its_last_version_or_denies(void **state)
{
    (void)state;
    struct acl_policy *base = support_policy(base_source), *next;
    struct acl_decision decision;
    assert_int_equal(edit(base, "[role a]\nx = allow nonsense\n", "a", false, false, &next), GUARD_ERR_SYNTAX);
    assert_null(next);
    assert_int_equal(edit(base, "[role a]\ny = allow publish y\nx = allow nonsense\n", "a", false, true, &next),
                     GUARD_OK);
    struct acl_subject *subject = support_subject(next, "username=u");
    assert_true(allows(next, subject, "a") && !allows(next, subject, "y"));
    acl_subject_free(&subject);
    acl_policy_release(next);

    assert_int_equal(edit(base, "[role new]\nx = allow nonsense\n", "new", false, true, &next), GUARD_OK);
    subject = support_subject(next, "username=u granted=new");
    for (int action = 0; action < 3; action++) {
        assert_int_equal(ask(next, subject, (enum acl_action)action, "a", &decision), ACL_DENY);
        assert_int_equal(decision.reason, GUARD_REASON_POLICY_PARSE_ERROR);
    }
    struct acl_policy *healed;
    assert_int_equal(edit(next, "[role new]\nx = allow publish n\n", "new", false, false, &healed), GUARD_OK);
    assert_true(acl_subject_is_current(healed, subject));
    assert_true(allows(healed, subject, "a") && allows(healed, subject, "n"));
    acl_policy_release(healed);
    acl_subject_free(&subject);
    acl_policy_release(next);
    acl_policy_release(base);
}

static void many_edits_stay_few_segments(void **state)
{
    (void)state;
    struct acl_policy *policy = support_policy(""), *next;
    for (int i = 0; i < 400; i++) {
        char role[16], source[64];
        snprintf(role, sizeof role, "r%d", i % 50);
        snprintf(source, sizeof source, "[role %s]\nx = allow publish t/%d\n", role, i);
        assert_int_equal(edit(policy, source, role, false, false, &next), GUARD_OK);
        acl_policy_release(policy);
        policy = next;
    }
    assert_int_equal(acl_policy_rule_count(policy), 50);
    for (int i = 350; i < 400; i++) {
        char words[32], topic[16];
        snprintf(words, sizeof words, "roles=r%d", i % 50);
        snprintf(topic, sizeof topic, "t/%d", i);
        struct acl_subject *subject = support_subject(policy, words);
        assert_true(allows(policy, subject, topic));
        snprintf(topic, sizeof topic, "t/%d", i - 50);
        assert_false(allows(policy, subject, topic));
        acl_subject_free(&subject);
    }
    assert_true(acl_policy_memory(policy) < 100000);
    acl_policy_release(policy);
}

static void unbindable_placeholders_are_named(void **state)
{
    (void)state;
    struct acl_policy *policy =
        support_policy("[role a]\nx = allow publish a/${username}\ny = allow publish ${jwt.sites|any}/x\n"
                       "[role b]\nx = allow publish b\n");
    static const struct {
        const char *words, *name;
    } cases[] = {{"roles=a username=u jwt.sites=x", NULL},
                 {"roles=a username=$u jwt.sites=x", NULL},
                 {"roles=a username=a/b jwt.sites=x", "username"},
                 {"roles=a jwt.sites=x", "username"},
                 {"roles=a username=u", "jwt.sites"},
                 {"roles=a username=u jwt.sites=+|x", NULL},
                 {"roles=a username=u jwt.sites=$x", "jwt.sites"},
                 {"roles=b", NULL},
                 {"granted=b username=u acl=[\"allow%20publish%20t/${attr.x}\"]", "attr.x"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct acl_subject *subject = support_subject(policy, cases[i].words);
        const char *name = acl_subject_unbindable(policy, subject);
        if ((name == NULL) != (cases[i].name == NULL) || (name && strcmp(name, cases[i].name) != 0))
            fail_msg("%s: %s", cases[i].words, name ? name : "none");
        acl_subject_free(&subject);
    }
    acl_policy_release(policy);
}

static void claims_that_cannot_be_taken_refuse_the_client(void **state)
{
    (void)state;
    struct acl_policy *policy = support_policy("");
    static const char *const claims[] = {
        "{",
        "1",
        "[1]",
        "[\"allow%20nonsense\"]",
        "{\"pub\":\"a\"}",
        "{\"pub\":[1]}",
        "{\"puh\":[]}",
        "[{\"permission\":\"maybe\",\"action\":\"all\",\"topic\":\"a\"}]",
        "[{\"permission\":\"allow\",\"action\":\"all\",\"topic\":\"a\",\"qos\":[1,2]}]",
        "[{\"permission\":\"allow\",\"action\":\"all\",\"topic\":\"a\",\"retain\":true}]",
        "[{\"permission\":\"allow\",\"action\":\"all\",\"topic\":\"a\",\"who\":\"x\"}]",
        "[{\"permission\":\"allow\",\"action\":\"all\"}]",
        "{\"pub\":[\"a/${nobody}\"]}"};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        char words[256];
        snprintf(words, sizeof words, "username=u acl=%s", claims[i]);
        struct acl_subject *subject = support_subject(policy, words);
        if (subject)
            fail_msg("taken: %s", claims[i]);
    }
    acl_policy_release(policy);
}

#define LIST 512

static bool collect(void *data, const struct acl_rule_info *info)
{
    char *list = data;
    size_t used = strlen(list);
    snprintf(list + used, LIST - used, "%s/%s:%u ", info->role, info->name, info->line);
    return true;
}

static bool collect_role(void *data, const struct acl_role_info *info)
{
    char *list = data;
    size_t used = strlen(list);
    snprintf(list + used, LIST - used, "%s=%zu%s%s%s%s%s ", info->name, info->rule_count, info->by_default ? "d" : "",
             info->by_assignment ? "a" : "", info->missing ? "m" : "", info->broken ? "b" : "", info->slow ? "s" : "");
    return true;
}

static void rules_and_roles_can_be_walked(void **state)
{
    (void)state;
    struct acl_policy *policy =
        support_policy("[role a]\nx = allow publish a\ny = deny all b\n[role b]\nz = allow all c\n"
                       "[assign]\nq = b, ghost when anonymous\n[default]\nroles = a, gone\n");
    char list[LIST] = "";
    assert_int_equal(acl_policy_each_rule(policy, NULL, collect, list), 3);
    assert_string_equal(list, "a/x:2 a/y:3 b/z:5 ");
    *list = '\0';
    assert_int_equal(acl_policy_each_rule(policy, "b", collect, list), 1);
    assert_int_equal(acl_policy_each_rule(policy, "c", collect, list), 0);
    *list = '\0';
    assert_int_equal(acl_policy_each_role(policy, collect_role, list), 4);
    assert_string_equal(list, "a=2d b=1a gone=0dm ghost=0am ");
    acl_policy_release(policy);
}

static bool keep_id(void *data, const struct acl_rule_info *info)
{
    *(acl_rule_id *)data = info->id;
    return false;
}

static void a_rule_is_written_as_it_is_read(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "allow publish a/b",
        "deny all **",
        "allow subscribe #",
        "allow receive a/+/#",
        "allow subscribe-only / until=9999-12-31T23:59:59Z",
        "allow publish,receive a/${username}/x priority=-5 qos<=1 retain=no size<=1024 from=10.0.0.0/8,::1/128 "
        "until=2030-01-01T00:00:00Z share=yes payload=json exact",
        "allow publish \"plant 1/${cert.san.dns|any}-x/\\\"q\\\"\"",
        "allow publish ${$}{x}/a${$}",
        "deny publish ${jwt.site|path}/d"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        char source[512], written[512];
        acl_rule_id id = 0;
        snprintf(source, sizeof source, "[role r]\nx = %s\n", rules[i]);
        struct acl_policy *policy = support_policy(source);
        acl_policy_each_rule(policy, NULL, keep_id, &id);
        acl_rule_text(policy, NULL, id, written, sizeof written);
        if (strcmp(rules[i], "allow publish ${$}{x}/a${$}") == 0)
            assert_string_equal(written, "allow publish ${$}{x}/a$");
        else
            assert_string_equal(written, rules[i]);
        assert_string_equal(acl_rule_text(policy, NULL, 12345, written, sizeof written), "");
        acl_policy_release(policy);
    }
}

static bool gather(void *data, const struct acl_rule_info *info)
{
    acl_rule_id **next = data;
    *(*next)++ = info->id;
    return true;
}

static void templates_against_each_other(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool covers, overlaps;
    } cases[] = {{"a/#", "a/b", true, true},
                 {"a/b", "a/#", false, true},
                 {"a/+", "a/${username}", true, true},
                 {"${username}/#", "${username}/x", true, true},
                 {"${username}/x", "${client_id}/x", false, true},
                 {"+/x", "${username}/x", false, true},
                 {"#", "$SYS/x", false, false},
                 {"**", "$SYS/x", true, true},
                 {"+", "$SYS", false, false},
                 {"a/${username}", "a/b/c", false, false},
                 {"a/b", "a/c", false, false},
                 {"a/p-${username}", "a/p-${username}", true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char source[256];
        acl_rule_id ids[2] = {0}, *next = ids;
        snprintf(source, sizeof source, "[role r]\na = allow all %s\nb = deny all %s\n", cases[i].a, cases[i].b);
        struct acl_policy *policy = support_policy(source);
        acl_policy_each_rule(policy, NULL, gather, &next);
        if (acl_rule_covers(policy, ids[0], ids[1]) != cases[i].covers ||
            acl_rule_overlaps(policy, ids[0], ids[1]) != cases[i].overlaps ||
            acl_rule_overlaps(policy, ids[1], ids[0]) != cases[i].overlaps)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
        acl_policy_release(policy);
    }
}

/* Every combination of + and x in ten levels, twice over: each topic of x visits 2^11 nodes. */
static char *slow_source(unsigned levels)
{
    char *source;
    size_t size;
    FILE *out = open_memstream(&source, &size);
    assert_non_null(out);
    fputs("[role slow]\n", out);
    for (unsigned bits = 0; bits < 1U << levels; bits++) {
        fprintf(out, "r%u = allow publish ", bits);
        for (unsigned i = 0; i < levels; i++)
            fprintf(out, "%s%s", i ? "/" : "", bits >> i & 1 ? "+" : "x");
        fputs("/end\n", out);
    }
    fclose(out);
    return source;
}

static void a_slow_set_is_capped_and_told(void **state)
{
    (void)state;
    char *source = slow_source(13), list[LIST] = "";
    struct acl_policy *policy = support_policy(source);
    struct acl_subject *subject = support_subject(policy, "roles=slow");
    struct acl_decision decision;
    acl_policy_each_role(policy, collect_role, list);
    assert_string_equal(list, "slow=8192s ");
    assert_int_equal(ask(policy, subject, ACL_PUBLISH, "x/x/x/x/x/x/x/x/x/x/x/x/x/end", &decision), ACL_DENY);
    assert_int_equal(decision.flags, ACL_CAPPED);
    assert_int_equal(decision.reason, GUARD_REASON_INTERNAL_ERROR);
    assert_int_equal(ask(policy, subject, ACL_PUBLISH, "y/y", &decision), ACL_NONE);
    assert_int_equal(decision.flags, 0);
    acl_subject_free(&subject);
    acl_policy_release(policy);
    free(source);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    struct acl_policy *policy = support_policy("[role r]\nx = allow all #\n");
    struct acl_subject *subject = support_subject(policy, "roles=r");
    struct acl_decision decision;
    char *topic = memset(test_malloc(70000), 'x', 70000);
    topic[65535] = '\0';
    assert_int_equal(ask(policy, subject, ACL_PUBLISH, topic, &decision), ACL_ALLOW);
    topic[65535] = 'x';
    topic[65536] = '\0';
    for (int action = 0; action < 3; action++) {
        assert_int_equal(ask(policy, subject, (enum acl_action)action, topic, &decision), ACL_DENY);
        assert_int_equal(decision.reason, GUARD_REASON_TOPIC_TOO_LONG);
    }
    memset(topic, '/', 65535);
    topic[65535] = '\0';
    assert_int_equal(ask(policy, subject, ACL_PUBLISH, topic, &decision), ACL_ALLOW); /* 65,536 levels */
    assert_int_equal(ask(policy, subject, ACL_SUBSCRIBE, topic, &decision), ACL_DENY);
    assert_int_equal(decision.reason, GUARD_REASON_TOPIC_TOO_LONG);
    test_free(topic);
    acl_subject_free(&subject);
    acl_policy_release(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_of_rules_are_told_with_their_column),
        cmocka_unit_test(every_fault_of_a_text_is_told),
        cmocka_unit_test(columns_in_redis_count_from_the_value),
        cmocka_unit_test(an_edit_changes_its_roles_and_nothing_else),
        cmocka_unit_test(generations_tell_when_to_bind_again),
        cmocka_unit_test(a_bad_role_keeps_its_last_version_or_denies),
        cmocka_unit_test(many_edits_stay_few_segments),
        cmocka_unit_test(unbindable_placeholders_are_named),
        cmocka_unit_test(claims_that_cannot_be_taken_refuse_the_client),
        cmocka_unit_test(rules_and_roles_can_be_walked),
        cmocka_unit_test(a_rule_is_written_as_it_is_read),
        cmocka_unit_test(templates_against_each_other),
        cmocka_unit_test(a_slow_set_is_capped_and_told),
        cmocka_unit_test(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
