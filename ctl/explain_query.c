#include "ctl/explain_query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const action_names[] = {"publish", "receive", "subscribe", "subscribe-only"};

void explain_query_clear(struct explain_query *query)
{
    struct explain_role *roles = query->roles;
    struct explain_attribute *attributes = query->attributes;
    *query = (struct explain_query){.roles = roles,
                                    .role_capacity = query->role_capacity,
                                    .attributes = attributes,
                                    .attribute_capacity = query->attribute_capacity};
}

void explain_query_free(struct explain_query *query)
{
    free(query->roles);
    free(query->attributes);
    *query = (struct explain_query){0};
}

bool explain_action_parse(const char *text, enum explain_action *action)
{
    for (size_t i = 0; i < sizeof action_names / sizeof *action_names; i++) {
        if (strcasecmp(text, action_names[i]) == 0) {
            *action = (enum explain_action)i;
            return true;
        }
    }
    return false;
}

const char *explain_action_name(enum explain_action action)
{
    return action_names[action];
}

/* Makes room for one more element of that size behind count. */
static bool make_room(void **array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    size_t more = *capacity ? *capacity * 2 : 8;
    void *grown = reallocarray(*array, more, size);
    if (!grown)
        return false;
    *array = grown;
    *capacity = more;
    return true;
}

/* Cuts ":5" off the name and reads it; a colon with anything else behind it is part of the name. */
static int32_t split_priority(char *text)
{
    char *colon = strrchr(text, ':'), *end;
    if (!colon || colon == text || !colon[1] || colon[1] == '+' || colon[1] == ' ')
        return 0;
    errno = 0;
    long value = strtol(colon + 1, &end, 10);
    if (*end || errno || value < INT32_MIN || value > INT32_MAX)
        return 0;
    *colon = '\0';
    return (int32_t)value;
}

bool explain_query_add_role(struct explain_query *query, char *text)
{
    void *array = query->roles;
    if (!make_room(&array, query->role_count, &query->role_capacity, sizeof *query->roles))
        return false;
    query->roles = array;
    int32_t priority = split_priority(text);
    query->roles[query->role_count++] = (struct explain_role){text, priority};
    query->roles_given = true;
    return true;
}

bool explain_query_add_attribute(struct explain_query *query, const char *name, const char *value)
{
    void *array = query->attributes;
    if (!make_room(&array, query->attribute_count, &query->attribute_capacity, sizeof *query->attributes))
        return false;
    query->attributes = array;
    bool dotted = strchr(name, '.') != NULL;
    query->attributes[query->attribute_count++] = (struct explain_attribute){name, dotted, value};
    return true;
}

/*
 * A string as part of an identity. An identity is a C string and cannot hold U+0000; what does is as unusable in a
 * topic level as one with a wildcard, so that is what it becomes.
 */
static bool read_identity(struct ctl_json *json, const char **out)
{
    struct ctl_text text;
    if (!ctl_json_string(json, &text))
        return false;
    for (char *p = text.data; (p = memchr(p, '\0', text.length - (size_t)(p - text.data)));)
        *p = '#';
    *out = text.data;
    return true;
}

static bool read_acl_claim(struct ctl_json *json, struct explain_query *query)
{
    struct ctl_text text;
    if (!ctl_json_string(json, &text))
        return false;
    query->acl_claim = text.data;
    return strlen(text.data) == text.length || ctl_json_fail(json, "acl_claim is JSON in a string");
}

static bool read_roles(struct ctl_json *json, struct explain_query *query)
{
    unsigned outer;
    const char *text;
    query->roles_given = true;
    if (!ctl_json_open(json, '[', &outer))
        return false;
    while (ctl_json_next_element(json, outer)) {
        struct ctl_text role;
        if (!ctl_json_string(json, &role))
            return false;
        text = role.data;
        if (strlen(text) != role.length || !role.length)
            return ctl_json_fail(json, "a role's name may not be empty or hold U+0000");
        if (!explain_query_add_role(query, role.data))
            return ctl_json_fail(json, "out of memory");
    }
    return !json->error;
}

static bool add_value(struct ctl_json *json, struct explain_query *query, const char *name, bool has_value)
{
    const char *value = NULL;
    if (has_value && !read_identity(json, &value))
        return false;
    return explain_query_add_attribute(query, name, value) || ctl_json_fail(json, "out of memory");
}

