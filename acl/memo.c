/*
 * The fan-out memo. One message goes to many receivers of the same roles: its topic is walked once, and what is kept is
 * the best rule that matches whoever the receiver is, and the few that match if a level of the topic is the receiver's
 * own value. It is keyed by what the topic says (its serial changes when another is loaded), the roles and the policy's
 * epoch, never by an address.
 */
#include "acl/context.h"
#include "acl/label.h"

/* A branch whose placeholders are taken as matched, and remembered. */
struct guess {
    uint32_t node;
    uint16_t depth;
    uint8_t tests;
    struct {
        uint32_t slot;
        uint16_t level;
    } test[2];
};

#define GUESSES 64

struct memo_walk {
    struct acl_walk *walk;
    struct acl_memo *memo;
    const struct acl_segment *segment;
    struct guess stack[GUESSES];
    unsigned top;
};

static void give_up(struct memo_walk *m)
{
    m->memo->usable = false;
}

static void push(struct memo_walk *m, const struct guess *guess)
{
    if (m->top == GUESSES)
        give_up(m);
    else
        m->stack[m->top++] = *guess;
}

static void add_candidate(struct memo_walk *m, const struct guess *at, int64_t rank, enum acl_end end)
{
    struct acl_memo *memo = m->memo;
    if (memo->candidate_count == ACL_CANDIDATES) {
        give_up(m);
        return;
    }
    struct acl_candidate *candidate = &memo->candidates[memo->candidate_count++];
    *candidate = (struct acl_candidate){
        .rank = rank, .role = m->walk->role, .node = at->node, .end = (uint8_t)end, .tests = at->tests};
    for (unsigned i = 0; i < at->tests; i++) {
        candidate->test[i].slot = at->test[i].slot;
        candidate->test[i].level = at->test[i].level;
    }
}

static void consider(struct memo_walk *m, const struct guess *at, enum acl_end end)
{
    const struct acl_node *node = &m->segment->nodes[at->node];
    int32_t code = acl_node_code(m->segment, node, end, m->walk->action);
    if (node->flags & ACL_HAS_CONDITION)
        give_up(m);
    if (code == ACL_CODE_NONE)
        return;
    int64_t rank = m->walk->base + code;
    if (at->tests)
        add_candidate(m, at, rank, end);
    else if (rank > m->memo->best.rank)
        m->memo->best = (struct acl_best){rank, m->walk->role, at->node, 0, (uint8_t)end};
}

/* Pushes the children that match, or do if a placeholder's value is the level. */
static void push_children(struct memo_walk *m, const struct guess *at)
{
    struct acl_topic *topic = &m->walk->context->topic;
    const struct acl_node *child;
    for (uint32_t next = m->segment->nodes[at->node].first_child; next; next = child->next_sibling) {
        struct guess guess = *at;
        child = &m->segment->nodes[next];
        guess.node = next;
        guess.depth++;
        if (child->kind == ACL_NODE_LITERAL)
            return;
        if (child->kind == ACL_NODE_PLUS) {
            if (at->depth || !topic->dollar)
                push(m, &guess);
        } else if (child->kind != ACL_NODE_ONE || child->length || guess.tests == 2) {
            give_up(m);
        } else {
            guess.test[guess.tests].slot = acl_node_slot(child);
            guess.test[guess.tests++].level = at->depth;
            push(m, &guess);
        }
    }
}

