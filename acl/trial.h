/*
 * One rule tried alone, by the engine itself: it is put into a segment of its own, and the same walks are made. So an
 * explanation cannot differ from a decision.
 */
#ifndef GUARD_ACL_TRIAL_H
#define GUARD_ACL_TRIAL_H

#include "acl/context.h"
#include "acl/describe.h"
#include "acl/parse.h"

enum acl_outcome {
    ACL_TRIAL_NOTHING,    /* does not match */
    ACL_TRIAL_APPLIES,    /* matches the topic; SUBSCRIBE: all of the filter */
    ACL_TRIAL_PARTLY,     /* SUBSCRIBE: matches some topics of the filter */
    ACL_TRIAL_CONDITION,  /* would match, but a condition does not hold */
    ACL_TRIAL_UNBINDABLE, /* an allow that would match if a placeholder could be bound */
};

struct acl_trial {
    struct acl_context *context; /* the question's topic or filter is loaded */
    const struct acl_policy *policy;
    const struct acl_subject *subject;
    const struct acl_request *request;
    bool shared;
    struct acl_parsed *scratch;
};

/* GUARD_OK, or GUARD_ERR_NOMEM. *failed: the condition of ACL_TRIAL_CONDITION. */
int acl_trial_run(const struct acl_trial *trial, const struct acl_found *rule, enum acl_outcome *outcome,
                  enum acl_condition_kind *failed);

/*
 * How near a rule that does not match came: the number of levels of the question that match from the left; why says
 * what stands against it.
 */
unsigned acl_trial_nearness(const struct acl_trial *trial, const struct acl_found *rule, char *why, size_t size);

#endif
