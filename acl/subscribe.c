/*
 * SUBSCRIBE (docs/policy.md, "SUBSCRIBE"). A topic is allowed when the best allow on it outranks every deny on it.
 * Hence a filter F is allowed in full if allows cover F, and for every deny D that overlaps it, allows of higher rank
 * than D cover F ∩ D; and in part if for some allow A, denies of A's rank or higher do not cover F ∩ A. (Ranks of
 * denies are odd: a deny of the same priority is the higher one.)
 */
#include "acl/context.h"
#include "acl/label.h"
#include "core/utf8.h"

/* ---- exact rules ---- */

struct asked {
    const struct acl_walk *walk;
    const struct acl_segment *segment;
    bool allow;
    unsigned left; /* levels of the filter not compared yet, from its end */
};

/* An unbindable level of a deny equals any one level. */
static bool take_any_level(struct asked *a)
{
    if (a->allow || !a->left)
        return false;
    a->left--;
    return true;
}

/* Whether the level cannot be bound, so that a deny's equals any. */
static bool is_any_level(const struct acl_walk *walk, const struct acl_node *node)
{
    if (node->kind < ACL_NODE_ONE)
        return false;
    const struct acl_value *value = &walk->subject->values[acl_node_slot(node)];
    bool opens = acl_node_opens(node), partly = value->partly || !value->count;
    if (node->kind != ACL_NODE_ANY)
        return value->state != ACL_VALUE_BOUND || (opens && value->dollar);
    for (uint32_t i = 0; i < value->count; i++)
        partly |= opens && acl_is_dollar(&value->levels[i]);
    return partly;
}

static bool is_asked_one(struct asked *a, const struct acl_node *node, const struct acl_value *value)
{
    if (is_any_level(a->walk, node))
        return take_any_level(a);
    const struct acl_level *level = &a->walk->context->asked.levels[a->left - 1];
    a->left--;
    return level->kind == ACL_TOKEN_LITERAL && acl_value_fits(a->segment, node, &value->level, level);
}

static bool is_asked_any(struct asked *a, const struct acl_node *node, const struct acl_value *value)
{
    const struct acl_level *level = &a->walk->context->asked.levels[a->left - 1];
    bool opens = acl_node_opens(node);
    for (uint32_t i = 0; i < value->count; i++) {
        if (!(opens && acl_is_dollar(&value->levels[i])) && level->kind == ACL_TOKEN_LITERAL &&
            acl_value_fits(a->segment, node, &value->levels[i], level)) {
            a->left--;
            return true;
        }
    }
    return is_any_level(a->walk, node) && take_any_level(a);
}

static bool is_asked_path(struct asked *a, const struct acl_node *node, const struct acl_value *value)
{
    const struct acl_level *levels = a->walk->context->asked.levels;
    if (is_any_level(a->walk, node))
        return take_any_level(a);
    for (uint32_t i = value->count; i > 0; i--) {
        if (!a->left || levels[a->left - 1].kind != ACL_TOKEN_LITERAL ||
            !acl_level_equal(&value->levels[i - 1], &levels[a->left - 1]))
            return false;
        a->left--;
    }
    return true;
}

static bool is_asked_level(struct asked *a, const struct acl_node *node)
{
    if (!a->left)
        return false;
    const struct acl_level *level = &a->walk->context->asked.levels[a->left - 1];
    switch (node->kind) {
    case ACL_NODE_PLUS:
        a->left--;
        return level->kind == ACL_TOKEN_PLUS;
    case ACL_NODE_LITERAL:
        a->left--;
        return level->kind == ACL_TOKEN_LITERAL && acl_node_is(a->segment, node, level);
    case ACL_NODE_ONE:
        return is_asked_one(a, node, &a->walk->subject->values[acl_node_slot(node)]);
    case ACL_NODE_ANY:
        return is_asked_any(a, node, &a->walk->subject->values[acl_node_slot(node)]);
    default:
        return is_asked_path(a, node, &a->walk->subject->values[acl_node_slot(node)]);
    }
}

