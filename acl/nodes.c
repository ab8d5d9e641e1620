/* The builder's nodes: found, or made, as rules come. */
#include "acl/build.h"
#include "acl/label.h"
#include "acl/memory.h"
#include "acl/strings.h"

#include <stdlib.h>
#include <string.h>

bool acl_builder_expect(struct acl_builder *b, size_t nodes)
{
    size_t size = 64;
    while (size < nodes * 2)
        size *= 2;
    if (size > UINT32_MAX / 2)
        return false;
    struct acl_index *index = acl_zeroed(size, sizeof *index);
    if (!index)
        return false;
    free(b->index);
    b->index = index;
    b->mask = (uint32_t)size - 1;
    for (uint32_t i = b->role_limit; i < b->node_count; i++) {
        uint32_t at = b->nodes[i].hash & b->mask;
        while (index[at].node)
            at = (at + 1) & b->mask;
        index[at] = (struct acl_index){b->nodes[i].hash, i + 1};
    }
    return true;
}

static bool is_key(const struct acl_builder *b, const struct acl_node *node, uint32_t parent, const struct acl_key *key)
{
    if (node->parent != parent || node->head != key->head || node->kind != key->kind ||
        acl_node_length(node) != key->length)
        return false;
    const char *label = node->length == ACL_LONG_LABEL ? b->strings.pool + node->tail[0] : (const char *)node;
    if (key->kind == ACL_NODE_LITERAL)
        return key->length <= 8 || memcmp(label + 8, key->text + 8, key->length - 8) == 0;
    return !key->length || memcmp(label, key->text, key->length) == 0;
}

static uint32_t key_hash(const struct acl_builder *b, uint32_t parent, const struct acl_key *key)
{
    uint64_t head = key->kind == ACL_NODE_LITERAL ? key->head : (key->head + 1) * ACL_HASH_FACTOR + key->kind;
    return acl_path_hash(parent, acl_label_hash(b->seed, head, key->text, key->length));
}

/* Writes the label into the node, or, of a placeholder and if it is long, into the pool. */
static bool set_label(struct acl_builder *b, struct acl_node *node, const struct acl_key *key)
{
    node->head = key->head;
    if (key->kind == ACL_NODE_LITERAL && key->length <= ACL_INLINE_LABEL) {
        memcpy((char *)node, key->text, key->length);
        node->length = (uint8_t)key->length;
        return true;
    }
    if (!key->length)
        return true;
    node->tail[0] = acl_strings_append(&b->strings, key->text, key->length);
    node->tail[1] = key->length;
    node->length = ACL_LONG_LABEL;
    return node->tail[0] != ACL_STRINGS_NONE;
}

static int add_node(struct acl_builder *b, uint32_t parent, const struct acl_key *key)
{
    if (!acl_grow(&b->nodes, &b->node_capacity, sizeof *b->nodes, (size_t)b->node_count + 1))
        return GUARD_ERR_NOMEM;
    struct acl_node *node = &b->nodes[b->node_count];
    *node = (struct acl_node){.parent = parent, .kind = (uint8_t)key->kind, .hash = key->hash};
    if (b->nodes[parent].kind == ACL_NODE_ROOT)
        node->marks = ACL_FIRST_LEVEL;
    if (!set_label(b, node, key))
        return GUARD_ERR_NOMEM;
    b->node_count++;
    return GUARD_OK;
}

/* Finds or makes the child; *at is the parent before and the child after. */
static int descend(struct acl_builder *b, const struct acl_key *key, uint32_t *at)
{
    if ((size_t)b->node_count * 2 > b->mask && !acl_builder_expect(b, (size_t)b->node_count * 2))
        return GUARD_ERR_NOMEM;
    uint32_t place = key->hash & b->mask;
    for (; b->index[place].node; place = (place + 1) & b->mask) {
        uint32_t node = b->index[place].node - 1;
        if (b->index[place].hash == key->hash && is_key(b, &b->nodes[node], *at, key)) {
            *at = node;
            return GUARD_OK;
        }
    }
    int rc = add_node(b, *at, key);
    if (rc != GUARD_OK)
        return rc;
    b->index[place] = (struct acl_index){key->hash, b->node_count};
    *at = b->node_count - 1;
    return GUARD_OK;
}

int acl_builder_path(struct acl_builder *b, const struct acl_parsed *rule, struct acl_path *path)
{
    uint32_t hash = b->nodes[b->role_count - 1].hash;
    path->count = rule->level_count;
    for (unsigned i = 0; i < rule->level_count; i++) {
        const struct acl_parsed_level *level = &rule->levels[i];
        struct acl_key *key = &path->keys[i];
        *key = (struct acl_key){.text = rule->text + level->text, .length = level->length, .kind = level->kind};
        if (level->kind == ACL_NODE_LITERAL) {
            key->head = acl_head(key->text, key->length);
        } else if (level->kind != ACL_NODE_PLUS) {
            uint32_t slot;
            int rc = acl_slots_add(b->slots, level->name, level->kind, &slot);
            if (rc != GUARD_OK)
                return rc;
            key->head = slot | (uint64_t)level->prefix << 32;
        }
        hash = key->hash = key_hash(b, hash, key);
        __builtin_prefetch(&b->index[hash & b->mask], 1);
    }
    return GUARD_OK;
}

int acl_builder_descend(struct acl_builder *b, const struct acl_path *path, uint32_t *node)
{
    *node = b->role_count - 1;
    for (unsigned i = 0; i < path->count; i++) {
        int rc = descend(b, &path->keys[i], node);
        if (rc != GUARD_OK)
            return rc;
    }
    return GUARD_OK;
}
