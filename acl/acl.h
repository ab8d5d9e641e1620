/*
 * The rule engine: policy text -> compiled policy; identity + action + topic -> verdict + rule (docs/policy.md).
 * Pure: no I/O, no clock, no log; acl_check does not allocate, lock or call the system.
 *
 * Objects: a *policy* is immutable and shared by reference count; a *subject* is one client's binding to it (roles,
 * placeholder values, address), immutable, owned by its session; a *context* is one thread's scratch memory.
 *
 * What docs/policy.md leaves open and this engine decides:
 *  - Effects and actions are read without regard to case, conditions with. Words are parted by blanks or tabs; a comma
 * in the list of actions may have blanks behind it. A condition may stand once. priority is -1000000000..1000000000, so
 * is a binding priority; K = 1024, M = 1024 * 1024 octets; qos<=0..2.
 *  - from= takes IPv4 and IPv6 addresses and prefixes; bits behind the prefix are ignored, ::ffff:a.b.c.d is a.b.c.d.
 *  - until=T: the rule applies while now < T.
 *  - A filter template has at most 200 levels and 4 `|path` placeholders; a `|path` value at most 64 levels (else
 * unbindable).
 *  - `$` without `{` behind it is an ordinary character. A placeholder's name is username, client_id, clientid, or
 *    cert.X, jwt.X, attr.X with X of letters, digits, '_', '-', '.', ':'.
 *  - Conditions are judged on the request as given. What is not known fails closed both ways: address not known -> an
 * allow with from= does not apply, a deny with from= does; the same for payload=json without a payload on publish and
 *    receive. On SUBSCRIBE payload= is not judged (it holds). share= is judged only on SUBSCRIBE.
 *  - `exact`: the rule is considered only when the requested topic or filter ($share/<group>/ taken off) is octet-equal
 * to the rule's bound filter. An unbindable level of a deny then equals any one level.
 *  - An assignment is `role[:priority]{,role[:priority]} when test {and test}`;
 *    test := anonymous | named | name = value | name has value | name contains value. name is username, client_id,
 * cert.X, jwt.X or attr.X; value is a bare word or a quoted JSON string. `=`: the fact has exactly one value and that
 * is it; `has`: one of its values is it. For jwt.scope and jwt.scp the words of a value, parted by blanks, count as
 * values for `has` (RFC 6749 §3.3). `contains`: the value stands somewhere in one of the fact's values. anonymous: the
 * subject has no user name, or its identity's method is GUARD_AUTH_ANONYMOUS; named: neither.
 *  - [default] takes roles, mode, publish, receive, subscribe-only, and subscribe (sets receive and subscribe-only).
 *  - The same rule name twice in one role is an error.
 */
#ifndef GUARD_ACL_ACL_H
#define GUARD_ACL_ACL_H

#include "core/error.h"
#include "core/identity.h"
#include "core/policy_text.h"
#include "core/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acl_policy;
struct acl_subject;
struct acl_context;

/* ---- compiling ------------------------------------------------------------------------------------------------ */

struct acl_compile_options {
    /*
     * false: any error in the text -> no policy.
     * true: a role with an error is reported, but the others compile. It keeps the version of the base policy (edit);
     * where there is none it is *broken*: whoever holds it is denied everything, until it is edited. Errors in [assign]
     * and [default] keep those of the base; in acl_policy_compile they still give no policy.
     */
    bool keep_bad_roles;
    bool ignore_clients; /* do not check [client …] lines */
};

/*
 * Compiles roles, [assign] and [default]; the fields of [client] are only checked. The policy copies what it needs of
 * text. options may be NULL (all false). Every fault is added to problems (may be NULL) with place, line, column
 * (inside a value: the value's column + offset; in Redis, where the value's column is 0: offset + 1) and what was
 * expected. GUARD_OK: *out has one reference; problems may hold warnings. Else *out is NULL: GUARD_ERR_SYNTAX or
 * GUARD_ERR_NOMEM.
 */
int acl_policy_compile(const struct guard_policy_text *text, const struct acl_compile_options *options,
                       struct acl_policy **out, struct guard_problems *problems);

/* What changed. Roles in `roles` that have lines in text are replaced (or added), those without are removed. */
struct acl_edit {
    const struct guard_policy_text *text;
    const char *const *roles;
    size_t role_count;
    bool bindings; /* [assign] and [default] are replaced as a whole by those of text (none there: none) */
};

/*
 * A new policy that shares everything unchanged with base, which stays as it is. The cost is that of the edited roles
 * plus a copy of the role directory (24 bytes a role); lines of text for roles that are not in edit->roles are ignored.
 * Return values as above; on failure base is all there is, and stays valid.
 */
