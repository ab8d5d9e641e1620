#include "acl/describe.h"

#include "acl/condition.h"
#include "acl/context.h"
#include "acl/label.h"
#include "acl/names.h"
#include "core/buffer.h"

#include <stdio.h>
#include <string.h>

/* ---- finding ---- */

/* The rule whose code won at a node (see acl_best_id). */
static const struct acl_rule *winner(const struct acl_segment *segment, uint32_t node, unsigned end, unsigned action)
{
    if (node >= segment->root_count + segment->table_size || action >= ACL_ACTIONS)
        return NULL;
    int32_t code = acl_node_code(segment, &segment->nodes[node], end, action);
    for (uint32_t next = segment->nodes[node].rules; next; next = segment->rules[next - 1].next) {
        const struct acl_rule *rule = &segment->rules[next - 1];
        /* not in the codes: rules that are looked at one by one, and exact ones with wildcards, which match no topic */
        bool exact = rule->flags & ACL_RULE_EXACT;
        bool listed = rule->condition || (exact && (action == ACL_SUBSCRIBE || rule->flags & ACL_RULE_WILD));
        if (rule->end == end && rule->actions & ACL_ACTION_BIT(action) && !listed &&
            acl_code(rule->priority, rule->allow) == code)
            return rule;
    }
    return NULL;
}

static const struct acl_role_entry *entry_of(const struct acl_policy *policy, const struct acl_subject *subject,
                                             uint32_t role)
{
    if (role == ACL_SESSION_ROLE)
        return subject ? &subject->session : NULL;
    return role < policy->role_count ? &policy->roles[role] : NULL;
}

bool acl_rule_find(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                   struct acl_found *found)
{
    bool by_node = id >> 63;
    uint32_t low = (uint32_t)id, role = by_node ? (uint32_t)(id >> 32) & ACL_SESSION_ROLE : (uint32_t)(id >> 32) - 1;
    const struct acl_role_entry *entry = id ? entry_of(policy, subject, role) : NULL;
    if (!entry || !entry->segment)
        return false;
    const struct acl_segment *segment = entry->segment;
    *found = (struct acl_found){.segment = segment, .role = role};
    found->slots = role == ACL_SESSION_ROLE ? subject->session_slots : policy->slots;
    if (by_node)
        found->rule = winner(segment, low, id >> 62 & 1, id >> 60 & 3);
    else if (low < segment->rule_count)
        found->rule = &segment->rules[low];
    return found->rule && found->rule->role == entry->root;
}

acl_rule_id acl_found_id(const struct acl_found *found)
{
    return acl_make_id(found->role, (uint32_t)(found->rule - found->segment->rules));
}

/* ---- writing ---- */

static void write_text(struct guard_buffer *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '$' && i + 1 < length && text[i + 1] == '{')
            guard_buffer_text(out, "${$}");
        else
            guard_buffer_byte(out, text[i]);
    }
}

static void write_level(struct guard_buffer *out, const struct acl_found *found, const struct acl_node *node)
{
    const char *label = acl_node_text(found->segment, node);
    if (node->kind == ACL_NODE_PLUS) {
        guard_buffer_byte(out, '+');
    } else if (node->kind == ACL_NODE_LITERAL) {
        write_text(out, label, acl_node_length(node));
    } else {
        static const char *const modes[] = {[ACL_NODE_ONE] = "", [ACL_NODE_ANY] = "|any", [ACL_NODE_PATH] = "|path"};
        uint32_t prefix = acl_node_prefix(node);
        write_text(out, label, prefix);
        guard_buffer_printf(out, "${%s%s}", found->slots->slots[acl_node_slot(node)].name, modes[node->kind]);
        write_text(out, label + prefix, acl_node_length(node) - prefix);
    }
}

static void write_levels(struct guard_buffer *out, const struct acl_found *found, const struct acl_node *node)
{
    if (node->kind == ACL_NODE_ROOT)
        return;
    write_levels(out, found, &found->segment->nodes[node->parent]); /* at most 200 deep */
    if (!(node->marks & ACL_FIRST_LEVEL))
        guard_buffer_byte(out, '/');
    write_level(out, found, node);
}

