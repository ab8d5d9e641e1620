/* acl_check: publish and receive; SUBSCRIBE is handed on. */
#include "acl/context.h"
#include "acl/label.h"
#include "acl/recall.h"

#include <stdlib.h>
#include <string.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * A rule's id is (role + 1) << 32 | index of the rule. The hot path does not look for the index: it gives, with the top
 * bit set, the end (bit 62), the action (60, 61), the role (28 bits) and the node, whose winning rule acl_rule_find
 * looks up.
 */
acl_rule_id acl_best_id(const struct acl_best *best, enum acl_action action)
{
    if (best->rank <= ACL_RANK_DEFAULT_ALLOW)
        return 0;
    if (best->rule)
        return acl_make_id(best->role, best->rule - 1);
    return (uint64_t)1 << 63 | (uint64_t)best->end << 62 | (uint64_t)action << 60 | (uint64_t)best->role << 32 |
           best->node;
}

struct acl_context *acl_context_new(void)
{
    return calloc(1, sizeof(struct acl_context));
}

void acl_context_free(struct acl_context **context)
{
    free(*context);
    *context = NULL;
}

static enum acl_verdict refuse(struct acl_decision *decision, enum guard_reason reason, enum acl_flag flag)
{
    *decision = (struct acl_decision){.verdict = ACL_DENY, .reason = reason, .flags = flag};
    return ACL_DENY;
}

static enum guard_reason reason_of_none(const struct acl_walk *walk)
{
    const struct acl_context *context = walk->context;
    enum guard_reason reason = acl_condition_reason(walk->failed);
    if (reason != GUARD_REASON_ACL_NO_MATCH)
        return reason;
    if (walk->action == ACL_SUBSCRIBE ? context->asked.count && acl_is_dollar(&context->asked.levels[0])
                                      : context->topic.dollar)
        return GUARD_REASON_SYS_TOPIC_DENIED;
    return reason;
}

enum acl_verdict acl_decide(const struct acl_walk *walk, struct acl_decision *decision)
{
    decision->flags = 0;
    decision->coverage = ACL_COVERAGE_NOT_ASKED;
    decision->rule = acl_best_id(&walk->best, walk->action);
    if (unlikely(walk->capped))
        return refuse(decision, GUARD_REASON_INTERNAL_ERROR, ACL_CAPPED);
    if (unlikely(walk->broken))
        return refuse(decision, GUARD_REASON_POLICY_PARSE_ERROR, 0);
    if (walk->best.rank == ACL_RANK_NONE) {
        decision->reason = reason_of_none(walk);
        return decision->verdict = ACL_NONE;
    }
    if (walk->best.rank & 1) {
        decision->reason = GUARD_REASON_ACL_DENY_RULE;
        return decision->verdict = ACL_DENY;
    }
    decision->reason = GUARD_REASON_NONE;
    return decision->verdict = ACL_ALLOW;
}

static bool is_loaded(const struct acl_topic *topic, const struct acl_policy *policy, const char *text, size_t length)
{
    return length && topic->length == length && topic->seed == policy->seed && memcmp(topic->text, text, length) == 0;
}

/* Whether the place of this topic's pattern is held by another topic of the same clients. */
static bool is_contested(const struct acl_patterns *patterns, const struct acl_walk *walk)
{
    const struct acl_topic *topic = &walk->context->topic;
    if (topic->length < ACL_RECALL_LENGTH)
        return true;
    const struct acl_pattern *there = &patterns->by_both[acl_place_by_both(topic->text, topic->length)];
    return there->epoch == walk->policy->epoch && there->fingerprint == walk->subject->fingerprint;
}

/*
 * Whether a memo pays: for receivers always, since there may be many; for publishers only where their roles were met
 * before and patterns are of use, or to try again now and then.
 */
static bool wants_memo(struct acl_context *context, const struct acl_walk *walk)
{
    struct acl_patterns *patterns = &context->patterns[walk->action];
    uint64_t *seen = &context->seen[walk->subject->fingerprint % 8];
    bool known = *seen == walk->subject->fingerprint;
    *seen = walk->subject->fingerprint;
    unsigned vain = patterns->unrecalled++;
    bool now_and_then = ++patterns->walked % (vain < 1024 ? 16 : 256) == 0; /* the rarer the longer it is of no use */
    return walk->action == ACL_RECEIVE || (known && (now_and_then || (vain < 64 && !is_contested(patterns, walk))));
}

