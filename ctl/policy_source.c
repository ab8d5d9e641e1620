#include "ctl/policy_source.h"

#include "store/policy_file.h"

#include <stdlib.h>
#include <string.h>

static int by_line(const void *a, const void *b)
{
    const struct guard_error *x = &((const struct guard_problem *)a)->error;
    const struct guard_error *y = &((const struct guard_problem *)b)->error;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

/* Compiles the same text with `mode = strict` in [default]. */
static struct acl_policy *compile_strict(const struct guard_policy_text *text)
{
    static const struct acl_compile_options options = {.ignore_clients = true};
    struct guard_policy_text copy = {0};
    struct acl_policy *policy = NULL;
    int rc = GUARD_OK;
    for (size_t i = 0; i < text->count && rc == GUARD_OK; i++) {
        const struct guard_policy_line *line = &text->lines[i];
        if (line->section == GUARD_SECTION_CLIENT)
            continue;
        if (line->section != GUARD_SECTION_DEFAULT || strcmp(line->field, "mode") != 0)
            rc = guard_policy_text_add(&copy, line);
    }
    if (rc == GUARD_OK)
        acl_policy_compile(&copy, &options, &policy, NULL);
    guard_policy_text_free(&copy);
    return policy;
}

static bool compile(struct ctl_policy *source)
{
    static const struct acl_compile_options options = {.ignore_clients = true};
    struct guard_clients_builder *builder = guard_clients_builder_new(NULL);
    int clients = builder ? guard_clients_builder_put_text(builder, &source->text, &source->problems) : GUARD_ERR_NOMEM;
    int rules = acl_policy_compile(&source->text, &options, &source->policy, &source->problems);
    if (clients == GUARD_OK)
        source->clients = guard_clients_builder_finish(&builder);
    guard_clients_builder_free(&builder);
    if (clients == GUARD_OK && rules == GUARD_OK && acl_policy_mode(source->policy) == ACL_MODE_OFF)
        source->classifier = compile_strict(&source->text);
    return rules == GUARD_OK && source->clients;
}

bool ctl_policy_load(struct ctl_policy *source, const char *path)
{
    *source = (struct ctl_policy){0};
    int rc = guard_policy_file_read(path, &source->text, &source->problems, NULL);
    source->unreadable = rc != GUARD_OK && rc != GUARD_ERR_SYNTAX;
    /* the lines that could be read are compiled too, so that one run shows every error */
    bool good = !source->unreadable && compile(source) && rc == GUARD_OK;
    if (!good && !source->problems.errors)
        guard_problems_add(&source->problems, GUARD_PROBLEM_ERROR, path, 0, 0, "out of memory");
    if (source->problems.count)
        qsort(source->problems.items, source->problems.count, sizeof *source->problems.items, by_line);
    return good;
}

void ctl_policy_free(struct ctl_policy *source)
{
    acl_policy_release(source->policy);
    acl_policy_release(source->classifier);
    guard_clients_unref(&source->clients);
    guard_problems_free(&source->problems);
    guard_policy_text_free(&source->text);
    *source = (struct ctl_policy){0};
}

void ctl_policy_print_problems(const struct ctl_policy *source, FILE *to)
{
    const struct guard_problems *problems = &source->problems;
    for (size_t i = 0; i < problems->count; i++) {
        const struct guard_error *error = &problems->items[i].error;
        fputs(error->place, to);
        if (error->line)
            fprintf(to, ":%u", error->line);
        if (error->line && error->column)
            fprintf(to, ":%u", error->column);
        fprintf(to, ": %s: %s\n", problems->items[i].severity == GUARD_PROBLEM_ERROR ? "error" : "warning",
                error->text);
    }
    size_t seen = problems->errors + problems->warnings;
    if (seen > problems->count)
        fprintf(to, "%zu more problems are not shown\n", seen - problems->count);
}

struct ctl_policy_size ctl_policy_size(const struct ctl_policy *source)
{
    return (struct ctl_policy_size){.roles = acl_policy_role_count(source->policy),
                                    .rules = acl_policy_rule_count(source->policy),
                                    .clients = guard_clients_count(source->clients)};
}
