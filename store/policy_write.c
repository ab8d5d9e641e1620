/* A policy text as a policy file. */
#include "core/quoted.h"
#include "store/policy_file.h"

#include <string.h>

static const char *const section_names[] = {"role", "client", "assign", "default"};

void guard_policy_name_write(struct guard_buffer *out, const char *name, int field)
{
    if (field && strchr("[#;", name[0])) /* at the start of a line these mean something else */
        guard_buffer_json_string(out, name, strlen(name));
    else
        guard_quoted_write(out, name, field ? ";=" : ";");
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return true;
    return false;
}

static bool is_plain_text(const struct guard_policy_line *line)
{
    return line->section == GUARD_SECTION_CLIENT &&
           (strcmp(line->field, "password") == 0 || strncmp(line->field, "attr.", 5) == 0);
}

/* Text of an attribute that would not read back as it is. */
static bool needs_quotes(const char *value)
{
    size_t length = strlen(value);
    return !length || strchr(" \t\"", value[0]) || strchr(" \t", value[length - 1]) || strpbrk(value, ";\"") ||
           has_control(value);
}

static void write_head(struct guard_buffer *out, const struct guard_policy_line *line)
{
    guard_buffer_printf(out, "%s[%s", out->length ? "\n" : "", section_names[line->section]);
    if (line->name[0]) {
        guard_buffer_byte(out, ' ');
        guard_policy_name_write(out, line->name, 0);
    }
    guard_buffer_text(out, "]\n");
}

static int check_line(const struct guard_policy_line *line, struct guard_error *err)
{
    if (strchr(line->name, ']') || has_control(line->name))
        return guard_fail_at(err, GUARD_ERR_INVALID, line->place, line->line, 0,
                             "the name of %s '%s' cannot be written in a policy file", section_names[line->section],
                             line->name);
    if (has_control(line->field) || (has_control(line->value) && !is_plain_text(line)))
        return guard_fail_at(err, GUARD_ERR_INVALID, line->place, line->line, line->column,
                             "field '%s' holds a control character and cannot be written in a policy file",
                             line->field);
    if (!line->value[0] && !is_plain_text(line))
        return guard_fail_at(err, GUARD_ERR_INVALID, line->place, line->line, line->column,
                             "field '%s' has no value and cannot be written in a policy file", line->field);
    return GUARD_OK;
}

int guard_policy_file_write(const struct guard_policy_text *text, struct guard_buffer *out, struct guard_error *err)
{
    const struct guard_policy_line *before = NULL;
    for (size_t i = 0; i < text->count; i++) {
        const struct guard_policy_line *line = &text->lines[i];
        int rc = check_line(line, err);
        if (rc != GUARD_OK)
            return rc;
        if (!before || before->section != line->section || strcmp(before->name, line->name) != 0)
            write_head(out, line);
        guard_policy_name_write(out, line->field, 1);
        guard_buffer_text(out, " = ");
        if (is_plain_text(line) && needs_quotes(line->value))
            guard_buffer_json_string(out, line->value, strlen(line->value));
        else
            guard_buffer_text(out, line->value);
        guard_buffer_byte(out, '\n');
        before = line;
    }
    return GUARD_OK;
}
