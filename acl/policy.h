/* Making policies: what compile.c, edit.c and compact share. */
#ifndef GUARD_ACL_POLICY_H
#define GUARD_ACL_POLICY_H

#include "acl/binding.h"
#include "acl/build.h"
#include "acl/names.h"

/* A number the process has not had: generations, epochs, sessions with rules of their own. Never 0. */
uint64_t acl_next_number(void);

/*
 * A policy without parts, with a new epoch; generation 0 asks for a new one. References of names, slots and bindings
 * are added. roles becomes the policy's (freed with it), also on failure. NULL when out of memory.
 */
struct acl_policy *acl_policy_new(uint64_t seed, uint64_t generation, struct acl_role_entry *roles,
                                  struct acl_names *names, struct acl_slots *slots, struct acl_bindings *bindings);

/*
 * Puts the roles of the segment (a new one; its reference goes to the policy, also on failure) into the directory, in
 * place of what they were. GUARD_OK or GUARD_ERR_NOMEM.
 */
int acl_policy_add_part(struct acl_policy *policy, struct acl_role_entry *roles, struct acl_segment *segment);

/* Takes a role's rules away. */
void acl_policy_clear_role(struct acl_policy *policy, struct acl_role_entry *roles, uint32_t id);

/* Copies base's parts (with references); call before the two above. */
int acl_policy_copy_parts(struct acl_policy *policy, const struct acl_policy *base);

/* Drops parts nobody uses; merges the smaller half when there are too many. GUARD_OK or GUARD_ERR_NOMEM (still valid).
 */
int acl_policy_tidy(struct acl_policy *policy, struct acl_role_entry *roles);

/* ---- compile.c ---- */

/*
 * A large text becomes several segments: what a builder works on then fits the caches better, and its memory is used
 * again for the next one. Looking up costs the same: a role is in one of them.
 */
#define ACL_SLICES    8
#define ACL_SLICE_MIN 65536 /* rules */

/* Which roles of a text are compiled, and what came of it. */
struct acl_compilation {
    const struct guard_policy_text *text;
    struct acl_compile_options options;
    struct guard_problems *problems;
    uint64_t seed;
    struct acl_strings roles; /* by local number; of an edit: filled before, and closed */
    bool closed;              /* lines of roles that are not in roles are ignored */
    bool *bad;                /* by local number: the role has an error (keep_bad_roles) */
    uint32_t *ids;            /* by local number: id in names, ACL_STRINGS_NONE: no lines */
    struct acl_names *names;  /* the layer that new roles go into */
    struct acl_slots *slots;
    struct acl_segment *segments[ACL_SLICES];
    uint32_t segment_count; /* 0: no role has lines */
};

/* Compiles the roles. GUARD_OK, GUARD_ERR_SYNTAX, GUARD_ERR_NOMEM. The caller frees by acl_compilation_free in any
 * case. */
int acl_compile_roles(struct acl_compilation *c);
void acl_compilation_free(struct acl_compilation *c);

/* Puts what was compiled into the policy's directory. GUARD_OK or GUARD_ERR_NOMEM. */
int acl_compilation_hand_over(struct acl_compilation *c, struct acl_policy *policy, struct acl_role_entry *roles);

/* Compiles [assign] and [default]. *out has a reference. */
int acl_compile_bindings(const struct acl_compilation *c, struct acl_bindings **out);

#endif
