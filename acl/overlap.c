/*
 * Overlap: which rules match some topic of a filter, and the intersection, which is always one filter. It is built
 * level by level on the way down. Denies are few: subtrees without any are not entered (ACL_DENY_BELOW).
 */
#include "acl/context.h"
#include "acl/label.h"

struct overlap {
    struct acl_walk *walk;
    const struct acl_filter *filter;
    struct acl_filter *found; /* the first levels are those on the way down */
    const struct acl_segment *segment;
    enum acl_verdict effect;
    acl_overlap_visit *visit;
    void *data;
    bool stopped;
};

static void enter(struct overlap *o, uint32_t node, unsigned depth, bool deny_only);

static const struct acl_level *level_at(const struct overlap *o, unsigned depth)
{
    static const struct acl_level plus = {.kind = ACL_TOKEN_PLUS};
    return depth < o->filter->count ? &o->filter->levels[depth] : &plus;
}

/* Puts a level and goes on; a literal under a leading + may not begin with `$`. */
static void enter_with(struct overlap *o, uint32_t node, unsigned depth, const struct acl_level *level, bool deny_only)
{
    if (depth == 0 && level_at(o, 0)->kind == ACL_TOKEN_PLUS && level->kind == ACL_TOKEN_LITERAL &&
        acl_is_dollar(level))
        return;
    o->found->levels[depth] = *level;
    enter(o, node, depth + 1, deny_only);
}

/* prefix + value + suffix as a level; false when the room for such levels is used up. */
static bool join(struct overlap *o, const struct acl_node *node, const struct acl_level *value, struct acl_level *out)
{
    struct acl_context *context = o->walk->context;
    uint32_t prefix = acl_node_prefix(node), length = acl_node_length(node);
    uint32_t size = length + value->length;
    const char *label = acl_node_text(o->segment, node);
    char *text = context->joined + context->joined_used;
    *out = *value;
    if (!node->length)
        return true;
    if (size > sizeof context->joined - context->joined_used) {
        o->walk->capped = true;
        return false;
    }
    context->joined_used += size;
    memcpy(text, label, prefix);
    memcpy(text + prefix, value->text, value->length);
    memcpy(text + prefix + value->length, label + prefix, length - prefix);
    *out = (struct acl_level){.head = acl_head_careful(text, size), .text = text, .length = size};
    return true;
}

/* A placeholder's child with one of its values. */
static void enter_value(struct overlap *o, uint32_t index, unsigned depth, const struct acl_level *value,
                        bool deny_only)
{
    const struct acl_node *node = &o->segment->nodes[index];
    const struct acl_level *level = level_at(o, depth);
    size_t used = o->walk->context->joined_used;
    struct acl_level joined;
    if (level->kind == ACL_TOKEN_PLUS && join(o, node, value, &joined))
        enter_with(o, index, depth, &joined, deny_only);
    else if (level->kind == ACL_TOKEN_LITERAL && acl_value_fits(o->segment, node, value, level))
        enter_with(o, index, depth, level, deny_only);
    o->walk->context->joined_used = used;
}

static void enter_one(struct overlap *o, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_node *node = &o->segment->nodes[index];
    const struct acl_value *value = &o->walk->subject->values[acl_node_slot(node)];
    bool opens = depth == 0 && acl_node_prefix(node) == 0;
    if (value->state != ACL_VALUE_BOUND || (opens && value->dollar))
        enter_with(o, index, depth, level_at(o, depth), true);
    else
        enter_value(o, index, depth, &value->level, deny_only);
}

static void enter_any(struct overlap *o, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_node *node = &o->segment->nodes[index];
    const struct acl_value *value = &o->walk->subject->values[acl_node_slot(node)];
    bool opens = depth == 0 && acl_node_prefix(node) == 0, partly = value->partly || !value->count;
    for (uint32_t i = 0; i < value->count; i++) {
        if (opens && acl_is_dollar(&value->levels[i]))
            partly = true;
        else
            enter_value(o, index, depth, &value->levels[i], deny_only);
    }
    if (partly)
        enter_with(o, index, depth, level_at(o, depth), true);
}

static void enter_path(struct overlap *o, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_value *value = &o->walk->subject->values[acl_node_slot(&o->segment->nodes[index])];
    if (value->state != ACL_VALUE_BOUND || (depth == 0 && value->dollar)) {
        enter_with(o, index, depth, level_at(o, depth), true);
        return;
    }
    if (!o->filter->open && depth + value->count > o->filter->count)
        return;
    for (uint32_t i = 0; i < value->count; i++) {
        const struct acl_level *level = level_at(o, depth + i);
        if (level->kind == ACL_TOKEN_LITERAL && !acl_level_equal(&value->levels[i], level))
            return;
        o->found->levels[depth + i] = value->levels[i];
    }
    enter(o, index, depth + value->count, deny_only);
}

static void enter_special(struct overlap *o, uint32_t child, unsigned depth, bool deny_only)
{
    const struct acl_level *level = level_at(o, depth);
    switch (o->segment->nodes[child].kind) {
    case ACL_NODE_PLUS:
        if (!(depth == 0 && level->kind == ACL_TOKEN_LITERAL && acl_is_dollar(level)))
            enter_with(o, child, depth, level, deny_only);
        break;
    case ACL_NODE_ONE:
        enter_one(o, child, depth, deny_only);
        break;
    case ACL_NODE_ANY:
        enter_any(o, child, depth, deny_only);
        break;
    default:
        enter_path(o, child, depth, deny_only);
    }
}