static bool read_attributes(struct ctl_json *json, struct explain_query *query)
{
    unsigned outer, inner;
    struct ctl_text name;
    if (!ctl_json_open(json, '{', &outer))
        return false;
    while (ctl_json_next_member(json, &name, outer)) {
        if (ctl_json_peek(json) != '[') {
            if (!add_value(json, query, name.data, true))
                return false;
            continue;
        }
        if (!ctl_json_open(json, '[', &inner))
            return false;
        if (ctl_json_peek(json) == ']' && !add_value(json, query, name.data, false))
            return false;
        while (ctl_json_next_element(json, inner))
            if (!add_value(json, query, name.data, true))
                return false;
    }
    return !json->error;
}

static bool read_action(struct ctl_json *json, struct explain_query *query)
{
    struct ctl_text text;
    if (!ctl_json_string(json, &text))
        return false;
    return explain_action_parse(text.data, &query->action) ||
           ctl_json_fail(json, "action is publish, receive, subscribe or subscribe-only");
}

static bool read_topic(struct ctl_json *json, struct explain_query *query)
{
    struct ctl_text text;
    if (!ctl_json_string(json, &text))
        return false;
    query->topic = text.data;
    query->topic_length = text.length;
    return true;
}

static bool read_payload(struct ctl_json *json, struct explain_query *query)
{
    struct ctl_text text;
    if (!ctl_json_string(json, &text))
        return false;
    query->payload = text.data;
    query->payload_length = text.length;
    return true;
}

static bool read_qos(struct ctl_json *json, struct explain_query *query)
{
    int64_t qos;
    if (!ctl_json_integer(json, 0, 2, &qos))
        return false;
    query->qos = (uint8_t)qos;
    return true;
}

static bool read_size(struct ctl_json *json, struct explain_query *query)
{
    int64_t size;
    if (!ctl_json_integer(json, 0, UINT32_MAX, &size))
        return false;
    query->size = (uint32_t)size;
    query->size_given = true;
    return true;
}

static bool read_retain(struct ctl_json *json, struct explain_query *query)
{
    return ctl_json_bool(json, &query->retain);
}

static bool read_username(struct ctl_json *json, struct explain_query *query)
{
    return read_identity(json, &query->username);
}

static bool read_client_id(struct ctl_json *json, struct explain_query *query)
{
    return read_identity(json, &query->client_id);
}

static bool read_address(struct ctl_json *json, struct explain_query *query)
{
    return read_identity(json, &query->address);
}

/* Action and topic first: their bits are what a line must have. */
static const struct member {
    const char *name;
    bool (*read)(struct ctl_json *json, struct explain_query *query);
} members[] = {
    {"action", read_action},       {"topic", read_topic},     {"username", read_username},
    {"client_id", read_client_id}, {"roles", read_roles},     {"attributes", read_attributes},
    {"address", read_address},     {"qos", read_qos},         {"retain", read_retain},
    {"size", read_size},           {"payload", read_payload}, {"acl_claim", read_acl_claim},
};
#define MEMBER_COUNT (sizeof members / sizeof *members)
#define REQUIRED     3u /* bits of action and topic */

static bool read_member(struct ctl_json *json, struct explain_query *query, const char *name, unsigned *seen)
{
    size_t i = 0;
    while (i < MEMBER_COUNT && strcmp(name, members[i].name) != 0)
        i++;
    if (i == MEMBER_COUNT)
        return ctl_json_fail(json, "a member that is none of username, client_id, roles, attributes, acl_claim, "
                                   "address, action, topic, qos, retain, size, payload");
    if (*seen & 1u << i)
        return ctl_json_fail(json, "a member is given twice");
    *seen |= 1u << i;
    if (ctl_json_peek(json) != 'n')
        return members[i].read(json, query);
    if (i < 2)
        *seen &= ~(1u << i); /* null is as good as absent */
    return ctl_json_null(json);
}

bool explain_query_read(struct explain_query *query, char *line, const char **error)
{
    struct ctl_json json;
    struct ctl_text name;
    unsigned outer, seen = 0;
    explain_query_clear(query);
    ctl_json_start(&json, line);
    if (ctl_json_open(&json, '{', &outer))
        while (ctl_json_next_member(&json, &name, outer) && read_member(&json, query, name.data, &seen))
            ;
    if (ctl_json_finish(&json) && (seen & REQUIRED) != REQUIRED)
        ctl_json_fail(&json, "a query needs action and topic");
    if (query->username && !*query->username)
        query->username = NULL;
    *error = json.error;
    return !json.error;
}
