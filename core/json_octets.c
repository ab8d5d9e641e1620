#include "core/json.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_STAND_IN 0xfdd0U /* U+FDD0..U+FDEF are non-characters */
#define STAND_INS      32U

/* The value of four hexadecimal digits, or -1. */
static long hex4(const char *text, size_t length)
{
    long value = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = i < length ? text[i] : '\0';
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Marks the stand-in candidate that text[at] begins with (a UTF-8 sequence EF B7 90..AF, or an escape), if any. */
static uint32_t candidates_at(const char *text, size_t length)
{
    const unsigned char *t = (const unsigned char *)text;
    long unit = -1;
    if (length >= 3 && t[0] == 0xef && t[1] == 0xb7 && t[2] >= 0x90 && t[2] <= 0xaf)
        unit = (long)(FIRST_STAND_IN + t[2] - 0x90U);
    else if (length >= 6 && t[0] == '\\' && t[1] == 'u')
        unit = hex4(text + 2, length - 2);
    if (unit < (long)FIRST_STAND_IN || unit >= (long)(FIRST_STAND_IN + STAND_INS))
        return 0;
    return UINT32_C(1) << ((unsigned)unit - FIRST_STAND_IN);
}

/* A non-character that text does not use, or 0. Counts rather too much as used than too little. */
static uint32_t free_stand_in(const char *text, size_t length)
{
    uint32_t used = 0;
    for (size_t i = 0; i < length; i++)
        used |= candidates_at(text + i, length - i);
    for (unsigned i = 0; i < STAND_INS; i++)
        if (!(used >> i & 1))
            return FIRST_STAND_IN + i;
    return 0;
}

static bool is_high(long unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(long unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* Rewrites the \uXXXX escape at text (within length) in place where it is one that JSON refuses. Returns its width. */
static size_t rewrite_escape(char *text, size_t length, uint32_t stand_in, bool *saw_nul)
{
    char replacement[5];
    long unit = hex4(text + 2, length - 2);
    if (unit < 0)
        return 2; /* not an escape: the check says so */
    if (is_high(unit) && length >= 12 && text[6] == '\\' && text[7] == 'u' && is_low(hex4(text + 8, length - 8)))
        return 12;
    if (unit != 0 && !is_high(unit) && !is_low(unit))
        return 6;
    *saw_nul |= unit == 0;
    snprintf(replacement, sizeof replacement, "%04x", unit == 0 ? stand_in : 0xfffdU);
    memcpy(text + 2, replacement, 4);
    return 6;
}

int guard_json_parse_octets(const char *text, size_t length, unsigned max_depth, struct guard_json **out,
                            uint32_t *stand_in, struct guard_error *err)
{
    *out = NULL;
    *stand_in = free_stand_in(text, length);
    char *copy = malloc(length + 1);
    if (!copy)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    memcpy(copy, text, length);
    bool saw_nul = false;
    for (size_t i = 0; i + 1 < length;) {
        if (copy[i] != '\\')
            i++;
        else if (copy[i + 1] != 'u')
            i += 2;
        else
            i += rewrite_escape(copy + i, length - i, *stand_in, &saw_nul);
    }
    int rc;
    if (saw_nul && !*stand_in)
        rc = guard_fail(err, GUARD_ERR_INVALID, "U+0000 together with every non-character of U+FDD0..U+FDEF");
    else
        rc = guard_json_parse(copy, length, max_depth, out, err);
    if (!saw_nul)
        *stand_in = 0;
    guard_free_secret(&copy, length);
    return rc;
}

char *guard_json_octets(const struct guard_json *value, uint32_t stand_in, size_t *length)
{
    const char *text = guard_json_string(value);
    char *copy = text ? malloc(strlen(text) + 1) : NULL;
    if (!copy)
        return NULL;
    size_t to = 0;
    for (const unsigned char *t = (const unsigned char *)text; *t; to++) {
        bool stands = stand_in && t[0] == 0xef && t[1] == 0xb7 && t[2] == 0x90U + (stand_in - FIRST_STAND_IN);
        copy[to] = stands ? '\0' : (char)*t;
        t += stands ? 3 : 1;
    }
    copy[to] = '\0';
    *length = to;
    return copy;
}
