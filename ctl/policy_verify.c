#include "ctl/policy_verify.h"

#include "acl/acl.h"
#include "auth/password.h"
#include "core/clients.h"

#include <string.h>

static void verify_hashes(const struct guard_policy_text *text, struct guard_problems *problems)
{
    for (size_t i = 0; i < text->count; i++) {
        const struct guard_policy_line *line = &text->lines[i];
        struct guard_error err = {0};
        if (line->section != GUARD_SECTION_CLIENT || strcmp(line->field, "password") != 0 ||
            auth_password_check(line->value, &err) == GUARD_OK)
            continue;
        guard_problems_add(problems, GUARD_PROBLEM_ERROR, line->place, line->line, line->column,
                           "client '%s': the password hash cannot be used: %s", line->name, err.text);
    }
}

int ctl_policy_verify(const struct guard_policy_text *text, struct guard_problems *problems)
{
    struct acl_compile_options options = {.ignore_clients = true};
    struct acl_policy *policy = NULL;
    struct guard_clients_builder *builder = guard_clients_builder_new(NULL);
    if (!builder)
        return GUARD_ERR_NOMEM;
    int compiled = acl_policy_compile(text, &options, &policy, problems);
    int built = guard_clients_builder_put_text(builder, text, problems);
    guard_clients_builder_free(&builder);
    acl_policy_release(policy);
    if (compiled == GUARD_ERR_NOMEM || built == GUARD_ERR_NOMEM)
        return GUARD_ERR_NOMEM;
    verify_hashes(text, problems);
    return problems->errors ? GUARD_ERR_INVALID : GUARD_OK;
}
