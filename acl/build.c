#include "acl/build.h"

#include "acl/label.h"
#include "acl/memory.h"
#include "acl/strings.h"

#include <stdlib.h>
#include <string.h>

struct acl_builder *acl_builder_new(uint32_t roles, size_t rules, struct acl_slots *slots, uint64_t seed)
{
    struct acl_builder *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->slots = acl_slots_retain(slots);
    b->seed = seed;
    b->role_limit = roles;
    acl_strings_init(&b->strings, seed);
    b->roles = calloc(roles ? roles : 1, sizeof *b->roles);
    if (!b->roles || !acl_grow(&b->nodes, &b->node_capacity, sizeof *b->nodes, roles + rules) ||
        !acl_grow(&b->rules, &b->rule_capacity, sizeof *b->rules, rules) || !acl_builder_expect(b, rules * 2)) {
        acl_builder_free(&b);
        return NULL;
    }
    for (uint32_t i = 0; i < roles; i++)
        b->nodes[i] = (struct acl_node){.kind = ACL_NODE_ROOT, .parent = i, .hash = acl_root_hash(seed, i)};
    b->node_count = roles;
    return b;
}

void acl_builder_free(struct acl_builder **builder)
{
    struct acl_builder *b = *builder;
    if (!b)
        return;
    acl_slots_release(b->slots);
    free(b->nodes);
    free(b->index);
    free(b->rules);
    free(b->conditions);
    free(b->nets);
    free(b->codes);
    free(b->roles);
    acl_strings_free(&b->strings);
    free(b->last_role);
    free(b);
    *builder = NULL;
}

void acl_builder_role(struct acl_builder *b, uint32_t id)
{
    b->roles[b->role_count++] = (struct acl_segment_role){.first_rule = b->rule_count, .id = id};
    b->role_node = b->node_count;
}

static void forget_rules(struct acl_node *node)
{
    node->rules = 0;
    node->flags = 0;
    node->marks &= ACL_FIRST_LEVEL;
}

void acl_builder_drop_role(struct acl_builder *b)
{
    struct acl_segment_role *role = &b->roles[b->role_count - 1];
    b->rule_count = role->first_rule;
    role->rule_count = 0;
    role->typed = false;
    forget_rules(&b->nodes[b->role_count - 1]);
    for (uint32_t i = b->role_node; i < b->node_count; i++)
        forget_rules(&b->nodes[i]);
}

static int add_condition(struct acl_builder *b, const struct acl_parsed *rule, uint32_t *condition)
{
    *condition = 0;
    if (!rule->condition.kinds)
        return GUARD_OK;
    struct acl_condition copy = rule->condition;
    if (!acl_grow(&b->conditions, &b->condition_capacity, sizeof *b->conditions, (size_t)b->condition_count + 1) ||
        !acl_grow(&b->nets, &b->net_capacity, sizeof *b->nets, (size_t)b->net_count + copy.net_count))
        return GUARD_ERR_NOMEM;
    copy.first_net = b->net_count;
    if (copy.net_count)
        memcpy(b->nets + b->net_count, rule->nets, copy.net_count * sizeof *b->nets);
    b->net_count += copy.net_count;
    b->conditions[b->condition_count++] = copy;
    *condition = b->condition_count;
    return GUARD_OK;
}

/* Places are a file's name again and again. */
static uint32_t add_place(struct acl_builder *b, const char *place)
{
    if (!b->strings.count || strcmp(b->strings.pool + b->last_place, place) != 0) {
        uint32_t number = acl_strings_add(&b->strings, place, strlen(place));
        if (number == ACL_STRINGS_NONE)
            return number;
        b->last_place = b->strings.offsets[number];
    }
    return b->last_place;
}

static int add_strings(struct acl_builder *b, const struct acl_rule_origin *origin, uint32_t *name, uint32_t *place)
{
    uint32_t number = acl_strings_add(&b->strings, origin->name, strlen(origin->name));
    if (number == ACL_STRINGS_NONE)
        return GUARD_ERR_NOMEM;
    *place = add_place(b, origin->place);
    if (*place == ACL_STRINGS_NONE)
        return GUARD_ERR_NOMEM;
    uint32_t before = b->last_role_capacity;
    if (!acl_grow(&b->last_role, &b->last_role_capacity, sizeof *b->last_role, b->strings.count))
        return GUARD_ERR_NOMEM;
    memset(b->last_role + before, 0, (b->last_role_capacity - before) * sizeof *b->last_role);
    if (b->last_role[number] == b->role_count)
        return GUARD_ERR_INVALID;
    b->last_role[number] = b->role_count;
    *name = b->strings.offsets[number];
    return GUARD_OK;
}

#define ALL_CODES ((1U << 2 * ACL_ACTIONS) - 1)

/* Codes that differ go to a row of their own, where *code is for each. False when out of memory. */
static bool split_codes(struct acl_builder *b, struct acl_node *node)
{
    if (!acl_grow(&b->codes, &b->code_capacity, sizeof *b->codes, (size_t)b->code_count + 1))
        return false;
    for (int end = 0; end < 2; end++)
        for (int action = 0; action < ACL_ACTIONS; action++)
            b->codes[b->code_count][end][action] = node->code;
    node->code = (int32_t)b->code_count++;
    node->marks |= ACL_MANY_CODES;
    return true;
}

/* Enters a code for an end and an action; the larger one stays. False when out of memory. */
static bool enter_code(struct acl_builder *b, struct acl_node *node, enum acl_end end, int action, int32_t code)
{
    unsigned bit = 1U << ((unsigned)end * ACL_ACTIONS + (unsigned)action);
    bool many = node->marks & ACL_MANY_CODES, known = node->marks & bit;
    if (!many && (node->marks & ALL_CODES & ~bit) && code != node->code && !(known && code < node->code)) {
        if (!split_codes(b, node))
            return false;
        many = true;
    }
    int32_t *there = many ? &b->codes[node->code][end][action] : &node->code;
    if (!known || code > *there)
        *there = code;
    node->marks |= (uint8_t)bit;
    return true;
}

