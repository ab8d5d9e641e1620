/* Octets as a compiled policy, used where they lie. */
#include "acl/image.h"
#include "acl/image_format.h"
#include "acl/label.h"
#include "acl/policy.h"

#include <stdlib.h>

struct reader {
    struct guard_slab *slab;
    size_t at, length;
    const struct image_head *head;
    const struct image_role *directory;
};

/* The next array of count elements, aligned as it was written; NULL if the image ends before it. */
static void *take(struct reader *r, size_t count, size_t size)
{
    uint64_t bytes = (uint64_t)count * size; /* both come as 32 bits */
    uint64_t padded = (bytes + GUARD_SLAB_ALIGN - 1) / GUARD_SLAB_ALIGN * GUARD_SLAB_ALIGN;
    if (padded > r->length - r->at)
        return NULL;
    void *array = r->slab->bytes + r->at;
    r->at += (size_t)padded;
    return array;
}

static int take_head(struct reader *r)
{
    struct image_head expected = {0};
    image_stamp(&expected);
    r->head = take(r, 1, sizeof *r->head);
    if (!r->head || memcmp(r->head->magic, expected.magic, sizeof expected.magic) != 0)
        return GUARD_ERR_INVALID;
    if (memcmp(r->head->engine, expected.engine, sizeof expected.engine) != 0 ||
        memcmp(r->head->sizes, expected.sizes, sizeof expected.sizes) != 0 ||
        r->head->byte_order != expected.byte_order)
        return GUARD_ERR_UNSUPPORTED;
    return GUARD_OK;
}

/* ---- names ---- */

/* The text at *at and *at behind it, or NULL. */
static const char *next_text(const char **at, const char *end)
{
    const char *text = *at, *nul = memchr(text, 0, (size_t)(end - text));
    if (nul)
        *at = nul + 1;
    return nul ? text : NULL;
}

static int take_texts(struct reader *r, struct acl_names *names, struct acl_slots *slots)
{
    const char *at = take(r, r->head->text_size, 1), *end = at ? at + r->head->text_size : NULL, *text;
    if (!at)
        return GUARD_ERR_INVALID;
    for (uint32_t id = 0; id < r->head->role_count; id++) {
        if (!(text = next_text(&at, end)))
            return GUARD_ERR_INVALID;
        uint32_t given = acl_names_add(names, text, strlen(text));
        if (given != id)
            return given == ACL_STRINGS_NONE ? GUARD_ERR_NOMEM : GUARD_ERR_INVALID;
    }
    for (uint32_t slot = 0, given; slot < r->head->slot_count; slot++) {
        enum acl_node_kind kind = at < end ? (enum acl_node_kind) * at++ : ACL_NODE_EMPTY;
        if (kind < ACL_NODE_ONE || kind > ACL_NODE_PATH || !(text = next_text(&at, end)))
            return GUARD_ERR_INVALID;
        int rc = acl_slots_add(slots, text, kind, &given);
        if (rc != GUARD_OK || given != slot)
            return rc == GUARD_ERR_NOMEM ? rc : GUARD_ERR_INVALID;
    }
    return at == end ? GUARD_OK : GUARD_ERR_INVALID;
}

/* ---- a part ---- */

static bool node_is_sound(const struct acl_segment *s, uint32_t index, uint32_t slots)
{
    const struct acl_node *node = &s->nodes[index];
    uint32_t count = s->root_count + s->table_size;
    if (node->kind > ACL_NODE_PATH || (node->kind == ACL_NODE_ROOT) != (index < s->root_count))
        return false;
    if (node->parent >= count || node->first_child >= count || node->next_sibling >= count ||
        node->rules > s->rule_count)
        return false;
    if (node->length == ACL_LONG_LABEL ? node->tail[0] > s->pool_size || node->tail[1] >= s->pool_size - node->tail[0]
                                       : node->length > ACL_INLINE_LABEL)
        return false;
    if (node->marks & ACL_MANY_CODES && (node->code < 0 || (uint32_t)node->code >= s->code_count))
        return false;
    return node->kind < ACL_NODE_ONE || (acl_node_slot(node) < slots && acl_node_prefix(node) <= acl_node_length(node));
}

static bool rule_is_sound(const struct acl_segment *s, const struct acl_rule *rule)
{
    return rule->node < s->root_count + s->table_size && rule->next <= s->rule_count && rule->role < s->root_count &&
           rule->name < s->pool_size && rule->place < s->pool_size && rule->condition <= s->condition_count &&
           rule->end <= ACL_END_OPEN && rule->allow <= 1;
}

static bool part_is_sound(const struct acl_segment *s, const struct image_head *head)
{
    if ((uint64_t)s->root_count + s->table_size > UINT32_MAX - 1 || !s->root_count || !s->table_size ||
        !s->shift_count || (s->pool_size && s->pool[s->pool_size - 1]))
        return false;
    for (uint32_t i = 0; i < s->root_count + s->table_size; i++)
        if (!node_is_sound(s, i, head->slot_count))
            return false;
    for (uint32_t i = 0; i < s->rule_count; i++)
        if (!rule_is_sound(s, &s->rules[i]))
            return false;
    for (uint32_t i = 0; i < s->condition_count; i++)
        if (s->conditions[i].first_net > s->net_count ||
            s->conditions[i].net_count > s->net_count - s->conditions[i].first_net)
            return false;
    for (uint32_t i = 0; i < s->root_count; i++)
        if (s->roles[i].first_rule > s->rule_count || s->roles[i].rule_count > s->rule_count - s->roles[i].first_rule ||
            s->roles[i].id >= head->role_count)
            return false;
    return true;
}

