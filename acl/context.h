/* Scratch memory of one thread, and the parts of a check that more than one file has. */
#ifndef GUARD_ACL_CONTEXT_H
#define GUARD_ACL_CONTEXT_H

#include "acl/condition.h"
#include "acl/label.h"
#include "acl/model.h"

#define ACL_VISITS_TOPIC  4096  /* nodes visited in one publish or receive check */
#define ACL_VISITS_FILTER 65536 /* in one subscribe check, which walks once for each deny that overlaps */
#define ACL_STACK         1024

/* A topic or filter cut into levels. */
struct acl_topic {
    uint64_t serial; /* changes with every topic loaded */
    uint64_t seed;   /* of the hashes in levels */
    uint32_t length; /* 0: none */
    uint32_t count;  /* of levels; those behind ACL_LEVELS are not cut */
    bool dollar;     /* begins with `$` */
    char text[ACL_TEXT_MAX + 1 + 16];
    struct acl_level levels[ACL_LEVELS];
};

/* A branch of the trie still to be walked. */
struct acl_branch {
    uint32_t node;
    uint16_t depth; /* levels of the topic matched so far */
    bool deny_only; /* a placeholder on the way cannot be bound: allows do not count */
};

/* The best rule found so far. */
struct acl_best {
    int64_t rank;
    uint32_t role; /* id, or ACL_SESSION_ROLE */
    uint32_t node; /* rule == 0: the winner of this node's code */
    uint32_t rule; /* index + 1 */
    uint8_t end;
};

/* One question on its way. */
struct acl_walk {
    struct acl_context *context;
    const struct acl_policy *policy;
    const struct acl_subject *subject;
    struct acl_facts facts;
    enum acl_action action;
    uint32_t role; /* being walked */
    int64_t base;  /* rank of code 0 in it */
    struct acl_best best;
    int64_t failed_rank; /* of the best allow that only a condition kept out; ACL_RANK_NONE: none */
    enum acl_condition_kind failed;
    unsigned visits, visits_max;
    bool capped, broken;
};

#define ACL_JOINED 65536

#define ACL_MEMOS      4
#define ACL_CANDIDATES 8

/* A rule that decides for subjects whose values stand in these levels of the topic. */
struct acl_candidate {
    int64_t rank;
    uint32_t role, node;
    uint8_t end;
    uint8_t tests; /* 1 or 2 */
    struct {
        uint32_t slot;
        uint16_t level;
    } test[2];
};

/* What is the same for all clients of the same roles: a topic walked once, for whoever asks. */
struct acl_memo {
    uint64_t epoch, fingerprint, serial;
    uint32_t action;
    bool usable;        /* false: rules with conditions or other placeholders match, each client is walked */
    uint64_t consulted; /* bit i: level i was looked up among literals (i < 64) */
    uint8_t candidate_count;
    struct acl_best best;                            /* among the rules that match whoever the receiver is */
    struct acl_candidate candidates[ACL_CANDIDATES]; /* only those of higher rank than best */
};

#define ACL_PATTERNS      16  /* with variables, of each kind */
#define ACL_TOPICS        64  /* patterns without */
#define ACL_PATTERN_TEXT  192 /* longer topics are not learnt */
#define ACL_PATTERN_TESTS 6

/* A level of a pattern's topic that is, or is not, a subject's value. */
struct acl_pattern_test {
    uint32_t slot;
    bool first;             /* it is the first level, where a value with a leading `$` cannot be bound */
    int8_t variable;        /* the level is the value of slot[variable]; -1: */
    struct acl_level level; /* … this literal */
};

/*
 * A topic learnt, with up to two levels left open where a subject's own values stand: "devices/" ${username} "/data".
 * Every subject of the same roles that asks for it, with its own values, gets the decision. See recall.h.
 */
struct acl_pattern {
    uint64_t epoch, fingerprint;
    uint64_t key; /* acl_face.key of its subjects */
    uint8_t variables;
    uint8_t holds;     /* tests that must hold besides; they come first */
    uint8_t tests;     /* all; the others must not hold */
    bool opens;        /* the first level is a variable */
    uint16_t piece[3]; /* octets of the literal pieces around the variables */
    uint32_t fixed;    /* octets of all pieces */
    uint32_t slot[2];
    struct acl_decision decision;
    /* for acl_publishes_again, of an allow with one variable and nothing to be tested: */
    uint64_t quick_key;               /* the key; 0 = it is none */
    uint64_t head, head_mask;         /* what the topic's first eight octets must be, and which of them are meant */
    uint64_t tail, tail_mask;         /* the last eight */
    bool long_pieces;                 /* there is more to be compared */
    char text[ACL_PATTERN_TEXT + 16]; /* the pieces, NUL-terminated */
    struct acl_pattern_test test[ACL_PATTERN_TESTS];
};

/* Of one action. The place of a pattern is given by octets of the topic. */
struct acl_patterns {
    struct acl_pattern by_tail[ACL_PATTERNS]; /* with variables, and at least four literal octets at the end */
    struct acl_pattern by_head[ACL_PATTERNS]; /* with variables, the last of them at the end */
    struct acl_pattern by_both[ACL_TOPICS];   /* without variables */
    struct acl_pattern none;                  /* never written: answers nobody */
    const struct acl_pattern *latest;         /* learnt or of use last; NULL: none */
    unsigned unrecalled;                      /* topics walked since a pattern was of use */
    unsigned walked;                          /* topics walked */
};

/* The allow that depends on nothing but roles and topic which a receiver got last; acl_receives_again. */
struct acl_again {
    uint64_t key; /* acl_face.key; 0: none */
    const char *topic;
};

