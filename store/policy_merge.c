#include "store/policy_merge.h"

#include "store/policy_keys.h"

#include <string.h>

static bool is_named(const struct guard_policy_line *line)
{
    return line->section == GUARD_SECTION_ROLE || line->section == GUARD_SECTION_CLIENT;
}

/* What the fixed text names: whole roles and clients, single assignments and defaults. */
struct fixed_names {
    struct guard_policy_fields sections, fields;
};

static int collect(struct fixed_names *names, const struct guard_policy_text *fixed)
{
    size_t before;
    for (size_t i = 0; i < fixed->count; i++) {
        struct guard_policy_fields *set = is_named(&fixed->lines[i]) ? &names->sections : &names->fields;
        if (guard_policy_fields_add(set, fixed, i, &before) == GUARD_ERR_NOMEM)
            return GUARD_ERR_NOMEM;
    }
    return GUARD_OK;
}

static void warn(struct guard_problems *problems, const struct guard_policy_line *line,
                 const struct guard_policy_line *fixed, const struct guard_policy_line *previous)
{
    static const char *const kinds[] = {"role", "client", "assignment", "default"};
    bool named = is_named(line);
    if (named && previous && previous->section == line->section && strcmp(previous->name, line->name) == 0)
        return; /* said once for the whole section */
    guard_problems_add(problems, GUARD_PROBLEM_WARNING, line->place, line->line, line->column,
                       "%s '%s' is left out: the policy file fixes it (%s:%u)", kinds[line->section],
                       named ? line->name : line->field, fixed->place, fixed->line);
}

int guard_policy_merge(const struct guard_policy_text *fixed, const struct guard_policy_text *added,
                       struct guard_policy_text *out, struct guard_problems *problems)
{
    struct fixed_names names = {.sections = {.by_name_only = true}};
    int rc = collect(&names, fixed);
    for (size_t i = 0; rc == GUARD_OK && i < fixed->count; i++)
        rc = guard_policy_text_add(out, &fixed->lines[i]);
    for (size_t i = 0; rc == GUARD_OK && i < added->count; i++) {
        const struct guard_policy_line *line = &added->lines[i];
        size_t index = 0;
        if (guard_policy_fields_find(is_named(line) ? &names.sections : &names.fields, fixed, line, &index))
            warn(problems, line, &fixed->lines[index], i ? &added->lines[i - 1] : NULL);
        else
            rc = guard_policy_text_add(out, line);
    }
    guard_policy_fields_free(&names.sections);
    guard_policy_fields_free(&names.fields);
    return rc;
}
