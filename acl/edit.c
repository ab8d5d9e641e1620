/* One or a few roles replaced in a large policy, everything else shared with it. */
#include "acl/policy.h"

#include <stdlib.h>
#include <string.h>

static int begin(struct acl_compilation *c, const struct acl_policy *base, const struct acl_edit *edit)
{
    c->seed = base->seed;
    c->closed = true;
    acl_strings_init(&c->roles, c->seed);
    c->names = acl_names_new(base->names, c->seed);
    c->slots = acl_slots_new(base->slots);
    if (!c->names || !c->slots)
        return GUARD_ERR_NOMEM;
    for (size_t i = 0; i < edit->role_count; i++)
        if (acl_strings_add(&c->roles, edit->roles[i], strlen(edit->roles[i])) == ACL_STRINGS_NONE)
            return GUARD_ERR_NOMEM;
    return GUARD_OK;
}

/* [assign] and [default]: those of the text if they are to be replaced and good, else base's. *out has a reference. */
static int edited_bindings(const struct acl_compilation *c, const struct acl_policy *base, const struct acl_edit *edit,
                           struct acl_bindings **out)
{
    int rc = edit->bindings ? acl_compile_bindings(c, out) : GUARD_ERR_NOT_FOUND;
    if (rc == GUARD_ERR_NOT_FOUND || (rc == GUARD_ERR_SYNTAX && c->options.keep_bad_roles)) {
        *out = acl_bindings_retain(base->bindings);
        return GUARD_OK;
    }
    return rc;
}

/* The directory of base, with room for the new roles. */
static struct acl_role_entry *copy_directory(const struct acl_policy *base, uint32_t count)
{
    struct acl_role_entry *roles = calloc((size_t)count + 1, sizeof *roles);
    if (roles && base->role_count)
        memcpy(roles, base->roles, base->role_count * sizeof *roles);
    return roles;
}

static uint64_t generation_of(const struct acl_compilation *c, const struct acl_policy *base,
                              const struct acl_bindings *bindings)
{
    bool same = bindings == base->bindings && acl_names_count(c->names) == base->role_count &&
                c->slots->count == base->slots->count;
    return same ? base->generation : 0;
}

/* Takes away what the edited roles were, but for bad ones that have a good version to keep. */
static void clear_edited(const struct acl_compilation *c, struct acl_policy *policy, struct acl_role_entry *roles)
{
    for (uint32_t i = 0; i < c->roles.count; i++) {
        const char *name = acl_strings_text(&c->roles, i);
        uint32_t id = acl_names_find(c->names, name, strlen(name));
        if (id == ACL_STRINGS_NONE)
            continue;
        if (c->bad[i] && !roles[id].segment)
            roles[id].broken = true;
        else if (!c->bad[i])
            acl_policy_clear_role(policy, roles, id);
    }
}

static int assemble(struct acl_compilation *c, const struct acl_policy *base, struct acl_bindings *bindings,
                    struct acl_policy **out)
{
    bool grown = acl_names_count(c->names) != base->role_count;
    struct acl_role_entry *roles = copy_directory(base, acl_names_count(c->names));
    struct acl_policy *policy =
        roles ? acl_policy_new(base->seed, generation_of(c, base, bindings), roles, grown ? c->names : base->names,
                               c->slots->count != base->slots->count ? c->slots : base->slots, bindings)
              : NULL;
    if (!policy)
        return GUARD_ERR_NOMEM;
    int rc = acl_policy_copy_parts(policy, base);
    if (rc == GUARD_OK) {
        clear_edited(c, policy, roles);
        rc = acl_compilation_hand_over(c, policy, roles);
    }
    if (rc == GUARD_OK)
        rc = acl_policy_tidy(policy, roles);
    if (rc == GUARD_OK)
        *out = policy;
    else
        acl_policy_release(policy);
    return rc;
}

int acl_policy_edit(const struct acl_policy *base, const struct acl_edit *edit,
                    const struct acl_compile_options *options, struct acl_policy **out, struct guard_problems *problems)
{
    struct acl_compilation c = {.text = edit->text, .problems = problems};
    struct acl_bindings *bindings = NULL;
    *out = NULL;
    if (options)
        c.options = *options;
    int rc = begin(&c, base, edit);
    if (rc == GUARD_OK)
        rc = acl_compile_roles(&c);
    if (rc != GUARD_ERR_NOMEM) {
        int other = edited_bindings(&c, base, edit, &bindings);
        rc = rc == GUARD_OK || other == GUARD_ERR_NOMEM ? other : rc;
    }
    if (rc == GUARD_OK)
        rc = assemble(&c, base, bindings, out);
    acl_bindings_release(bindings);
    acl_compilation_free(&c);
    return rc;
}
