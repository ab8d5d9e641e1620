#include "core/quoted.h"

#include "core/json.h"

#include <string.h>

static size_t closing_quote(const char *text, size_t length)
{
    for (size_t i = 1; i < length; i++) {
        if (text[i] == '\\')
            i++;
        else if (text[i] == '"')
            return i;
    }
    return 0;
}

int guard_quoted_read(const char *text, size_t length, struct guard_buffer *out, size_t *consumed,
                      struct guard_error *err)
{
    struct guard_json *value = NULL;
    size_t end = closing_quote(text, length);
    if (!end)
        return guard_fail_at(err, GUARD_ERR_SYNTAX, NULL, 0, 1, "a quote is opened and not closed; expected '\"'");
    if (!memchr(text, '\\', end) && guard_json_check(text, end + 1, 0, err) == GUARD_OK) {
        guard_buffer_append(out, text + 1, end - 1);
    } else {
        int rc = guard_json_parse(text, end + 1, 0, &value, err);
        if (rc != GUARD_OK) {
            if (err)
                err->line = 0; /* the caller knows the line; the column counts from text */
            return rc;
        }
        guard_buffer_text(out, guard_json_string(value));
        guard_json_free(&value);
    }
    *consumed = end + 1;
    return out->failed ? guard_fail(err, GUARD_ERR_NOMEM, "out of memory") : GUARD_OK;
}

void guard_quoted_write(struct guard_buffer *out, const char *name, const char *special)
{
    if (*name && !strpbrk(name, " \t\"\\") && !strpbrk(name, special))
        guard_buffer_text(out, name);
    else
        guard_buffer_json_string(out, name, strlen(name));
}
