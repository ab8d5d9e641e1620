/*
 * What a compiled policy is made of.
 *
 * All rules of a *segment* stand in one trie, kept in one table of 64-byte nodes: a node's place is told by the hash of
 * its path (label.h), its parent's index and its label are compared exactly. Each role has a root of its own. A segment
 * holds no address, only indices and offsets into its own arrays. A policy is a directory from
 * role ids to (segment, root): a bulk compile makes one segment, an edit a small one more. Placeholders are children of
 * a kind of their own
 * (*typed*): their values are looked up in the subject while a topic is matched, never pasted into the trie.
 */
#ifndef GUARD_ACL_MODEL_H
#define GUARD_ACL_MODEL_H

#include "acl/acl.h"
#include "core/slab.h"

#include <stdatomic.h>

#define ACL_ACTIONS        3
#define ACL_FILTER_LEVELS  200 /* of a template (the broker's TOPIC_HIERARCHY_LIMIT) */
#define ACL_FILTER_PATHS   4
#define ACL_PATH_LEVELS    64
#define ACL_ANY_MEMBERS    64
#define ACL_LEVELS         512 /* more than a bound template can have: 200 + 4 * 63 */
#define ACL_TEXT_MAX       65535
#define ACL_PRIORITY_LIMIT 1000000000

/*
 * A *code* is a rule's priority and effect in one number: larger wins, and deny wins against allow of the same
 * priority. A *rank* is a code with the binding priority above it. Odd means deny in both.
 */
#define ACL_CODE_NONE          INT32_MIN
#define ACL_RANK_NONE          INT64_MIN
#define ACL_RANK_DEFAULT_ALLOW (INT64_MIN + 2)

static inline int32_t acl_code(int32_t priority, bool allow)
{
    return priority * 2 + !allow;
}

/* The rank of code 0 under a binding priority; a rank is this plus a code. */
static inline int64_t acl_rank_base(int32_t binding_priority)
{
    return (int64_t)binding_priority * ((int64_t)1 << 32);
}

enum acl_node_kind {
    ACL_NODE_EMPTY = 0, /* a free place of the table */
    ACL_NODE_ROOT,
    ACL_NODE_LITERAL,
    ACL_NODE_PLUS,
    ACL_NODE_ONE, /* ${name}: exactly one value */
    ACL_NODE_ANY, /* ${name|any} */
    ACL_NODE_PATH /* ${name|path} */
};

enum acl_node_flag {
    ACL_HAS_SPECIAL = 1,   /* a child is + or a placeholder; those come first among the children */
    ACL_HAS_LITERAL = 2,   /* a child is a literal */
    ACL_ONE_CHILD = 4,     /* its only child is a literal, first_child */
    ACL_HAS_CONDITION = 8, /* a rule ends here whose code is not in the arrays: it has conditions or is exact */
    ACL_DENY_BELOW = 16,   /* a deny with ACL_SUBSCRIBE ends here or below */
    ACL_HAS_OPEN = 32,     /* a rule with '#' ends here (at the root: "#") */
    ACL_HAS_EXACT = 64,    /* a rule without '#' ends here (at the root: "**") */
    ACL_MORE = 128         /* of the table's place: what is not here may be in the next one */
};

/* Bit end * ACL_ACTIONS + action of a node's marks: it has a code for them. And: */
enum acl_node_mark {
    ACL_MANY_CODES = 64, /* codes that differ: code is an index into the segment's codes */
    ACL_FIRST_LEVEL = 128
};

enum acl_end { ACL_END_EXACT = 0, ACL_END_OPEN = 1 };

#define ACL_INLINE_LABEL 36 /* octets of a literal that fit into its node; an UUID does */
#define ACL_LONG_LABEL   255

struct acl_node {
    uint64_t head;        /* literal: its first 8 octets as they lie in memory; placeholder: its slot, and the prefix's
                             length << 32 */
    uint32_t tail[7];     /* literal: its octets 8 to 35; of length ACL_LONG_LABEL: offset into the pool, and length */
    uint32_t parent;      /* index; of a root: its own */
    uint32_t first_child; /* 0: none (index 0 is a root, and no root is a child) */
    uint32_t next_sibling;
    uint32_t rules; /* the first rule that ends here, + 1; 0: none */
    uint32_t hash;  /* of the path */
    int32_t code;   /* the winner among the rules without conditions, for the ends and actions in marks */
    uint8_t length; /* of a literal up to ACL_INLINE_LABEL; of a placeholder alone in its level 0; ACL_LONG_LABEL:
                       see tail (of a placeholder: of prefix and suffix) */
    uint8_t kind;
    uint8_t flags;
    uint8_t marks;
};
_Static_assert(sizeof(struct acl_node) == 64, "a node is one cache line");

static inline uint32_t acl_node_slot(const struct acl_node *node)
{
    return (uint32_t)node->head;
}

static inline uint32_t acl_node_prefix(const struct acl_node *node)
{
    return (uint32_t)(node->head >> 32);
}

