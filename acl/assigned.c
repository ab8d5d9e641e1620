#include "acl/binding.h"

bool acl_policy_assigns(const struct acl_policy *policy, const struct acl_bind *bind)
{
    const struct acl_bindings *bindings = policy->bindings;
    for (uint32_t i = 0; i < bindings->assignment_count; i++)
        if (bindings->assignments[i].roles.count && acl_assignment_holds(&bindings->assignments[i], bind))
            return true;
    return false;
}
