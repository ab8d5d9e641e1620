#include "store/policy_join.h"

#include "core/buffer.h"
#include "store/policy_keys.h"

#include <stdlib.h>
#include <string.h>

struct join {
    const struct guard_policy_text *policy, *files;
    struct guard_problems *problems;
    struct guard_policy_fields fields;    /* of the policy */
    struct guard_policy_fields sections;  /* its roles and clients */
    const struct guard_policy_line **add; /* by index in policy: the line whose roles it gets as well; else NULL */
    bool *taken;                          /* by index in files: goes into a line of the policy, or nowhere */
};

static bool is_role_list(const struct guard_policy_line *line)
{
    return (line->section == GUARD_SECTION_CLIENT || line->section == GUARD_SECTION_DEFAULT) &&
           strcmp(line->field, "roles") == 0;
}

static int index_policy(struct join *join)
{
    size_t before;
    for (size_t i = 0; i < join->policy->count; i++)
        if (guard_policy_fields_add(&join->fields, join->policy, i, &before) == GUARD_ERR_NOMEM ||
            guard_policy_fields_add(&join->sections, join->policy, i, &before) == GUARD_ERR_NOMEM)
            return GUARD_ERR_NOMEM;
    return GUARD_OK;
}

static void clash(struct join *join, const struct guard_policy_line *line, const struct guard_policy_line *ours)
{
    guard_problems_add(join->problems, GUARD_PROBLEM_ERROR, ours->place, ours->line, ours->column,
                       "%s '%s' is also made from %s: give one of them another name",
                       line->section == GUARD_SECTION_ROLE ? "role" : "assignment",
                       line->section == GUARD_SECTION_ROLE ? line->name : line->field, line->place);
}

/* Decides about one line of the files. */
static void place_line(struct join *join, size_t index)
{
    const struct guard_policy_line *line = &join->files->lines[index];
    size_t at;
    bool role = line->section == GUARD_SECTION_ROLE;
    if (!guard_policy_fields_find(role ? &join->sections : &join->fields, join->policy, line, &at))
        return;
    join->taken[index] = true;
    const struct guard_policy_line *ours = &join->policy->lines[at];
    bool told = role && index && join->taken[index - 1] && strcmp(line[-1].name, line->name) == 0;
    if (is_role_list(line))
        join->add[at] = line;
    else if (role || line->section == GUARD_SECTION_ASSIGN)
        told ? (void)0 : clash(join, line, ours);
    else if (line->section == GUARD_SECTION_CLIENT)
        guard_problems_add(join->problems, GUARD_PROBLEM_WARNING, line->place, line->line, 0,
                           "the %s of client '%s' is that of %s", line->field, line->name, ours->place);
}

static int add_joined(struct guard_policy_text *out, const struct guard_policy_line *ours,
                      const struct guard_policy_line *theirs)
{
    struct guard_buffer value = {0};
    struct guard_policy_line line = *ours;
    guard_buffer_text(&value, ours->value);
    if (ours->value[strspn(ours->value, " \t")])
        guard_buffer_text(&value, ", ");
    guard_buffer_text(&value, theirs->value);
    line.value = value.failed ? "" : value.data;
    int rc = value.failed ? GUARD_ERR_NOMEM : guard_policy_text_add(out, &line);
    guard_buffer_free(&value);
    return rc;
}

static int write_out(const struct join *join, struct guard_policy_text *out)
{
    int rc = GUARD_OK;
    for (size_t i = 0; i < join->policy->count && rc == GUARD_OK; i++)
        rc = join->add[i] ? add_joined(out, &join->policy->lines[i], join->add[i])
                          : guard_policy_text_add(out, &join->policy->lines[i]);
    for (size_t i = 0; i < join->files->count && rc == GUARD_OK; i++)
        if (!join->taken[i])
            rc = guard_policy_text_add(out, &join->files->lines[i]);
    return rc;
}

int guard_policy_join(const struct guard_policy_text *policy, const struct guard_policy_text *files,
                      struct guard_policy_text *out, struct guard_problems *problems)
{
    struct join join = {.policy = policy, .files = files, .problems = problems, .sections = {.by_name_only = true}};
    size_t errors = problems->errors;
    join.add = calloc(policy->count + 1, sizeof *join.add);
    join.taken = calloc(files->count + 1, sizeof *join.taken);
    int rc = join.add && join.taken ? index_policy(&join) : GUARD_ERR_NOMEM;
    for (size_t i = 0; i < files->count && rc == GUARD_OK; i++)
        place_line(&join, i);
    if (rc == GUARD_OK && problems->errors > errors)
        rc = GUARD_ERR_SYNTAX;
    if (rc == GUARD_OK)
        rc = write_out(&join, out);
    guard_policy_fields_free(&join.fields);
    guard_policy_fields_free(&join.sections);
    free(join.add);
    free(join.taken);
    return rc;
}