static void write_filter(struct guard_buffer *out, const struct acl_found *found)
{
    struct guard_buffer plain = {0};
    const struct acl_node *node = &found->segment->nodes[found->rule->node];
    bool open = found->rule->end == ACL_END_OPEN, quote = false;
    write_levels(&plain, found, node);
    if (node->kind == ACL_NODE_ROOT)
        guard_buffer_text(&plain, open ? "#" : "**");
    else if (open)
        guard_buffer_text(&plain, "/#");
    for (size_t i = 0; i < plain.length; i++) {
        unsigned char c = (unsigned char)plain.data[i];
        quote |= c <= 0x20 || c == 0x7f || c == '"' || c == '\\' || c == ';';
    }
    if (plain.failed)
        out->failed = true;
    else if (quote)
        guard_buffer_json_string(out, plain.data, plain.length);
    else
        guard_buffer_append(out, plain.data, plain.length);
    guard_buffer_free(&plain);
}

static const char *action_list(unsigned actions)
{
    static const char *const names[8] = {
        "", "publish", "receive", "publish,receive", "subscribe-only", "publish,subscribe-only", "subscribe", "all"};
    return names[actions & 7];
}

static void write_rule(struct guard_buffer *out, const struct acl_found *found)
{
    const struct acl_rule *rule = found->rule;
    char conditions[4096];
    guard_buffer_printf(out, "%s %s ", rule->allow ? "allow" : "deny", action_list(rule->actions));
    write_filter(out, found);
    if (rule->priority)
        guard_buffer_printf(out, " priority=%d", rule->priority);
    if (rule->condition) {
        acl_condition_format(&found->segment->conditions[rule->condition - 1], found->segment->nets, conditions,
                             sizeof conditions);
        guard_buffer_text(out, conditions);
    }
    if (rule->flags & ACL_RULE_EXACT)
        guard_buffer_text(out, " exact");
}

static const char *deliver(struct guard_buffer *text, char *buffer, size_t size)
{
    if (size)
        snprintf(buffer, size, "%s", text->failed || !text->data ? "" : text->data);
    guard_buffer_free(text);
    return buffer;
}

const char *acl_rule_filter(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                            char *buffer, size_t size)
{
    struct guard_buffer text = {0};
    struct acl_found found;
    if (acl_rule_find(policy, subject, id, &found))
        write_filter(&text, &found);
    return deliver(&text, buffer, size);
}

const char *acl_rule_text(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                          char *buffer, size_t size)
{
    struct guard_buffer text = {0};
    struct acl_found found;
    if (acl_rule_find(policy, subject, id, &found))
        write_rule(&text, &found);
    return deliver(&text, buffer, size);
}

static const char *role_name(const struct acl_policy *policy, uint32_t role)
{
    return role == ACL_SESSION_ROLE ? "token" : acl_names_text(policy->names, role);
}

/* Appends text at buffer + at, cut to size; where the next one goes. */
static size_t put_cut(char *buffer, size_t size, size_t at, const char *text)
{
    size_t length = strnlen(text, size - 1 - at);
    memcpy(buffer + at, text, length);
    return at + length;
}

/* An audited publish asks for it: no printf, which would cost more than the decision. */
const char *acl_rule_name(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                          char *buffer, size_t size)
{
    struct acl_found found;
    size_t at = 0;
    if (!size)
        return buffer;
    if (acl_rule_find(policy, subject, id, &found)) {
        at = put_cut(buffer, size, at, role_name(policy, found.role));
        at = put_cut(buffer, size, at, "/");
        at = put_cut(buffer, size, at, found.segment->pool + found.rule->name);
    }
    buffer[at] = '\0';
    return buffer;
}

int acl_rule_describe(const struct acl_policy *policy, const struct acl_subject *subject, acl_rule_id id,
                      struct acl_rule_info *info)
{
    struct acl_found found;
    *info = (struct acl_rule_info){.role = "", .name = "", .place = ""};
    if (!acl_rule_find(policy, subject, id, &found))
        return GUARD_ERR_NOT_FOUND;
    const struct acl_rule *rule = found.rule;
    *info = (struct acl_rule_info){
        .id = acl_found_id(&found),
        .role = role_name(policy, found.role),
        .name = found.segment->pool + rule->name,
        .place = found.segment->pool + rule->place,
        .line = rule->line,
        .allow = rule->allow,
        .actions = rule->actions,
        .priority = rule->priority,
        .exact = rule->flags & ACL_RULE_EXACT,
        .conditional = rule->condition != 0,
        .has_placeholder = rule->flags & ACL_RULE_TYPED,
        .has_wildcard = rule->flags & ACL_RULE_WILD,
        .is_everything = found.segment->nodes[rule->node].kind == ACL_NODE_ROOT && rule->end == ACL_END_EXACT,
    };
    return GUARD_OK;
}
