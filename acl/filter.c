/* Filters on their own: validity, matching, containment and overlap (docs/policy.md, "Topics and filters"). */
#include "acl/context.h"
#include "acl/label.h"
#include "core/utf8.h"

bool acl_filter_is_valid(const char *text, size_t length)
{
    if (!length || length > ACL_TEXT_MAX || memchr(text, '\0', length))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '+' && text[i] != '#')
            continue;
        bool opens = i == 0 || text[i - 1] == '/', ends = i + 1 == length || text[i + 1] == '/';
        if (!opens || !ends || (text[i] == '#' && i + 1 != length))
            return false;
    }
    return guard_utf8_valid(text, length);
}

enum guard_reason acl_filter_parse(const char *text, size_t length, struct acl_filter *filter)
{
    const char *end = text + length;
    filter->count = 0;
    filter->open = false;
    if (length > ACL_TEXT_MAX)
        return GUARD_REASON_TOPIC_TOO_LONG;
    if (!acl_filter_is_valid(text, length))
        return GUARD_REASON_TOPIC_INVALID;
    for (const char *at = text;; at++) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        uint32_t size = (uint32_t)((slash ? slash : end) - at);
        if (size == 1 && *at == '#') {
            filter->open = true;
            return GUARD_REASON_NONE;
        }
        if (filter->count == ACL_LEVELS - 1) /* one is kept for normalising */
            return GUARD_REASON_TOPIC_TOO_LONG;
        filter->levels[filter->count++] = (struct acl_level){
            .head = acl_head_careful(at, size),
            .text = at,
            .length = size,
            .kind = size == 1 && *at == '+' ? ACL_TOKEN_PLUS : ACL_TOKEN_LITERAL,
        };
        if (!slash)
            return GUARD_REASON_NONE;
        at = slash;
    }
}

bool acl_filter_normalise(struct acl_filter *filter)
{
    bool empty = filter->count == 1 && filter->levels[0].kind == ACL_TOKEN_LITERAL && !filter->levels[0].length;
    if (filter->open && (filter->count == 0 || empty))
        filter->levels[filter->count++] = (struct acl_level){.kind = ACL_TOKEN_PLUS};
    else if (empty)
        return false;
    return true;
}

/* ---- text against text: for lint, explanations and tests; the engine itself uses the trie ---- */

/* A filter read level by level. */
struct reader {
    const char *at; /* NULL behind the end */
    size_t length;
};

static struct reader first(const char *text)
{
    return (struct reader){text, strcspn(text, "/")};
}

static struct reader next(struct reader r)
{
    if (!r.at || r.at[r.length] != '/')
        return (struct reader){NULL, 0};
    return first(r.at + r.length + 1);
}

static bool is_hash(struct reader r)
{
    return r.at && r.length == 1 && *r.at == '#';
}

static bool is_plus(struct reader r)
{
    return r.at && r.length == 1 && *r.at == '+';
}

static bool same(struct reader a, struct reader b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static bool is_everything(const char *filter)
{
    return strcmp(filter, "**") == 0;
}

/* "#" and "/#" as "+/#" and "/+/#"; buffer holds the first, others are returned as they are. */
static const char *normalised(const char *filter)
{
    return strcmp(filter, "#") == 0 ? "+/#" : strcmp(filter, "/#") == 0 ? "/+/#" : filter;
}

bool acl_filter_matches(const char *filter, const char *topic)
{
    if (is_everything(filter))
        return true;
    struct reader f = first(filter), t = first(topic);
    if (*topic == '$' && (is_hash(f) || is_plus(f)))
        return false;
    for (;; f = next(f), t = next(t)) {
        if (is_hash(f))
            return true;
        if (!f.at || !t.at)
            return !f.at && !t.at;
        if (!is_plus(f) && !same(f, t))
            return false;
    }
}

bool acl_filter_covers(const char *rule, const char *filter)
{
    if (is_everything(rule))
        return true;
    struct reader r = first(rule), s = first(normalised(filter));
    if (*filter == '$' && (is_hash(r) || is_plus(r)))
        return false;
    for (;; r = next(r), s = next(s)) {
        if (is_hash(r))
            return true;
        if (!r.at || !s.at)
            return !r.at && !s.at;
        if (is_hash(s) || (!is_plus(r) && (is_plus(s) || !same(r, s))))
            return false;
    }
}

bool acl_filter_overlaps(const char *a, const char *b)
{
    if (is_everything(a) || is_everything(b))
        return true;
    struct reader x = first(normalised(a)), y = first(normalised(b));
    bool x_wild = is_hash(x) || is_plus(x), y_wild = is_hash(y) || is_plus(y);
    if ((x_wild && *b == '$') || (y_wild && *a == '$'))
        return false;
    for (;; x = next(x), y = next(y)) {
        if (is_hash(x) || is_hash(y))
            return true;
        if (!x.at || !y.at)
            return !x.at && !y.at;
        if (!is_plus(x) && !is_plus(y) && !same(x, y))
            return false;
    }
}
