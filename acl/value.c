/* What a placeholder is bound to (docs/policy.md, "Placeholders": unbindable values). */
#include "acl/label.h"
#include "acl/subject.h"
#include "core/utf8.h"

/*
 * Whether a text may stand in for one level, wherever a leading `$` does not matter. What is not UTF-8 could equal no
 * level of a topic.
 */
static bool is_level(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] == '/' || text[i] == '+' || text[i] == '#')
            return false;
    return length > 0 && length <= ACL_TEXT_MAX && guard_utf8_valid(text, length);
}

static const char *put_text(struct acl_value_space *space, const char *text, size_t length)
{
    char *to = space->text ? space->text + space->text_size : NULL;
    if (to)
        memcpy(to, text, length);
    space->text_size += length;
    return to;
}

static struct acl_level make_level(const char *text, size_t length)
{
    return (struct acl_level){
        .head = text ? acl_head_careful(text, (uint32_t)length) : 0, .text = text, .length = (uint32_t)length};
}

static const struct acl_level *put_level(struct acl_value_space *space, const char *text, size_t length)
{
    const char *copy = put_text(space, text, length);
    size_t at = space->level_count++;
    if (!space->levels)
        return NULL;
    space->levels[at] = make_level(copy, length);
    return &space->levels[at];
}

static void bind_one(const char *text, struct acl_value *value, struct acl_value_space *space)
{
    size_t length = strlen(text);
    if (!is_level(text, length))
        return;
    value->state = ACL_VALUE_BOUND;
    value->dollar = *text == '$';
    value->level = make_level(put_text(space, text, length), length);
}

static void bind_any(const char *const *values, size_t count, struct acl_value *value, struct acl_value_space *space)
{
    if (count > ACL_ANY_MEMBERS)
        return;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(values[i]);
        if (!is_level(values[i], length)) {
            value->partly = true;
            continue;
        }
        const struct acl_level *level = put_level(space, values[i], length);
        if (!value->count++)
            value->levels = level;
        value->state = ACL_VALUE_SET;
    }
}

static bool is_path(const char *text)
{
    size_t levels = 1;
    for (;; levels++) {
        size_t length = strcspn(text, "/");
        if (!is_level(text, length) || levels > ACL_PATH_LEVELS)
            return false;
        if (!text[length])
            return true;
        text += length + 1;
    }
}

static void bind_path(const char *text, struct acl_value *value, struct acl_value_space *space)
{
    if (!is_path(text))
        return;
    value->state = ACL_VALUE_BOUND;
    value->dollar = *text == '$';
    for (;;) {
        size_t length = strcspn(text, "/");
        const struct acl_level *level = put_level(space, text, length);
        if (!value->count++)
            value->levels = level;
        if (!text[length])
            return;
        text += length + 1;
    }
}

void acl_value_bind(enum acl_node_kind kind, const char *const *values, size_t count, struct acl_value *value,
                    struct acl_value_space *space)
{
    *value = (struct acl_value){.state = ACL_VALUE_UNBOUND};
    if (kind == ACL_NODE_ANY)
        bind_any(values, count, value, space);
    else if (count == 1 && kind == ACL_NODE_PATH)
        bind_path(values[0], value, space);
    else if (count == 1)
        bind_one(values[0], value, space);
}
