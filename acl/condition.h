/* The conditions of a rule: parsed, judged, printed. */
#ifndef GUARD_ACL_CONDITION_H
#define GUARD_ACL_CONDITION_H

#include "acl/parse.h"
#include "acl/scan.h"

/* Parses the word of that length at scan->at into out. GUARD_OK or GUARD_ERR_SYNTAX; a condition that stands twice is a
 * fault. */
int acl_condition_parse(struct acl_scan *scan, size_t length, struct acl_parsed *out);

/* What conditions are judged on. */
struct acl_facts {
    const struct acl_request *request;
    const struct acl_subject *subject;
    bool shared; /* the filter came as $share/… */
};

/*
 * The first condition that does not hold, in the order qos, retain, size, payload, from, until, share; 0 if all hold.
 * allow: the effect of the rule, for facts that are not known.
 */
enum acl_condition_kind acl_condition_failing(const struct acl_condition *condition, const struct acl_net *nets,
                                              bool allow, const struct acl_facts *facts);

/* Appends " qos<=1 from=10.0.0.0/8" to buffer (size octets, terminated). */
void acl_condition_format(const struct acl_condition *condition, const struct acl_net *nets, char *buffer, size_t size);

/* Why a condition does not hold, for people. */
void acl_condition_explain(enum acl_condition_kind failing, const struct acl_condition *condition,
                           const struct acl_facts *facts, char *buffer, size_t size);

/* The reason of a refusal that only this condition caused. */
enum guard_reason acl_condition_reason(enum acl_condition_kind failing);

#endif