/* A filter on its way through the algebra of subscribe.c: levels, and whether '#' follows. */
struct acl_filter {
    unsigned count;
    bool open;
    struct acl_level levels[ACL_LEVELS];
};

struct acl_context {
    struct acl_topic topic;
    struct acl_memo memos[ACL_MEMOS];
    struct acl_patterns patterns[2]; /* ACL_PUBLISH, ACL_RECEIVE */
    uint64_t seen[8];                /* fingerprints that were walked lately */
    struct acl_again again;
    struct acl_branch stack[ACL_STACK];
    /* of a SUBSCRIBE */
    struct acl_filter asked;   /* the filter as it came */
    struct acl_filter filter;  /* normalised */
    struct acl_filter overlap; /* its intersection with a rule's */
    char joined[ACL_JOINED];   /* levels of the overlap that are prefix + value + suffix */
    size_t joined_used;
};

/* Loads a topic. GUARD_REASON_NONE, GUARD_REASON_TOPIC_INVALID or GUARD_REASON_TOPIC_TOO_LONG (then none is loaded). */
enum guard_reason acl_topic_load(struct acl_topic *topic, const char *text, size_t length);

/* Walks all roles of the subject for the topic loaded; the result is walk->best. */
void acl_walk_topic(struct acl_walk *walk);

/*
 * Judges the rules that end at a node beyond its codes: those with conditions, or (deny_only) every deny. asked: the
 * filter of a SUBSCRIBE, for exact rules; NULL otherwise. wanted: 0 every effect, ACL_ALLOW, ACL_DENY. Updates
 * walk->best and walk->failed.
 */
void acl_walk_rules(struct acl_walk *walk, const struct acl_segment *segment, uint32_t node, enum acl_end end,
                    bool deny_only, enum acl_verdict wanted);

/* Answers from the memo of the topic that is loaded, making it first; false: walk. *memo is the one used. */
bool acl_memo_answer(struct acl_walk *walk, const struct acl_memo **memo);

/* Keeps a decision made from a memo as a pattern, if it can be one. */
void acl_recall_learn(const struct acl_walk *walk, const struct acl_memo *memo, const struct acl_decision *decision);

/* Notes the pattern that was learnt or of use last, for the next receiver. */
void acl_recall_latest_is(struct acl_context *context, struct acl_patterns *patterns,
                          const struct acl_pattern *pattern);

/* Whether a pattern's tests come out as they must for this subject. */
bool acl_recall_tests(const struct acl_pattern *pattern, const struct acl_subject *subject);

/* acl_face.key: a subject's fingerprint is keyed, and its generation is in it. */
static inline uint64_t acl_face_key(uint64_t fingerprint, uint64_t epoch)
{
    return (fingerprint ^ epoch * ACL_HASH_FACTOR) | 1;
}

/* acl_check for ACL_SUBSCRIBE. */
enum acl_verdict acl_check_subscribe(struct acl_walk *walk, struct acl_decision *decision);

/* Whether an exact rule's bound filter is the filter asked for. */
bool acl_rule_is_asked(const struct acl_walk *walk, const struct acl_segment *segment, const struct acl_rule *rule);

/* ---- filter.c ---- */

/* Cuts a filter into levels, which point into text. GUARD_REASON_NONE, _TOPIC_INVALID or _TOPIC_TOO_LONG. */
enum guard_reason acl_filter_parse(const char *text, size_t length, struct acl_filter *filter);

/*
 * Makes "#" "+/#" and "/#" "/+/#": the same topics, since the empty topic does not exist. False if the filter is that
 * empty topic, that is, matches nothing.
 */
bool acl_filter_normalise(struct acl_filter *filter);

/* ---- cover.c ---- */

/*
 * Whether the rules of an effect (ACL_ALLOW or ACL_DENY) with ranks above `above` cover every topic of a normalised
 * filter. best: if not NULL and covered, a covering rule, of the highest rank that was met.
 */
bool acl_cover(struct acl_walk *walk, const struct acl_filter *filter, enum acl_verdict effect, int64_t above,
               struct acl_best *best);

/* The rank of the best rule of an effect that ends at a node, which is left in walk->best; ACL_RANK_NONE: there is
 * none. */
int64_t acl_best_at(struct acl_walk *walk, const struct acl_segment *segment, uint32_t node, enum acl_end end,
                    bool deny_only, enum acl_verdict effect);

/* ---- overlap.c ---- */

/* Called for a rule (walk->best) with context->overlap, normalised; false: stop. May use acl_cover. */
typedef bool acl_overlap_visit(struct acl_walk *walk, const struct acl_best *rule, void *data);

/* Visits every rule of an effect that some topic of context->filter matches. False if visit stopped it. */
bool acl_overlaps(struct acl_walk *walk, enum acl_verdict effect, acl_overlap_visit *visit, void *data);

/* Fills the decision of a rank; the reason of none from walk->failed. */
enum acl_verdict acl_decide(const struct acl_walk *walk, struct acl_decision *decision);

/* The id of the best rule, 0 if a default decided. */
acl_rule_id acl_best_id(const struct acl_best *best, enum acl_action action);

/* Which bit of acl_role_entry.first the topic that is loaded asks for. */
static inline uint16_t acl_first_bit(const struct acl_walk *walk)
{
    struct acl_level *level = &walk->context->topic.levels[0];
    if (!level->hash)
        level->hash = acl_label_hash(walk->policy->seed, level->head, level->text, level->length);
    return ACL_FIRST_BIT(level->hash);
}

static inline acl_rule_id acl_make_id(uint32_t role, uint32_t rule)
{
    return (uint64_t)(role + 1) << 32 | rule;
}

#endif