int acl_policy_edit(const struct acl_policy *base, const struct acl_edit *edit,
                    const struct acl_compile_options *options, struct acl_policy **out,
                    struct guard_problems *problems);

/* Whether edits have left so much behind that acl_policy_compact would pay. Cheap. */
bool acl_policy_wants_compaction(const struct acl_policy *policy);

/* The same policy in one piece (same roles, ids and generation; another epoch). Costs about a compile. GUARD_OK or
 * GUARD_ERR_NOMEM. */
int acl_policy_compact(const struct acl_policy *base, struct acl_policy **out);

/* From any thread. release frees with the last reference, which may take long: not on the broker thread. NULL is
 * ignored. */
struct acl_policy *acl_policy_retain(const struct acl_policy *policy);
void acl_policy_release(struct acl_policy *policy);

/*
 * A subject can be checked against every policy of the same generation (never 0, unique in the process). It changes
 * when assignments, defaults or the set of placeholders change, or a role is added; then subjects must be bound again.
 */
uint64_t acl_policy_generation(const struct acl_policy *policy);

enum acl_mode { ACL_MODE_STRICT, ACL_MODE_LENIENT, ACL_MODE_OFF };
enum acl_mode acl_policy_mode(const struct acl_policy *policy);

/* ---- subjects ------------------------------------------------------------------------------------------------- */

struct acl_bind {
    const char *username;                        /* NULL: none */
    const char *client_id;                       /* NULL: none */
    const char *address;                         /* text of an IPv4 or IPv6 address; NULL or anything else: not known */
    const struct guard_identity *identity;       /* roles, attributes, acl_json and method are read; NULL: none */
    const struct guard_role_grant *record_roles; /* of the client record */
    size_t record_role_count;
    const struct guard_attribute *record_attributes; /* of the client record; names begin with "attr." */
    size_t record_attribute_count;
    bool only_roles; /* the next two REPLACE every role the policy, the record and the credential would bind */
    const struct guard_role_grant *roles;
    size_t role_count;
};

/*
 * Binds a client: default roles, the record's, the identity's, assignments, and the identity's own acl claim (rules of
 * session role "token", binding priority 0; at most 256). A role given twice has the highest of its binding priorities;
 * a role the policy does not have is nothing. Names of attributes are compared exactly; record_attributes go before the
 * identity's. Nothing of bind is referenced afterwards. An acl claim that cannot be taken is GUARD_ERR_SYNTAX: refuse
 * the client. GUARD_OK, GUARD_ERR_SYNTAX, GUARD_ERR_LIMIT or GUARD_ERR_NOMEM; *out is NULL on failure.
 */
int acl_subject_bind(const struct acl_policy *policy, const struct acl_bind *bind, struct acl_subject **out,
                     struct guard_error *err);

/*
 * Whether an [assign] line gives this client a role (bind as for acl_subject_bind). Clients without credentials are
 * admitted only then: the roles that everybody has do not open the door.
 */
bool acl_policy_assigns(const struct acl_policy *policy, const struct acl_bind *bind);

/* Frees it and sets *subject to NULL; *subject may be NULL. */
void acl_subject_free(struct acl_subject **subject);

/* Whether the subject fits the policy; acl_check asks by itself (ACL_STALE). */
bool acl_subject_is_current(const struct acl_policy *policy, const struct acl_subject *subject);

/*
 * The name ("jwt.site") of a placeholder, in a rule the subject holds, that cannot be bound to it; NULL if none. For
 * the check of identities at CONNECT; walks the rules of roles with placeholders. Valid as long as the policy and the
 * subject.
 */
const char *acl_subject_unbindable(const struct acl_policy *policy, const struct acl_subject *subject);

/* Number of roles bound, and the role of that index with its binding priority (name valid as long as the policy). */
size_t acl_subject_role_count(const struct acl_subject *subject);
const char *acl_subject_role(const struct acl_policy *policy, const struct acl_subject *subject, size_t index,
                             int32_t *priority);

/* ---- checking ------------------------------------------------------------------------------------------------- */

enum acl_action {
    ACL_PUBLISH = 0,
    ACL_RECEIVE = 1,  /* a message is about to be delivered */
    ACL_SUBSCRIBE = 2 /* the SUBSCRIBE packet; topic is a filter, also $share/<group>/<filter> */
};

/* Far apart, so that no flipped bit makes an allow; compare with ACL_ALLOW and nothing else. */
enum acl_verdict {
    ACL_NONE = 0,           /* no rule applies and the default does not allow: refused */
    ACL_ALLOW = 0x2f15a6c9, /* the only value that grants */
    ACL_DENY = 0x50ea5936   /* a deny rule, an invalid request, or a cap */
};

