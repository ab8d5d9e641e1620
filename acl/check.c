/* acl_check: publish and receive; SUBSCRIBE is handed on. */
#include "acl/context.h"
#include "acl/label.h"

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

/* Whether this is the topic that is loaded; length 0: NUL-terminated. */
static inline bool is_loaded(const struct acl_topic *topic, const struct acl_policy *policy,
                             const struct acl_request *request)
{
    if (topic->seed != policy->seed || !topic->length)
        return false;
    if (!request->topic_length)
        return strcmp(topic->text, request->topic) == 0;
    return topic->length == request->topic_length && memcmp(topic->text, request->topic, topic->length) == 0;
}

static enum guard_reason load(struct acl_topic *topic, const struct acl_policy *policy,
                              const struct acl_request *request)
{
    topic->seed = policy->seed;
    return acl_topic_load(topic, request->topic,
                          request->topic_length ? request->topic_length : strlen(request->topic));
}

enum acl_verdict acl_check(struct acl_context *context, const struct acl_policy *policy,
                           const struct acl_subject *subject, const struct acl_request *request,
                           struct acl_decision *decision)
{
    if (unlikely(subject->generation != policy->generation))
        return refuse(decision, GUARD_REASON_INTERNAL_ERROR, ACL_STALE);
    if (unlikely((unsigned)request->action >= ACL_ACTIONS))
        return refuse(decision, GUARD_REASON_INTERNAL_ERROR, 0);
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
    if (!is_loaded(&context->topic, policy, request)) {
        enum guard_reason reason = load(&context->topic, policy, request);
        if (unlikely(reason != GUARD_REASON_NONE))
            return refuse(decision, reason, 0);
    }
    if (request->action != ACL_RECEIVE || !acl_memo_answer(&walk))
        acl_walk_topic(&walk);
    return acl_decide(&walk, decision);
}
