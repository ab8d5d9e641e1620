#include "acl/trial.h"

#include "acl/build.h"
#include "acl/label.h"
#include "acl/names.h"
#include "core/buffer.h"

#include <stdio.h>
#include <string.h>

/* The rule alone in a segment; deny: with the other effect, so that placeholders which cannot be bound match. */
static struct acl_segment *alone(const struct acl_trial *trial, const struct acl_found *found, bool deny)
{
    struct acl_slots *slots = (struct acl_slots *)(uintptr_t)found->slots;
    struct acl_builder *builder = acl_builder_new(1, 1, slots, found->segment->seed);
    struct acl_rule_origin origin = {"rule", "", 0};
    struct acl_segment *segment = NULL;
    if (!builder)
        return NULL;
    acl_builder_role(builder, 0);
    acl_rule_to_parsed(found->segment, found->rule, slots, trial->scratch);
    trial->scratch->allow &= !deny;
    if (acl_builder_add(builder, trial->scratch, &origin) == GUARD_OK)
        segment = acl_builder_finish(builder);
    acl_builder_free(&builder);
    return segment;
}

static bool note_overlap(struct acl_walk *walk, const struct acl_best *rule, void *data)
{
    (void)walk;
    (void)rule;
    *(bool *)data = true;
    return false;
}

static enum acl_outcome try_filter(struct acl_walk *walk, bool allow)
{
    enum acl_verdict effect = allow ? ACL_ALLOW : ACL_DENY;
    bool overlaps = false;
    if (acl_cover(walk, &walk->context->filter, effect, ACL_RANK_NONE, NULL))
        return ACL_TRIAL_APPLIES;
    acl_overlaps(walk, effect, note_overlap, &overlaps);
    return overlaps ? ACL_TRIAL_PARTLY : ACL_TRIAL_NOTHING;
}

/* Asks the question with that segment as the only role. */
static enum acl_outcome ask(const struct acl_trial *trial, const struct acl_segment *segment, bool allow,
                            enum acl_condition_kind *failed)
{
    struct acl_role_entry entry = {.segment = segment, .first = ACL_FIRST_ANY};
    struct acl_grant grant = {0, 0};
    struct acl_subject subject = *trial->subject;
    struct acl_policy policy;
    memset(&policy, 0, sizeof policy);
    policy.roles = &entry;
    policy.seed = segment->seed;
    for (int action = 0; action < ACL_ACTIONS; action++)
        policy.default_rank[action] = ACL_RANK_NONE;
    subject.grants = &grant;
    subject.grant_count = 1;
    subject.session = (struct acl_role_entry){0};
    struct acl_walk walk = {.context = trial->context,
                            .policy = &policy,
                            .subject = &subject,
                            .facts = {trial->request, &subject, trial->shared},
                            .action = trial->request->action,
                            .best.rank = ACL_RANK_NONE,
                            .failed_rank = ACL_RANK_NONE,
                            .visits_max = ACL_VISITS_FILTER};
    enum acl_outcome outcome;
    if (walk.action == ACL_SUBSCRIBE) {
        outcome = try_filter(&walk, allow);
    } else {
        acl_walk_topic(&walk);
        outcome = walk.best.rank != ACL_RANK_NONE ? ACL_TRIAL_APPLIES : ACL_TRIAL_NOTHING;
    }
    *failed = walk.failed;
    return outcome == ACL_TRIAL_NOTHING && walk.failed ? ACL_TRIAL_CONDITION : outcome;
}

/* Whether the conditions of a deny that was not found keep it out: tried without them. */
static int try_without_conditions(const struct acl_trial *trial, const struct acl_found *found,
                                  enum acl_outcome *outcome, enum acl_condition_kind *failed)
{
    struct acl_facts facts = {trial->request, trial->subject, trial->shared};
    const struct acl_condition *condition = &found->segment->conditions[found->rule->condition - 1];
    struct acl_rule bare = *found->rule;
    struct acl_found without = *found;
    enum acl_condition_kind ignored;
    bare.condition = 0;
    without.rule = &bare;
    struct acl_segment *segment = alone(trial, &without, false);
    if (!segment)
        return GUARD_ERR_NOMEM;
    if (ask(trial, segment, bare.allow, &ignored) != ACL_TRIAL_NOTHING) {
        *outcome = ACL_TRIAL_CONDITION;
        *failed = acl_condition_failing(condition, found->segment->nets, bare.allow, &facts);
    }
    acl_segment_release(segment);
    return GUARD_OK;
}

static int try_unbindable(const struct acl_trial *trial, const struct acl_found *found, enum acl_outcome *outcome)
{
    enum acl_condition_kind ignored;
    struct acl_segment *segment = alone(trial, found, true);
    if (!segment)
        return GUARD_ERR_NOMEM;
    if (ask(trial, segment, false, &ignored) != ACL_TRIAL_NOTHING)
        *outcome = ACL_TRIAL_UNBINDABLE;
    acl_segment_release(segment);
    return GUARD_OK;
}

