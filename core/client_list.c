/* Lists of names, as a client record's `roles` and `client_id` hold them. */
#include "core/buffer.h"
#include "core/clients.h"
#include "core/quoted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    const char *text;
    size_t length, at;
    struct guard_error *err;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->length && (scan->text[scan->at] == ' ' || scan->text[scan->at] == '\t'))
        scan->at++;
}

static int fail(const struct scan *scan, size_t at, const char *what)
{
    return guard_fail_at(scan->err, GUARD_ERR_SYNTAX, NULL, 0, (unsigned)at + 1, "%s", what);
}

/* The integer that digits[0..length) is, wholly. */
static bool parse_priority(const char *digits, size_t length, int32_t *priority)
{
    char copy[16], *end;
    if (!length || length >= sizeof copy || (digits[0] != '-' && (digits[0] < '0' || digits[0] > '9')))
        return false;
    memcpy(copy, digits, length);
    copy[length] = '\0';
    errno = 0;
    long value = strtol(copy, &end, 10);
    if (*end || end == copy || errno || value < INT32_MIN || value > INT32_MAX)
        return false;
    *priority = (int32_t)value;
    return true;
}

/* What follows a quoted name: nothing, or ":" and the priority. */
static int quoted_priority(struct scan *scan, bool with_priority, int32_t *priority)
{
    size_t start = scan->at + 1;
    if (scan->at >= scan->length || scan->text[scan->at] != ':')
        return GUARD_OK;
    if (!with_priority)
        return fail(scan, scan->at, "expected ',' or the end of the list");
    scan->at = start + strcspn(scan->text + start, ", \t");
    if (!parse_priority(scan->text + start, scan->at - start, priority))
        return fail(scan, start, "expected a binding priority: an integer in -2147483648..2147483647");
    return GUARD_OK;
}

/* A bare name may hold ':': only an integer behind the last one is a priority. */
static int bare_name(struct scan *scan, bool with_priority, struct guard_buffer *name, int32_t *priority)
{
    const char *start = scan->text + scan->at;
    size_t length = strcspn(start, ", \t");
    const char *odd = strpbrk(start, "\"\\;");
    if (odd && odd < start + length)
        return fail(scan, (size_t)(odd - scan->text), "a name with this character is written in quotes");
    scan->at += length;
    const char *colon = with_priority ? memrchr(start, ':', length) : NULL;
    if (colon && parse_priority(colon + 1, (size_t)(start + length - colon - 1), priority))
        length = (size_t)(colon - start);
    if (!length)
        return fail(scan, (size_t)(start - scan->text), "expected a name");
    guard_buffer_append(name, start, length);
    return name->failed ? guard_fail(scan->err, GUARD_ERR_NOMEM, "out of memory") : GUARD_OK;
}

static int one_item(struct scan *scan, bool with_priority, struct guard_buffer *name, int32_t *priority)
{
    size_t consumed = 0, start = scan->at;
    *priority = 0;
    guard_buffer_clear(name);
    if (scan->at >= scan->length || scan->text[scan->at] != '"')
        return bare_name(scan, with_priority, name, priority);
    int rc = guard_quoted_read(scan->text + scan->at, scan->length - scan->at, name, &consumed, scan->err);
    if (rc != GUARD_OK) {
        if (scan->err)
            scan->err->column += (unsigned)start;
        return rc;
    }
    scan->at += consumed;
    if (!name->length)
        return fail(scan, start, "expected a name between the quotes");
    return quoted_priority(scan, with_priority, priority);
}

int guard_client_list_parse(const char *text, bool with_priority,
                            int (*item)(void *context, const char *name, int32_t priority), void *context,
                            struct guard_error *err)
{
    struct scan scan = {.text = text, .length = strlen(text), .err = err};
    struct guard_buffer name = {0};
    int32_t priority;
    int rc;
    for (;;) {
        skip_space(&scan);
        rc = one_item(&scan, with_priority, &name, &priority);
        if (rc != GUARD_OK)
            break;
        rc = item(context, name.data, priority);
        if (rc != GUARD_OK)
            break;
        skip_space(&scan);
        if (scan.at == scan.length)
            break;
        if (text[scan.at] != ',') {
            rc = fail(&scan, scan.at,
                      "expected ',' or the end of the list (a name that holds a space is written in quotes)");
            break;
        }
        scan.at++;
    }
    guard_buffer_free(&name);
    return rc;
}
