#include "core/json.h"
#include "core/json_scan.h"
#include "core/utf8.h"

#include <string.h>

#define DEPTH_LIMIT 512 /* of the bit stack below; callers ask for far less */

struct scan {
    const char *text;
    size_t at, length;
    size_t values; /* begun so far */
    unsigned depth, max_depth;
    unsigned char is_object[DEPTH_LIMIT / 8];
    const char *fault; /* NULL while all is well */
    enum guard_code code;
};

static bool fault(struct scan *s, enum guard_code code, const char *what)
{
    if (!s->fault) {
        s->fault = what;
        s->code = code;
    }
    return false;
}

static int peek(const struct scan *s)
{
    return s->at < s->length ? (unsigned char)s->text[s->at] : -1;
}

static void skip_space(struct scan *s)
{
    for (int c = peek(s); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(s))
        s->at++;
}

static bool literal(struct scan *s, const char *word)
{
    size_t length = strlen(word);
    if (s->length - s->at < length || memcmp(s->text + s->at, word, length) != 0)
        return fault(s, GUARD_ERR_SYNTAX, "expected a JSON value");
    s->at += length;
    return true;
}

static bool digits(struct scan *s)
{
    size_t start = s->at;
    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at > start || fault(s, GUARD_ERR_SYNTAX, "expected a digit");
}

static bool scan_number(struct scan *s)
{
    if (peek(s) == '-')
        s->at++;
    if (peek(s) == '0')
        s->at++;
    else if (!digits(s))
        return false;
    if (peek(s) == '.') {
        s->at++;
        if (!digits(s))
            return false;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        return digits(s);
    }
    return true;
}

static bool hex4(struct scan *s, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        int c = peek(s);
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return fault(s, GUARD_ERR_SYNTAX, "expected four hexadecimal digits");
        *out = *out << 4 | digit;
    }
    return true;
}

static bool scan_unicode_escape(struct scan *s)
{
    unsigned unit, low;
    if (!hex4(s, &unit))
        return false;
    if (unit == 0)
        return fault(s, GUARD_ERR_SYNTAX, "U+0000 is not allowed");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return fault(s, GUARD_ERR_SYNTAX, "a low surrogate without its high one");
    if (unit < 0xd800 || unit > 0xdbff)
        return true;
    if (s->length - s->at < 2 || s->text[s->at] != '\\' || s->text[s->at + 1] != 'u')
        return fault(s, GUARD_ERR_SYNTAX, "a high surrogate without its low one");
    s->at += 2;
    if (!hex4(s, &low))
        return false;
    return (low >= 0xdc00 && low <= 0xdfff) || fault(s, GUARD_ERR_SYNTAX, "a high surrogate without its low one");
}

static bool scan_escape(struct scan *s)
{
    s->at++;
    int c = peek(s);
    if (c == 'u') {
        s->at++;
        return scan_unicode_escape(s);
    }
    if (c <= 0 || !strchr("\"\\/bfnrt", c)) /* strchr finds the NUL, too */
        return fault(s, GUARD_ERR_SYNTAX, "an escape that JSON does not have");
    s->at++;
    return true;
}

/* ASCII that stands for itself inside a string: everything but controls, the quote and the backslash. */
static const bool plain[256] = {[0x20 ... 0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7f] = true};

size_t guard_json_plain_run(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    while (at < end && plain[*at])
        at++;
    return (size_t)(at - (const unsigned char *)text);
}

static bool scan_string(struct scan *s)
{
    s->at++;
    for (;;) {
        s->at += guard_json_plain_run(s->text + s->at, s->length - s->at);
        int c = peek(s);
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0)
            return fault(s, GUARD_ERR_SYNTAX, "a string that does not end");
        if (c < 0x20)
            return fault(s, GUARD_ERR_SYNTAX, "a control character in a string");
        if (c == '\\') {
            if (!scan_escape(s))
                return false;
            continue;
        }
        size_t width = c < 0x80 ? 1 : guard_utf8_sequence(s->text + s->at, s->length - s->at);
        if (!width)
            return fault(s, GUARD_ERR_SYNTAX, "a string that is not UTF-8");
        s->at += width;
    }
}