enum acl_coverage {                             /* of a SUBSCRIBE filter by what the subject may receive */
                    ACL_COVERAGE_NOT_ASKED = 0, /* publish, receive, mode off, or an invalid filter */
                    ACL_COVERAGE_NONE,
                    ACL_COVERAGE_PARTIAL,
                    ACL_COVERAGE_FULL
};

struct acl_request {
    enum acl_action action;
    uint8_t qos;
    bool retain;
    const char *topic;
    size_t topic_length; /* 0: topic is NUL-terminated and not measured yet */
    const void *payload; /* NULL: not known (an empty payload is "") */
    size_t payload_length;
    int64_t now; /* Unix seconds, for until= */
};

enum acl_flag {
    ACL_STALE = 1, /* the subject is of another generation: bind again and ask again; the verdict is ACL_DENY */
    ACL_CAPPED = 2 /* the walk was given up after too many nodes; the verdict is not ACL_ALLOW. Log it once. */
};

typedef uint64_t acl_rule_id; /* 0 = no rule (a default, nothing matched, or an invalid request) */

struct acl_decision {
    enum acl_verdict verdict;
    enum guard_reason reason;   /* GUARD_REASON_NONE when allowed */
    enum acl_coverage coverage; /* ACL_SUBSCRIBE only */
    uint32_t flags;             /* of enum acl_flag */
    acl_rule_id rule;           /* the (or one) deciding rule, for acl_rule_describe with this policy and subject */
};

/* Scratch memory of one thread, about 100 KB; NULL when out of memory. */
struct acl_context *acl_context_new(void);
void acl_context_free(struct acl_context **context);

/*
 * Decides. Reasons of a refusal: topic_invalid, topic_too_long, acl_deny_rule, wildcard_denied (a SUBSCRIBE that is
 * only partly allowed, in strict mode), policy_parse_error (a broken role), internal_error (ACL_STALE, ACL_CAPPED);
 * where nothing applies because only conditions failed on rules that would have allowed, the condition of the
 * highest-ranking of them: qos_denied, retain_denied, payload_too_large, payload_rejected; sys_topic_denied (nothing
 * applies to a topic that begins with
 * `$`), acl_no_match. decision is always filled; the return value is decision->verdict.
 */
enum acl_verdict acl_check(struct acl_context *context, const struct acl_policy *policy,
                           const struct acl_subject *subject, const struct acl_request *request,
                           struct acl_decision *decision);

/*
 * What the quickest answers need of a subject, for callers that keep it beside what they look at anyway: with ten
 * thousand clients a subject is in no cache. Plain octets, made for one policy object: after an exchange or an edit,
 * make it anew.
 */
#define ACL_FACE_TEXT 76

struct acl_face {
    uint64_t key;      /* roles, generation and policy; never 0 */
    uint8_t slot[2];   /* placeholders whose values are in text, */
    uint8_t length[2]; /* one behind the other; 0: none */
    char text[ACL_FACE_TEXT];
};

void acl_face_make(const struct acl_policy *policy, const struct acl_subject *subject, struct acl_face *face);

/*
 * For one message to many receivers: whether a subject with this face (its key) may receive it by the very answer the
 * context gave last, which was an allow that depends on nothing but roles and topic (compared octet by octet). False
 * means: ask acl_check.
 */
bool acl_receives_again(const struct acl_context *context, uint64_t key, const char *topic);

/*
 * Whether a subject with this face may publish to the topic by an answer given before to a subject of the same roles:
 * an allow that depends on nothing but roles and the topic, in which the subject's own value stands where the other's
 * did. Returns where the deciding rule's id stands until the next question to the context; NULL means: ask acl_check.
 */
const acl_rule_id *acl_publishes_again(struct acl_context *context, const struct acl_face *face, const char *topic);

/* ---- explaining ----------------------------------------------------------------------------------------------- */

enum acl_standing {
    ACL_DECIDES,    /* top rank, winning effect */
    ACL_OUTRANKED,  /* applies, but a rule of higher rank decides */
    ACL_OUTVOTED,   /* an allow at the rank of a deny that decides */
    ACL_OVERLAPS,   /* SUBSCRIBE: concerns a part of the filter; allow: not all of it, deny: some topics of it */
    ACL_CONDITION,  /* matches, but a condition does not hold */
    ACL_UNBINDABLE, /* an allow with a placeholder that cannot be bound */
    ACL_NEAREST     /* of a refusal without any of the above allows: the allow that came nearest */
};

