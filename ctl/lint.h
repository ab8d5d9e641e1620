/* The parts of `guardctl lint`: what is looked for, one file a group. Every finding tells what to do about it. */
#ifndef GUARD_CTL_LINT_H
#define GUARD_CTL_LINT_H

#include "acl/acl.h"
#include "ctl/policy_source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kinds of findings, as --ignore and --json name them. */
#define LINT_KINDS(X)                                                                                        \
    X(WARNING, "warning", "what the policy's reader warns about")                                            \
    X(DEAD_RULE, "dead-rule", "a rule that another rule of its role, or of a role everyone has, makes void") \
    X(SHADOWED, "shadowed-deny", "a deny that never takes effect, because an allow outranks it everywhere")  \
    X(EXPIRED, "expired", "a rule whose until= has passed")                                                  \
    X(HASH, "hash", "# where ** was probably meant: # leaves topics that begin with $ out")                  \
    X(UNBINDABLE, "unbindable", "a placeholder that can never be bound to a client that holds the rule")     \
    X(AMBIGUOUS, "ambiguous", "a placeholder that is not bound once its fact has several values")            \
    X(UNUSED_ROLE, "unused-role", "a role nobody in the file holds (a token may still name it)")             \
    X(UNDEFINED_ROLE, "undefined-role", "a role that is bound and not defined")                              \
    X(WEAK_PASSWORD, "weak-password", "a password hash that is cheap to guess against, or cannot be used")   \
    X(SLOW, "slow", "a role whose rules overlap so much that a check may be given up")

enum lint_kind {
#define X(name, text, meaning) LINT_##name,
    LINT_KINDS(X)
#undef X
        LINT_KIND_COUNT
};

#define LINT_SHOWN_MAX 200 /* findings of one kind */

struct lint_finding {
    enum lint_kind kind;
    const char *place; /* borrowed from the policy or its text; "" = the policy as a whole */
    unsigned line;
    char *text;
};

/* A rule with what the checks need again and again. Strings are the policy's, but for filter. */
struct lint_rule {
    struct acl_rule_info info;
    char *filter;            /* its template */
    int32_t lowest, highest; /* binding priorities its role is granted with in this file */
    bool everyone;           /* its role is among [default] roles; then lowest is the priority everyone has it with */
};

struct lint {
    const struct ctl_policy *source;
    const char *path;
    int64_t now;
    unsigned ignored; /* bits 1 << enum lint_kind */
    struct lint_rule *rules;
    size_t rule_count, rule_capacity;
    struct lint_finding *findings;
    size_t finding_count, finding_capacity;
    size_t seen[LINT_KIND_COUNT]; /* of each kind; more than LINT_SHOWN_MAX are only counted */
    size_t pairs_left;            /* of rules that may still be compared */
    bool failed;                  /* out of memory */
};

/* Adds a finding unless its kind is ignored. place and line: where to look. */
void lint_report(struct lint *lint, enum lint_kind kind, const char *place, unsigned line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* "role/name", in a buffer that is used again by the fourth next call. */
const char *lint_rule_name(const struct lint_rule *rule);

/* lint_bindings.c: roles, clients and placeholders; also fills lowest, highest and everyone of the rules. Comes first.
 */
void lint_check_bindings(struct lint *lint);
/* lint_passwords.c: stored hashes. */
void lint_check_passwords(struct lint *lint);
/* lint_rules.c: rules against each other. */
void lint_check_rules(struct lint *lint);

#endif
