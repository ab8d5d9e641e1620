/*
 * Matching a topic: the walk that every publish and delivery makes. Nodes that match are visited with an explicit
 * stack; most have one child that does, so the stack is mostly empty.
 */
#include "acl/context.h"
#include "acl/label.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static void better(struct acl_walk *walk, int64_t rank, uint32_t node, uint32_t rule, enum acl_end end)
{
    walk->best = (struct acl_best){rank, walk->role, node, rule, (uint8_t)end};
}

static void note_failure(struct acl_walk *walk, int64_t rank, enum acl_condition_kind failed)
{
    if (rank > walk->failed_rank) {
        walk->failed_rank = rank;
        walk->failed = failed;
    }
}

void acl_walk_rules(struct acl_walk *walk, const struct acl_segment *segment, uint32_t node, enum acl_end end,
                    bool deny_only, enum acl_verdict wanted)
{
    bool subscribe = walk->action == ACL_SUBSCRIBE;
    for (uint32_t next = segment->nodes[node].rules; next; next = segment->rules[next - 1].next) {
        const struct acl_rule *rule = &segment->rules[next - 1];
        bool exact = rule->flags & ACL_RULE_EXACT;
        if (rule->end != end || !(rule->actions & ACL_ACTION_BIT(walk->action)) || (deny_only && rule->allow) ||
            (wanted && (wanted == ACL_ALLOW) != rule->allow))
            continue;
        if (!deny_only && !rule->condition && !(exact && subscribe))
            continue; /* it is in the node's codes, or can never apply */
        if (exact && (subscribe ? !acl_rule_is_asked(walk, segment, rule) : rule->flags & ACL_RULE_WILD))
            continue;
        int64_t rank = walk->base + acl_code(rule->priority, rule->allow);
        enum acl_condition_kind failed = 0;
        if (rule->condition)
            failed = acl_condition_failing(&segment->conditions[rule->condition - 1], segment->nets, rule->allow,
                                           &walk->facts);
        if (!failed && rank > walk->best.rank)
            better(walk, rank, node, next, end);
        else if (failed && rule->allow)
            note_failure(walk, rank, failed);
    }
}

static inline void consider(struct acl_walk *walk, const struct acl_segment *segment, const struct acl_node *node,
                            enum acl_end end, bool deny_only)
{
    if (unlikely(deny_only || node->flags & ACL_HAS_CONDITION))
        acl_walk_rules(walk, segment, (uint32_t)(node - segment->nodes), end, deny_only, 0);
    int32_t code = acl_node_code(segment, node, end, walk->action);
    if (code == ACL_CODE_NONE || unlikely(deny_only))
        return;
    int64_t rank = walk->base + code;
    if (rank > walk->best.rank)
        better(walk, rank, (uint32_t)(node - segment->nodes), 0, end);
}

static void push(struct acl_walk *walk, unsigned *top, uint32_t node, unsigned depth, bool deny_only)
{
    if (*top == ACL_STACK) {
        walk->capped = true;
        return;
    }
    walk->context->stack[(*top)++] = (struct acl_branch){node, (uint16_t)depth, deny_only};
}

static void push_any(struct acl_walk *walk, const struct acl_segment *segment, const struct acl_node *node,
                     struct acl_branch *at, unsigned *top)
{
    const struct acl_value *value = &walk->subject->values[acl_node_slot(node)];
    const struct acl_level *level = &walk->context->topic.levels[at->depth];
    bool opens = at->depth == 0 && acl_node_prefix(node) == 0;
    bool partly = value->partly || !value->count, found = false;
    for (uint32_t i = 0; i < value->count; i++) {
        bool member = !(opens && acl_is_dollar(&value->levels[i]));
        partly |= !member;
        found |= member && acl_value_fits(segment, node, &value->levels[i], level);
    }
    if (found || partly)
        push(walk, top, (uint32_t)(node - segment->nodes), at->depth + 1U, at->deny_only || !found);
}

static void push_path(struct acl_walk *walk, const struct acl_segment *segment, const struct acl_node *node,
                      struct acl_branch *at, unsigned *top)
{
    const struct acl_value *value = &walk->subject->values[acl_node_slot(node)];
    const struct acl_topic *topic = &walk->context->topic;
    if (value->state != ACL_VALUE_BOUND || (at->depth == 0 && value->dollar)) {
        push(walk, top, (uint32_t)(node - segment->nodes), at->depth + 1U, true);
        return;
    }
    if (value->count > topic->count - at->depth)
        return;
    for (uint32_t i = 0; i < value->count; i++)
        if (!acl_level_equal(&value->levels[i], &topic->levels[at->depth + i]))
            return;
    push(walk, top, (uint32_t)(node - segment->nodes), at->depth + value->count, at->deny_only);
}

