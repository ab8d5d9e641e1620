#include "acl/names.h"
#include "acl/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct explaining {
    struct acl_trial trial;
    struct acl_explanation *out;
    size_t capacity;
    struct acl_explained nearest; /* rule == 0: none yet */
    unsigned nearest_levels;
    bool allows; /* some allow is in the list */
    int32_t binding_priority;
};

static int64_t rank_of(const struct acl_explained *e)
{
    return acl_rank_base(e->binding_priority) + acl_code(e->priority, e->allow);
}

static int append(struct explaining *x, const struct acl_explained *entry)
{
    struct acl_explanation *out = x->out;
    if (out->count == x->capacity) {
        size_t capacity = x->capacity ? x->capacity * 2 : 16;
        struct acl_explained *grown = reallocarray(out->rules, capacity, sizeof *grown);
        if (!grown)
            return GUARD_ERR_NOMEM;
        out->rules = grown;
        x->capacity = capacity;
    }
    out->rules[out->count++] = *entry;
    x->allows |= entry->allow;
    return GUARD_OK;
}

static void keep_nearest(struct explaining *x, const struct acl_found *found, struct acl_explained *entry)
{
    unsigned levels = acl_trial_nearness(&x->trial, found, entry->why, sizeof entry->why);
    entry->standing = ACL_NEAREST;
    if (x->nearest.rule &&
        (levels < x->nearest_levels || (levels == x->nearest_levels && rank_of(entry) <= rank_of(&x->nearest))))
        return;
    x->nearest = *entry;
    x->nearest_levels = levels;
}

static void say_condition(const struct explaining *x, const struct acl_found *found, enum acl_condition_kind failed,
                          struct acl_explained *entry)
{
    struct acl_facts facts = {x->trial.request, x->trial.subject, x->trial.shared};
    acl_condition_explain(failed, &found->segment->conditions[found->rule->condition - 1], &facts, entry->why,
                          sizeof entry->why);
}

static void say_unbindable(const struct explaining *x, const struct acl_found *found, struct acl_explained *entry)
{
    const struct acl_node *node = &found->segment->nodes[found->rule->node];
    for (; node->kind != ACL_NODE_ROOT; node = &found->segment->nodes[node->parent]) {
        if (node->kind < ACL_NODE_ONE)
            continue;
        const struct acl_value *value = &x->trial.subject->values[acl_node_slot(node)];
        bool opens = acl_node_opens(node);
        if (value->state == ACL_VALUE_UNBOUND || (opens && value->dollar) || value->state == ACL_VALUE_SET)
            snprintf(entry->why, sizeof entry->why, "${%s} cannot be bound for this client",
                     found->slots->slots[acl_node_slot(node)].name);
    }
}

static int explain_rule(struct explaining *x, const struct acl_found *found)
{
    const struct acl_rule *rule = found->rule;
    struct acl_explained entry = {.rule = acl_found_id(found),
                                  .standing = ACL_OUTRANKED,
                                  .binding_priority = x->binding_priority,
                                  .priority = rule->priority,
                                  .allow = rule->allow};
    enum acl_outcome outcome;
    enum acl_condition_kind failed;
    int rc = acl_trial_run(&x->trial, found, &outcome, &failed);
    if (rc != GUARD_OK)
        return rc;
    switch (outcome) {
    case ACL_TRIAL_NOTHING:
        if (rule->allow)
            keep_nearest(x, found, &entry);
        return GUARD_OK;
    case ACL_TRIAL_CONDITION:
        entry.standing = ACL_CONDITION;
        say_condition(x, found, failed, &entry);
        break;
    case ACL_TRIAL_UNBINDABLE:
        entry.standing = ACL_UNBINDABLE;
        say_unbindable(x, found, &entry);
        break;
    case ACL_TRIAL_PARTLY:
        entry.standing = ACL_OVERLAPS;
        snprintf(entry.why, sizeof entry.why, "%s",
                 rule->allow ? "covers only a part of the filter" : "denies a part of the filter");
        break;
    case ACL_TRIAL_APPLIES:
        break;
    }
    return append(x, &entry);
}

static int explain_role(struct explaining *x, const struct acl_role_entry *entry, const struct acl_slots *slots,
                        uint32_t id)
{
    const struct acl_segment *segment = entry->segment;
    if (!segment)
        return GUARD_OK;
    const struct acl_segment_role *role = &segment->roles[entry->root];
    for (uint32_t i = 0; i < role->rule_count; i++) {
        struct acl_found found = {segment, slots, &segment->rules[role->first_rule + i], id};
        if (!(found.rule->actions & ACL_ACTION_BIT(x->trial.request->action)))
            continue;
        int rc = explain_rule(x, &found);
        if (rc != GUARD_OK)
            return rc;
    }
    return GUARD_OK;
}

