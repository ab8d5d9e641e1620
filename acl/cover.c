/*
 * Containment: do rules cover a filter?
 *
 * A filter without '#' is covered by a union of filters only if one of them covers it (the names under '+' are
 * unbounded). P/# is cut into slices P, P/+, P/+/+, …: each needs one rule. A rule that ends in '#' covers every slice
 * from its own depth on. So the walk notes the depths of exact ends (closed) and the least depth of an open end, and
 * looks at once at all of them at the end.
 */
#include "acl/context.h"
#include "acl/label.h"

struct cover {
    struct acl_walk *walk;
    const struct acl_filter *filter;
    const struct acl_segment *segment;
    enum acl_verdict effect;
    int64_t above;
    unsigned open_from; /* the least depth of an open end; UINT_MAX: none */
    uint64_t closed[(ACL_LEVELS + 63) / 64];
    bool find_best;              /* go on when it is covered, for the rule of highest rank */
    struct acl_best whole, part; /* the best rule that covers all of the filter, and the best that covers a part */
};

int64_t acl_best_at(struct acl_walk *walk, const struct acl_segment *segment, uint32_t index, enum acl_end end,
                    bool deny_only, enum acl_verdict effect)
{
    const struct acl_node *node = &segment->nodes[index];
    int32_t code = acl_node_code(segment, node, end, ACL_SUBSCRIBE);
    walk->best.rank = ACL_RANK_NONE;
    if (code != ACL_CODE_NONE && !deny_only && (code & 1) == (effect == ACL_DENY))
        walk->best = (struct acl_best){walk->base + code, walk->role, index, 0, (uint8_t)end};
    if (deny_only || node->flags & ACL_HAS_CONDITION)
        acl_walk_rules(walk, segment, index, end, deny_only, effect);
    return walk->best.rank;
}

static bool ends_well(struct cover *c, uint32_t node, enum acl_end end, unsigned depth, bool deny_only)
{
    bool whole = end == ACL_END_OPEN ? depth <= c->filter->count : !c->filter->open || depth == 0;
    if (acl_best_at(c->walk, c->segment, node, end, deny_only, c->effect) <= c->above)
        return false;
    struct acl_best *best = whole ? &c->whole : &c->part;
    if (c->walk->best.rank > best->rank)
        *best = c->walk->best;
    return true;
}

static void visit(struct cover *c, uint32_t node, unsigned depth, bool deny_only);

/* The level of the filter at a depth; behind P of P/# any. */
static const struct acl_level *level_at(const struct cover *c, unsigned depth)
{
    static const struct acl_level plus = {.kind = ACL_TOKEN_PLUS};
    return depth < c->filter->count ? &c->filter->levels[depth] : &plus;
}

static void visit_one(struct cover *c, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_node *node = &c->segment->nodes[index];
    const struct acl_value *value = &c->walk->subject->values[acl_node_slot(node)];
    const struct acl_level *level = level_at(c, depth);
    bool opens = depth == 0 && acl_node_prefix(node) == 0;
    bool unbound = value->state != ACL_VALUE_BOUND || (opens && value->dollar);
    if (unbound)
        visit(c, index, depth + 1, true);
    else if (level->kind == ACL_TOKEN_LITERAL && acl_value_fits(c->segment, node, &value->level, level))
        visit(c, index, depth + 1, deny_only);
}

static void visit_any(struct cover *c, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_node *node = &c->segment->nodes[index];
    const struct acl_value *value = &c->walk->subject->values[acl_node_slot(node)];
    const struct acl_level *level = level_at(c, depth);
    bool opens = depth == 0 && acl_node_prefix(node) == 0, partly = value->partly || !value->count, found = false;
    for (uint32_t i = 0; i < value->count; i++) {
        bool member = !(opens && acl_is_dollar(&value->levels[i]));
        partly |= !member;
        found |=
            member && level->kind == ACL_TOKEN_LITERAL && acl_value_fits(c->segment, node, &value->levels[i], level);
    }
    if (found)
        visit(c, index, depth + 1, deny_only);
    else if (partly)
        visit(c, index, depth + 1, true);
}

static void visit_path(struct cover *c, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_value *value = &c->walk->subject->values[acl_node_slot(&c->segment->nodes[index])];
    if (value->state != ACL_VALUE_BOUND || (depth == 0 && value->dollar)) {
        visit(c, index, depth + 1, true);
        return;
    }
    for (uint32_t i = 0; i < value->count; i++) {
        const struct acl_level *level = level_at(c, depth + i);
        if (level->kind != ACL_TOKEN_LITERAL || !acl_level_equal(&value->levels[i], level))
            return;
    }
    visit(c, index, depth + value->count, deny_only);
}