/* Points the arrays of a segment into the slab. False: they do not fit. */
static bool take_arrays(struct reader *r, struct acl_segment *s)
{
    const struct image_part *head = take(r, 1, sizeof *head);
    if (!head)
        return false;
    s->root_count = head->root_count;
    s->table_size = head->table_size;
    s->shift_count = head->shift_count;
    s->code_count = head->code_count;
    s->rule_count = head->rule_count;
    s->condition_count = head->condition_count;
    s->net_count = head->net_count;
    s->pool_size = head->pool_size;
    s->nodes = take(r, (size_t)s->root_count + s->table_size, sizeof *s->nodes);
    s->shifts = take(r, s->shift_count, 1);
    s->codes = take(r, s->code_count, sizeof *s->codes);
    s->rules = take(r, s->rule_count, sizeof *s->rules);
    s->conditions = take(r, s->condition_count, sizeof *s->conditions);
    s->nets = take(r, s->net_count, sizeof *s->nets);
    s->roles = take(r, s->root_count, sizeof *s->roles);
    s->pool = take(r, s->pool_size, 1);
    return s->nodes && s->shifts && s->codes && s->rules && s->conditions && s->nets && s->roles && s->pool;
}

static int take_part(struct reader *r, struct acl_policy *policy)
{
    struct acl_segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return GUARD_ERR_NOMEM;
    atomic_init(&segment->references, 1);
    segment->seed = r->head->seed;
    segment->slab = guard_slab_ref(r->slab);
    policy->parts[policy->part_count++] = (struct acl_part){.segment = segment}; /* released with the policy */
    return take_arrays(r, segment) && part_is_sound(segment, r->head) ? GUARD_OK : GUARD_ERR_INVALID;
}

/* ---- the policy ---- */

/* Where each role is, and what is counted by that. */
static int fill_directory(const struct reader *r, struct acl_policy *policy, struct acl_role_entry *roles)
{
    for (uint32_t id = 0; id < policy->role_count; id++) {
        const struct image_role *from = &r->directory[id];
        roles[id] = (struct acl_role_entry){.root = from->root, .first = from->first, .broken = from->broken != 0};
        if (from->part == NO_PART)
            continue;
        if (from->part >= policy->part_count || from->root >= policy->parts[from->part].segment->root_count)
            return GUARD_ERR_INVALID;
        struct acl_part *part = &policy->parts[from->part];
        roles[id].segment = part->segment;
        part->live_rules += part->segment->roles[from->root].rule_count;
        policy->rule_count += part->segment->roles[from->root].rule_count;
    }
    return GUARD_OK;
}

/* An empty policy with the image's names; *roles is its directory. */
static int new_policy(struct reader *r, struct acl_policy **out, struct acl_role_entry **roles)
{
    struct acl_names *names = acl_names_new(NULL, r->head->seed);
    struct acl_slots *slots = acl_slots_new(NULL);
    struct acl_bindings *bindings = acl_bindings_new();
    int rc = names && slots && bindings ? take_texts(r, names, slots) : GUARD_ERR_NOMEM;
    if (rc == GUARD_OK && !(r->directory = take(r, r->head->role_count, sizeof *r->directory)))
        rc = GUARD_ERR_INVALID;
    if (rc == GUARD_OK) {
        *roles = calloc((size_t)r->head->role_count + 1, sizeof **roles);
        *out = *roles ? acl_policy_new(r->head->seed, 0, *roles, names, slots, bindings) : NULL;
        rc = *out ? GUARD_OK : GUARD_ERR_NOMEM;
    }
    acl_names_release(names);
    acl_slots_release(slots);
    acl_bindings_release(bindings);
    return rc;
}

int acl_policy_load(struct guard_slab *slab, size_t length, struct acl_policy **out)
{
    struct reader r = {.slab = slab, .length = length};
    struct acl_policy *policy = NULL;
    struct acl_role_entry *roles = NULL;
    *out = NULL;
    if (length > slab->size)
        return GUARD_ERR_INVALID;
    int rc = take_head(&r);
    if (rc == GUARD_OK)
        rc = new_policy(&r, &policy, &roles);
    if (rc == GUARD_OK && r.head->part_count > r.length / GUARD_SLAB_ALIGN)
        rc = GUARD_ERR_INVALID; /* more than the image can hold */
    if (rc == GUARD_OK && !(policy->parts = calloc((size_t)r.head->part_count + 1, sizeof *policy->parts)))
        rc = GUARD_ERR_NOMEM;
    for (uint32_t i = 0; rc == GUARD_OK && i < r.head->part_count; i++)
        rc = take_part(&r, policy);
    if (rc == GUARD_OK)
        rc = r.at == r.length ? fill_directory(&r, policy, roles) : GUARD_ERR_INVALID;
    if (rc == GUARD_OK)
        *out = policy;
    else
        acl_policy_release(policy);
    return rc;
}
