/* Levels of topics as words: comparing and hashing them without calls. */
#ifndef GUARD_ACL_LABEL_H
#define GUARD_ACL_LABEL_H

#include "acl/model.h"

#include <endian.h>
#include <string.h>

/* Eight octets from anywhere, as they lie in memory. */
static inline uint64_t acl_load8(const char *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* The first octets of a text of which at least 8 octets may be read, zero behind length. */
static inline uint64_t acl_head(const char *text, uint32_t length)
{
    uint64_t word = acl_load8(text);
    return length >= 8 ? word : word & htole64(((uint64_t)1 << (8 * length)) - 1);
}

/* The same for a text that ends with its length. */
static inline uint64_t acl_head_careful(const char *text, uint32_t length)
{
    uint64_t word = 0;
    memcpy(&word, text, length < 8 ? length : 8);
    return word;
}

static inline bool acl_is_dollar(const struct acl_level *level)
{
    return (le64toh(level->head) & 0xff) == '$';
}

/* Whether the octets behind the first 8 are the same; both are longer than 8. */
static inline bool acl_tail_equal(const char *a, const char *b, uint32_t length)
{
    if (length <= 16)
        return acl_load8(a + length - 8) == acl_load8(b + length - 8);
    return memcmp(a + 8, b + 8, length - 8) == 0;
}

static inline bool acl_level_equal(const struct acl_level *a, const struct acl_level *b)
{
    return a->head == b->head && a->length == b->length &&
           (a->length <= 8 || acl_tail_equal(a->text, b->text, a->length));
}

static inline uint64_t acl_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define ACL_HASH_FACTOR 0x9e3779b97f4a7c15U

/*
 * The hash of a label, never 0. seed is secret, so that nobody can write rules that collide; what is found is
 * compared exactly in any case.
 */
static inline uint32_t acl_label_hash(uint64_t seed, uint64_t head, const char *text, uint32_t length)
{
    uint64_t hash = acl_fold(head ^ seed, (seed >> 1 | 1) + length);
    for (uint32_t at = 8; at < length; at += 8) {
        uint64_t word = length - at >= 8 ? acl_load8(text + at) : acl_load8(text + length - 8);
        hash = acl_fold(hash ^ word, ACL_HASH_FACTOR);
    }
    return (uint32_t)(hash >> 32) | 1;
}

static inline uint32_t acl_path_hash(uint32_t parent, uint32_t label)
{
    return (uint32_t)(((parent ^ (uint64_t)label) * ACL_HASH_FACTOR) >> 32);
}

static inline uint32_t acl_root_hash(uint64_t seed, uint32_t root)
{
    return acl_path_hash((uint32_t)(seed >> 32), root);
}

/*
 * Where in the table the node of a path is, if there is one. Places were chosen when the table was made: hashes fall
 * into groups, and each group has a shift with which all of its nodes found free places. So one line of memory tells
 * whether a node is there, and those of all levels of a topic can be asked for before the first is looked at. Only
 * behind a place marked ACL_MORE the search goes on.
 */
static inline uint32_t acl_table_group(const struct acl_segment *segment, uint32_t hash)
{
    return (uint32_t)(((uint64_t)hash * segment->shift_count) >> 32);
}

static inline uint32_t acl_table_shifted(const struct acl_segment *segment, uint32_t hash, uint32_t shift)
{
    uint64_t moved = (hash ^ shift * 0x85ebca6bU) * ACL_HASH_FACTOR;
    return segment->root_count + (uint32_t)(((moved >> 32) * segment->table_size) >> 32);
}

static inline uint32_t acl_table_place(const struct acl_segment *segment, uint32_t hash)
{
    return acl_table_shifted(segment, hash, segment->shifts[acl_table_group(segment, hash)]);
}

static inline uint32_t acl_table_next(const struct acl_segment *segment, uint32_t index)
{
    return ++index == segment->root_count + segment->table_size ? segment->root_count : index;
}

/* Octets of a node's label; of a placeholder of its prefix and suffix. */
static inline uint32_t acl_node_length(const struct acl_node *node)
{
    return node->length == ACL_LONG_LABEL ? node->tail[1] : node->length;
}

/* The text of a node's label, not NUL-terminated. */
static inline const char *acl_node_text(const struct acl_segment *segment, const struct acl_node *node)
{
    return node->length == ACL_LONG_LABEL ? segment->pool + node->tail[0] : (const char *)node;
}

/* The code for an end and an action, ACL_CODE_NONE: there is none. */
static inline int32_t acl_node_code(const struct acl_segment *segment, const struct acl_node *node, enum acl_end end,
                                    enum acl_action action)
{
    if (!(node->marks >> ((unsigned)end * ACL_ACTIONS + action) & 1))
        return ACL_CODE_NONE;
    return node->marks & ACL_MANY_CODES ? segment->codes[node->code][end][action] : node->code;
}

/* The number of levels that lead to a node. */
static inline unsigned acl_node_depth(const struct acl_segment *segment, const struct acl_node *node)
{
    unsigned depth = 0;
    for (; node->kind != ACL_NODE_ROOT; node = &segment->nodes[node->parent])
        depth++;
    return depth;
}

/* Whether a placeholder stands at the start of the topic, where a value with a leading `$` cannot be bound. */
static inline bool acl_node_opens(const struct acl_node *node)
{
    return node->marks & ACL_FIRST_LEVEL && acl_node_prefix(node) == 0;
}

/* Whether a literal node's label is that level. */
static inline bool acl_node_is(const struct acl_segment *segment, const struct acl_node *node,
                               const struct acl_level *level)
{
    if (node->head != level->head)
        return false;
    if (level->length > ACL_INLINE_LABEL)
        return node->length == ACL_LONG_LABEL && node->tail[1] == level->length &&
               memcmp(segment->pool + node->tail[0] + 8, level->text + 8, level->length - 8) == 0;
    return node->length == level->length &&
           (level->length <= 8 || acl_tail_equal((const char *)node, level->text, level->length));
}

/* Whether a level is the value between the prefix and the suffix of a placeholder's node. */
static inline bool acl_value_fits(const struct acl_segment *segment, const struct acl_node *node,
                                  const struct acl_level *value, const struct acl_level *level)
{
    if (!node->length)
        return acl_level_equal(value, level);
    uint32_t length = acl_node_length(node), prefix = acl_node_prefix(node), suffix = length - prefix;
    const char *label = acl_node_text(segment, node);
    return level->length == length + value->length && memcmp(level->text, label, prefix) == 0 &&
           memcmp(level->text + prefix, value->text, value->length) == 0 &&
           memcmp(level->text + prefix + value->length, label + prefix, suffix) == 0;
}

/* The literal child of node with that label, or NULL. */
static inline const struct acl_node *acl_find_literal(const struct acl_segment *segment, const struct acl_node *node,
                                                      struct acl_level *level)
{
    if (node->flags & ACL_ONE_CHILD) {
        const struct acl_node *only = &segment->nodes[node->first_child];
        return acl_node_is(segment, only, level) ? only : NULL;
    }
    if (!level->hash)
        level->hash = acl_label_hash(segment->seed, level->head, level->text, level->length);
    uint32_t parent = (uint32_t)(node - segment->nodes);
    uint32_t at = acl_table_place(segment, acl_path_hash(node->hash, level->hash));
    for (;; at = acl_table_next(segment, at)) {
        const struct acl_node *child = &segment->nodes[at];
        if (child->parent == parent && child->kind == ACL_NODE_LITERAL && acl_node_is(segment, child, level))
            return child;
        if (!(child->flags & ACL_MORE))
            return NULL;
    }
}

#endif
