/* guardctl lint: rules against each other. */
#include "ctl/lint.h"

#include "core/clock.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIONS_ALL (ACL_ACTION_BIT(ACL_PUBLISH) | ACL_ACTION_BIT(ACL_RECEIVE) | ACL_ACTION_BIT(ACL_SUBSCRIBE))
#define PAIRS_MAX   ((size_t)50 * 1000 * 1000) /* comparisons; a few seconds */

/* Does a, wherever it applies, rank at least (strictly: above) as b does at its best? Same role, or a role everyone
 * has. */
static bool outranks(const struct lint_rule *a, const struct lint_rule *b, bool strictly)
{
    int64_t binding = 0;
    if (strcmp(a->info.role, b->info.role) != 0) {
        if (!a->everyone)
            return false;
        binding = (int64_t)a->lowest - b->highest;
    }
    int64_t rank = binding ? binding : (int64_t)a->info.priority - b->info.priority;
    return strictly ? rank > 0 : rank >= 0;
}

/* Whether a always applies to everything that b can apply to. */
static bool encloses(const struct lint *lint, const struct lint_rule *a, const struct lint_rule *b)
{
    return !a->info.conditional && !a->info.exact && (b->info.actions & ~a->info.actions) == 0 &&
           acl_rule_covers(lint->source->policy, a->info.id, b->info.id);
}

/*
 * Whether a's pattern is the wider one for every client. An allow whose placeholder cannot be bound matches nothing,
 * while what it should have enclosed may still match: only an enclosing rule that is bound whenever the other is
 * counts.
 */
static bool always_bound(const struct lint_rule *a, const struct lint_rule *b)
{
    return !a->info.has_placeholder || !a->info.allow || (b->info.allow && b->info.has_placeholder);
}

static void compare(struct lint *lint, const struct lint_rule *a, const struct lint_rule *b)
{
    bool same_effect = a->info.allow == b->info.allow;
    bool strictly = a->info.allow && !b->info.allow;
    if (!outranks(a, b, strictly) || !always_bound(a, b) || !encloses(lint, a, b))
        return;
    /* of two that enclose each other the later one is reported */
    if (same_effect && a > b && outranks(b, a, false) && always_bound(b, a) && encloses(lint, b, a))
        return;
    const char *place = b->info.place;
    if (same_effect)
        lint_report(lint, LINT_DEAD_RULE, place, b->info.line,
                    "%s is dead: %s (line %u) already %s all of it. Remove it, or write what it should do beyond that",
                    lint_rule_name(b), lint_rule_name(a), a->info.line, a->info.allow ? "allows" : "denies");
    else if (a->info.allow)
        lint_report(lint, LINT_SHADOWED, place, b->info.line,
                    "%s never denies anything: the allow %s (line %u) has the higher priority and covers it. Give the "
                    "deny a priority of at least %d, or remove it",
                    lint_rule_name(b), lint_rule_name(a), a->info.line, a->info.priority);
    else
        lint_report(
            lint, LINT_DEAD_RULE, place, b->info.line,
            "%s never allows anything: the deny %s (line %u) covers it and at the same priority deny wins. Give "
            "the allow a higher priority, narrow the deny, or remove one of them",
            lint_rule_name(b), lint_rule_name(a), a->info.line);
}

/* A rule without wildcards encloses only rules with the very same filter. */
static bool is_wide(const struct lint_rule *rule)
{
    return rule->info.has_wildcard || rule->info.is_everything;
}

static int by_filter(const void *a, const void *b)
{
    const struct lint_rule *x = *(const struct lint_rule *const *)a, *y = *(const struct lint_rule *const *)b;
    int order = strcmp(x->filter, y->filter);
    return order ? order : (x > y) - (x < y);
}

static void compare_equal_filters(struct lint *lint)
{
    struct lint_rule **sorted = reallocarray(NULL, lint->rule_count + 1, sizeof *sorted);
    if (!sorted) {
        lint->failed = true;
        return;
    }
    for (size_t i = 0; i < lint->rule_count; i++)
        sorted[i] = &lint->rules[i];
    qsort(sorted, lint->rule_count, sizeof *sorted, by_filter);
    size_t budget = PAIRS_MAX;
    for (size_t i = 0; i < lint->rule_count; i++)
        for (size_t j = i + 1; j < lint->rule_count && strcmp(sorted[i]->filter, sorted[j]->filter) == 0 && budget;
             j++) {
            budget--;
            if (is_wide(sorted[i]))
                continue; /* compare_wide sees it */
            compare(lint, sorted[i], sorted[j]);
            compare(lint, sorted[j], sorted[i]);
        }
    free(sorted);
}

/* Rules come role by role: the first behind those of the role that begins at first. */
static size_t end_of_role(const struct lint *lint, size_t first)
{
    size_t end = first + 1;
    while (end < lint->rule_count && strcmp(lint->rules[end].info.role, lint->rules[first].info.role) == 0)
        end++;
    return end;
}