bool acl_rule_is_asked(const struct acl_walk *walk, const struct acl_segment *segment, const struct acl_rule *rule)
{
    const struct acl_filter *filter = &walk->context->asked;
    struct asked a = {walk, segment, rule->allow, filter->count};
    const struct acl_node *node = &segment->nodes[rule->node];
    if (node->kind == ACL_NODE_ROOT && rule->end == ACL_END_EXACT)
        return false;
    if (filter->open != (rule->end == ACL_END_OPEN)) {
        /* `#` fills a level, too: that of a deny which cannot be bound equals it */
        if (rule->allow || !filter->open || !is_any_level(walk, node))
            return false;
        node = &segment->nodes[node->parent];
    }
    for (; node->kind != ACL_NODE_ROOT; node = &segment->nodes[node->parent])
        if (!is_asked_level(&a, node))
            return false;
    return a.left == 0;
}

/* ---- the question ---- */

/* Takes $share/<group>/ off. False if there is such a beginning, but no group or no filter behind it (MQTT 5.0 §4.8.2).
 */
static bool take_off_share(const char **filter, size_t *length, bool *shared)
{
    static const char lead[] = "$share/";
    const size_t size = sizeof lead - 1;
    *shared = *length >= size && memcmp(*filter, lead, size) == 0;
    if (!*shared)
        return true;
    const char *group = *filter + size, *end = *filter + *length;
    const char *slash = memchr(group, '/', (size_t)(end - group));
    if (!slash || slash == group || slash + 1 == end)
        return false;
    for (const char *at = group; at < slash; at++)
        if (*at == '+' || *at == '#' || !*at)
            return false;
    *filter = slash + 1;
    *length = (size_t)(end - *filter);
    return true;
}

static enum guard_reason read_filter(struct acl_walk *walk)
{
    const struct acl_request *request = walk->facts.request;
    struct acl_context *context = walk->context;
    const char *text = request->topic;
    size_t length = request->topic_length ? request->topic_length : strlen(text);
    if (length > ACL_TEXT_MAX)
        return GUARD_REASON_TOPIC_TOO_LONG;
    if (!guard_utf8_valid(text, length) || !take_off_share(&text, &length, &walk->facts.shared))
        return GUARD_REASON_TOPIC_INVALID;
    enum guard_reason reason = acl_filter_parse(text, length, &context->asked);
    if (reason != GUARD_REASON_NONE)
        return reason;
    struct acl_filter *filter = &context->filter;
    filter->count = context->asked.count;
    filter->open = context->asked.open;
    memcpy(filter->levels, context->asked.levels, filter->count * sizeof *filter->levels);
    return acl_filter_normalise(filter) ? GUARD_REASON_NONE : GUARD_REASON_TOPIC_INVALID;
}

struct search {
    bool full;                /* so far */
    struct acl_best obstacle; /* the deny that is in the way; rank ACL_RANK_NONE: none */
    struct acl_best witness;  /* an allow of which a part is left */
    bool overlapped;          /* some allow concerns a part of the filter */
};

/* Of a filter that allows cover: is it still, where this deny is? */
static bool visit_deny(struct acl_walk *walk, const struct acl_best *rule, void *data)
{
    struct search *search = data;
    if (acl_cover(walk, &walk->context->overlap, ACL_ALLOW, rule->rank, NULL))
        return true;
    search->full = false;
    search->obstacle = *rule;
    return false;
}

/* Is a part of this allow left by the denies? */
static bool visit_allow(struct acl_walk *walk, const struct acl_best *rule, void *data)
{
    struct search *search = data;
    struct acl_best deny = {.rank = ACL_RANK_NONE};
    search->overlapped = true;
    if (acl_cover(walk, &walk->context->overlap, ACL_DENY, rule->rank, &deny) || walk->capped) {
        if (search->obstacle.rank == ACL_RANK_NONE)
            search->obstacle = deny;
        return true;
    }
    search->witness = *rule;
    return false;
}

