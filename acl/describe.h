/* Finding rules by id and writing them in the policy language. */
#ifndef GUARD_ACL_DESCRIBE_H
#define GUARD_ACL_DESCRIBE_H

#include "acl/model.h"

/* A rule where it lies. */
struct acl_found {
    const struct acl_segment *segment;
    const struct acl_slots *slots;
    const struct acl_rule *rule;
    uint32_t role; /* id, or ACL_SESSION_ROLE */
};

/* False if the policy and the subject (may be NULL) have no such rule. */
bool acl_rule_find(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                   struct acl_found *found);

/* The id of a rule that was found, in the one form that is compared. */
acl_rule_id acl_found_id(const struct acl_found *found);

#endif