static bool open_container(struct scan *s, bool object)
{
    if (s->depth >= s->max_depth || s->depth >= DEPTH_LIMIT)
        return fault(s, GUARD_ERR_LIMIT, "nested too deeply");
    unsigned char bit = (unsigned char)(1U << s->depth % 8);
    if (object)
        s->is_object[s->depth / 8] |= bit;
    else
        s->is_object[s->depth / 8] &= (unsigned char)~bit;
    s->depth++;
    s->at++;
    return true;
}

static bool in_object(const struct scan *s)
{
    return s->depth && s->is_object[(s->depth - 1) / 8] >> (s->depth - 1) % 8 & 1;
}

static bool member_name(struct scan *s)
{
    skip_space(s);
    if (peek(s) != '"')
        return fault(s, GUARD_ERR_SYNTAX, "expected a member name in double quotes");
    if (!scan_string(s))
        return false;
    skip_space(s);
    if (peek(s) != ':')
        return fault(s, GUARD_ERR_SYNTAX, "expected ':'");
    s->at++;
    return true;
}

/* Reads a value's beginning. *ended: the value is complete (a scalar or an empty container). */
static bool begin_value(struct scan *s, bool *ended)
{
    skip_space(s);
    s->values++;
    *ended = true;
    switch (peek(s)) {
    case '{':
    case '[': {
        bool object = peek(s) == '{';
        if (!open_container(s, object))
            return false;
        skip_space(s);
        if (peek(s) == (object ? '}' : ']')) {
            s->at++;
            s->depth--;
            return true;
        }
        *ended = false;
        return !object || member_name(s);
    }
    case '"':
        return scan_string(s);
    case 't':
        return literal(s, "true");
    case 'f':
        return literal(s, "false");
    case 'n':
        return literal(s, "null");
    case '-':
    case '0' ... '9':
        return scan_number(s);
    default:
        return fault(s, GUARD_ERR_SYNTAX, "expected a JSON value");
    }
}

/* Behind a complete value: closes containers, or goes on to the next value. *more: another value follows. */
static bool after_value(struct scan *s, bool *more)
{
    *more = false;
    while (s->depth) {
        skip_space(s);
        bool object = in_object(s);
        if (peek(s) == ',') {
            s->at++;
            *more = true;
            return !object || member_name(s);
        }
        if (peek(s) != (object ? '}' : ']'))
            return fault(s, GUARD_ERR_SYNTAX, object ? "expected ',' or '}'" : "expected ',' or ']'");
        s->at++;
        s->depth--;
    }
    return true;
}

static void position(const struct scan *s, unsigned *line, unsigned *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < s->at && i < s->length; i++) {
        (*column)++;
        if (s->text[i] == '\n') {
            (*line)++;
            *column = 1;
        }
    }
}

int guard_json_scan(const char *text, size_t length, unsigned max_depth, size_t *values, struct guard_error *err)
{
    struct scan s = {.text = text, .length = length, .max_depth = max_depth};
    bool more = true, ended;
    while (more && begin_value(&s, &ended)) {
        if (!ended)
            continue;
        if (!after_value(&s, &more))
            break;
    }
    skip_space(&s);
    if (!s.fault && s.at != length)
        fault(&s, GUARD_ERR_SYNTAX, "text behind the JSON value");
    *values = s.values;
    if (!s.fault)
        return GUARD_OK;
    unsigned line, column;
    position(&s, &line, &column);
    return guard_fail_at(err, s.code, NULL, line, column, "%s", s.fault);
}

int guard_json_check(const char *text, size_t length, unsigned max_depth, struct guard_error *err)
{
    size_t values;
    return guard_json_scan(text, length, max_depth, &values, err);
}
