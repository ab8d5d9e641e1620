#include "store/policy_file.h"

#include "core/clients.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/nearest.h"
#include "core/quoted.h"
#include "core/utf8.h"
#include "store/policy_keys.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct reader {
    const char *place;
    struct guard_policy_text *text;
    struct guard_problems *problems;
    struct guard_policy_fields fields; /* seen, to refuse doubles */
    struct guard_buffer name;          /* of the section's role or client */
    struct guard_buffer field, value;  /* of the line at work */
    enum guard_policy_section section;
    bool in_section; /* false: before the first section, or in one whose head was faulty */
    bool section_empty;
    unsigned section_line;
    unsigned number; /* of the line at work */
    const char *line;
    size_t length;
    bool faulty, no_memory;
};

static void complain(struct reader *r, size_t at, const char *text)
{
    r->faulty = true;
    guard_problems_add(r->problems, GUARD_PROBLEM_ERROR, r->place, r->number, (unsigned)at + 1, "%s", text);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static size_t skip_space(const struct reader *r, size_t at)
{
    while (at < r->length && is_space(r->line[at]))
        at++;
    return at;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* The quoted text at line[start..end), appended to out; false: a problem was added, or out of memory. */
static bool quoted(struct reader *r, size_t start, size_t end, struct guard_buffer *out, size_t *consumed)
{
    struct guard_error err = {0};
    int rc = guard_quoted_read(r->line + start, end - start, out, consumed, &err);
    if (rc == GUARD_ERR_NOMEM)
        r->no_memory = true;
    else if (rc != GUARD_OK)
        complain(r, start + (err.column ? err.column - 1 : 0), err.text);
    return rc == GUARD_OK;
}

/* A name at line[at], quoted or up to a byte of stop. Moves *at behind it; false: a problem was added. */
static bool read_name(struct reader *r, size_t *at, const char *stop, size_t limit, struct guard_buffer *name)
{
    size_t start = *at, consumed;
    guard_buffer_clear(name);
    if (start < r->length && r->line[start] == '"') {
        if (!quoted(r, start, r->length, name, &consumed))
            return false;
        *at = start + consumed;
    } else {
        while (*at < r->length && !strchr(stop, r->line[*at]))
            ++*at;
        guard_buffer_append(name, r->line + start, *at - start);
    }
    if (name->failed) {
        r->no_memory = true;
        return false;
    }
    if (!name->length)
        complain(r, start, "expected a name");
    else if (name->length > limit)
        complain(r, start, "the name is too long (1,024 bytes; a client's 65,535)");
    else if (has_control(name->data))
        complain(r, start, "a name may not hold control characters");
    else
        return true;
    return false;
}

/* What may follow a section head or a quoted value: white space and a comment. */
static bool at_end(const struct reader *r, size_t at)
{
    at = skip_space(r, at);
    return at == r->length || r->line[at] == ';';
}

static void close_section(struct reader *r)
{
    static const char *const kinds[] = {"role", "client", "assign", "default"};
    if (r->in_section && r->section_empty)
        guard_problems_add(r->problems, GUARD_PROBLEM_WARNING, r->place, r->section_line, 1,
                           "section [%s%s%s] is empty and has no effect", kinds[r->section], r->name.length ? " " : "",
                           r->name.length ? r->name.data : "");
    r->in_section = false;
}

static bool section_kind(struct reader *r, size_t at, size_t length)
{
    static const char *const names[] = {"role", "client", "assign", "default"};
    char word[32], text[160];
    snprintf(word, sizeof word, "%.*s", (int)(length < 31 ? length : 31), r->line + at);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(word, names[i]) == 0) {
            r->section = (enum guard_policy_section)i;
            return true;
        }
    snprintf(
        text, sizeof text,
        "there is no section [%s]; did you mean [%s]? (expected [role NAME], [client NAME], [assign] or [default])",
        word, guard_nearest(word, names, sizeof names / sizeof names[0]));
    complain(r, at, text);
    return false;
}

/* line[at] == '[' */
static void read_section(struct reader *r, size_t at)
{
    size_t start = skip_space(r, at + 1), end = start;
    close_section(r);
    r->section_line = r->number;
    guard_buffer_clear(&r->name);
    guard_buffer_append(&r->name, "", 0);
    while (end < r->length && !is_space(r->line[end]) && r->line[end] != ']')
        end++;
    if (!section_kind(r, start, end - start))
        return;
    bool named = r->section == GUARD_SECTION_ROLE || r->section == GUARD_SECTION_CLIENT;
    size_t name_at = end = skip_space(r, end);
    size_t limit = r->section == GUARD_SECTION_ROLE ? GUARD_POLICY_NAME_MAX : GUARD_CLIENT_NAME_MAX;
    if (named && !read_name(r, &end, " \t]\"\\;", limit, &r->name))
        return;
    if (strchr(r->name.data, ']')) {
        complain(r, name_at, "a role's or client's name may not hold ']'");
        return;
    }
    end = skip_space(r, end);
    if (end >= r->length || r->line[end] != ']') {
        complain(r, end,
                 named
                     ? "expected ']' (a name that holds white space, a quote, a backslash or ';' is written in quotes)"
                     : "expected ']': this section has no name");
        return;
    }
    if (!at_end(r, end + 1)) {
        complain(r, skip_space(r, end + 1), "expected a comment or the end of the line behind ']'");
        return;
    }
    r->in_section = true;
    r->section_empty = true;
}

/*
 * Where the value that begins at `at` ends: at a comment (a ';' behind white space, outside quotes) or the end of the
 * line. SIZE_MAX: a quote is not closed (a problem was added).
 */
static size_t value_end(struct reader *r, size_t at)
{
    size_t end = at;
    for (size_t i = at; i < r->length; i++) {
        char c = r->line[i];
        if (c == ';' && (i == at || is_space(r->line[i - 1])))
            break;
        if (c == '"') {
            size_t open = i;
            for (i++; i < r->length && r->line[i] != '"'; i++)
                if (r->line[i] == '\\')
                    i++;
            if (i >= r->length) {
                complain(r, open, "a quote is opened and not closed; expected '\"'");
                return SIZE_MAX;
            }
        }
        if (!is_space(c))
            end = i + 1;
    }
    return end;
}

/* A client's password or attribute may be written in quotes, for example to hold ';' or outer white space. */
static bool unquote(struct reader *r, size_t start, size_t end)
{
    size_t consumed;
    bool plain = r->section == GUARD_SECTION_CLIENT &&
                 (strcmp(r->field.data, "password") == 0 || strncmp(r->field.data, "attr.", 5) == 0);
    guard_buffer_clear(&r->value);
    if (!plain || r->line[start] != '"') {
        guard_buffer_append(&r->value, r->line + start, end - start);
        return true;
    }
    if (!quoted(r, start, end, &r->value, &consumed))
        return false;
    if (start + consumed != end) {
        complain(r, start + consumed, "expected a comment or the end of the line behind the quoted value");
        return false;
    }
    return true;
}

static void add_line(struct reader *r, size_t field_at, size_t value_at)
{
    char text[96];
    struct guard_policy_line line = {.section = r->section,
                                     .name = r->name.data,
                                     .field = r->field.data,
                                     .value = r->value.data,
                                     .place = r->place,
                                     .line = r->number,
                                     .column = (unsigned)value_at + 1};
    if (r->field.failed || r->value.failed || r->name.failed || guard_policy_text_add(r->text, &line) != GUARD_OK) {
        r->no_memory = true;
        return;
    }
    size_t before;
    int rc = guard_policy_fields_add(&r->fields, r->text, r->text->count - 1, &before);
    if (rc == GUARD_ERR_NOMEM)
        r->no_memory = true;
    if (rc != GUARD_ERR_INVALID)
        return;
    snprintf(text, sizeof text, "this field was already given in this section, in line %u",
             r->text->lines[before].line);
    complain(r, field_at, text);
}

static void read_field(struct reader *r, size_t at)
{
    size_t field_at = at;
    if (!r->in_section) {
        if (!r->faulty) /* in the lines of a faulty section, one complaint is enough */
            complain(r, at, "expected a section first: [role NAME], [client NAME], [assign] or [default]");
        return;
    }
    r->section_empty = false;
    if (!read_name(r, &at, " \t=\"\\;", GUARD_POLICY_NAME_MAX, &r->field))
        return;
    at = skip_space(r, at);
    if (at >= r->length || r->line[at] != '=') {
        complain(r, at,
                 "expected '=' (a name that holds white space, a quote, a backslash, ';' or '=' is written in quotes)");
        return;
    }
    at = skip_space(r, at + 1);
    size_t end = value_end(r, at);
    if (end == SIZE_MAX)
        return;
    if (end == at) {
        complain(r, at, "expected a value behind '='");
        return;
    }
    if (unquote(r, at, end))
        add_line(r, field_at, at);
}

static bool readable(struct reader *r)
{
    if (r->length > GUARD_POLICY_LINE_MAX) {
        complain(r, GUARD_POLICY_LINE_MAX, "the line is longer than 256 KiB");
        return false;
    }
    for (size_t i = 0; i < r->length;) {
        size_t width = guard_utf8_sequence(r->line + i, r->length - i);
        unsigned char c = (unsigned char)r->line[i];
        if (!width || (c < 0x20 && c != '\t') || c == 0x7f) {
            complain(r, i, width ? "a control character; expected text" : "not valid UTF-8");
            return false;
        }
        i += width;
    }
    return true;
}

static void read_line(struct reader *r)
{
    if (!readable(r))
        return;
    size_t at = skip_space(r, 0);
    if (at == r->length || r->line[at] == ';' || r->line[at] == '#')
        return;
    if (r->line[at] == '[')
        read_section(r, at);
    else
        read_field(r, at);
}

static void read_lines(struct reader *r, const char *bytes, size_t length)
{
    const char *at = bytes, *end = bytes + length;
    if (length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        r->number = 1;
        complain(r, 0, "the file begins with a byte order mark (U+FEFF); save it as UTF-8 without one");
        r->number = 0;
        at += 3;
    }
    while (at < end && !r->no_memory) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        r->line = at;
        r->length = (size_t)((stop ? stop : end) - at);
        r->number++;
        at = stop ? stop + 1 : end;
        if (r->length && r->line[r->length - 1] == '\r' && stop)
            r->length--;
        read_line(r);
    }
    close_section(r);
}

