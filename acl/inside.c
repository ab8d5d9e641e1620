/* Walking over roles and rules, and rules against each other: for lint and statistics. */
#include "acl/binding.h"
#include "acl/context.h"
#include "acl/describe.h"
#include "acl/label.h"
#include "acl/names.h"

static size_t visit_role(const struct acl_policy *policy, uint32_t id,
                         bool (*visit)(void *data, const struct acl_rule_info *info), void *data, bool *stopped)
{
    const struct acl_role_entry *entry = &policy->roles[id];
    size_t calls = 0;
    if (!entry->segment)
        return 0;
    const struct acl_segment_role *role = &entry->segment->roles[entry->root];
    for (uint32_t i = 0; i < role->rule_count && !*stopped; i++, calls++) {
        struct acl_rule_info info;
        acl_rule_describe(policy, NULL, acl_make_id(id, role->first_rule + i), &info);
        *stopped = !visit(data, &info);
    }
    return calls;
}

size_t acl_policy_each_rule(const struct acl_policy *policy, const char *role,
                            bool (*visit)(void *data, const struct acl_rule_info *info), void *data)
{
    bool stopped = false;
    size_t calls = 0;
    if (role) {
        uint32_t id = acl_names_find(policy->names, role, strlen(role));
        return id == ACL_STRINGS_NONE ? 0 : visit_role(policy, id, visit, data, &stopped);
    }
    for (uint32_t id = 0; id < policy->role_count && !stopped; id++)
        calls += visit_role(policy, id, visit, data, &stopped);
    return calls;
}

static bool is_role(const struct acl_policy *policy, uint32_t id)
{
    return policy->roles[id].segment || policy->roles[id].broken;
}

size_t acl_policy_role_count(const struct acl_policy *policy)
{
    size_t count = 0;
    for (uint32_t id = 0; id < policy->role_count; id++)
        count += is_role(policy, id);
    return count;
}

/* ---- how many nodes one topic may visit ---- */

/*
 * An upper bound for a subtree: a topic takes each child that is + or a placeholder, and one literal child. Nodes are
 * counted until the limit; the walk itself stops at it.
 */
static unsigned visits_below(const struct acl_segment *segment, uint32_t index, unsigned limit, unsigned *budget)
{
    unsigned special = 0, literal = 0;
    const struct acl_node *node;
    for (uint32_t child = segment->nodes[index].first_child; child; child = node->next_sibling) {
        node = &segment->nodes[child];
        if (*budget == 0 || special + literal > limit)
            break;
        --*budget;
        unsigned below = 1 + (node->first_child ? visits_below(segment, child, limit, budget) : 0);
        if (node->kind != ACL_NODE_LITERAL)
            special += below;
        else if (below > literal)
            literal = below;
    }
    return special + literal;
}

static bool is_slow(const struct acl_role_entry *entry)
{
    unsigned budget = 200000;
    return entry->segment &&
           visits_below(entry->segment, entry->root, ACL_VISITS_TOPIC, &budget) > ACL_VISITS_TOPIC / 4;
}

/* ---- roles ---- */

static bool is_listed(const struct acl_role_list *list, const char *name)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].role, name) == 0)
            return true;
    return false;
}

static bool is_assigned(const struct acl_bindings *bindings, const char *name)
{
    for (uint32_t i = 0; i < bindings->assignment_count; i++)
        if (is_listed(&bindings->assignments[i].roles, name))
            return true;
    return false;
}

static struct acl_role_info describe_role(const struct acl_policy *policy, uint32_t id)
{
    const struct acl_role_entry *entry = &policy->roles[id];
    const char *name = acl_names_text(policy->names, id);
    return (struct acl_role_info){
        .name = name,
        .rule_count = entry->segment ? entry->segment->roles[entry->root].rule_count : 0,
        .by_default = is_listed(&policy->bindings->roles, name),
        .by_assignment = is_assigned(policy->bindings, name),
        .broken = entry->broken,
        .slow = is_slow(entry),
    };
}

struct visiting {
    const struct acl_policy *policy;
    bool (*visit)(void *data, const struct acl_role_info *info);
    void *data;
    size_t calls;
    bool stopped;
};

/* Roles that are bound, but not there; each once. */
static void visit_missing(struct visiting *v, const struct acl_role_list *list, const struct acl_assignment *assignment)
{
    const struct acl_bindings *bindings = v->policy->bindings;
    for (uint32_t i = 0; i < list->count && !v->stopped; i++) {
        const char *name = list->items[i].role;
        uint32_t id = acl_names_find(v->policy->names, name, strlen(name));
        bool known = id != ACL_STRINGS_NONE && is_role(v->policy, id);
        for (const struct acl_assignment *before = bindings->assignments; assignment && before < assignment; before++)
            known |= is_listed(&before->roles, name);
        if (known || (assignment && is_listed(&bindings->roles, name)))
            continue;
        struct acl_role_info info = {.name = name,
                                     .by_default = is_listed(&bindings->roles, name),
                                     .by_assignment = is_assigned(bindings, name),
                                     .missing = true};
        v->calls++;
        v->stopped = !v->visit(v->data, &info);
    }
}

