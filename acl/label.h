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

/* Where in a table a search for that path begins. */
static inline uint32_t acl_table_start(const struct acl_segment *segment, uint32_t hash)
{
    return segment->root_count + (uint32_t)(((uint64_t)hash * segment->table_size) >> 32);
}

static inline uint32_t acl_table_next(const struct acl_segment *segment, uint32_t index)
{
    return ++index == segment->root_count + segment->table_size ? segment->root_count : index;
}

/* The text of a node's label, not NUL-terminated. */
static inline const char *acl_node_text(const struct acl_segment *segment, const struct acl_node *node)
{
    if (node->length > 8 || node->kind != ACL_NODE_LITERAL)
        return segment->pool + node->label;
    return (const char *)&node->head;
}

/* Whether a level is the value between the prefix and the suffix of a placeholder's node. */
static inline bool acl_value_fits(const struct acl_segment *segment, const struct acl_node *node,
                                  const struct acl_level *value, const struct acl_level *level)
{
    if (!node->length)
        return acl_level_equal(value, level);
    uint32_t prefix = acl_node_prefix(node), suffix = node->length - prefix;
    const char *label = segment->pool + node->label;
    return level->length == node->length + value->length && memcmp(level->text, label, prefix) == 0 &&
           memcmp(level->text + prefix, value->text, value->length) == 0 &&
           memcmp(level->text + prefix + value->length, label + prefix, suffix) == 0;
}

/* The literal child of node with that label, or NULL. */
static inline const struct acl_node *acl_find_literal(const struct acl_segment *segment, const struct acl_node *node,
                                                      struct acl_level *level)
{
    if (node->flags & ACL_ONE_CHILD) {
        const struct acl_node *only = &segment->nodes[node->first_child];
        if (only->head != level->head || only->length != level->length)
            return NULL;
        return level->length <= 8 || acl_tail_equal(segment->pool + only->label, level->text, level->length) ? only
                                                                                                             : NULL;
    }
    if (!level->hash)
        level->hash = acl_label_hash(segment->seed, level->head, level->text, level->length);
    uint32_t parent = (uint32_t)(node - segment->nodes);
    uint32_t at = acl_table_start(segment, acl_path_hash(node->hash, level->hash));
    for (;; at = acl_table_next(segment, at)) {
        const struct acl_node *child = &segment->nodes[at];
        if (child->head == level->head && child->parent == parent && child->length == level->length &&
            child->kind == ACL_NODE_LITERAL &&
            (level->length <= 8 || acl_tail_equal(segment->pool + child->label, level->text, level->length)))
            return child;
        if (child->kind == ACL_NODE_EMPTY)
            return NULL;
    }
}

#endif