static void walk_role(struct memo_walk *m, const struct acl_role_entry *entry)
{
    const struct acl_segment *segment = m->segment = entry->segment;
    struct acl_topic *topic = &m->walk->context->topic;
    struct guess at = {.node = entry->root};
    unsigned flags = segment->nodes[at.node].flags;
    m->top = 0;
    if (flags & ACL_HAS_EXACT)
        consider(m, &at, ACL_END_EXACT);
    if (flags & ACL_HAS_OPEN && !topic->dollar)
        consider(m, &at, ACL_END_OPEN);
    for (;;) {
        const struct acl_node *child = NULL, *node = &segment->nodes[at.node];
        if (at.depth < topic->count) {
            if (node->flags & ACL_HAS_SPECIAL)
                push_children(m, &at);
            if (node->flags & ACL_HAS_LITERAL) {
                m->memo->consulted |= at.depth < 64 ? (uint64_t)1 << at.depth : 0;
                child = acl_find_literal(segment, node, &topic->levels[at.depth]);
            }
        }
        if (child) {
            at.node = (uint32_t)(child - segment->nodes);
            at.depth++;
        } else if (m->top) {
            at = m->stack[--m->top];
            child = &segment->nodes[at.node];
        }
        if (!child || !m->memo->usable)
            return;
        if (++m->walk->visits > m->walk->visits_max) {
            give_up(m);
            return;
        }
        if (child->flags & ACL_HAS_OPEN)
            consider(m, &at, ACL_END_OPEN);
        if (child->flags & ACL_HAS_EXACT && at.depth == topic->count)
            consider(m, &at, ACL_END_EXACT);
    }
}

static void drop_outranked(struct acl_memo *memo)
{
    uint8_t kept = 0;
    for (uint8_t i = 0; i < memo->candidate_count; i++)
        if (memo->candidates[i].rank > memo->best.rank)
            memo->candidates[kept++] = memo->candidates[i];
    memo->candidate_count = kept;
}

static void make(struct acl_walk *walk, struct acl_memo *memo)
{
    struct memo_walk m; /* most of its stack stays as it is */
    m.walk = walk;
    m.memo = memo;
    const struct acl_subject *subject = walk->subject;
    memo->epoch = walk->policy->epoch;
    memo->fingerprint = subject->fingerprint;
    memo->serial = walk->context->topic.serial;
    memo->action = walk->action;
    memo->consulted = 0;
    memo->candidate_count = 0;
    memo->best = walk->best;
    memo->usable = !subject->session.segment;
    uint16_t first = acl_first_bit(walk);
    for (uint32_t i = 0; i < subject->grant_count && memo->usable; i++) {
        const struct acl_role_entry *entry = &walk->policy->roles[subject->grants[i].role];
        walk->role = subject->grants[i].role;
        walk->base = acl_rank_base(subject->grants[i].priority);
        if (entry->first != ACL_FIRST_ANY)
            memo->consulted |= 1;
        if (entry->first & first)
            walk_role(&m, entry);
        else if (entry->broken)
            memo->usable = false;
    }
    drop_outranked(memo);
    walk->visits = 0;
}

/* 1: the values stand in their levels; 0: they do not; -1: a value cannot be bound, so that only a walk can tell. */
static int test_candidate(const struct acl_walk *walk, const struct acl_candidate *candidate)
{
    int result = 1;
    for (unsigned i = 0; i < candidate->tests; i++) {
        const struct acl_value *value = &walk->subject->values[candidate->test[i].slot];
        unsigned at = candidate->test[i].level;
        if (value->state != ACL_VALUE_BOUND || (at == 0 && value->dollar))
            return -1;
        if (!acl_level_equal(&value->level, &walk->context->topic.levels[at]))
            result = 0;
    }
    return result;
}

bool acl_memo_answer(struct acl_walk *walk, const struct acl_memo **used)
{
    struct acl_memo *memo = &walk->context->memos[walk->subject->fingerprint % ACL_MEMOS];
    *used = memo;
    if (memo->serial != walk->context->topic.serial || memo->fingerprint != walk->subject->fingerprint ||
        memo->epoch != walk->policy->epoch || memo->action != walk->action)
        make(walk, memo);
    if (!memo->usable)
        return false;
    struct acl_best best = memo->best;
    for (unsigned i = 0; i < memo->candidate_count; i++) {
        const struct acl_candidate *candidate = &memo->candidates[i];
        int matches = test_candidate(walk, candidate);
        if (matches < 0)
            return false;
        if (matches && candidate->rank > best.rank)
            best = (struct acl_best){candidate->rank, candidate->role, candidate->node, 0, candidate->end};
    }
    walk->best = best;
    return true;
}
