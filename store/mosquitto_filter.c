#include "store/mosquitto_filter.h"

#include <string.h>

#define LEVELS_MAX   200   /* of a template (acl/acl.h) */
#define TEMPLATE_MAX 65535 /* octets of it */

struct filter {
    const struct guard_mosquitto_rule *rule;
    enum guard_mosquitto version;
    struct guard_buffer *out;
    const char *why;
};

/* Not what the broker says: one that covers more. */
static void widen(struct filter *f, const char *with, const char *why)
{
    guard_buffer_text(f->out, with);
    if (!f->why)
        f->why = why;
}

static bool is_placeholder(const char *at, const char *end)
{
    return end - at >= 2 && at[0] == '%' && (at[1] == 'u' || at[1] == 'c');
}

static size_t count_placeholders(const char *level, const char *end)
{
    size_t count = 0;
    for (const char *at = level; at < end; at++)
        if (is_placeholder(at, end)) {
            count++;
            at++;
        }
    return count;
}

/* Text around one placeholder. */
static void mixed_level(struct filter *f, const char *level, const char *end)
{
    const char *at = level;
    while (!is_placeholder(at, end))
        at++;
    guard_template_level(f->out, level, (size_t)(at - level));
    guard_buffer_text(f->out, at[1] == 'u' ? "${username}" : "${client_id}");
    guard_template_level(f->out, at + 2, (size_t)(end - at - 2));
}

static void one_level(struct filter *f, const char *level, const char *end)
{
    size_t placeholders = f->rule->pattern ? count_placeholders(level, end) : 0;
    if (placeholders && f->version == GUARD_MOSQUITTO_2_1 && end - level != 2)
        placeholders = 0; /* there it is text */
    if (placeholders == 1)
        mixed_level(f, level, end);
    else if (placeholders)
        widen(f, "+", "two placeholders in one level cannot be told apart");
    else if (!guard_template_level(f->out, level, (size_t)(end - level)))
        widen(f, "+", "a level '**' cannot be written as text");
}

enum guard_filter_fit guard_mosquitto_filter(const struct guard_mosquitto_rule *rule, enum guard_mosquitto version,
                                             struct guard_buffer *out, const char **why)
{
    struct filter f = {.rule = rule, .version = version, .out = out};
    size_t start = out->length, levels = 0;
    if (guard_topic_impossible(rule->topic, strlen(rule->topic)))
        return GUARD_FILTER_NEVER;
    for (const char *level = rule->topic, *end; level; level = *end ? end + 1 : NULL) {
        end = strchrnul(level, '/');
        if (level != rule->topic)
            guard_buffer_byte(out, '/');
        if (levels++ == LEVELS_MAX && strcmp(level, "#") != 0) {
            widen(&f, "#", "it has more than 200 levels");
            break;
        }
        one_level(&f, level, end);
        if (out->length - start > TEMPLATE_MAX) {
            out->length = start;
            widen(&f, "#", "it is too long");
            break;
        }
    }
    *why = f.why;
    return f.why ? GUARD_FILTER_WIDENED : GUARD_FILTER_EXACT;
}