int acl_trial_run(const struct acl_trial *trial, const struct acl_found *found, enum acl_outcome *outcome,
                  enum acl_condition_kind *failed)
{
    struct acl_segment *segment = alone(trial, found, false);
    *outcome = ACL_TRIAL_NOTHING;
    *failed = 0;
    if (!segment)
        return GUARD_ERR_NOMEM;
    *outcome = ask(trial, segment, found->rule->allow, failed);
    acl_segment_release(segment);
    if (*outcome == ACL_TRIAL_NOTHING && found->rule->condition) {
        int rc = try_without_conditions(trial, found, outcome, failed);
        if (rc != GUARD_OK)
            return rc;
    }
    if (*outcome == ACL_TRIAL_NOTHING && found->rule->allow && found->rule->flags & ACL_RULE_TYPED)
        return try_unbindable(trial, found, outcome);
    return GUARD_OK;
}

/* ---- nearness ---- */

/* Levels of the question that a node takes at a depth: 0 if it does not match. */
static unsigned takes(const struct acl_trial *trial, const struct acl_found *found, const struct acl_node *node,
                      unsigned depth, const struct acl_level *levels, unsigned count)
{
    const struct acl_level *level = &levels[depth];
    if (node->kind == ACL_NODE_PLUS)
        return !(depth == 0 && level->kind == ACL_TOKEN_LITERAL && acl_is_dollar(level));
    if (level->kind != ACL_TOKEN_LITERAL)
        return 0;
    if (node->kind == ACL_NODE_LITERAL)
        return acl_node_is(found->segment, node, level);
    const struct acl_value *value = &trial->subject->values[acl_node_slot(node)];
    if (node->kind == ACL_NODE_ONE)
        return value->state == ACL_VALUE_BOUND && acl_value_fits(found->segment, node, &value->level, level);
    for (unsigned i = 0; i < value->count; i++) {
        bool same = acl_value_fits(found->segment, node, &value->levels[i],
                                   &levels[depth + (node->kind == ACL_NODE_PATH ? i : 0)]);
        if (node->kind == ACL_NODE_ANY && same)
            return 1;
        if (node->kind == ACL_NODE_PATH && (!same || depth + i + 1 > count))
            return 0;
    }
    return node->kind == ACL_NODE_PATH ? value->count : 0;
}

#define SHOWN_MAX 40 /* octets of a level in a reason */

static int shown(const struct acl_level *level)
{
    return level->length < SHOWN_MAX ? (int)level->length : SHOWN_MAX;
}

/* `level 2 is "x", not "y"`: what the question has there, and what the rule wants. */
static void say_level(const struct acl_trial *trial, const struct acl_found *found, const struct acl_node *node,
                      unsigned depth, char *why, size_t size)
{
    const struct acl_context *context = trial->context;
    const struct acl_level *level =
        trial->request->action == ACL_SUBSCRIBE ? &context->asked.levels[depth] : &context->topic.levels[depth];
    if (node->kind == ACL_NODE_PLUS) {
        snprintf(why, size, "level %u begins with $, which a leading wildcard does not match", depth + 1);
        return;
    }
    int begun = level->kind == ACL_TOKEN_LITERAL
                    ? snprintf(why, size, "level %u is \"%.*s\", not ", depth + 1, shown(level), level->text)
                    : snprintf(why, size, "level %u is +, not ", depth + 1);
    why += begun;
    size -= (size_t)begun;
    if (node->kind == ACL_NODE_LITERAL) {
        struct acl_level wanted = {.text = acl_node_text(found->segment, node), .length = acl_node_length(node)};
        snprintf(why, size, "\"%.*s\"", shown(&wanted), wanted.text);
        return;
    }
    const struct acl_value *value = &trial->subject->values[acl_node_slot(node)];
    const char *name = found->slots->slots[acl_node_slot(node)].name;
    if (node->kind == ACL_NODE_ONE && value->state == ACL_VALUE_BOUND)
        snprintf(why, size, "${%s} (\"%.*s\")", name, shown(&value->level), value->level.text);
    else if (node->kind == ACL_NODE_ANY && value->count)
        snprintf(why, size, "any of the %u values of ${%s}", value->count, name);
    else
        snprintf(why, size, "${%s}", name);
}

unsigned acl_trial_nearness(const struct acl_trial *trial, const struct acl_found *found, char *why, size_t size)
{
    bool filter = trial->request->action == ACL_SUBSCRIBE;
    const struct acl_level *levels = filter ? trial->context->asked.levels : trial->context->topic.levels;
    unsigned count = filter ? trial->context->asked.count : trial->context->topic.count, at = 0;
    const struct acl_node *nodes[ACL_FILTER_LEVELS], *node = &found->segment->nodes[found->rule->node];
    unsigned depth = acl_node_depth(found->segment, node);
    for (unsigned i = depth; i > 0; node = &found->segment->nodes[node->parent])
        nodes[--i] = node;
    for (unsigned i = 0; i < depth; i++) {
        unsigned taken = at < count ? takes(trial, found, nodes[i], at, levels, count) : 0;
        if (at >= count)
            snprintf(why, size, "the %s has fewer levels", filter ? "filter" : "topic");
        else if (!taken)
            say_level(trial, found, nodes[i], at, why, size);
        if (!taken)
            return at;
        at += taken;
    }
    if (found->rule->flags & ACL_RULE_EXACT)
        snprintf(why, size, "the rule is exact");
    else
        snprintf(why, size, "the %s %s", filter ? "filter" : "topic",
                 at < count ? "has more levels" : "is wider than the rule");
    return at;
}
