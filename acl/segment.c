/* The second half of building: nodes go to their places in the table, children are chained, arrays are cut to size. */
#include "acl/build.h"
#include "acl/label.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define POOL_SLACK 8 /* so that eight octets may be loaded at any label */

/* Two places a node while it is small, three for two nodes when memory counts. */
static uint32_t table_size(uint32_t nodes)
{
    return nodes < 4096 ? nodes * 2 + 1 : nodes / 2 * 3;
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

/* Children in the order plus, placeholders, literals with denies below, other literals; within each as they came. */
static void chain_children(struct acl_builder *b)
{
    for (int sort = 0; sort < SORTS; sort++)
        for (uint32_t i = b->node_count; i-- > b->role_limit;)
            if (sort_of(&b->nodes[i]) == (enum sort)sort)
                chain_to_parent(b, i);
}

/* Gives every node its place in the table, where a search for its path finds it. False when out of memory. */
static bool choose_places(const struct acl_builder *b, const struct acl_segment *s, uint32_t *map)
{
    uint64_t *taken = calloc(((size_t)s->root_count + s->table_size) / 64 + 1, sizeof *taken);
    if (!taken)
        return false;
    for (uint32_t i = 0; i < s->root_count; i++)
        map[i] = i;
    for (uint32_t i = s->root_count; i < b->node_count; i++) {
        uint32_t at = acl_table_start(s, b->nodes[i].hash);
        while (taken[at / 64] >> at % 64 & 1)
            at = acl_table_next(s, at);
        taken[at / 64] |= (uint64_t)1 << at % 64;
        map[i] = at;
    }
    free(taken);
    return true;
}

static void place_nodes(const struct acl_builder *b, struct acl_segment *s, const uint32_t *map)
{
    for (uint32_t i = 0; i < b->node_count; i++) {
        struct acl_node *node = &s->nodes[map[i]];
        *node = b->nodes[i];
        node->parent = map[node->parent];
        node->first_child = node->first_child ? map[node->first_child] : 0;
        node->next_sibling = node->next_sibling ? map[node->next_sibling] : 0;
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

#define HUGE_PAGE ((size_t)2 * 1024 * 1024)

/*
 * Room for what look-ups touch at random. When it is large it is put on large pages where the system has them: with
 * small ones nearly every look-up misses the TLB, too.
 */
static void *allocate(size_t size)
{
    bool large = size >= 4 * HUGE_PAGE;
    size_t unit = large ? HUGE_PAGE : 64;
    void *memory = aligned_alloc(unit, (size + unit - 1) / unit * unit);
    if (memory && large)
        madvise(memory, size, MADV_HUGEPAGE); /* only advice: nothing is lost if it is not taken */
    return memory;
}

static struct acl_node *allocate_nodes(size_t count)
{
    size_t size = count * sizeof(struct acl_node);
    struct acl_node *nodes = allocate(size);
    return nodes ? memset(nodes, 0, size) : NULL;
}

/* A large pool moves to large pages; out of memory it stays where it is. */
static char *settle_pool(char *pool, size_t size)
{
    char *settled = size >= 4 * HUGE_PAGE ? allocate(size) : NULL;
    if (!settled)
        return pool;
    memcpy(settled, pool, size);
    free(pool);
    return settled;
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
    s->pool = settle_pool(take(&b->strings.pool, b->strings.pool_used), b->strings.pool_used);
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
        s->nodes = allocate_nodes((size_t)s->root_count + s->table_size);
    }
    if (!s || !map || !s->nodes || !choose_places(b, s, map)) {
        if (s)
            free(s->nodes);
        free(s);
        free(map);
        return NULL;
    }
    mark_denies(b);
    chain_children(b);
    place_nodes(b, s, map);
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
