/*
 * A policy before it is compiled: the lines an admin wrote, each with its place. One model, two homes (policy file and
 * Redis): store/ fills it, acl/ compiles roles, assignments and defaults, the client table takes the client records.
 */
#ifndef GUARD_CORE_POLICY_TEXT_H
#define GUARD_CORE_POLICY_TEXT_H

#include "core/error.h"

#include <stddef.h>

enum guard_policy_section {
    GUARD_SECTION_ROLE,   /* [role NAME]   guard:role:NAME */
    GUARD_SECTION_CLIENT, /* [client NAME] guard:client:NAME */
    GUARD_SECTION_ASSIGN, /* [assign]      guard:assign */
    GUARD_SECTION_DEFAULT /* [default]     guard:default */
};

/* One `field = value`. All strings belong to the text and live as long as it does. */
struct guard_policy_line {
    enum guard_policy_section section;
    const char *name;  /* of the role or client; "" for the other sections */
    const char *field; /* the rule's name, "password", "roles", "attr.site", an assignment's name, "mode" … */
    const char *value;
    const char *place; /* "policy.conf" or "guard:role:device" */
    unsigned line;     /* 1-based line of the place; 0 in Redis */
    unsigned column;   /* 1-based column, in bytes, at which value begins; 0 in Redis */
};

struct guard_policy_text {
    struct guard_policy_line *lines;
    size_t count;
    size_t capacity;
    struct guard_policy_arena *arena; /* the strings */
};

/*
 * Appends a line; all strings are copied (equal neighbouring names and places are shared). GUARD_OK or GUARD_ERR_NOMEM.
 * Zero-initialise the text before.
 */
int guard_policy_text_add(struct guard_policy_text *text, const struct guard_policy_line *line);

/* Frees everything the text holds (values are wiped: there may be password hashes among them) and zeroes it. */
void guard_policy_text_free(struct guard_policy_text *text);

/*
 * Every problem found while a policy is read or compiled, in order, so that one run shows them all. Capped: after
 * GUARD_PROBLEMS_MAX only the count goes on.
 */
#define GUARD_PROBLEMS_MAX 1000

enum guard_severity { GUARD_PROBLEM_ERROR, GUARD_PROBLEM_WARNING };

struct guard_problem {
    enum guard_severity severity;
    struct guard_error error; /* place, line, column, text */
};

struct guard_problems {
    struct guard_problem *items;
    size_t count;            /* held */
    size_t errors, warnings; /* seen */
};

/* Adds a problem; out of memory only the counters go on. problems may be NULL. */
void guard_problems_add(struct guard_problems *problems, enum guard_severity severity, const char *place, unsigned line,
                        unsigned column, const char *format, ...) __attribute__((format(printf, 6, 7)));
void guard_problems_free(struct guard_problems *problems);

#endif
