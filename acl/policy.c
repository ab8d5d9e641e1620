#include "acl/policy.h"

#include "acl/label.h"

#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 16

static atomic_uint_fast64_t last_number; /* of generations and epochs */

uint64_t acl_next_number(void)
{
    return atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
}

struct acl_policy *acl_policy_new(uint64_t seed, uint64_t generation, struct acl_role_entry *roles,
                                  struct acl_names *names, struct acl_slots *slots, struct acl_bindings *bindings)
{
    struct acl_policy *policy = calloc(1, sizeof *policy);
    if (!policy) {
        free(roles);
        return NULL;
    }
    atomic_init(&policy->references, 1);
    policy->seed = seed;
    policy->generation = generation ? generation : acl_next_number();
    policy->epoch = acl_next_number();
    policy->roles = roles;
    policy->role_count = acl_names_count(names);
    policy->names = acl_names_retain(names);
    policy->slots = acl_slots_retain(slots);
    policy->bindings = acl_bindings_retain(bindings);
    policy->mode = bindings->mode;
    for (int action = 0; action < ACL_ACTIONS; action++)
        policy->default_rank[action] = bindings->default_allow[action] ? ACL_RANK_DEFAULT_ALLOW : ACL_RANK_NONE;
    return policy;
}

struct acl_policy *acl_policy_retain(const struct acl_policy *policy)
{
    struct acl_policy *counted = (struct acl_policy *)(uintptr_t)policy; /* the count is not part of what is const */
    atomic_fetch_add_explicit(&counted->references, 1, memory_order_relaxed);
    return counted;
}

