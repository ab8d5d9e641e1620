/*
 * Policy text of any content. Lines "SECTION|NAME|FIELD|VALUE", SECTION one of r, c, a, d. What compiles must be
 * written as it is read, be explained as it is decided, and stay the same policy when it is compacted.
 */
#include "acl/acl.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static void add_line(struct guard_policy_text *text, char *line, unsigned number)
{
    static const char sections[] = "rcad";
    char *name = strchr(line, '|'), *field = name ? strchr(name + 1, '|') : NULL,
         *value = field ? strchr(field + 1, '|') : NULL;
    const char *section = *line ? strchr(sections, *line) : NULL;
    if (!value || !section)
        return;
    *name++ = *field++ = *value++ = '\0';
    struct guard_policy_line added = {.section = (enum guard_policy_section)(section - sections),
                                      .name = name,
                                      .field = field,
                                      .value = value,
                                      .place = "fuzz",
                                      .line = number,
                                      .column = 1};
    expect(guard_policy_text_add(text, &added) == GUARD_OK);
}

static void read_text(struct guard_policy_text *text, char *lines)
{
    char *line;
    for (unsigned number = 1; (line = strsep(&lines, "\n")); number++)
        add_line(text, line, number);
}

static bool reread(void *data, const struct acl_rule_info *info)
{
    const struct acl_policy *policy = data;
    size_t size = 200000;
    char *text = malloc(size);
    struct guard_error err;
    expect(text != NULL);
    acl_rule_text(policy, NULL, info->id, text, size);
    expect(acl_rule_parse_check(text, &err) == GUARD_OK);
    expect(acl_rule_covers(policy, info->id, info->id) && acl_rule_overlaps(policy, info->id, info->id));
    free(text);
    return true;
}

static bool first_role(void *data, const struct acl_role_info *info)
{
    *(char **)data = strdup(info->name);
    return false;
}

/* Asks both policies, which are the same, and the explanation of one. */
static void ask(struct acl_context *context, const struct acl_policy *policy, const struct acl_policy *compact,
                const struct acl_subject *subject, const char *topic)
{
    for (int action = 0; action < 3; action++) {
        struct acl_request request = {.action = (enum acl_action)action, .topic = topic};
        struct acl_decision a, b;
        struct acl_explanation explanation;
        acl_check(context, policy, subject, &request, &a);
        acl_check(context, compact, subject, &request, &b);
        expect(a.verdict == b.verdict && a.reason == b.reason && a.coverage == b.coverage);
        expect(acl_explain(context, policy, subject, &request, &explanation) == GUARD_OK);
        expect(explanation.decision.verdict == a.verdict && explanation.decision.reason == a.reason);
        acl_explanation_free(&explanation);
    }
}

static void use(const struct acl_policy *policy)
{
    static const char *const topics[] = {"a", "a/b", "u/x", "a/b/c", "$SYS/x", "#", "+/b", "a/#"};
    struct acl_policy *compact;
    struct acl_subject *subject;
    struct acl_context *context = acl_context_new();
    char *role = NULL;
    expect(context && acl_policy_compact(policy, &compact) == GUARD_OK);
    acl_policy_each_rule(policy, NULL, reread, (void *)(uintptr_t)policy);
    acl_policy_each_role(policy, first_role, &role);
    struct guard_role_grant grant = {role, 0};
    struct acl_bind how = {
        .username = "u", .client_id = "a", .address = "::1", .record_roles = &grant, .record_role_count = role ? 1 : 0};
    expect(acl_subject_bind(policy, &how, &subject, NULL) == GUARD_OK);
    acl_subject_unbindable(policy, subject);
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        ask(context, policy, compact, subject, topics[i]);
    free(role);
    acl_subject_free(&subject);
    acl_policy_release(compact);
    acl_context_free(&context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    struct acl_policy *policy;
    char *lines = malloc(size + 1);
    expect(lines != NULL);
    memcpy(lines, data, size);
    lines[size] = '\0';
    read_text(&text, lines);
    int rc = acl_policy_compile(&text, NULL, &policy, &problems);
    expect((rc == GUARD_OK) == (policy != NULL) && (rc == GUARD_OK) == (problems.errors == 0));
    if (policy)
        use(policy);
    acl_policy_release(policy);
    struct acl_compile_options options = {.keep_bad_roles = true};
    acl_policy_compile(&text, &options, &policy, NULL);
    if (policy)
        use(policy);
    acl_policy_release(policy);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
    free(lines);
    return 0;
}
