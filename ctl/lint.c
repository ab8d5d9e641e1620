/* guardctl lint: what is allowed in a policy but hardly meant. */
#include "ctl/lint.h"

#include "core/buffer.h"
#include "core/clock.h"
#include "core/nearest.h"
#include "ctl/commands.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
#define X(name, text, meaning) [LINT_##name] = text,
    LINT_KINDS(X)
#undef X
};

void lint_report(struct lint *lint, enum lint_kind kind, const char *place, unsigned line, const char *format, ...)
{
    if (lint->ignored & 1u << kind || lint->seen[kind]++ >= LINT_SHOWN_MAX)
        return;
    if (lint->finding_count == lint->finding_capacity) {
        size_t capacity = lint->finding_capacity ? lint->finding_capacity * 2 : 16;
        struct lint_finding *grown = reallocarray(lint->findings, capacity, sizeof *grown);
        if (!grown) {
            lint->failed = true;
            return;
        }
        lint->findings = grown;
        lint->finding_capacity = capacity;
    }
    struct lint_finding finding = {.kind = kind, .place = place, .line = line};
    va_list args;
    va_start(args, format);
    if (vasprintf(&finding.text, format, args) < 0)
        lint->failed = true;
    else
        lint->findings[lint->finding_count++] = finding;
    va_end(args);
}

const char *lint_rule_name(const struct lint_rule *rule)
{
    static char names[4][2200];
    static unsigned next;
    char *name = names[next++ % 4];
    snprintf(name, sizeof names[0], "%s/%s", rule->info.role, rule->info.name);
    return name;
}

/* ---- collecting ---- */

#define FILTER_MAX ((size_t)512 * 1024) /* octets of a filter template; longer ones are compared by their beginning */

static bool add_rule(void *data, const struct acl_rule_info *info)
{
    struct lint *lint = data;
    const struct acl_policy *policy = lint->source->policy;
    if (lint->rule_count == lint->rule_capacity) {
        size_t capacity = lint->rule_capacity ? lint->rule_capacity * 2 : 64;
        struct lint_rule *grown = reallocarray(lint->rules, capacity, sizeof *grown);
        if (!grown) {
            lint->failed = true;
            return false;
        }
        lint->rules = grown;
        lint->rule_capacity = capacity;
    }
    struct lint_rule rule = {0};
    char buffer[1024], *large = NULL;
    const char *filter = acl_rule_filter(policy, NULL, info->id, buffer, sizeof buffer);
    if (strlen(filter) == sizeof buffer - 1 && (large = malloc(FILTER_MAX)))
        filter = acl_rule_filter(policy, NULL, info->id, large, FILTER_MAX);
    rule.filter = strdup(filter);
    free(large);
    acl_rule_describe(policy, NULL, info->id, &rule.info);
    if (!rule.filter) {
        lint->failed = true;
        return false;
    }
    lint->rules[lint->rule_count++] = rule;
    return true;
}

static void report_warnings(struct lint *lint)
{
    const struct guard_problems *problems = &lint->source->problems;
    for (size_t i = 0; i < problems->count; i++) {
        const struct guard_error *error = &problems->items[i].error;
        lint_report(lint, LINT_WARNING, error->place, error->line, "%s", error->text);
    }
}

static int by_line(const void *a, const void *b)
{
    const struct lint_finding *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->text, y->text);
}

static void collect(struct lint *lint)
{
    acl_policy_each_rule(lint->source->policy, NULL, add_rule, lint);
    report_warnings(lint);
    lint_check_bindings(lint);
    lint_check_passwords(lint);
    lint_check_rules(lint);
    if (lint->finding_count)
        qsort(lint->findings, lint->finding_count, sizeof *lint->findings, by_line);
}

static void lint_free(struct lint *lint)
{
    for (size_t i = 0; i < lint->rule_count; i++)
        free(lint->rules[i].filter);
    for (size_t i = 0; i < lint->finding_count; i++)
        free(lint->findings[i].text);
    free(lint->rules);
    free(lint->findings);
}

/* ---- showing ---- */

