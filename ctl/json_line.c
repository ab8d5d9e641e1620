#include "ctl/json_line.h"

#include <string.h>

bool ctl_json_fail(struct ctl_json *json, const char *what)
{
    if (!json->error)
        json->error = what;
    return false;
}

void ctl_json_start(struct ctl_json *json, char *line)
{
    *json = (struct ctl_json){.at = line};
}

char ctl_json_peek(struct ctl_json *json)
{
    while (*json->at == ' ' || *json->at == '\t' || *json->at == '\r' || *json->at == '\n')
        json->at++;
    return *json->at;
}

bool ctl_json_open(struct ctl_json *json, char bracket, unsigned *outer)
{
    if (json->error || ctl_json_peek(json) != bracket)
        return ctl_json_fail(json, bracket == '{' ? "expected an object" : "expected an array");
    json->at++;
    *outer = json->items;
    json->items = 0;
    return true;
}

/* Common part of both _next: closes, or steps over the comma. */
static bool next_item(struct ctl_json *json, char closing, unsigned outer)
{
    if (json->error)
        return false;
    if (ctl_json_peek(json) == closing) {
        json->at++;
        json->items = outer;
        return false;
    }
    if (json->items++) {
        if (*json->at != ',')
            return ctl_json_fail(json, closing == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        json->at++;
    }
    return true;
}

bool ctl_json_next_member(struct ctl_json *json, struct ctl_text *name, unsigned outer)
{
    if (!next_item(json, '}', outer))
        return false;
    if (ctl_json_peek(json) != '"')
        return ctl_json_fail(json, "expected the name of a member");
    if (!ctl_json_string(json, name))
        return false;
    if (ctl_json_peek(json) != ':')
        return ctl_json_fail(json, "expected ':'");
    json->at++;
    return true;
}

bool ctl_json_next_element(struct ctl_json *json, unsigned outer)
{
    return next_item(json, ']', outer);
}

static bool hex4(const char *text, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (uint32_t)((c | 0x20) - 'a') + 10;
        else
            return false; /* a NUL too: nothing behind it is looked at */
        *value = *value << 4 | digit;
    }
    return true;
}

/* UTF-8's bit pattern for the code point, surrogates included; returns behind it. */
static char *put_code_point(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

/* Decodes the escape behind a backslash at json->at; returns where the next octet goes, or NULL. */
static char *unescape(struct ctl_json *json, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *json->at;
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        json->at++;
        *out = to[simple - from];
        return out + 1;
    }
    uint32_t code, low;
    if (c != 'u' || !hex4(json->at + 1, &code)) {
        ctl_json_fail(json, "bad escape in a string");
        return NULL;
    }
    json->at += 5;
    if (code >= 0xD800 && code < 0xDC00 && json->at[0] == '\\' && json->at[1] == 'u' && hex4(json->at + 2, &low) &&
        low >= 0xDC00 && low < 0xE000) {
        json->at += 6;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    return put_code_point(out, code);
}

bool ctl_json_string(struct ctl_json *json, struct ctl_text *out)
{
    if (json->error || ctl_json_peek(json) != '"')
        return ctl_json_fail(json, "expected a string");
    char *start = ++json->at, *put = start;
    while (*json->at != '"') {
        unsigned char c = (unsigned char)*json->at;
        if (c < 0x20)
            return ctl_json_fail(json, c ? "a control character in a string" : "a string does not end");
        json->at++;
        if (c != '\\')
            *put++ = (char)c;
        else if (!(put = unescape(json, put)))
            return false;
    }
    *put = '\0';
    json->at++;
    *out = (struct ctl_text){start, (size_t)(put - start)};
    return true;
}

static bool literal(struct ctl_json *json, const char *word)
{
    size_t length = strlen(word);
    if (json->error || (ctl_json_peek(json), strncmp(json->at, word, length) != 0))
        return false;
    json->at += length;
    return true;
}

bool ctl_json_bool(struct ctl_json *json, bool *out)
{
    *out = literal(json, "true");
    return *out || literal(json, "false") || ctl_json_fail(json, "expected true or false");
}

bool ctl_json_null(struct ctl_json *json)
{
    return literal(json, "null") || ctl_json_fail(json, "expected null");
}

bool ctl_json_integer(struct ctl_json *json, int64_t minimum, int64_t maximum, int64_t *out)
{
    bool negative = ctl_json_peek(json) == '-';
    const char *digits = json->at + negative, *p = digits;
    int64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (p - digits > 17)
            return ctl_json_fail(json, "a number is out of range");
        value = value * 10 + (*p - '0');
    }
    bool leading_zero = *digits == '0' && p - digits > 1;
    if (json->error || p == digits || leading_zero || *p == '.' || *p == 'e' || *p == 'E')
        return ctl_json_fail(json, "expected a whole number");
    value = negative ? -value : value;
    if (value < minimum || value > maximum)
        return ctl_json_fail(json, "a number is out of range");
    json->at += p - json->at;
    *out = value;
    return true;
}

bool ctl_json_finish(struct ctl_json *json)
{
    if (!json->error && ctl_json_peek(json) != '\0')
        ctl_json_fail(json, "unexpected text behind the object");
    return !json->error;
}
