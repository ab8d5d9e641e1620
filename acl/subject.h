/* Binding subjects: values of placeholders, and the rules of a token's own acl claim. */
#ifndef GUARD_ACL_SUBJECT_H
#define GUARD_ACL_SUBJECT_H

#include "acl/names.h"
#include "acl/parse.h"

/* ---- value.c ---- */

struct acl_value_space {
    struct acl_level *levels; /* NULL while sizes are counted */
    char *text;
    size_t level_count, text_size;
};

/* Fills value (or, while space->levels is NULL, only counts) for a placeholder of that kind with these values. */
void acl_value_bind(enum acl_node_kind kind, const char *const *values, size_t count, struct acl_value *value,
                    struct acl_value_space *space);

/* ---- claim.c ---- */

/*
 * Compiles an acl claim (JSON) into a segment of one role. *slots is replaced by a larger copy if the rules have
 * placeholders of their own. GUARD_OK, GUARD_ERR_SYNTAX, GUARD_ERR_LIMIT or GUARD_ERR_NOMEM.
 */
int acl_claim_compile(const char *json, uint64_t seed, struct acl_slots **slots, struct acl_segment **out,
                      struct guard_error *err);

#endif