static int explain_roles(struct explaining *x)
{
    const struct acl_subject *subject = x->trial.subject;
    int rc = GUARD_OK;
    for (uint32_t i = 0; i < subject->grant_count && rc == GUARD_OK; i++) {
        x->binding_priority = subject->grants[i].priority;
        rc = explain_role(x, &x->trial.policy->roles[subject->grants[i].role], x->trial.policy->slots,
                          subject->grants[i].role);
    }
    x->binding_priority = 0;
    if (rc == GUARD_OK)
        rc = explain_role(x, &subject->session, subject->session_slots, ACL_SESSION_ROLE);
    return rc;
}

static bool takes_part(const struct acl_explained *e)
{
    return e->standing == ACL_OUTRANKED || e->standing == ACL_OVERLAPS;
}

/* The rank that decides: of the deciding rule; every rule of that rank has its say. */
static void settle(struct acl_explanation *out)
{
    const struct acl_explained *decider = NULL;
    if (out->decision.reason == GUARD_REASON_WILDCARD_DENIED)
        return; /* nothing decides: some of it is allowed, but not all */
    for (size_t i = 0; i < out->count; i++)
        if (out->rules[i].rule == out->decision.rule && takes_part(&out->rules[i]))
            decider = &out->rules[i];
    if (!decider)
        return;
    int64_t rank = rank_of(decider);
    acl_rule_id id = decider->rule;
    for (size_t i = 0; i < out->count; i++) {
        struct acl_explained *e = &out->rules[i];
        if (!takes_part(e))
            continue;
        if (e->rule == id || (e->standing == ACL_OUTRANKED && rank_of(e) == rank))
            e->standing = ACL_DECIDES;
        else if (e->standing == ACL_OUTRANKED && rank & 1 && rank_of(e) == rank - 1)
            e->standing = ACL_OUTVOTED;
    }
}

static int in_order(const void *a, const void *b)
{
    const struct acl_explained *x = a, *y = b;
    bool dx = x->standing == ACL_DECIDES, dy = y->standing == ACL_DECIDES;
    if (dx != dy)
        return dy - dx;
    int64_t rx = rank_of(x), ry = rank_of(y);
    return rx != ry ? (rx < ry) - (rx > ry) : (x->rule > y->rule) - (x->rule < y->rule);
}

static bool is_answerable(const struct acl_decision *decision)
{
    return !(decision->flags & ACL_STALE) && decision->reason != GUARD_REASON_TOPIC_INVALID &&
           decision->reason != GUARD_REASON_TOPIC_TOO_LONG;
}

int acl_explain(struct acl_context *context, const struct acl_policy *policy, const struct acl_subject *subject,
                const struct acl_request *request, struct acl_explanation *explanation)
{
    struct acl_found found;
    *explanation = (struct acl_explanation){0};
    acl_check(context, policy, subject, request, &explanation->decision);
    if (acl_rule_find(policy, subject, explanation->decision.rule, &found))
        explanation->decision.rule = acl_found_id(&found);
    if (!is_answerable(&explanation->decision) || (unsigned)request->action >= ACL_ACTIONS)
        return GUARD_OK;
    if (request->action != ACL_SUBSCRIBE) /* the check may have had no need to cut it into levels */
        acl_topic_load(&context->topic, request->topic,
                       request->topic_length ? request->topic_length : strlen(request->topic));
    struct explaining x = {.trial = {context, policy, subject, request, false, malloc(sizeof *x.trial.scratch)},
                           .out = explanation};
    if (!x.trial.scratch)
        return GUARD_ERR_NOMEM;
    x.trial.shared = request->action == ACL_SUBSCRIBE && strncmp(request->topic, "$share/", 7) == 0;
    int rc = explain_roles(&x);
    free(x.trial.scratch);
    if (rc == GUARD_OK && explanation->decision.verdict != ACL_ALLOW && !x.allows && x.nearest.rule)
        rc = append(&x, &x.nearest);
    settle(explanation);
    if (explanation->count)
        qsort(explanation->rules, explanation->count, sizeof *explanation->rules, in_order);
    return rc;
}

void acl_explanation_free(struct acl_explanation *explanation)
{
    free(explanation->rules);
    *explanation = (struct acl_explanation){0};
}
