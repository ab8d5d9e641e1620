/* The second half of building: nodes go to their places in the table, children are chained, arrays are cut to size. */
#include "acl/build.h"
#include "acl/label.h"

#include <stdlib.h>
#include <string.h>

#define POOL_SLACK 8 /* so that eight octets may be loaded at any label */

/* Two places a node while it is small, three for two nodes when memory counts. */
static uint32_t table_size(uint32_t nodes)
{
    return nodes < 4096 ? nodes * 2 + 1 : nodes / 2 * 3;
}

static void place_nodes(const struct acl_builder *b, struct acl_segment *s, uint32_t *map)
{
    memcpy(s->nodes, b->nodes, s->root_count * sizeof *s->nodes);
    for (uint32_t i = 0; i < s->root_count; i++)
        map[i] = i;
    for (uint32_t i = s->root_count; i < b->node_count; i++) {
        uint32_t at = acl_table_start(s, b->nodes[i].hash);
        while (s->nodes[at].kind != ACL_NODE_EMPTY)
            at = acl_table_next(s, at);
        s->nodes[at] = b->nodes[i];
        s->nodes[at].parent = map[b->nodes[i].parent];
        map[i] = at;
    }
    for (uint32_t i = b->node_count; i-- > s->root_count;)
        s->nodes[s->nodes[map[i]].parent].flags |= s->nodes[map[i]].flags & ACL_DENY_BELOW;
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

/* Children in the order plus, placeholders, literals with denies below, other literals; within each as they came. */
static void chain_children(const struct acl_builder *b, struct acl_segment *s, const uint32_t *map)
{
    for (int sort = 0; sort < SORTS; sort++)
        for (uint32_t i = b->node_count; i-- > s->root_count;) {
            struct acl_node *node = &s->nodes[map[i]];
            if (sort_of(node) != (enum sort)sort)
                continue;
            struct acl_node *parent = &s->nodes[node->parent];
            node->next_sibling = parent->first_child;
            parent->first_child = map[i];
            parent->flags |= node->kind == ACL_NODE_LITERAL ? ACL_HAS_LITERAL : ACL_HAS_SPECIAL;
        }
    for (uint32_t i = 0; i < b->node_count; i++) {
        struct acl_node *node = &s->nodes[map[i]];
        if (node->flags & ACL_HAS_LITERAL && !s->nodes[node->first_child].next_sibling)
            node->flags |= ACL_ONE_CHILD;
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
    s->roles = take(&b->roles, b->role_count * sizeof *b->roles);
    s->pool = take(&b->strings.pool, b->strings.pool_used);
    s->pool_size = b->strings.pool_used;
}

struct acl_segment *acl_builder_finish(struct acl_builder *b)
{
    static const char slack[POOL_SLACK];
    if (acl_strings_append(&b->strings, slack, sizeof slack) == ACL_STRINGS_NONE)
        return NULL;
    struct acl_segment *s = calloc(1, sizeof *s);
    uint32_t *map = calloc((size_t)b->node_count + 1, sizeof *map);
    if (s) {
        atomic_init(&s->references, 1);
        s->seed = b->seed;
        s->root_count = b->role_limit;
        s->table_size = table_size(b->node_count - b->role_limit);
        s->nodes = aligned_alloc(64, ((size_t)s->root_count + s->table_size) * sizeof *s->nodes);
    }
    if (!s || !map || !s->nodes) {
        free(s);
        free(map);
        return NULL;
    }
    memset(s->nodes, 0, ((size_t)s->root_count + s->table_size) * sizeof *s->nodes);
    place_nodes(b, s, map);
    chain_children(b, s, map);
    for (uint32_t i = 0; i < b->rule_count; i++)
        b->rules[i].node = map[b->rules[i].node];
    take_arrays(b, s);
    free(map);
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
    free(s->nodes);
    free(s->rules);
    free(s->conditions);
    free(s->nets);
    free(s->roles);
    free(s->pool);
    free(s);
}

size_t acl_segment_memory(const struct acl_segment *s)
{
    return sizeof *s + ((size_t)s->root_count + s->table_size) * sizeof *s->nodes + s->rule_count * sizeof *s->rules +
           s->condition_count * sizeof *s->conditions + s->net_count * sizeof *s->nets +
           s->root_count * sizeof *s->roles + s->pool_size;
}
