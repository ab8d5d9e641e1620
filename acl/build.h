/* Builds a segment: roles in order, rules of each in order, then one finish. */
#ifndef GUARD_ACL_BUILD_H
#define GUARD_ACL_BUILD_H

#include "acl/names.h"
#include "acl/parse.h"

/* What a node is looked up by, beside its parent. */
struct acl_key {
    uint64_t head;
    const char *text;
    uint32_t length;
    uint32_t hash; /* of the path to it */
    enum acl_node_kind kind;
};

/* The levels of a rule. Texts are those of the parsed rule. */
struct acl_path {
    unsigned count;
    struct acl_key keys[ACL_FILTER_LEVELS];
};

struct acl_index {
    uint32_t hash, node; /* node + 1; 0: free */
};

/*
 * While rules are added, nodes stand in the order they came (parents before children) beside an index of their own.
 * acl_builder_finish puts them at their places in the segment's table.
 */
struct acl_builder {
    struct acl_slots *slots;
    uint64_t seed;
    struct acl_node *nodes;
    uint32_t node_count, node_capacity;
    struct acl_index *index; /* open addressing */
    uint32_t mask;
    struct acl_rule *rules;
    uint32_t rule_count, rule_capacity;
    struct acl_condition *conditions;
    uint32_t condition_count, condition_capacity;
    struct acl_net *nets;
    uint32_t net_count, net_capacity;
    int32_t (*codes)[2][ACL_ACTIONS];
    uint32_t code_count, code_capacity;
    struct acl_segment_role *roles;
    uint32_t role_count, role_limit;
    uint32_t role_node;         /* node_count when the role began */
    struct acl_strings strings; /* names of rules and places; its pool is the segment's */
    uint32_t last_place;        /* offset of the place of the rule before */
    uint32_t *last_role;        /* of each string: the role that used it as a rule's name, + 1 */
    uint32_t last_role_capacity;
};

struct acl_rule_origin {
    const char *name, *place;
    unsigned line;
};

/* For that many roles; rules is a guess. slots gets the placeholders. NULL when out of memory. */
struct acl_builder *acl_builder_new(uint32_t roles, size_t rules, struct acl_slots *slots, uint64_t seed);
void acl_builder_free(struct acl_builder **builder);

/* Begins the next role; id is its place in the directory. Its index in the segment is the number of roles begun before.
 */
void acl_builder_role(struct acl_builder *builder, uint32_t id);

/* Adds a rule to the role begun last. GUARD_OK, GUARD_ERR_NOMEM, GUARD_ERR_LIMIT (too many placeholders),
 * GUARD_ERR_INVALID (name stands twice). */
int acl_builder_add(struct acl_builder *builder, const struct acl_parsed *rule, const struct acl_rule_origin *origin);

/* Adds all rules of a role of another segment whose slots are a prefix of this builder's. */
int acl_builder_copy(struct acl_builder *builder, const struct acl_segment *from, uint32_t role,
                     struct acl_parsed *scratch);

/* A rule of a segment as it was parsed. */
void acl_rule_to_parsed(const struct acl_segment *from, const struct acl_rule *rule, const struct acl_slots *slots,
                        struct acl_parsed *to);

/* Forgets the rules of the role begun last; its nodes stay, without rules. */
void acl_builder_drop_role(struct acl_builder *builder);

/* The segment, with one reference, or NULL when out of memory. The builder is used up and only to be freed. */
struct acl_segment *acl_builder_finish(struct acl_builder *builder);

/* Room in the index for that many nodes. False when out of memory. */
bool acl_builder_expect(struct acl_builder *builder, size_t nodes);

/*
 * The keys of a rule's levels in the role begun last; asks for the lines of memory that acl_builder_descend will need.
 * GUARD_OK, GUARD_ERR_NOMEM, GUARD_ERR_LIMIT.
 */
int acl_builder_path(struct acl_builder *builder, const struct acl_parsed *rule, struct acl_path *path);

/* Finds the node of a path, or makes it. GUARD_OK or GUARD_ERR_NOMEM. */
int acl_builder_descend(struct acl_builder *builder, const struct acl_path *path, uint32_t *node);

/*
 * Chooses the places of the builder's nodes in the table of a segment whose sizes and memory are set, and writes its
 * shifts. map gets the place of each node. Bits by place: more, where a search must go on; taken. False when out of
 * memory.
 */
bool acl_choose_places(const struct acl_builder *builder, struct acl_segment *segment, uint32_t *map, uint64_t *taken,
                       uint64_t *more);

void acl_segment_retain(struct acl_segment *segment);
void acl_segment_release(struct acl_segment *segment);
size_t acl_segment_memory(const struct acl_segment *segment);

#endif
