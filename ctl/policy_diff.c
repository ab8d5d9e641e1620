#include "ctl/policy_diff.h"

#include "ctl/redis.h"

#include <stdlib.h>
#include <string.h>

static const char *const sections[] = {"role", "client", "assign", "default"};

static int compare(const struct guard_policy_line *a, const struct guard_policy_line *b)
{
    if (a->section != b->section)
        return a->section < b->section ? -1 : 1;
    int by_name = strcmp(a->name, b->name);
    return by_name ? by_name : strcmp(a->field, b->field);
}

static int compare_lines(const void *a, const void *b)
{
    return compare(a, b);
}

void ctl_policy_sort(struct guard_policy_text *text)
{
    if (text->count > 1)
        qsort(text->lines, text->count, sizeof *text->lines, compare_lines);
}

static int add(struct ctl_diff *diff, const struct guard_policy_line *before, const struct guard_policy_line *after)
{
    if (diff->count == diff->capacity) {
        size_t capacity = diff->capacity ? diff->capacity * 2 : 64;
        struct ctl_difference *grown = reallocarray(diff->items, capacity, sizeof *grown);
        if (!grown)
            return GUARD_ERR_NOMEM;
        diff->items = grown;
        diff->capacity = capacity;
    }
    diff->items[diff->count++] = (struct ctl_difference){before, after};
    return GUARD_OK;
}

/* Whether the client that line belongs to has any line in text[at..) (sorted). */
static bool names_client(const struct guard_policy_text *text, size_t at, const struct guard_policy_line *line)
{
    if (at < text->count && text->lines[at].section == line->section && strcmp(text->lines[at].name, line->name) == 0)
        return true;
    return at && text->lines[at - 1].section == line->section && strcmp(text->lines[at - 1].name, line->name) == 0;
}

int ctl_diff_make(struct guard_policy_text *before, struct guard_policy_text *after, bool keep_clients,
                  struct ctl_diff *diff)
{
    size_t b = 0, a = 0;
    int rc = GUARD_OK;
    ctl_policy_sort(before);
    ctl_policy_sort(after);
    while (rc == GUARD_OK && (b < before->count || a < after->count)) {
        const struct guard_policy_line *old = b < before->count ? &before->lines[b] : NULL;
        const struct guard_policy_line *new = a < after->count ? &after->lines[a] : NULL;
        int order = !old ? 1 : !new ? -1 : compare(old, new);
        if (order == 0) {
            if (strcmp(old->value, new->value) != 0)
                rc = add(diff, old, new);
            b++;
            a++;
        } else if (order < 0) {
            if (!keep_clients || old->section != GUARD_SECTION_CLIENT || names_client(after, a, old))
                rc = add(diff, old, NULL);
            b++;
        } else {
            rc = add(diff, NULL, new);
            a++;
        }
    }
    return rc;
}

void ctl_diff_free(struct ctl_diff *diff)
{
    free(diff->items);
    *diff = (struct ctl_diff){0};
}

static const char *shown(const struct guard_policy_line *line)
{
    return line->section == GUARD_SECTION_CLIENT && strcmp(line->field, "password") == 0 ? "(hidden)" : line->value;
}

static void print_one(const struct ctl_difference *d, bool colour, struct guard_buffer *out)
{
    const struct guard_policy_line *before = d->before, *after = d->after, *line = after ? after : before;
    const char *start = before && after ? "\033[33m" : after ? "\033[32m" : "\033[31m";
    guard_buffer_printf(out, "%s  %c ", colour ? start : "", before && after ? '~' : after ? '+' : '-');
    ctl_shown_text(out, line->field);
    guard_buffer_text(out, " = ");
    if (before && after) {
        ctl_shown_text(out, shown(before));
        guard_buffer_text(out, "  ->  ");
    }
    ctl_shown_text(out, shown(line));
    guard_buffer_printf(out, "%s\n", colour ? "\033[0m" : "");
}

void ctl_diff_print(const struct ctl_diff *diff, bool colour, struct guard_buffer *out)
{
    const struct guard_policy_line *previous = NULL;
    for (size_t i = 0; i < diff->count; i++) {
        const struct guard_policy_line *line = diff->items[i].after ? diff->items[i].after : diff->items[i].before;
        if (!previous || previous->section != line->section || strcmp(previous->name, line->name) != 0) {
            guard_buffer_printf(out, "[%s%s", sections[line->section], line->name[0] ? " " : "");
            ctl_shown_text(out, line->name);
            guard_buffer_text(out, "]\n");
        }
        print_one(&diff->items[i], colour, out);
        previous = line;
    }
}

void ctl_diff_json(const struct ctl_diff *diff, struct guard_buffer *out)
{
    guard_buffer_byte(out, '[');
    for (size_t i = 0; i < diff->count; i++) {
        const struct ctl_difference *d = &diff->items[i];
        const struct guard_policy_line *line = d->after ? d->after : d->before;
        guard_buffer_printf(out, "%s{\"op\":\"%s\",\"section\":\"%s\",\"name\":", i ? "," : "",
                            !d->before  ? "add"
                            : !d->after ? "remove"
                                        : "change",
                            sections[line->section]);
        ctl_json_text(out, line->name);
        guard_buffer_text(out, ",\"field\":");
        ctl_json_text(out, line->field);
        guard_buffer_text(out, ",\"before\":");
        ctl_json_text(out, d->before ? shown(d->before) : NULL);
        guard_buffer_text(out, ",\"after\":");
        ctl_json_text(out, d->after ? shown(d->after) : NULL);
        guard_buffer_byte(out, '}');
    }
    guard_buffer_byte(out, ']');
}

void ctl_diff_summary(const struct ctl_diff *diff, struct guard_buffer *out)
{
    size_t added = 0, changed = 0, removed = 0;
    for (size_t i = 0; i < diff->count; i++) {
        added += !diff->items[i].before;
        removed += !diff->items[i].after;
        changed += diff->items[i].before && diff->items[i].after;
    }
    guard_buffer_printf(out, "%zu added, %zu changed, %zu removed", added, changed, removed);
}
