/*
 * The rule engine against tables: every .txt file of tests/data/acl. A case is a line:
 *
 *     policy … end      the policy of what follows, as in a policy file
 *     client WORDS      the client of what follows (support.h)
 *     QUESTION => ANSWER
 *
 * QUESTION: action topic [qos=N] [retain] [size=N] [payload=TEXT] [now=N]; "%20" is a blank.
 * ANSWER: allow or deny, then any of: a reason, full, partial, none, by=role/rule.
 */
#include "support.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct table {
    const char *path;
    unsigned line;
    char *source; /* of the policy being read */
    size_t source_size;
    FILE *collecting;
    struct acl_policy *policy;
    struct acl_subject *subject;
    struct acl_context *context;
    unsigned cases;
};

static void new_client(struct table *t, const char *words)
{
    acl_subject_free(&t->subject);
    t->subject = support_subject(t->policy, words);
    if (!t->subject)
        fail_msg("%s:%u: the client cannot be bound", t->path, t->line);
}

static void expect_word(const struct table *t, const struct acl_decision *decision, const char *word)
{
    static const char *const coverages[] = {"-", "none", "partial", "full"};
    char name[300];
    bool good;
    if (strcmp(word, "allow") == 0 || strcmp(word, "deny") == 0)
        good = (decision->verdict == ACL_ALLOW) == (*word == 'a');
    else if (strcmp(word, "full") == 0 || strcmp(word, "partial") == 0 || strcmp(word, "none") == 0)
        good = strcmp(coverages[decision->coverage], word) == 0;
    else if (strncmp(word, "by=", 3) == 0)
        good = strcmp(acl_rule_name(t->policy, t->subject, decision->rule, name, sizeof name), word + 3) == 0;
    else
        good = guard_reason_parse(word) != GUARD_REASON_NONE && guard_reason_parse(word) == decision->reason;
    if (!good)
        fail_msg("%s:%u: expected %s: the verdict is %s, the reason \"%s\", the coverage %s, the rule \"%s\"", t->path,
                 t->line, word, decision->verdict == ACL_ALLOW ? "allow" : "deny", guard_reason_name(decision->reason),
                 coverages[decision->coverage],
                 acl_rule_name(t->policy, t->subject, decision->rule, name, sizeof name));
}

/* The explanation must say what the check says, and name the deciding rule among the deciders. */
static void check_explanation(const struct table *t, const struct acl_request *request,
                              const struct acl_decision *decision)
{
    struct acl_explanation explanation;
    struct acl_rule_info info;
    assert_int_equal(acl_explain(t->context, t->policy, t->subject, request, &explanation), GUARD_OK);
    bool found = decision->rule == 0 || decision->reason == GUARD_REASON_WILDCARD_DENIED;
    acl_rule_describe(t->policy, t->subject, decision->rule, &info);
    for (size_t i = 0; i < explanation.count; i++)
        found |= explanation.rules[i].standing == ACL_DECIDES && explanation.rules[i].rule == info.id;
    if (explanation.decision.verdict != decision->verdict || explanation.decision.reason != decision->reason || !found)
        fail_msg("%s:%u: the explanation differs from the decision", t->path, t->line);
    acl_explanation_free(&explanation);
}

static void one_case(struct table *t, char *line)
{
    char *answer = strstr(line, "=>"), *word;
    if (!answer || !t->subject)
        fail_msg("%s:%u: not a case", t->path, t->line);
    *answer = '\0';
    answer += 2;
    for (char *end = line + strlen(line); end > line && end[-1] == ' ';)
        *--end = '\0';
    struct acl_request request = support_request(line);
    struct acl_decision decision;
    acl_check(t->context, t->policy, t->subject, &request, &decision);
    if (decision.verdict != ACL_ALLOW && decision.reason == GUARD_REASON_NONE)
        fail_msg("%s:%u: a refusal without a reason", t->path, t->line);
    check_explanation(t, &request, &decision);
    while ((word = strsep(&answer, " \n")))
        if (*word)
            expect_word(t, &decision, word);
    t->cases++;
}

static void end_policy(struct table *t)
{
    fclose(t->collecting);
    t->collecting = NULL;
    acl_subject_free(&t->subject);
    acl_policy_release(t->policy);
    t->policy = support_policy(t->source);
    free(t->source);
    t->source = NULL;
}

static void one_line(struct table *t, char *line)
{
    if (t->collecting && strcmp(line, "end\n") == 0)
        end_policy(t);
    else if (t->collecting)
        fputs(line, t->collecting);
    else if (strncmp(line, "policy", 6) == 0)
        t->collecting = open_memstream(&t->source, &t->source_size);
    else if (strncmp(line, "client", 6) == 0)
        new_client(t, strtok(line + 6, "\n"));
    else if (*line != '#' && *line != '\n')
        one_case(t, line);
}

static unsigned run_table(const char *path)
{
    struct table t = {.path = path, .context = acl_context_new()};
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    assert_non_null(file);
    assert_non_null(t.context);
    for (t.line = 1; getline(&line, &size, file) >= 0; t.line++)
        one_line(&t, line);
    free(line);
    fclose(file);
    acl_subject_free(&t.subject);
    acl_policy_release(t.policy);
    acl_context_free(&t.context);
    return t.cases;
}

static void every_case_of_every_table(void **state)
{
    (void)state;
    glob_t files;
    unsigned cases = 0;
    assert_int_equal(glob(GUARD_TEST_DATA "/acl/*.txt", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        cases += run_table(files.gl_pathv[i]);
    globfree(&files);
    print_message("%u cases\n", cases);
    assert_true(cases > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case_of_every_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