/* Every literal child, under a + of the filter; of denies only those that lead to one, which come first. */
static void enter_literals(struct overlap *o, uint32_t child, unsigned depth, bool deny_only)
{
    for (; child && !o->stopped && !o->walk->capped; child = o->segment->nodes[child].next_sibling) {
        const struct acl_node *node = &o->segment->nodes[child];
        if (o->effect == ACL_DENY && !(node->flags & ACL_DENY_BELOW))
            return;
        struct acl_level level = {
            .head = node->head, .text = acl_node_text(o->segment, node), .length = acl_node_length(node)};
        enter_with(o, child, depth, &level, deny_only);
    }
}

static void enter_children(struct overlap *o, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_node *node = &o->segment->nodes[index];
    const struct acl_level *level = level_at(o, depth);
    uint32_t child = node->first_child;
    for (; child && o->segment->nodes[child].kind != ACL_NODE_LITERAL; child = o->segment->nodes[child].next_sibling)
        enter_special(o, child, depth, deny_only);
    if (level->kind == ACL_TOKEN_PLUS) {
        enter_literals(o, child, depth, deny_only);
    } else if (child) {
        struct acl_level copy = *level;
        const struct acl_node *literal = acl_find_literal(o->segment, node, &copy);
        if (literal)
            enter_with(o, (uint32_t)(literal - o->segment->nodes), depth, level, deny_only);
    }
}

/* A rule that ends here: completes the intersection and hands it out. */
static void hand_out(struct overlap *o, uint32_t index, enum acl_end end, unsigned depth, bool deny_only)
{
    struct acl_filter *found = o->found;
    if (acl_best_at(o->walk, o->segment, index, end, deny_only, o->effect) == ACL_RANK_NONE)
        return;
    found->count = depth;
    found->open = (end == ACL_END_OPEN || depth == 0) && o->filter->open;
    if (end == ACL_END_OPEN || depth == 0) /* depth 0 and exact: ** */
        while (found->count < o->filter->count) {
            found->levels[found->count] = o->filter->levels[found->count];
            found->count++;
        }
    struct acl_best rule = o->walk->best;
    uint32_t role = o->walk->role;
    int64_t base = o->walk->base;
    if (acl_filter_normalise(found) && !o->visit(o->walk, &rule, o->data))
        o->stopped = true;
    o->walk->role = role;
    o->walk->base = base;
}

static void enter(struct overlap *o, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_node *node = &o->segment->nodes[index];
    const struct acl_filter *filter = o->filter;
    if (o->stopped || o->walk->capped || (deny_only && o->effect == ACL_ALLOW) ||
        (o->effect == ACL_DENY && !(node->flags & ACL_DENY_BELOW)))
        return;
    if (++o->walk->visits > o->walk->visits_max) {
        o->walk->capped = true;
        return;
    }
    if (node->flags & ACL_HAS_OPEN)
        hand_out(o, index, ACL_END_OPEN, depth, deny_only);
    if (node->flags & ACL_HAS_EXACT && (filter->open ? depth >= filter->count : depth == filter->count))
        hand_out(o, index, ACL_END_EXACT, depth, deny_only);
    if (depth < filter->count || (filter->open && depth < ACL_LEVELS - 1))
        enter_children(o, index, depth, deny_only);
}

static void enter_role(struct overlap *o, const struct acl_role_entry *entry)
{
    const struct acl_node *root = &entry->segment->nodes[entry->root];
    const struct acl_level *first = level_at(o, 0);
    o->segment = entry->segment;
    if (root->flags & ACL_HAS_EXACT)
        hand_out(o, entry->root, ACL_END_EXACT, 0, false);
    if (root->flags & ACL_HAS_OPEN && !(first->kind == ACL_TOKEN_LITERAL && acl_is_dollar(first)))
        hand_out(o, entry->root, ACL_END_OPEN, 0, false);
    if (!o->stopped)
        enter_children(o, entry->root, 0, false);
}

bool acl_overlaps(struct acl_walk *walk, enum acl_verdict effect, acl_overlap_visit *visit, void *data)
{
    const struct acl_subject *subject = walk->subject;
    struct acl_context *context = walk->context;
    struct overlap o = {.walk = walk,
                        .filter = &context->filter,
                        .found = &context->overlap,
                        .effect = effect,
                        .visit = visit,
                        .data = data};
    context->joined_used = 0;
    for (uint32_t i = 0; i < subject->grant_count && !o.stopped; i++) {
        const struct acl_role_entry *entry = &walk->policy->roles[subject->grants[i].role];
        walk->role = subject->grants[i].role;
        walk->base = acl_rank_base(subject->grants[i].priority);
        if (entry->segment)
            enter_role(&o, entry);
    }
    if (subject->session.segment && !o.stopped) {
        walk->role = ACL_SESSION_ROLE;
        walk->base = 0;
        enter_role(&o, &subject->session);
    }
    return !o.stopped;
}
