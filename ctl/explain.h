/* The parts of `guardctl explain`: binding a query's client, answering one question at length, answering many in a line
 * each. */
#ifndef GUARD_CTL_EXPLAIN_H
#define GUARD_CTL_EXPLAIN_H

#include "acl/acl.h"
#include "core/error.h"
#include "ctl/explain_query.h"
#include "ctl/policy_source.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- clients ---- */

/* A client bound to the policy, and to its classifier if there is one (ctl/policy_source.h). */
struct explain_subject {
    struct acl_subject *subject;
    struct acl_subject *classified; /* NULL without a classifier */
};

/* Clients bound so far in this run, found again by everything that makes their identity. */
struct explain_subjects;
struct explain_subjects *explain_subjects_new(const struct ctl_policy *source); /* NULL: out of memory */
void explain_subjects_free(struct explain_subjects **subjects);

/* The query's client, bound now or before; valid until the next call. NULL: err says why. */
const struct explain_subject *explain_subjects_get(struct explain_subjects *subjects, const struct explain_query *query,
                                                   struct guard_error *err);

/* ---- answers ---- */

struct explain_run {
    const struct ctl_policy *source;
    struct acl_context *context;
    struct explain_subjects *subjects;
    int64_t now; /* Unix seconds */
};

/* What acl_check is asked for this query. */
struct acl_request explain_request(const struct explain_query *query, int64_t now);

/*
 * acl_check, with the coverage also where the mode is off (and so nobody asked for it). An invalid filter has coverage
 * none.
 */
void explain_decide(const struct explain_run *run, const struct explain_query *query,
                    const struct explain_subject *subject, struct acl_decision *decision);

/* "full", "partial" or "none". */
const char *explain_coverage_name(enum acl_coverage coverage);

/*
 * What decided: "role/rule" of the deciding rule; "default/publish" (receive, subscribe-only, mode) where a default
 * allows; "" for a refusal without a rule. Returns buffer.
 */
const char *explain_decided_by(const struct explain_run *run, const struct explain_query *query,
                               const struct explain_subject *subject, const struct acl_decision *decision, char *buffer,
                               size_t size);

/* Room for "role/rule" with the longest names a policy may have. */
#define EXPLAIN_NAME_SIZE 2200

/* Prints verdict, rules and reasons for people, or as one JSON object. Returns an enum ctl_exit. */
int explain_report(const struct explain_run *run, const struct explain_query *query, bool json);

/* Answers the lines of stdin, one line each. Returns an enum ctl_exit. */
int explain_batch(const struct explain_run *run);

#endif