/* Enters the rule in the node's codes for the actions where it is nothing but effect and priority. */
static bool enter_codes(struct acl_builder *b, struct acl_node *node, const struct acl_rule *rule, bool wild)
{
    bool exact = rule->flags & ACL_RULE_EXACT;
    int32_t code = acl_code(rule->priority, rule->allow);
    for (int action = 0; action < ACL_ACTIONS; action++) {
        if (!(rule->actions & ACL_ACTION_BIT(action)) || (exact && action != ACL_SUBSCRIBE && wild))
            continue; /* a topic never equals a filter with wildcards */
        if (rule->condition || (exact && action == ACL_SUBSCRIBE))
            node->flags |= ACL_HAS_CONDITION;
        else if (!enter_code(b, node, (enum acl_end)rule->end, action, code))
            return false;
        node->flags |= rule->end == ACL_END_OPEN ? ACL_HAS_OPEN : ACL_HAS_EXACT;
    }
    if (!rule->allow && rule->actions & ACL_ACTION_BIT(ACL_SUBSCRIBE))
        node->flags |= ACL_DENY_BELOW;
    return true;
}

int acl_builder_add(struct acl_builder *b, const struct acl_parsed *parsed, const struct acl_rule_origin *origin)
{
    uint32_t node, condition, name, place;
    struct acl_path path;
    if (!acl_grow(&b->rules, &b->rule_capacity, sizeof *b->rules, (size_t)b->rule_count + 1))
        return GUARD_ERR_NOMEM;
    int rc = acl_builder_path(b, parsed, &path);
    if (rc == GUARD_OK)
        rc = add_strings(b, origin, &name, &place);
    if (rc == GUARD_OK)
        rc = acl_builder_descend(b, &path, &node);
    if (rc == GUARD_OK)
        rc = add_condition(b, parsed, &condition);
    if (rc != GUARD_OK)
        return rc;
    struct acl_segment_role *role = &b->roles[b->role_count - 1];
    struct acl_rule *rule = &b->rules[b->rule_count++];
    *rule = (struct acl_rule){
        .node = node,
        .next = b->nodes[node].rules,
        .role = b->role_count - 1,
        .name = name,
        .place = place,
        .line = origin->line,
        .priority = parsed->priority,
        .condition = condition,
        .allow = parsed->allow,
        .actions = parsed->actions,
        .end = parsed->open ? ACL_END_OPEN : ACL_END_EXACT,
        .flags = (uint8_t)((parsed->exact ? ACL_RULE_EXACT : 0) | (parsed->typed ? ACL_RULE_TYPED : 0) |
                           (parsed->wild ? ACL_RULE_WILD : 0)),
    };
    b->nodes[node].rules = b->rule_count;
    role->rule_count++;
    role->typed |= parsed->typed;
    return enter_codes(b, &b->nodes[node], rule, parsed->wild) ? GUARD_OK : GUARD_ERR_NOMEM;
}

/* ---- copying from another segment ---- */

static void copy_level(const struct acl_segment *from, const struct acl_node *node, const struct acl_slots *slots,
                       struct acl_parsed *to, struct acl_parsed_level *level)
{
    *level = (struct acl_parsed_level){.kind = (enum acl_node_kind)node->kind, .text = to->text_used};
    level->length = acl_node_length(node);
    memcpy(to->text + to->text_used, acl_node_text(from, node), level->length);
    to->text_used += level->length;
    if (node->kind >= ACL_NODE_ONE) {
        level->prefix = acl_node_prefix(node);
        strcpy(level->name, slots->slots[acl_node_slot(node)].name); /* names are shorter than ACL_NAME_LENGTH */
    }
}

void acl_rule_to_parsed(const struct acl_segment *from, const struct acl_rule *rule, const struct acl_slots *slots,
                        struct acl_parsed *to)
{
    const struct acl_node *node = &from->nodes[rule->node];
    to->allow = rule->allow;
    to->actions = rule->actions;
    to->priority = rule->priority;
    to->exact = rule->flags & ACL_RULE_EXACT;
    to->typed = rule->flags & ACL_RULE_TYPED;
    to->wild = rule->flags & ACL_RULE_WILD;
    to->open = rule->end == ACL_END_OPEN;
    to->text_used = 0;
    to->level_count = acl_node_depth(from, node);
    for (unsigned i = to->level_count; i > 0; node = &from->nodes[node->parent])
        copy_level(from, node, slots, to, &to->levels[--i]);
    to->condition = (struct acl_condition){0};
    if (rule->condition) {
        to->condition = from->conditions[rule->condition - 1];
        for (uint32_t i = 0; i < to->condition.net_count; i++)
            to->nets[i] = from->nets[to->condition.first_net + i];
    }
}

int acl_builder_copy(struct acl_builder *b, const struct acl_segment *from, uint32_t role, struct acl_parsed *scratch)
{
    const struct acl_segment_role *source = &from->roles[role];
    for (uint32_t i = 0; i < source->rule_count; i++) {
        const struct acl_rule *rule = &from->rules[source->first_rule + i];
        struct acl_rule_origin origin = {from->pool + rule->name, from->pool + rule->place, rule->line};
        acl_rule_to_parsed(from, rule, b->slots, scratch);
        int rc = acl_builder_add(b, scratch, &origin);
        if (rc != GUARD_OK)
            return rc;
    }
    return GUARD_OK;
}