size_t acl_policy_each_role(const struct acl_policy *policy,
                            bool (*visit)(void *data, const struct acl_role_info *info), void *data)
{
    struct visiting v = {policy, visit, data, 0, false};
    for (uint32_t id = 0; id < policy->role_count && !v.stopped; id++) {
        if (!is_role(policy, id))
            continue;
        struct acl_role_info info = describe_role(policy, id);
        v.calls++;
        v.stopped = !visit(data, &info);
    }
    visit_missing(&v, &policy->bindings->roles, NULL);
    for (uint32_t i = 0; i < policy->bindings->assignment_count; i++)
        visit_missing(&v, &policy->bindings->assignments[i].roles, &policy->bindings->assignments[i]);
    return v.calls;
}

/* ---- rules against each other ---- */

#define PATHED UINT32_MAX /* a depth that is not fixed */

/* The nodes of a rule from the top; the number of levels, or PATHED if a |path placeholder is among them. */
static unsigned levels_of(const struct acl_found *found, const struct acl_node *levels[ACL_FILTER_LEVELS])
{
    const struct acl_node *node = &found->segment->nodes[found->rule->node];
    unsigned count = acl_node_depth(found->segment, node);
    bool pathed = false;
    for (unsigned i = count; i > 0; node = &found->segment->nodes[node->parent]) {
        levels[--i] = node;
        pathed |= node->kind == ACL_NODE_PATH;
    }
    return pathed ? PATHED : count;
}

static bool same_level(const struct acl_found *a, const struct acl_node *x, const struct acl_found *b,
                       const struct acl_node *y)
{
    uint32_t length = acl_node_length(x);
    if (x->kind != y->kind || length != acl_node_length(y))
        return false;
    if (x->kind >= ACL_NODE_ONE && (acl_node_slot(x) != acl_node_slot(y) || acl_node_prefix(x) != acl_node_prefix(y)))
        return false;
    return memcmp(acl_node_text(a->segment, x), acl_node_text(b->segment, y), length) == 0;
}

static bool is_dollar_literal(const struct acl_found *f, const struct acl_node *node)
{
    return node->kind == ACL_NODE_LITERAL && node->length && *acl_node_text(f->segment, node) == '$';
}

/* May a level be the same in some subject, or match the same? */
static bool may_meet(const struct acl_found *a, const struct acl_node *x, const struct acl_found *b,
                     const struct acl_node *y)
{
    if (x->kind == ACL_NODE_LITERAL && y->kind == ACL_NODE_LITERAL)
        return same_level(a, x, b, y);
    return true;
}

static bool is_everything(const struct acl_found *f)
{
    return f->segment->nodes[f->rule->node].kind == ACL_NODE_ROOT && f->rule->end == ACL_END_EXACT;
}

bool acl_rule_covers(const struct acl_policy *policy, acl_rule_id a, acl_rule_id b)
{
    const struct acl_node *x[ACL_FILTER_LEVELS], *y[ACL_FILTER_LEVELS];
    struct acl_found fa, fb;
    if (!acl_rule_find(policy, NULL, a, &fa) || !acl_rule_find(policy, NULL, b, &fb))
        return false;
    if (is_everything(&fa) || is_everything(&fb))
        return is_everything(&fa);
    unsigned na = levels_of(&fa, x), nb = levels_of(&fb, y);
    bool open = fa.rule->end == ACL_END_OPEN, wide = fb.rule->end == ACL_END_OPEN;
    if (na == PATHED || nb == PATHED) /* sure only if they are the same */
        return fa.rule->node == fb.rule->node && fa.segment == fb.segment && (open || !wide);
    bool leads = na ? x[0]->kind == ACL_NODE_PLUS : open;
    if (leads && nb && y[0]->kind != ACL_NODE_PLUS && (y[0]->kind != ACL_NODE_LITERAL || is_dollar_literal(&fb, y[0])))
        return false; /* a leading wildcard matches no `$…`, and an unbindable deny level does */
    if (nb < na || (wide && !open) || (!open && nb != na))
        return false;
    for (unsigned i = 0; i < na; i++)
        if (x[i]->kind != ACL_NODE_PLUS && !same_level(&fa, x[i], &fb, y[i]))
            return false;
    return true;
}

bool acl_rule_overlaps(const struct acl_policy *policy, acl_rule_id a, acl_rule_id b)
{
    const struct acl_node *x[ACL_FILTER_LEVELS], *y[ACL_FILTER_LEVELS];
    struct acl_found fa, fb;
    if (!acl_rule_find(policy, NULL, a, &fa) || !acl_rule_find(policy, NULL, b, &fb))
        return false;
    if (is_everything(&fa) || is_everything(&fb))
        return true;
    unsigned na = levels_of(&fa, x), nb = levels_of(&fb, y);
    if (na == PATHED || nb == PATHED)
        return true;
    bool open_a = fa.rule->end == ACL_END_OPEN, open_b = fb.rule->end == ACL_END_OPEN;
    if ((!na || x[0]->kind == ACL_NODE_PLUS) && nb && is_dollar_literal(&fb, y[0]))
        return false;
    if ((!nb || y[0]->kind == ACL_NODE_PLUS) && na && is_dollar_literal(&fa, x[0]))
        return false;
    unsigned common = na < nb ? na : nb;
    if ((na > common && !open_b) || (nb > common && !open_a))
        return false;
    for (unsigned i = 0; i < common; i++)
        if (!may_meet(&fa, x[i], &fb, y[i]))
            return false;
    return true;
}
