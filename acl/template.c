/* Filter templates: levels, wildcards and placeholders (docs/policy.md, "Placeholders"). */
#include "acl/parse.h"

#include "core/utf8.h"

#include <string.h>

bool acl_placeholder_name_is_valid(const char *text, size_t length)
{
    static const char *const whole[] = {"username", "client_id", "clientid"};
    static const char *const sources[] = {"cert.", "jwt.", "attr."};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (length == strlen(whole[i]) && memcmp(text, whole[i], length) == 0)
            return true;
    size_t prefix = 0;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (length > strlen(sources[i]) && memcmp(text, sources[i], strlen(sources[i])) == 0)
            prefix = strlen(sources[i]);
    if (!prefix || length >= ACL_NAME_LENGTH)
        return false;
    for (size_t i = prefix; i < length; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr("_-.:", c))
            return false;
    }
    return true;
}

struct templating {
    struct acl_parsed *out;
    unsigned paths;
    const char *fault_at;
};

static const char *fault(struct templating *t, const char *at, const char *what)
{
    t->fault_at = at;
    return what;
}

static void append(struct templating *t, struct acl_parsed_level *level, const char *text, size_t length)
{
    memcpy(t->out->text + t->out->text_used, text, length);
    t->out->text_used += (uint32_t)length;
    level->length += (uint32_t)length;
}

/* at stands on "${"; *next is set behind the "}". */
static const char *placeholder(struct templating *t, struct acl_parsed_level *level, const char *at, const char *end,
                               const char **next)
{
    const char *name = at + 2;
    const char *close = memchr(name, '}', (size_t)(end - name));
    if (!close)
        return fault(t, at, "this ${ is not closed in its level: expected }");
    *next = close + 1;
    if (close - name == 1 && *name == '$') {
        append(t, level, "$", 1);
        return NULL;
    }
    if (level->kind != ACL_NODE_LITERAL)
        return fault(t, at, "a second placeholder in one level is ambiguous: expected one");
    const char *bar = memchr(name, '|', (size_t)(close - name));
    const char *name_end = bar ? bar : close;
    size_t length = (size_t)(name_end - name), mode = bar ? (size_t)(close - bar - 1) : 0;
    if (!acl_placeholder_name_is_valid(name, length))
        return fault(t, name,
                     "unknown placeholder: expected username, client_id, cert.<field>, jwt.<claim>, attr.<name> or $");
    if (bar && mode == 3 && memcmp(bar + 1, "any", 3) == 0)
        level->kind = ACL_NODE_ANY;
    else if (bar && mode == 4 && memcmp(bar + 1, "path", 4) == 0)
        level->kind = ACL_NODE_PATH;
    else if (bar)
        return fault(t, bar + 1, "expected |any or |path");
    else
        level->kind = ACL_NODE_ONE;
    if (length == 8 && memcmp(name, "clientid", 8) == 0) {
        name = "client_id";
        length = 9;
    }
    memcpy(level->name, name, length);
    level->name[length] = '\0';
    level->prefix = level->length;
    return NULL;
}

static const char *mixed_level(struct templating *t, struct acl_parsed_level *level, const char *at, const char *end)
{
    const char *start = at;
    while (at < end) {
        if (*at == '+' || *at == '#')
            return fault(t, at,
                         memchr(start, '{', (size_t)(end - start))
                             ? "a wildcard beside a placeholder: each must fill a level of its own"
                             : "a wildcard must fill a whole level");
        if (*at == '$' && end - at > 1 && at[1] == '{') {
            const char *what = placeholder(t, level, at, end, &at);
            if (what)
                return what;
            continue;
        }
        append(t, level, at++, 1);
    }
    if (level->kind == ACL_NODE_PATH) {
        if (level->length)
            return fault(t, start, "a |path placeholder must fill a whole level");
        if (++t->paths > ACL_FILTER_PATHS)
            return fault(t, start, "more than 4 |path placeholders in one filter");
    }
    return NULL;
}

static bool is_plain(const char *at, const char *end)
{
    for (; at < end; at++)
        if (*at == '+' || *at == '#' || *at == '$')
            return false;
    return true;
}

static const char *one_level(struct templating *t, const char *at, const char *end, bool last)
{
    struct acl_parsed *out = t->out;
    size_t length = (size_t)(end - at);
    if (length == 1 && *at == '#') {
        if (!last)
            return fault(t, at, "# must be the last level");
        out->open = out->wild = true;
        return NULL;
    }
    if (length == 2 && memcmp(at, "**", 2) == 0)
        return fault(t, at, "** stands only alone; did you mean #?");
    if (out->level_count == ACL_FILTER_LEVELS)
        return fault(t, at, "more than 200 levels");
    struct acl_parsed_level *level = &out->levels[out->level_count++];
    level->kind = ACL_NODE_LITERAL;
    level->text = out->text_used;
    level->length = level->prefix = 0;
    if (length == 1 && *at == '+') {
        level->kind = ACL_NODE_PLUS;
        out->wild = true;
    } else if (is_plain(at, end)) {
        append(t, level, at, length);
    } else {
        const char *what = mixed_level(t, level, at, end);
        out->typed |= level->kind != ACL_NODE_LITERAL;
        return what;
    }
    return NULL;
}

const char *acl_template_parse(const char *filter, size_t length, struct acl_parsed *out, size_t *at)
{
    struct templating t = {.out = out};
    const char *end = filter + length, *level = filter;
    out->level_count = 0;
    out->text_used = 0;
    out->open = out->everything = out->typed = out->wild = false;
    *at = 0;
    if (!length)
        return "expected a topic filter";
    if (length > ACL_TEXT_MAX)
        return "a topic filter has at most 65,535 octets";
    if (!guard_utf8_valid(filter, length))
        return "this topic filter is not well-formed UTF-8";
    if (length == 2 && memcmp(filter, "**", 2) == 0) {
        out->everything = out->wild = true;
        return NULL;
    }
    for (;;) {
        const char *slash = memchr(level, '/', (size_t)(end - level));
        const char *what = one_level(&t, level, slash ? slash : end, !slash);
        if (what) {
            *at = (size_t)(t.fault_at - filter);
            return what;
        }
        if (!slash)
            return NULL;
        level = slash + 1;
    }
}
