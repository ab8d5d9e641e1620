/* The second half of building: nodes go to their places in the table, children are chained, arrays are cut to size. */
#include "acl/build.h"
#include "acl/label.h"
#include "acl/memory.h"

#include <stdlib.h>
#include <string.h>

/* Two places a node while it is small, five for four nodes when memory counts. */
static uint32_t table_size(uint32_t nodes)
{
    return nodes < 4096 ? nodes * 2 + 1 : nodes / 4 * 5;
}

/* All of this is done where the nodes are, in the order they came: children are near their parents there. */
static void mark_denies(struct acl_builder *b)
{
    for (uint32_t i = b->node_count; i-- > b->role_limit;)
        b->nodes[b->nodes[i].parent].flags |= b->nodes[i].flags & ACL_DENY_BELOW;
}

enum sort { SORT_PLAIN, SORT_DENY, SORT_TYPED, SORT_PLUS, SORTS };

static enum sort sort_of(const struct acl_node *node)
{
    if (node->kind == ACL_NODE_PLUS)
        return SORT_PLUS;
    if (node->kind != ACL_NODE_LITERAL)
        return SORT_TYPED;
    return node->flags & ACL_DENY_BELOW ? SORT_DENY : SORT_PLAIN;
}

static void chain_to_parent(struct acl_builder *b, uint32_t index)
{
    struct acl_node *node = &b->nodes[index], *parent = &b->nodes[node->parent];
    bool literal = node->kind == ACL_NODE_LITERAL;
    parent->flags &= (uint8_t)~ACL_ONE_CHILD;
    if (literal && !parent->first_child)
        parent->flags |= ACL_ONE_CHILD;
    parent->flags |= literal ? ACL_HAS_LITERAL : ACL_HAS_SPECIAL;
    node->next_sibling = parent->first_child;
    parent->first_child = index;
}

/*
 * Children in the order plus, placeholders, literals with denies below, other literals; within each as they came. Most
 * tables hold one or two of these, so each is looked for only if there is one.
 */
static void chain_children(struct acl_builder *b)
{
    bool there[SORTS] = {false};
    for (uint32_t i = b->role_limit; i < b->node_count; i++)
        there[sort_of(&b->nodes[i])] = true;
    for (int sort = 0; sort < SORTS; sort++)
        for (uint32_t i = there[sort] ? b->node_count : 0; i-- > b->role_limit;)
            if (sort_of(&b->nodes[i]) == (enum sort)sort)
                chain_to_parent(b, i);
}

static bool bit_of(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> at % 64 & 1;
}

/* Writes every place of the table, too: memory is as it came. */
static void place_nodes(const struct acl_builder *b, struct acl_segment *s, const uint32_t *map, const uint64_t *taken,
                        const uint64_t *more)
{
    for (uint32_t at = s->root_count; at < s->root_count + s->table_size; at++)
        if (!bit_of(taken, at))
            s->nodes[at] = (struct acl_node){0};
    for (uint32_t i = 0; i < b->node_count; i++) {
        if (i + 16 < b->node_count)
            __builtin_prefetch(&s->nodes[map[i + 16]], 1);
        struct acl_node *node = &s->nodes[map[i]];
        *node = b->nodes[i];
        node->parent = map[node->parent];
        node->first_child = node->first_child ? map[node->first_child] : 0;
        node->next_sibling = node->next_sibling ? map[node->next_sibling] : 0;
        if (bit_of(more, map[i]))
            node->flags |= ACL_MORE;
    }
}

/* Hands an array over to the segment, cut to size. */
static void *take(void *array_pointer, size_t size)
{
    void *array;
    memcpy(&array, array_pointer, sizeof array);
    memset(array_pointer, 0, sizeof array);
    void *cut = size ? realloc(array, size) : array;
    return cut ? cut : array;
}

static void take_arrays(struct acl_builder *b, struct acl_segment *s)
{
    s->rules = take(&b->rules, b->rule_count * sizeof *b->rules);
    s->rule_count = b->rule_count;
    s->conditions = take(&b->conditions, b->condition_count * sizeof *b->conditions);
    s->condition_count = b->condition_count;
    s->nets = take(&b->nets, b->net_count * sizeof *b->nets);
    s->net_count = b->net_count;
    s->codes = take(&b->codes, b->code_count * sizeof *b->codes);
    s->code_count = b->code_count;
    s->roles = take(&b->roles, b->role_count * sizeof *b->roles);
    s->pool = take(&b->strings.pool, b->strings.pool_used);
    s->pool_size = b->strings.pool_used;
}

#define GROUP 4 /* nodes that share a shift, on average */

/* A segment with sizes and memory for the builder's nodes, or NULL when out of memory. */
static struct acl_segment *new_segment(const struct acl_builder *b)
{
    struct acl_segment *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    uint32_t nodes = b->node_count - b->role_limit;
    atomic_init(&s->references, 1);
    s->seed = b->seed;
    s->root_count = b->role_limit;
    s->table_size = table_size(nodes);
    s->shift_count = nodes / GROUP + 1;
    size_t size = ((size_t)s->root_count + s->table_size) * sizeof *s->nodes;
    s->nodes = acl_allocate(size + s->shift_count);
    if (!s->nodes) {
        free(s);
        return NULL;
    }
    s->shifts = (uint8_t *)s->nodes + size;
    return s;
}

struct acl_segment *acl_builder_finish(struct acl_builder *b)
{
    struct acl_segment *s = new_segment(b);
    size_t words = s ? ((size_t)s->root_count + s->table_size) / 64 + 1 : 0;
    uint32_t *map = acl_zeroed((size_t)b->node_count + 1, sizeof *map);
    uint64_t *bits = calloc(2 * words + 1, sizeof *bits);
    if (s && map && bits && acl_choose_places(b, s, map, bits, bits + words)) {
        mark_denies(b);
        chain_children(b);
        place_nodes(b, s, map, bits, bits + words);
        for (uint32_t i = 0; i < b->rule_count; i++)
            b->rules[i].node = map[b->rules[i].node];
        take_arrays(b, s);
    } else if (s) {
        free(s->nodes);
        free(s);
        s = NULL;
    }
    free(map);
    free(bits);
    return s;
}

void acl_segment_retain(struct acl_segment *segment)
{
    atomic_fetch_add_explicit(&segment->references, 1, memory_order_relaxed);
}

void acl_segment_release(struct acl_segment *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1)
        return;
    if (!s->slab) {
        free(s->nodes);
        free(s->rules);
        free(s->conditions);
        free(s->nets);
        free(s->codes);
        free(s->roles);
        free(s->pool);
    }
    guard_slab_unref(&s->slab);
    free(s);
}

size_t acl_segment_memory(const struct acl_segment *s)
{
    return sizeof *s + ((size_t)s->root_count + s->table_size) * sizeof *s->nodes + s->rule_count * sizeof *s->rules +
           s->condition_count * sizeof *s->conditions + s->net_count * sizeof *s->nets +
           s->code_count * sizeof *s->codes + s->shift_count + s->root_count * sizeof *s->roles + s->pool_size;
}