/* Compares a with the rules begin..end; false once that would take too long. */
static bool compare_with(struct lint *lint, const struct lint_rule *a, size_t begin, size_t end)
{
    size_t pairs = end - begin;
    if (pairs > lint->pairs_left)
        return false;
    lint->pairs_left -= pairs;
    for (size_t i = begin; i < end; i++)
        if (&lint->rules[i] != a)
            compare(lint, a, &lint->rules[i]);
    return true;
}

static void compare_wide(struct lint *lint)
{
    bool all = true;
    lint->pairs_left = PAIRS_MAX;
    for (size_t first = 0, end; first < lint->rule_count && all; first = end) {
        end = end_of_role(lint, first);
        for (size_t i = first; i < end && all; i++) {
            const struct lint_rule *a = &lint->rules[i];
            bool everyone = a->everyone; /* then it also stands beside the rules of every other role */
            if (is_wide(a))
                all = compare_with(lint, a, everyone ? 0 : first, everyone ? lint->rule_count : end);
        }
    }
    if (!all)
        lint_report(
            lint, LINT_SLOW, "", 0,
            "too many rules with wildcards to compare every one with every other: dead rules may be missing from "
            "this report. Check large roles in files of their own");
}

/* Whether anything in the file allows topics that begin with '$'. */
static bool dollar_is_allowed(const struct lint *lint)
{
    for (size_t i = 0; i < lint->source->text.count; i++) {
        const struct guard_policy_line *line = &lint->source->text.lines[i];
        if (line->section == GUARD_SECTION_DEFAULT && strcmp(line->value, "allow") == 0)
            return true;
    }
    for (size_t i = 0; i < lint->rule_count; i++) {
        const struct lint_rule *rule = &lint->rules[i];
        bool dollar = rule->filter[0] == '$' && (rule->filter[1] != '{' || rule->filter[2] == '$');
        if (rule->info.allow && (rule->info.is_everything || dollar))
            return true;
    }
    return false;
}

static void check_hash(struct lint *lint)
{
    bool dollar = dollar_is_allowed(lint);
    for (size_t i = 0; i < lint->rule_count; i++) {
        const struct lint_rule *rule = &lint->rules[i];
        if (strcmp(rule->filter, "#") != 0)
            continue;
        if (!rule->info.allow && dollar)
            lint_report(lint, LINT_HASH, rule->info.place, rule->info.line,
                        "%s denies # but not topics that begin with $, such as $SYS/…, which this policy allows "
                        "elsewhere. Write ** to deny every topic",
                        lint_rule_name(rule));
        if (rule->info.allow && rule->info.actions == ACTIONS_ALL)
            lint_report(
                lint, LINT_HASH, rule->info.place, rule->info.line,
                "%s allows all on #, but not on topics that begin with $, such as $SYS/…. Write ** if everything "
                "is meant, or name the actions (publish,subscribe) if # is",
                lint_rule_name(rule));
    }
}

/* The text of an until= in a rule line, or NULL. A quoted filter could hold one too, so only what follows a blank
 * counts. */
static const char *find_until(const char *value)
{
    const char *found = NULL;
    for (const char *p = value; (p = strstr(p, " until=")); p++)
        found = p + strlen(" until=");
    return found;
}

static void check_until(struct lint *lint)
{
    for (size_t i = 0; i < lint->source->text.count; i++) {
        const struct guard_policy_line *line = &lint->source->text.lines[i];
        const char *until = line->section == GUARD_SECTION_ROLE ? find_until(line->value) : NULL;
        int64_t when;
        if (!until || guard_timestamp_parse(until, strcspn(until, " \t"), &when) != GUARD_OK || when > lint->now)
            continue;
        lint_report(lint, LINT_EXPIRED, line->place, line->line,
                    "%s/%s ended with its until=%.*s and does nothing any more. Remove it, or set a later time",
                    line->name, line->field, (int)strcspn(until, " \t"), until);
    }
}

static bool report_slow(void *data, const struct acl_role_info *info)
{
    struct lint *lint = data;
    if (!info->slow)
        return true;
    for (size_t i = 0; i < lint->rule_count; i++) {
        const struct lint_rule *rule = &lint->rules[i];
        if (strcmp(rule->info.role, info->name) != 0)
            continue;
        lint_report(
            lint, LINT_SLOW, rule->info.place, rule->info.line,
            "role %s: its %zu rules overlap in so many levels with + or placeholders that one check may be given up "
            "(and denied). Replace levels with + by names, or split the role",
            info->name, info->rule_count);
        break;
    }
    return true;
}

void lint_check_rules(struct lint *lint)
{
    compare_wide(lint);
    compare_equal_filters(lint);
    check_hash(lint);
    check_until(lint);
    acl_policy_each_role(lint->source->policy, report_slow, lint);
}
