#include "acl/scan.h"

#include "core/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int acl_scan_fail(const struct acl_scan *scan, const char *at, const char *format, ...)
{
    if (scan->err) {
        va_list args;
        guard_fail(scan->err, GUARD_ERR_SYNTAX, "%s", "");
        scan->err->column = (unsigned)(at - scan->text) + 1;
        va_start(args, format);
        vsnprintf(scan->err->text, sizeof scan->err->text, format, args);
        va_end(args);
    }
    return GUARD_ERR_SYNTAX;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

void acl_scan_blanks(struct acl_scan *scan)
{
    while (is_blank(*scan->at))
        scan->at++;
}

size_t acl_scan_word(struct acl_scan *scan, const char *stops)
{
    acl_scan_blanks(scan);
    const char *end = scan->at;
    while (*end && !is_blank(*end) && !(*stops && strchr(stops, *end)))
        end++;
    return (size_t)(end - scan->at);
}

bool acl_word_is(const char *word, size_t length, const char *name)
{
    return strncasecmp(word, name, length) == 0 && name[length] == '\0';
}

bool acl_word_number(const char *word, size_t length, long limit, long *out)
{
    size_t i = 0;
    bool negative = length && word[0] == '-';
    long value = 0;
    if (length && (word[0] == '-' || word[0] == '+'))
        i++;
    if (i == length || length - i > 12)
        return false;
    for (; i < length; i++) {
        if (word[i] < '0' || word[i] > '9')
            return false;
        value = value * 10 + (word[i] - '0');
    }
    *out = negative ? -value : value;
    return value <= limit;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool hex4(const char *text, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(text[i]); /* -1 at the NUL, so never read behind it */
        if (digit < 0)
            return false;
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t width = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = width - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[width] | c);
    return width;
}

/* Behind "\u": one code point, of one or two escapes. Returns the octets of text used, 0 if it is none. */
static size_t unicode_escape(const char *text, uint32_t *c)
{
    uint32_t low;
    if (!hex4(text, c) || *c == 0 || (*c >= 0xdc00 && *c <= 0xdfff))
        return 0;
    if (*c < 0xd800 || *c > 0xdbff)
        return 4;
    if (text[4] != '\\' || text[5] != 'u' || !hex4(text + 6, &low) || low < 0xdc00 || low > 0xdfff)
        return 0;
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    return 10;
}

/* One character of a JSON string, escaped or not. Returns the octets of text used; 0: not JSON. */
static size_t one_character(const char *text, char out[4], size_t *width)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    *width = 1;
    if (*text != '\\') {
        if ((unsigned char)*text < 0x20)
            return 0;
        out[0] = *text;
        return 1;
    }
    if (text[1] == 'u') {
        uint32_t c;
        size_t used = unicode_escape(text + 2, &c);
        if (used)
            *width = put_utf8(c, out);
        return used ? used + 2 : 0;
    }
    const char *name = text[1] ? strchr(names, text[1]) : NULL;
    if (!name)
        return 0;
    out[0] = values[name - names];
    return 2;
}

int acl_scan_quoted(struct acl_scan *scan, char *out, size_t size, size_t *length)
{
    const char *at = scan->at + 1;
    *length = 0;
    while (*at != '"') {
        char octets[4];
        size_t width, used = one_character(at, octets, &width);
        if (!*at)
            return acl_scan_fail(scan, scan->at, "this quoted text does not end: expected '\"'");
        if (!used)
            return acl_scan_fail(scan, at,
                                 "expected a character or an escape that JSON knows (\\\" \\\\ \\/ \\n \\u….)");
        if (*length + width >= size)
            return acl_scan_fail(scan, at, "this quoted text is too long");
        memcpy(out + *length, octets, width);
        *length += width;
        at += used;
    }
    out[*length] = '\0';
    scan->at = at + 1;
    return GUARD_OK;
}

size_t acl_quoted_offset(const char *quote, size_t decoded)
{
    const char *at = quote + 1;
    for (size_t made = 0; *at && *at != '"';) {
        char octets[4];
        size_t width, used = one_character(at, octets, &width);
        made += width;
        if (!used || made > decoded)
            break;
        at += used;
    }
    return (size_t)(at - quote);
}