void acl_policy_release(struct acl_policy *policy)
{
    if (!policy || atomic_fetch_sub_explicit(&policy->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < policy->part_count; i++)
        acl_segment_release(policy->parts[i].segment);
    free(policy->parts);
    free((void *)(uintptr_t)policy->roles);
    acl_names_release(policy->names);
    acl_slots_release(policy->slots);
    acl_bindings_release(policy->bindings);
    free(policy);
}

void acl_policy_clear_role(struct acl_policy *policy, struct acl_role_entry *roles, uint32_t id)
{
    struct acl_role_entry *entry = &roles[id];
    size_t rules = entry->segment ? entry->segment->roles[entry->root].rule_count : 0;
    for (size_t i = 0; i < policy->part_count; i++)
        if (policy->parts[i].segment == entry->segment)
            policy->parts[i].live_rules -= rules;
    policy->rule_count -= rules;
    *entry = (struct acl_role_entry){0};
}

/* Which first levels a role's filters have, for acl_role_entry.first. */
static uint16_t first_levels(const struct acl_segment *segment, uint32_t root)
{
    const struct acl_node *node = &segment->nodes[root];
    uint16_t first = 0;
    if (node->flags & (ACL_HAS_SPECIAL | ACL_HAS_OPEN | ACL_HAS_EXACT))
        return ACL_FIRST_ANY;
    for (uint32_t child = node->first_child; child && first != ACL_FIRST_ANY; child = node->next_sibling) {
        node = &segment->nodes[child];
        first |= ACL_FIRST_BIT(
            acl_label_hash(segment->seed, node->head, acl_node_text(segment, node), acl_node_length(node)));
    }
    return first;
}

int acl_policy_add_part(struct acl_policy *policy, struct acl_role_entry *roles, struct acl_segment *segment)
{
    struct acl_part *parts = reallocarray(policy->parts, policy->part_count + 1, sizeof *parts);
    if (!parts) {
        acl_segment_release(segment);
        return GUARD_ERR_NOMEM;
    }
    policy->parts = parts;
    struct acl_part *part = &parts[policy->part_count++];
    *part = (struct acl_part){.segment = segment};
    for (uint32_t root = 0; root < segment->root_count; root++) {
        const struct acl_segment_role *role = &segment->roles[root];
        if (!role->rule_count)
            continue;
        acl_policy_clear_role(policy, roles, role->id);
        roles[role->id] =
            (struct acl_role_entry){.segment = segment, .root = root, .first = first_levels(segment, root)};
        part->live_rules += role->rule_count;
        policy->rule_count += role->rule_count;
    }
    return GUARD_OK;
}

int acl_policy_copy_parts(struct acl_policy *policy, const struct acl_policy *base)
{
    policy->parts = calloc(base->part_count + 1, sizeof *policy->parts);
    if (!policy->parts)
        return GUARD_ERR_NOMEM;
    for (size_t i = 0; i < base->part_count; i++) {
        acl_segment_retain(base->parts[i].segment);
        policy->parts[i] = base->parts[i];
    }
    policy->part_count = base->part_count;
    policy->rule_count = base->rule_count;
    return GUARD_OK;
}

static void drop_unused(struct acl_policy *policy)
{
    size_t kept = 0;
    for (size_t i = 0; i < policy->part_count; i++) {
        if (policy->parts[i].live_rules)
            policy->parts[kept++] = policy->parts[i];
        else
            acl_segment_release(policy->parts[i].segment);
    }
    policy->part_count = kept;
}

static int larger_first(const void *a, const void *b)
{
    const struct acl_part *x = a, *y = b;
    return (x->live_rules < y->live_rules) - (x->live_rules > y->live_rules);
}

static bool is_among(const struct acl_part *parts, size_t count, const struct acl_segment *segment)
{
    for (size_t i = 0; i < count; i++)
        if (parts[i].segment == segment)
            return true;
    return false;
}

/* One segment of all roles that live in the parts from first on, or NULL when out of memory. */
static struct acl_segment *merge(const struct acl_policy *policy, const struct acl_role_entry *roles, size_t first)
{
    const struct acl_part *parts = policy->parts + first;
    size_t count = policy->part_count - first, rules = 0;
    uint32_t live = 0;
    for (size_t i = 0; i < count; i++)
        rules += parts[i].live_rules;
    for (uint32_t id = 0; id < policy->role_count; id++)
        live += roles[id].segment && is_among(parts, count, roles[id].segment);
    struct acl_builder *builder = acl_builder_new(live, rules, policy->slots, policy->seed);
    struct acl_parsed *scratch = malloc(sizeof *scratch);
    struct acl_segment *segment = NULL;
    bool good = builder && scratch;
    for (uint32_t id = 0; good && id < policy->role_count; id++) {
        if (!roles[id].segment || !is_among(parts, count, roles[id].segment))
            continue;
        acl_builder_role(builder, id);
        good = acl_builder_copy(builder, roles[id].segment, roles[id].root, scratch) == GUARD_OK;
    }
    if (good)
        segment = acl_builder_finish(builder);
    acl_builder_free(&builder);
    free(scratch);
    return segment;
}

int acl_policy_tidy(struct acl_policy *policy, struct acl_role_entry *roles)
{
    drop_unused(policy);
    if (policy->part_count <= PARTS_MAX)
        return GUARD_OK;
    qsort(policy->parts, policy->part_count, sizeof *policy->parts, larger_first);
    struct acl_segment *merged = merge(policy, roles, policy->part_count / 2);
    if (!merged)
        return GUARD_ERR_NOMEM;
    int rc = acl_policy_add_part(policy, roles, merged);
    drop_unused(policy);
    return rc;
}

/* ---- compaction ---- */

bool acl_policy_wants_compaction(const struct acl_policy *policy)
{
    size_t held = 0;
    for (size_t i = 0; i < policy->part_count; i++)
        held += policy->parts[i].segment->rule_count;
    return held > policy->rule_count + policy->rule_count / 2 + 1000;
}

int acl_policy_compact(const struct acl_policy *base, struct acl_policy **out)
{
    *out = NULL;
    struct acl_role_entry *roles = calloc((size_t)base->role_count + 1, sizeof *roles);
    if (!roles)
        return GUARD_ERR_NOMEM;
    for (uint32_t id = 0; id < base->role_count; id++)
        roles[id].broken = base->roles[id].broken;
    struct acl_policy *policy =
        acl_policy_new(base->seed, base->generation, roles, base->names, base->slots, base->bindings);
    if (!policy)
        return GUARD_ERR_NOMEM;
    struct acl_segment *segment = base->part_count ? merge(base, base->roles, 0) : NULL;
    int rc = segment ? acl_policy_add_part(policy, roles, segment) : base->part_count ? GUARD_ERR_NOMEM : GUARD_OK;
    if (rc == GUARD_OK)
        *out = policy;
    else
        acl_policy_release(policy);
    return rc;
}

/* ---- looking inside ---- */

uint64_t acl_policy_generation(const struct acl_policy *policy)
{
    return policy->generation;
}

enum acl_mode acl_policy_mode(const struct acl_policy *policy)
{
    return policy->mode;
}

size_t acl_policy_rule_count(const struct acl_policy *policy)
{
    return policy->rule_count;
}

size_t acl_policy_memory(const struct acl_policy *policy)
{
    size_t size = sizeof *policy + policy->role_count * sizeof *policy->roles +
                  policy->part_count * sizeof *policy->parts + acl_names_memory(policy->names);
    for (size_t i = 0; i < policy->part_count; i++)
        size += acl_segment_memory(policy->parts[i].segment);
    return size;
}

size_t acl_policy_placeholder_count(const struct acl_policy *policy)
{
    return policy->slots->count;
}

const char *acl_policy_placeholder(const struct acl_policy *policy, size_t index)
{
    return index < policy->slots->count ? policy->slots->slots[index].name : NULL;
}