/* Pushes the children of at that are + or placeholders and match. */
static void push_special(struct acl_walk *walk, const struct acl_segment *segment, struct acl_branch *at, unsigned *top)
{
    const struct acl_topic *topic = &walk->context->topic;
    const struct acl_node *node;
    for (uint32_t child = segment->nodes[at->node].first_child; child; child = node->next_sibling) {
        node = &segment->nodes[child];
        if (node->kind == ACL_NODE_ONE) {
            const struct acl_value *value = &walk->subject->values[acl_node_slot(node)];
            bool unbound =
                value->state != ACL_VALUE_BOUND || (value->dollar && at->depth == 0 && acl_node_prefix(node) == 0);
            if (unbound || acl_value_fits(segment, node, &value->level, &topic->levels[at->depth]))
                push(walk, top, child, at->depth + 1U, at->deny_only || unbound);
        } else if (node->kind == ACL_NODE_PLUS) {
            if (at->depth || !topic->dollar)
                push(walk, top, child, at->depth + 1U, at->deny_only);
        } else if (node->kind == ACL_NODE_ANY) {
            push_any(walk, segment, node, at, top);
        } else if (node->kind == ACL_NODE_PATH) {
            push_path(walk, segment, node, at, top);
        } else {
            return; /* literals come last */
        }
    }
}

#define FETCH_NODES 16384 /* a table of that many nodes (1 MiB) does not stay in the cache */

/*
 * Asks for the lines of the nodes that spell the topic literally, all at once: a node's place is told by the hash of
 * its path, so that the walk need not wait for one after the other.
 */
static void fetch_path(const struct acl_segment *segment, uint32_t root, struct acl_topic *topic)
{
    uint32_t hash = acl_root_hash(segment->seed, root);
    __builtin_prefetch(&segment->nodes[root]);
    for (uint32_t i = 0; i < topic->count && i < 8; i++) {
        struct acl_level *level = &topic->levels[i];
        if (!level->hash)
            level->hash = acl_label_hash(segment->seed, level->head, level->text, level->length);
        hash = acl_path_hash(hash, level->hash);
        __builtin_prefetch(&segment->nodes[acl_table_place(segment, hash)]);
    }
}

static void walk_role(struct acl_walk *walk, const struct acl_role_entry *entry)
{
    const struct acl_segment *segment = entry->segment;
    struct acl_topic *topic = &walk->context->topic;
    if (segment->table_size > FETCH_NODES)
        fetch_path(segment, entry->root, topic);
    const struct acl_node *node = &segment->nodes[entry->root];
    struct acl_branch at = {entry->root, 0, false};
    unsigned top = 0;
    if (node->flags & ACL_HAS_EXACT)
        consider(walk, segment, node, ACL_END_EXACT, false); /* ** */
    if (node->flags & ACL_HAS_OPEN && !topic->dollar)
        consider(walk, segment, node, ACL_END_OPEN, false);
    for (;;) {
        const struct acl_node *child = NULL;
        if (at.depth < topic->count) {
            if (node->flags & ACL_HAS_SPECIAL)
                push_special(walk, segment, &at, &top);
            if (node->flags & ACL_HAS_LITERAL)
                child = acl_find_literal(segment, node, &topic->levels[at.depth]);
        }
        if (child) {
            node = child;
            at.node = (uint32_t)(child - segment->nodes);
            at.depth++;
        } else if (top) {
            at = walk->context->stack[--top];
            node = &segment->nodes[at.node];
        } else {
            return;
        }
        if (unlikely(++walk->visits > walk->visits_max)) {
            walk->capped = true;
            return;
        }
        if (node->flags & ACL_HAS_OPEN)
            consider(walk, segment, node, ACL_END_OPEN, at.deny_only);
        if (node->flags & ACL_HAS_EXACT && at.depth == topic->count)
            consider(walk, segment, node, ACL_END_EXACT, at.deny_only);
    }
}

void acl_walk_topic(struct acl_walk *walk)
{
    const struct acl_subject *subject = walk->subject;
    uint16_t first = acl_first_bit(walk);
    for (uint32_t i = 0; i < subject->grant_count; i++) {
        const struct acl_role_entry *entry = &walk->policy->roles[subject->grants[i].role];
        walk->broken |= entry->broken;
        if (!(entry->first & first))
            continue; /* none of its filters begins like this topic */
        walk->role = subject->grants[i].role;
        walk->base = acl_rank_base(subject->grants[i].priority);
        walk_role(walk, entry);
    }
    if (subject->session.segment) {
        walk->role = ACL_SESSION_ROLE;
        walk->base = 0;
        walk_role(walk, &subject->session);
    }
}
