#include "core/utf8.h"

#include <string.h>

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

size_t guard_utf8_sequence(const char *text, size_t length)
{
    if (!length)
        return 0;
    unsigned char a = (unsigned char)text[0];
    if (a < 0x80)
        return 1;
    if (length < 2 || !is_continuation(text[1]))
        return 0;
    unsigned char b = (unsigned char)text[1];
    if (a >= 0xc2 && a <= 0xdf)
        return 2;
    if (length < 3 || !is_continuation(text[2]))
        return 0;
    if (a >= 0xe0 && a <= 0xef) {
        if ((a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f))
            return 0;
        return 3;
    }
    if (length < 4 || !is_continuation(text[3]))
        return 0;
    if (a >= 0xf0 && a <= 0xf4) {
        if ((a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

/* 0x80 in each octet below 0x20 or above 0x7f; above one that is, others may be taken for such. */
static uint64_t odd_octets(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return ((word - 0x2020202020202020U) | word) & 0x8080808080808080U;
}

bool guard_utf8_is_plain(const char *text, size_t length)
{
    uint64_t odd = 0;
    if (length < 8) {
        char padded[8] = {32, 32, 32, 32, 32, 32, 32, 32};
        for (size_t i = 0; i < length; i++)
            padded[i] = text[i];
        return !odd_octets(padded);
    }
    for (size_t i = 0; i + 8 < length; i += 8)
        odd |= odd_octets(text + i);
    return !(odd | odd_octets(text + length - 8));
}

bool guard_utf8_valid(const char *text, size_t length)
{
    size_t i = 0;
    if (guard_utf8_is_plain(text, length))
        return true;
    while (i < length) {
        size_t width = guard_utf8_sequence(text + i, length - i);
        if (!width)
            return false;
        i += width;
    }
    return true;
}

uint32_t guard_utf8_decode(const char *text, size_t width)
{
    const unsigned char *t = (const unsigned char *)text;
    switch (width) {
    case 1:
        return t[0];
    case 2:
        return (uint32_t)(t[0] & 0x1f) << 6 | (t[1] & 0x3f);
    case 3:
        return (uint32_t)(t[0] & 0x0f) << 12 | (uint32_t)(t[1] & 0x3f) << 6 | (t[2] & 0x3f);
    default:
        return (uint32_t)(t[0] & 0x07) << 18 | (uint32_t)(t[1] & 0x3f) << 12 | (uint32_t)(t[2] & 0x3f) << 6 |
               (t[3] & 0x3f);
    }
}

bool guard_utf8_is_deceptive(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f || c == 0x2028 ||
           c == 0x2029 || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff ||
           (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;
}