int guard_policy_file_parse(const char *place, const char *bytes, size_t length, struct guard_policy_text *text,
                            struct guard_problems *problems)
{
    struct reader r = {.place = place, .text = text, .problems = problems};
    if (length > GUARD_POLICY_FILE_MAX) {
        guard_problems_add(problems, GUARD_PROBLEM_ERROR, place, 0, 0, "the policy is larger than 512 MiB");
        return GUARD_ERR_SYNTAX;
    }
    read_lines(&r, bytes, length);
    guard_policy_fields_free(&r.fields);
    guard_buffer_free(&r.name);
    guard_buffer_free(&r.field);
    guard_buffer_free(&r.value);
    if (r.no_memory) {
        guard_problems_add(problems, GUARD_PROBLEM_ERROR, place, 0, 0, "out of memory");
        return GUARD_ERR_NOMEM;
    }
    return r.faulty ? GUARD_ERR_SYNTAX : GUARD_OK;
}

/* Hashes that everybody on the machine may read can be attacked at leisure. The file was read: this only warns. */
static void warn_if_public(const char *path, const struct guard_policy_text *text, struct guard_problems *problems)
{
    struct stat st;
    if (stat(path, &st) != 0 || !(st.st_mode & S_IROTH))
        return;
    for (size_t i = 0; i < text->count; i++)
        if (text->lines[i].section == GUARD_SECTION_CLIENT && strcmp(text->lines[i].field, "password") == 0) {
            guard_problems_add(problems, GUARD_PROBLEM_WARNING, path, 0, 0,
                               "holds password hashes and may be read by everybody (mode %04o); expected 0640",
                               (unsigned)st.st_mode & 07777);
            return;
        }
}

int guard_policy_file_read(const char *path, struct guard_policy_text *text, struct guard_problems *problems,
                           struct guard_error *err)
{
    char *bytes = NULL;
    size_t length = 0;
    struct guard_error own = {0};
    int rc = guard_file_read(path, GUARD_FILE_PUBLIC, GUARD_POLICY_FILE_MAX, &bytes, &length, &own);
    if (rc != GUARD_OK) {
        guard_problems_add(problems, GUARD_PROBLEM_ERROR, path, 0, 0, "%s", own.text);
        if (err)
            *err = own;
        return rc;
    }
    rc = guard_policy_file_parse(path, bytes, length, text, problems);
    guard_free_secret(&bytes, length);
    if (rc == GUARD_OK)
        warn_if_public(path, text, problems);
    else
        guard_fail_at(err, (enum guard_code)rc, path, 0, 0, rc == GUARD_ERR_NOMEM ? "out of memory" : "has errors");
    return rc;
}
