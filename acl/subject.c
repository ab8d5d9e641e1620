#include "acl/subject.h"

#include "acl/address.h"
#include "acl/binding.h"
#include "acl/build.h"
#include "acl/label.h"
#include "acl/memory.h"
#include "acl/policy.h"
#include "core/apart.h"
#include "core/siphash.h"

#include <stdlib.h>
#include <string.h>

struct grants {
    struct acl_grant *items;
    uint32_t count, capacity;
};

/* Adds a role the policy has; a name it has not is nothing. */
static int add_role(const struct acl_policy *policy, struct grants *grants, const char *name, int32_t priority)
{
    uint32_t id = acl_names_find(policy->names, name, strlen(name));
    if (id == ACL_STRINGS_NONE)
        return GUARD_OK;
    if (priority > ACL_PRIORITY_LIMIT)
        priority = ACL_PRIORITY_LIMIT;
    if (priority < -ACL_PRIORITY_LIMIT)
        priority = -ACL_PRIORITY_LIMIT;
    if (!acl_grow(&grants->items, &grants->capacity, sizeof *grants->items, (size_t)grants->count + 1))
        return GUARD_ERR_NOMEM;
    grants->items[grants->count++] = (struct acl_grant){id, priority};
    return GUARD_OK;
}

static int add_list(const struct acl_policy *policy, struct grants *grants, const struct guard_role_grant *roles,
                    size_t count)
{
    int rc = GUARD_OK;
    for (size_t i = 0; rc == GUARD_OK && i < count; i++)
        rc = add_role(policy, grants, roles[i].role, roles[i].priority);
    return rc;
}

/* Of one role the grant of the highest priority comes first. */
static int by_role(const void *a, const void *b)
{
    const struct acl_grant *x = a, *y = b;
    if (x->role != y->role)
        return x->role < y->role ? -1 : 1;
    return (x->priority < y->priority) - (x->priority > y->priority);
}

/* Sorted, and each role once. By comparing each with each, ten thousand roles would hold the broker up. */
static void unite(struct grants *grants)
{
    uint32_t kept = 0;
    if (grants->count)
        qsort(grants->items, grants->count, sizeof *grants->items, by_role);
    for (uint32_t i = 0; i < grants->count; i++)
        if (!kept || grants->items[kept - 1].role != grants->items[i].role)
            grants->items[kept++] = grants->items[i];
    grants->count = kept;
}

static int collect_grants(const struct acl_policy *policy, const struct acl_bind *bind, struct grants *grants)
{
    const struct acl_bindings *bindings = policy->bindings;
    int rc;
    if (bind->only_roles) {
        rc = add_list(policy, grants, bind->roles, bind->role_count);
    } else {
        rc = add_list(policy, grants, bindings->roles.items, bindings->roles.count);
        if (rc == GUARD_OK)
            rc = add_list(policy, grants, bind->record_roles, bind->record_role_count);
        if (rc == GUARD_OK && bind->identity)
            rc = add_list(policy, grants, bind->identity->roles, bind->identity->role_count);
        for (uint32_t i = 0; rc == GUARD_OK && i < bindings->assignment_count; i++)
            if (acl_assignment_holds(&bindings->assignments[i], bind))
                rc = add_list(policy, grants, bindings->assignments[i].roles.items,
                              bindings->assignments[i].roles.count);
    }
    unite(grants);
    return rc;
}

static void bind_slots(const struct acl_slots *slots, const struct acl_bind *bind, struct acl_value *values,
                       struct acl_value_space *space)
{
    struct acl_value counted;
    for (uint32_t i = 0; i < slots->count; i++) {
        const char *single;
        size_t count;
        const char *const *texts = acl_fact(bind, slots->slots[i].name, &single, &count);
        acl_value_bind(slots->slots[i].kind, texts, count, values ? &values[i] : &counted, space);
    }
}

/* One block: the subject, values, levels of values, grants, text. */
static struct acl_subject *lay_out(const struct acl_slots *slots, const struct acl_bind *bind,
                                   const struct grants *grants)
{
    struct acl_value_space space = {0};
    bind_slots(slots, bind, NULL, &space);
    size_t values = slots->count * sizeof(struct acl_value), levels = space.level_count * sizeof(struct acl_level),
           granted = grants->count * sizeof(struct acl_grant);
    struct acl_subject *subject = guard_apart_alloc(sizeof *subject + values + levels + granted + space.text_size);
    if (!subject)
        return NULL;
    struct acl_value *value = (struct acl_value *)(subject + 1);
    space = (struct acl_value_space){.levels = (struct acl_level *)(value + slots->count)};
    struct acl_grant *grant = (struct acl_grant *)((char *)space.levels + levels);
    space.text = (char *)grant + granted;
    subject->values = value;
    subject->value_count = slots->count;
    subject->grants = grant;
    subject->grant_count = grants->count;
    if (granted)
        memcpy(grant, grants->items, granted);
    bind_slots(slots, bind, value, &space);
    return subject;
}