static enum acl_verdict check_topic(struct acl_walk *walk, size_t length, struct acl_decision *decision)
{
    struct acl_context *context = walk->context;
    const struct acl_memo *memo;
    if (!is_loaded(&context->topic, walk->policy, walk->facts.request->topic, length)) {
        context->topic.seed = walk->policy->seed;
        enum guard_reason reason = acl_topic_load(&context->topic, walk->facts.request->topic, length);
        if (reason != GUARD_REASON_NONE)
            return refuse(decision, reason, 0);
    }
    if (wants_memo(context, walk) && acl_memo_answer(walk, &memo)) {
        acl_decide(walk, decision);
        acl_recall_learn(walk, memo, decision);
        return decision->verdict;
    }
    acl_walk_topic(walk);
    return acl_decide(walk, decision);
}

static __attribute__((noinline)) enum acl_verdict
walk_and_decide(struct acl_context *context, const struct acl_policy *policy, const struct acl_subject *subject,
                const struct acl_request *request, size_t length, struct acl_decision *decision)
{
    struct acl_walk walk;
    walk.context = context;
    walk.policy = policy;
    walk.subject = subject;
    walk.facts = (struct acl_facts){request, subject, false};
    walk.action = request->action;
    walk.best.rank = policy->default_rank[request->action];
    walk.failed_rank = ACL_RANK_NONE;
    walk.failed = 0;
    walk.visits = 0;
    walk.visits_max = ACL_VISITS_TOPIC;
    walk.capped = walk.broken = false;
    if (request->action == ACL_SUBSCRIBE)
        return acl_check_subscribe(&walk, decision);
    return check_topic(&walk, length, decision);
}

static inline enum acl_verdict recalled(struct acl_patterns *patterns, const struct acl_pattern *pattern,
                                        struct acl_decision *decision)
{
    patterns->unrecalled = 0;
    *decision = pattern->decision;
    return pattern->decision.verdict;
}

/*
 * A topic that no pattern with literal octets at its end answers: one without variables may, or one with the last of
 * them there.
 */
static __attribute__((noinline)) enum acl_verdict
recall_or_walk(struct acl_context *context, const struct acl_policy *policy, const struct acl_subject *subject,
               const struct acl_request *request, size_t length, struct acl_decision *decision)
{
    struct acl_patterns *patterns = &context->patterns[request->action];
    if (length >= ACL_RECALL_LENGTH) {
        struct acl_pattern *places[] = {&patterns->by_both[acl_place_by_both(request->topic, length)],
                                        &patterns->by_head[acl_place_by_four(request->topic)]};
        for (int i = 0; i < 2; i++)
            if (acl_pattern_answers(places[i], policy, subject, request->topic, length)) {
                acl_recall_latest_is(context, patterns, places[i]);
                return recalled(patterns, places[i], decision);
            }
    }
    return walk_and_decide(context, policy, subject, request, length, decision);
}

static __attribute__((noinline)) enum acl_verdict
measure_and_check(struct acl_context *context, struct acl_patterns *patterns, const struct acl_policy *policy,
                  const struct acl_subject *subject, const struct acl_request *request, struct acl_decision *decision)
{
    /* a subject is one block; a client not heard of for a while is in no cache */
    __builtin_prefetch((const char *)subject + 64);
    __builtin_prefetch((const char *)subject + 128);
    __builtin_prefetch((const char *)subject + 192);
    size_t length = request->topic_length ? request->topic_length : strlen(request->topic);
    const struct acl_pattern *pattern = acl_pattern_by_tail(patterns, request->topic, length);
    if (unlikely(!acl_pattern_answers(pattern, policy, subject, request->topic, length)))
        return recall_or_walk(context, policy, subject, request, length, decision);
    return recalled(patterns, pattern, decision);
}

/* One message to many receivers: the pattern used last answers most of them. */
static __attribute__((noinline)) enum acl_verdict
check_receiver(struct acl_context *context, const struct acl_policy *policy, const struct acl_subject *subject,
               const struct acl_request *request, struct acl_decision *decision)
{
    struct acl_patterns *patterns = &context->patterns[ACL_RECEIVE];
    if (likely(acl_recall_latest(patterns->latest, policy, subject, request)))
        return recalled(patterns, patterns->latest, decision);
    return measure_and_check(context, patterns, policy, subject, request, decision);
}

enum acl_verdict acl_check(struct acl_context *context, const struct acl_policy *policy,
                           const struct acl_subject *subject, const struct acl_request *request,
                           struct acl_decision *decision)
{
    if (unlikely(subject->generation != policy->generation))
        return refuse(decision, GUARD_REASON_INTERNAL_ERROR, ACL_STALE);
    switch (request->action) {
    case ACL_PUBLISH:
        return measure_and_check(context, &context->patterns[ACL_PUBLISH], policy, subject, request, decision);
    case ACL_RECEIVE:
        return check_receiver(context, policy, subject, request, decision);
    case ACL_SUBSCRIBE:
        return walk_and_decide(context, policy, subject, request, 0, decision);
    }
    return refuse(decision, GUARD_REASON_INTERNAL_ERROR, 0);
}