static void find_witness(struct acl_walk *walk, struct search *search)
{
    enum acl_condition_kind failed = walk->failed;
    int64_t failed_rank = walk->failed_rank, by_default = walk->policy->default_rank[ACL_SUBSCRIBE];
    acl_overlaps(walk, ACL_ALLOW, visit_allow, search);
    walk->failed = failed; /* rules that would not have allowed all of it are no reason */
    walk->failed_rank = failed_rank;
    if (search->witness.rank == ACL_RANK_NONE && by_default != ACL_RANK_NONE && !walk->capped) {
        search->overlapped = true;
        if (!acl_cover(walk, &walk->context->filter, ACL_DENY, by_default, NULL))
            search->witness.rank = by_default;
    }
}

static enum acl_verdict grant(struct acl_walk *walk, const struct acl_best *rule, enum acl_coverage coverage,
                              struct acl_decision *decision)
{
    walk->best = *rule;
    acl_decide(walk, decision);
    if (decision->verdict == ACL_ALLOW)
        decision->coverage = coverage;
    return decision->verdict;
}

static enum acl_verdict refuse_partial(struct acl_walk *walk, const struct search *search,
                                       struct acl_decision *decision)
{
    *decision = (struct acl_decision){.verdict = ACL_DENY,
                                      .reason = GUARD_REASON_WILDCARD_DENIED,
                                      .coverage = ACL_COVERAGE_PARTIAL,
                                      .rule = acl_best_id(&search->obstacle, ACL_SUBSCRIBE)};
    return walk->capped ? acl_decide(walk, decision) : ACL_DENY;
}

static enum acl_verdict refuse_all(struct acl_walk *walk, const struct search *search, struct acl_decision *decision)
{
    struct acl_best deny = search->obstacle;
    bool denied = deny.rank != ACL_RANK_NONE || search->overlapped;
    if (deny.rank == ACL_RANK_NONE)
        denied |= acl_cover(walk, &walk->context->filter, ACL_DENY, ACL_RANK_NONE, &deny);
    walk->best = deny;
    if (!denied)
        walk->best.rank = ACL_RANK_NONE;
    acl_decide(walk, decision);
    if (denied && !decision->flags && decision->reason != GUARD_REASON_POLICY_PARSE_ERROR) {
        decision->verdict = ACL_DENY;
        decision->reason = GUARD_REASON_ACL_DENY_RULE;
    }
    if (!decision->flags)
        decision->coverage = ACL_COVERAGE_NONE;
    return decision->verdict;
}

static void look_for_broken_roles(struct acl_walk *walk)
{
    for (uint32_t i = 0; i < walk->subject->grant_count; i++)
        walk->broken |= walk->policy->roles[walk->subject->grants[i].role].broken;
}

enum acl_verdict acl_check_subscribe(struct acl_walk *walk, struct acl_decision *decision)
{
    struct acl_best best = {.rank = ACL_RANK_NONE};
    struct search search = {.obstacle.rank = ACL_RANK_NONE, .witness.rank = ACL_RANK_NONE};
    enum guard_reason reason = read_filter(walk);
    walk->visits_max = ACL_VISITS_FILTER;
    *decision = (struct acl_decision){.verdict = ACL_DENY, .reason = reason};
    if (reason != GUARD_REASON_NONE)
        return ACL_DENY;
    look_for_broken_roles(walk);
    if (walk->broken)
        return acl_decide(walk, decision);
    if (walk->policy->mode == ACL_MODE_OFF)
        return decision->verdict = ACL_ALLOW;
    search.full = acl_cover(walk, &walk->context->filter, ACL_ALLOW, ACL_RANK_NONE, &best);
    if (search.full)
        acl_overlaps(walk, ACL_DENY, visit_deny, &search);
    if (search.full)
        return grant(walk, &best, ACL_COVERAGE_FULL, decision);
    if (!walk->capped)
        find_witness(walk, &search);
    if (search.witness.rank == ACL_RANK_NONE)
        return refuse_all(walk, &search, decision);
    if (walk->policy->mode == ACL_MODE_LENIENT)
        return grant(walk, &search.witness, ACL_COVERAGE_PARTIAL, decision);
    return refuse_partial(walk, &search, decision);
}
