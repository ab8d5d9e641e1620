/* The policies and clients that are measured. */
#ifndef GUARD_BENCH_ACL_POLICIES_H
#define GUARD_BENCH_ACL_POLICIES_H

#include "acl/acl.h"

#include <stdint.h>

/* A client, and a topic it may publish to. */
struct question {
    struct acl_subject *subject;
    char *topic;
};

struct load {
    struct acl_policy *policy;
    struct question *questions;
    size_t count;
    double seconds; /* of processor time, for compiling */
    double bytes;   /* a rule */
};

/* One role with that many rules on topics of their own. */
struct load load_of_large_role(size_t rules);

/* Clients with a role of their own (five rules each), or all with the same role of templates. */
struct load load_of_fleet(bool templates, size_t clients);

/*
 * 10,000 clients, each with `held` (1 to 128) of 1,000 roles of 1,000 rules. Filters begin with a first level of their
 * role, or all alike, so that every role of a client has to be asked.
 */
struct load load_of_many_roles(size_t held, bool alike);

void free_load(struct load *load);

void add_rule(struct guard_policy_text *text, const char *role, const char *name, const char *rule);

/* memory, or the end of the program. */
void *need(void *memory);

uint64_t next_random(void);

#endif