static void print_text(const struct lint *lint)
{
    for (size_t i = 0; i < lint->finding_count; i++) {
        const struct lint_finding *finding = &lint->findings[i];
        fputs(lint->path, stdout);
        if (finding->line)
            printf(":%u", finding->line);
        printf(": %s: %s\n", kind_names[finding->kind], finding->text);
    }
    for (unsigned kind = 0; kind < LINT_KIND_COUNT; kind++)
        if (lint->seen[kind] > LINT_SHOWN_MAX)
            printf("%s: %s: %zu more are not shown\n", lint->path, kind_names[kind], lint->seen[kind] - LINT_SHOWN_MAX);
    if (!lint->finding_count)
        printf("%s: nothing found\n", lint->path);
}

static void print_json(const struct lint *lint)
{
    struct guard_buffer out = {0};
    guard_buffer_byte(&out, '[');
    for (size_t i = 0; i < lint->finding_count; i++) {
        const struct lint_finding *finding = &lint->findings[i];
        guard_buffer_text(&out, i ? ",\n{\"file\":" : "{\"file\":");
        guard_buffer_json_string(&out, lint->path, strlen(lint->path));
        guard_buffer_printf(&out, ",\"line\":%u,\"kind\":\"%s\",\"text\":", finding->line, kind_names[finding->kind]);
        guard_buffer_json_string(&out, finding->text, strlen(finding->text));
        guard_buffer_byte(&out, '}');
    }
    guard_buffer_byte(&out, ']');
    puts(out.failed ? "" : out.data);
    guard_buffer_free(&out);
}

static int lint_file(const char *path, unsigned ignored, bool json)
{
    struct ctl_policy source;
    struct lint lint = {.source = &source, .path = path, .ignored = ignored, .now = guard_clock_now()};
    int code = CTL_USAGE;
    if (!ctl_policy_load(&source, path)) {
        ctl_policy_print_problems(&source, stderr);
    } else {
        collect(&lint);
        if (json)
            print_json(&lint);
        else
            print_text(&lint);
        code = lint.finding_count ? CTL_NO : CTL_OK;
        if (lint.failed) {
            fprintf(stderr, "guardctl lint: out of memory: there may be more to find\n");
            code = CTL_USAGE;
        }
    }
    lint_free(&lint);
    ctl_policy_free(&source);
    return code;
}

/* Names separated by commas; false with *unknown set at the first that is none. */
static bool parse_kinds(char *list, unsigned *ignored, const char **unknown)
{
    char *save = NULL;
    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        unsigned kind = 0;
        while (kind < LINT_KIND_COUNT && strcmp(kind_names[kind], name) != 0)
            kind++;
        *unknown = name;
        if (kind == LINT_KIND_COUNT)
            return false;
        *ignored |= 1u << kind;
    }
    return true;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"ignore", required_argument, NULL, 'i'}, {0}};
    unsigned ignored = 0;
    bool json = false;
    const char *unknown = "";
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'j')
            json = true;
        else if (option != 'i')
            return ctl_usage_error(command, "unknown option, or one without its value: %s", argv[optind - 1]);
        else if (!parse_kinds(optarg, &ignored, &unknown))
            return ctl_usage_error(command, "there is no kind of finding '%s'; did you mean %s?", unknown,
                                   guard_nearest(unknown, kind_names, LINT_KIND_COUNT));
    }
    if (argc - optind != 1)
        return ctl_usage_error(command, "expected one FILE");
    return lint_file(argv[optind], ignored, json);
}

const struct ctl_command ctl_lint = {
    .name = "lint",
    .summary = "find what is allowed in a policy but hardly meant",
    .usage = "usage: guardctl lint [--ignore KIND[,KIND]…] [--json] FILE\n"
             "\n"
             "Reads a policy file without errors (guardctl check) and prints what its author hardly meant, each with "
             "its line\n"
             "and what to do about it. The kinds:\n"
             "\n"
#define X(name, text, meaning) "  " text "\n      " meaning "\n"
    LINT_KINDS(X)
#undef X
        "\n"
        "  --ignore KIND   do not look for these\n"
        "  --json          one JSON array: file, line, kind, text\n"
        "\n"
        "exit: 0 nothing found, 1 findings, 2 wrong usage or a policy with errors\n",
    .run = run,
};
