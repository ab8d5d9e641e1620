/* A policy file as the commands need it: its lines, its problems, the compiled policy and the client table. */
#ifndef GUARD_CTL_POLICY_SOURCE_H
#define GUARD_CTL_POLICY_SOURCE_H

#include "acl/acl.h"
#include "core/clients.h"
#include "core/policy_text.h"

#include <stdbool.h>
#include <stdio.h>

struct ctl_policy {
    struct guard_policy_text text;
    struct guard_problems problems; /* sorted by line */
    struct acl_policy *policy;      /* NULL if there are errors */
    struct guard_clients *clients;
    /* The same policy in mode strict if it is off, to tell the coverage that an off policy does not ask for; else NULL.
     */
    struct acl_policy *classifier;
    bool unreadable; /* the file could not be read at all */
};

/*
 * Reads and compiles the file. True: policy and clients are there (warnings may be in problems). False: problems says
 * why. Call ctl_policy_free in both cases.
 */
bool ctl_policy_load(struct ctl_policy *source, const char *path);
void ctl_policy_free(struct ctl_policy *source);

/* Writes the problems as "file:line:column: error: text" lines. */
void ctl_policy_print_problems(const struct ctl_policy *source, FILE *to);

/* Numbers of roles and rules in the compiled policy. */
struct ctl_policy_size {
    size_t roles, rules, clients;
};
struct ctl_policy_size ctl_policy_size(const struct ctl_policy *source);

#endif