static void finish(struct acl_subject *subject, const struct acl_policy *policy, const struct acl_bind *bind)
{
    struct guard_siphash_key key = {policy->seed, ~policy->generation}; /* roles and generation, told by one number */
    subject->generation = policy->generation;
    subject->fingerprint = subject->session.segment
                               ? acl_next_number()
                               : guard_siphash(&key, subject->grants, subject->grant_count * sizeof(struct acl_grant));
    subject->address_known = bind->address && acl_address_parse(bind->address, strlen(bind->address), subject->address);
}

int acl_subject_bind(const struct acl_policy *policy, const struct acl_bind *bind, struct acl_subject **out,
                     struct guard_error *err)
{
    struct grants grants = {0};
    struct acl_slots *slots = acl_slots_retain(policy->slots);
    struct acl_segment *session = NULL;
    bool claim = bind->identity && bind->identity->acl_json && !bind->only_roles;
    *out = NULL;
    int rc = claim ? acl_claim_compile(bind->identity->acl_json, policy->seed, &slots, &session, err) : GUARD_OK;
    if (rc == GUARD_OK) {
        rc = collect_grants(policy, bind, &grants);
        if (rc == GUARD_OK)
            *out = lay_out(slots, bind, &grants);
        if (!*out)
            rc = guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    if (*out) {
        (*out)->session.segment = session;
        (*out)->session_slots = session ? acl_slots_retain(slots) : NULL;
        finish(*out, policy, bind);
    } else {
        acl_segment_release(session);
    }
    acl_slots_release(slots);
    free(grants.items);
    return rc;
}

void acl_subject_free(struct acl_subject **subject)
{
    if (!*subject)
        return;
    acl_segment_release((struct acl_segment *)(uintptr_t)(*subject)->session.segment);
    acl_slots_release((*subject)->session_slots);
    guard_apart_drop(subject);
}

bool acl_subject_is_current(const struct acl_policy *policy, const struct acl_subject *subject)
{
    return subject->generation == policy->generation;
}

size_t acl_subject_role_count(const struct acl_subject *subject)
{
    return subject->grant_count;
}

const char *acl_subject_role(const struct acl_policy *policy, const struct acl_subject *subject, size_t index,
                             int32_t *priority)
{
    if (index >= subject->grant_count || subject->grants[index].role >= policy->role_count)
        return NULL;
    *priority = subject->grants[index].priority;
    return acl_names_text(policy->names, subject->grants[index].role);
}

/* ---- placeholders that cannot be bound ---- */

static bool is_bindable(const struct acl_node *node, const struct acl_subject *subject)
{
    const struct acl_value *value = &subject->values[acl_node_slot(node)];
    bool opens = acl_node_opens(node);
    if (value->state == ACL_VALUE_BOUND)
        return !(opens && value->dollar);
    for (uint32_t i = 0; i < value->count; i++)
        if (!opens || !acl_is_dollar(&value->levels[i]))
            return true;
    return false;
}

static const char *unbindable_in(const struct acl_role_entry *entry, const struct acl_slots *slots,
                                 const struct acl_subject *subject)
{
    const struct acl_segment *segment = entry->segment;
    if (!segment || !segment->roles[entry->root].typed)
        return NULL;
    const struct acl_segment_role *role = &segment->roles[entry->root];
    for (uint32_t i = 0; i < role->rule_count; i++) {
        const struct acl_rule *rule = &segment->rules[role->first_rule + i];
        if (!(rule->flags & ACL_RULE_TYPED))
            continue;
        const char *found = NULL;
        for (const struct acl_node *node = &segment->nodes[rule->node]; node->kind != ACL_NODE_ROOT;
             node = &segment->nodes[node->parent])
            if (node->kind >= ACL_NODE_ONE && !is_bindable(node, subject))
                found = slots->slots[acl_node_slot(node)].name; /* the one most to the left is found last */
        if (found)
            return found;
    }
    return NULL;
}

const char *acl_subject_unbindable(const struct acl_policy *policy, const struct acl_subject *subject)
{
    if (!acl_subject_is_current(policy, subject))
        return NULL;
    for (uint32_t i = 0; i < subject->grant_count; i++) {
        const char *found = unbindable_in(&policy->roles[subject->grants[i].role], policy->slots, subject);
        if (found)
            return found;
    }
    return unbindable_in(&subject->session, subject->session_slots, subject);
}