static void visit_children(struct cover *c, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_node *node = &c->segment->nodes[index];
    const struct acl_level *level = level_at(c, depth);
    for (uint32_t child = node->first_child; child; child = c->segment->nodes[child].next_sibling) {
        enum acl_node_kind kind = (enum acl_node_kind)c->segment->nodes[child].kind;
        if (kind == ACL_NODE_LITERAL)
            break;
        if (kind == ACL_NODE_PLUS && !(depth == 0 && level->kind == ACL_TOKEN_LITERAL && acl_is_dollar(level)))
            visit(c, child, depth + 1, deny_only);
        else if (kind == ACL_NODE_ONE)
            visit_one(c, child, depth, deny_only);
        else if (kind == ACL_NODE_ANY)
            visit_any(c, child, depth, deny_only);
        else if (kind == ACL_NODE_PATH)
            visit_path(c, child, depth, deny_only);
    }
    if (level->kind == ACL_TOKEN_LITERAL && node->flags & ACL_HAS_LITERAL) {
        struct acl_level copy = *level; /* which takes the hash */
        const struct acl_node *child = acl_find_literal(c->segment, node, &copy);
        if (child)
            visit(c, (uint32_t)(child - c->segment->nodes), depth + 1, deny_only);
    }
}

static bool is_done(const struct cover *c)
{
    return (c->open_from <= c->filter->count && !c->find_best) || c->walk->capped;
}

static void note_end(struct cover *c, uint32_t index, enum acl_end end, unsigned depth, bool deny_only)
{
    if (!ends_well(c, index, end, depth, deny_only))
        return;
    if (end == ACL_END_EXACT && depth < ACL_LEVELS)
        c->closed[depth / 64] |= (uint64_t)1 << depth % 64;
    if ((end == ACL_END_OPEN || !c->filter->open) && depth < c->open_from)
        c->open_from = depth; /* of a filter without '#': all there is to cover */
}

static void visit(struct cover *c, uint32_t index, unsigned depth, bool deny_only)
{
    const struct acl_node *node = &c->segment->nodes[index];
    unsigned count = c->filter->count;
    if (is_done(c) || (deny_only && c->effect == ACL_ALLOW) ||
        (c->effect == ACL_DENY && !(node->flags & ACL_DENY_BELOW)))
        return;
    if (++c->walk->visits > c->walk->visits_max) {
        c->walk->capped = true;
        return;
    }
    if (node->flags & ACL_HAS_OPEN && (depth <= count || depth < c->open_from))
        note_end(c, index, ACL_END_OPEN, depth, deny_only);
    if (node->flags & ACL_HAS_EXACT && depth >= count)
        note_end(c, index, ACL_END_EXACT, depth, deny_only);
    if (!is_done(c) && (depth < count || (c->filter->open && depth < c->open_from)))
        visit_children(c, index, depth, deny_only);
}

static void visit_role(struct cover *c, const struct acl_role_entry *entry)
{
    const struct acl_node *root = &entry->segment->nodes[entry->root];
    const struct acl_level *first = level_at(c, 0);
    bool dollar = first->kind == ACL_TOKEN_LITERAL && acl_is_dollar(first);
    c->segment = entry->segment;
    if (root->flags & ACL_HAS_EXACT && ends_well(c, entry->root, ACL_END_EXACT, 0, false)) /* ** */
        c->open_from = 0;
    if (root->flags & ACL_HAS_OPEN && !dollar && ends_well(c, entry->root, ACL_END_OPEN, 0, false))
        c->open_from = 0;
    if (!is_done(c))
        visit_children(c, entry->root, 0, false);
}

static bool all_slices(const struct cover *c)
{
    if (c->open_from == UINT32_MAX)
        return false;
    for (unsigned depth = c->filter->count; depth < c->open_from; depth++)
        if (!(c->closed[depth / 64] >> depth % 64 & 1))
            return false;
    return true;
}

bool acl_cover(struct acl_walk *walk, const struct acl_filter *filter, enum acl_verdict effect, int64_t above,
               struct acl_best *best)
{
    const struct acl_subject *subject = walk->subject;
    struct cover c = {.walk = walk,
                      .filter = filter,
                      .effect = effect,
                      .above = above,
                      .open_from = UINT32_MAX,
                      .find_best = best != NULL};
    c.whole.rank = c.part.rank = ACL_RANK_NONE;
    for (uint32_t i = 0; i < subject->grant_count && !is_done(&c); i++) {
        const struct acl_role_entry *entry = &walk->policy->roles[subject->grants[i].role];
        walk->role = subject->grants[i].role;
        walk->base = acl_rank_base(subject->grants[i].priority);
        if (entry->segment)
            visit_role(&c, entry);
    }
    if (subject->session.segment && !is_done(&c)) {
        walk->role = ACL_SESSION_ROLE;
        walk->base = 0;
        visit_role(&c, &subject->session);
    }
    bool covered = !walk->capped && all_slices(&c);
    int64_t by_default = walk->policy->default_rank[ACL_SUBSCRIBE];
    if (!covered && effect == ACL_ALLOW && by_default > above && !walk->capped) {
        c.whole.rank = by_default;
        covered = true;
    }
    if (covered && best)
        *best = c.whole.rank != ACL_RANK_NONE ? c.whole : c.part;
    return covered;
}