struct acl_rule {
    uint32_t node;
    uint32_t next; /* the next rule that ends at this node, + 1; 0: none */
    uint32_t role; /* of the segment */
    uint32_t name; /* offsets into the pool */
    uint32_t place;
    uint32_t line;
    int32_t priority;
    uint32_t condition; /* index + 1; 0: none */
    uint8_t allow;
    uint8_t actions; /* ACL_ACTION_BIT */
    uint8_t end;     /* enum acl_end */
    uint8_t flags;   /* enum acl_rule_flag */
};

enum acl_rule_flag { ACL_RULE_EXACT = 1, ACL_RULE_TYPED = 2, ACL_RULE_WILD = 4 };

enum acl_condition_kind {
    ACL_IF_QOS = 1,
    ACL_IF_RETAIN = 2,
    ACL_IF_SIZE = 4,
    ACL_IF_FROM = 8,
    ACL_IF_UNTIL = 16,
    ACL_IF_SHARE = 32,
    ACL_IF_JSON = 64
};

struct acl_net {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t prefix;      /* 0..128 */
};

struct acl_condition {
    uint64_t size; /* octets at most */
    int64_t until; /* Unix seconds */
    uint32_t first_net, net_count;
    uint8_t kinds; /* of enum acl_condition_kind */
    uint8_t qos;
    bool shared; /* share=yes */
};

struct acl_segment_role {
    uint32_t first_rule, rule_count;
    uint32_t id; /* in the directory */
    bool typed;  /* a rule holds a placeholder */
};

struct acl_segment {
    atomic_uint references;
    struct acl_node *nodes; /* roots first, one a role; then the table; behind it the shifts */
    uint32_t root_count;
    uint32_t table_size;
    uint8_t *shifts; /* of the groups that hashes fall into: so many times its nodes were moved */
    uint32_t shift_count;
    int32_t (*codes)[2][ACL_ACTIONS]; /* [enum acl_end] */
    uint32_t code_count;
    struct acl_rule *rules; /* role by role */
    uint32_t rule_count;
    struct acl_condition *conditions;
    uint32_t condition_count;
    struct acl_net *nets;
    uint32_t net_count;
    char *pool; /* strings, each with a NUL */
    uint32_t pool_size;
    struct acl_segment_role *roles;
    uint64_t seed;
    struct guard_slab *slab; /* that all arrays lie in; NULL: they are the segment's own */
};

/* Where a role's rules are now. */
struct acl_role_entry {
    const struct acl_segment *segment; /* NULL: no rules */
    uint32_t root;
    uint16_t first; /* ACL_FIRST_BIT of every first level its filters begin with; all bits: others, too */
    bool broken;    /* a role that could not be compiled: everything is denied to its holders; segment is NULL */
};

#define ACL_FIRST_ANY       0xffff
#define ACL_FIRST_BIT(hash) ((uint16_t)(1U << ((hash) >> 28)))

/* A segment in use, and how much of it. */
struct acl_part {
    struct acl_segment *segment;
    size_t live_rules;
};

struct acl_policy {
    atomic_uint references;
    uint64_t generation;
    uint64_t epoch; /* unique for each policy of the process */
    uint64_t seed;
    const struct acl_role_entry *roles; /* by role id */
    uint32_t role_count;                /* length of roles: every id ever given */
    int64_t default_rank[ACL_ACTIONS];
    enum acl_mode mode;
    struct acl_names *names;       /* role names <-> ids */
    struct acl_slots *slots;       /* placeholders */
    struct acl_bindings *bindings; /* [assign], [default] */
    struct acl_part *parts;
    size_t part_count;
    size_t rule_count;
};

/* One level of a topic, a filter or a value. */
enum acl_token { ACL_TOKEN_LITERAL = 0, ACL_TOKEN_PLUS, ACL_TOKEN_ANY /* any one level, `$…` too */ };

struct acl_level {
    uint64_t head; /* the first 8 octets as they lie in memory, zero behind the end */
    const char *text;
    uint32_t length;
    uint32_t hash; /* 0: not computed yet */
    uint32_t kind; /* enum acl_token */
};

/* A placeholder's value in a subject. */
enum acl_value_state { ACL_VALUE_UNBOUND = 0, ACL_VALUE_BOUND, ACL_VALUE_SET };

struct acl_value {
    struct acl_level level;         /* BOUND and not a path */
    const struct acl_level *levels; /* members of |any, or levels of |path */
    uint32_t count;                 /* of levels */
    uint8_t state;                  /* BOUND: level, or levels of a path; SET: a |any */
    bool dollar;                    /* begins with `$` (BOUND) */
    bool partly;                    /* SET: members were left out because they cannot be bound */
};

struct acl_grant {
    uint32_t role;
    int32_t priority;
};

struct acl_subject {
    uint64_t generation;
    uint64_t fingerprint; /* of grants and generation, keyed; of subjects with rules of their own: unique */
    const struct acl_value *values;
    uint32_t value_count;
    uint32_t grant_count;
    const struct acl_grant *grants;
    struct acl_role_entry session; /* rules of the token's acl claim; segment NULL: none */
    struct acl_slots *session_slots;
    bool address_known;
    uint8_t address[16];
};

#define ACL_SESSION_ROLE 0x0fffffffU /* the role id of a session's own rules in rule ids */

#endif