struct acl_explained {
    acl_rule_id rule;
    enum acl_standing standing;
    int32_t binding_priority;
    int32_t priority;
    bool allow;
    char why[160]; /* "size<=1K does not hold: the payload has 2,048 octets"; "level 2 is not ${username}"; "" */
};

struct acl_explanation {
    struct acl_decision decision; /* exactly what acl_check says */
    struct acl_explained *rules;  /* deciding rules first, then by rank */
    size_t count;
};

/*
 * acl_check with reasons; slow, allocates. GUARD_OK or GUARD_ERR_NOMEM. The caller frees *explanation in both cases.
 * Rules of other actions and rules that do not match are left out, but for ACL_NEAREST.
 */
int acl_explain(struct acl_context *context, const struct acl_policy *policy, const struct acl_subject *subject,
                const struct acl_request *request, struct acl_explanation *explanation);
void acl_explanation_free(struct acl_explanation *explanation);

/* ---- looking inside ------------------------------------------------------------------------------------------- */

#define ACL_ACTION_BIT(action) (1U << (action))

struct acl_rule_info {
    acl_rule_id id;
    const char *role;  /* "token" for a session's own rules */
    const char *name;  /* of the rule in its role */
    const char *place; /* file or Redis key */
    unsigned line;
    bool allow;
    unsigned actions; /* ACL_ACTION_BIT of each elementary action */
    int32_t priority;
    bool exact, conditional, has_placeholder, has_wildcard, is_everything /* ** */;
};

/*
 * Fills info about a rule of the policy or, with subject (may be NULL), of the session's own. The strings live as long
 * as the policy or subject. GUARD_OK or GUARD_ERR_NOT_FOUND (info zeroed, strings "").
 */
int acl_rule_describe(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                      struct acl_rule_info *info);

/* Writes "role/name" (cut to size, always terminated) and returns buffer; "" for no rule. */
const char *acl_rule_name(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                          char *buffer, size_t size);

/* Writes the rule in the policy language, normalised (cut to size, always terminated), and returns buffer. */
const char *acl_rule_text(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                          char *buffer, size_t size);

/* Writes only its filter template. */
const char *acl_rule_filter(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                            char *buffer, size_t size);

size_t acl_policy_rule_count(const struct acl_policy *policy);
size_t acl_policy_role_count(const struct acl_policy *policy);
size_t
acl_policy_memory(const struct acl_policy *policy); /* octets; segments shared with other policies count in full */

/*
 * Calls visit for every rule, role by role; role NULL: of all roles. Stops when visit returns false. Returns the number
 * of calls. The info is valid during the call.
 */
size_t acl_policy_each_rule(const struct acl_policy *policy, const char *role,
                            bool (*visit)(void *data, const struct acl_rule_info *info), void *data);

struct acl_role_info {
    const char *name;
    size_t rule_count;
    bool by_default;    /* [default] roles */
    bool by_assignment; /* an [assign] line names it */
    bool missing;       /* bound by one of those, but not defined */
    bool broken;        /* see keep_bad_roles */
    bool slow; /* one check may visit more than a quarter of the cap: many overlapping wildcard or placeholder levels */
};
size_t acl_policy_each_role(const struct acl_policy *policy,
                            bool (*visit)(void *data, const struct acl_role_info *info), void *data);

/* Every placeholder the rules use, by name ("username", "jwt.sites"); index < count. */
size_t acl_policy_placeholder_count(const struct acl_policy *policy);
const char *acl_policy_placeholder(const struct acl_policy *policy, size_t index);

/*
 * Templates against each other, equal placeholders being equal and others unknown: whether every topic rule b can match
 * is matched by rule a, for whichever subject (false when not sure); whether one topic may match both (true when not
 * sure).
 */
bool acl_rule_covers(const struct acl_policy *policy, acl_rule_id a, acl_rule_id b);
bool acl_rule_overlaps(const struct acl_policy *policy, acl_rule_id a, acl_rule_id b);

/* ---- topics and filters (MQTT 5.0 §4.7), NUL-terminated and without placeholders ------------------------------ */

bool acl_topic_is_valid(const char *topic, size_t length);
bool acl_filter_is_valid(const char *filter, size_t length);
bool acl_filter_matches(const char *filter, const char *topic);
bool acl_filter_covers(const char *rule, const char *filter);
bool acl_filter_overlaps(const char *a, const char *b);

/*
 * Parses one rule for its grammar only. GUARD_OK, or GUARD_ERR_SYNTAX with err's column (1-based, in bytes) and text.
 */
int acl_rule_parse_check(const char *text, struct guard_error *err);

#endif
