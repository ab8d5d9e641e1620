#include "core/base64.h"

#include <stdbool.h>
#include <stdint.h>

/* Value of a character + 1, so that 0 = not of the alphabet. */
#define COMMON_VALUES                                                                                              \
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8, ['I'] = 9, ['J'] = 10, \
    ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19,    \
    ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,    \
    ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37,    \
    ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46,    \
    ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55,    \
    ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62

static const uint8_t standard_values[256] = {COMMON_VALUES, ['+'] = 63, ['/'] = 64};
static const uint8_t url_values[256] = {COMMON_VALUES, ['-'] = 63, ['_'] = 64};

/* Four characters to three octets. False at a character that is not of the alphabet. */
static inline bool decode_group(const unsigned char *in, unsigned char *out, const uint8_t values[256])
{
    unsigned a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];
    if (!a || !b || !c || !d)
        return false;
    uint32_t bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
    out[0] = (unsigned char)(bits >> 16);
    out[1] = (unsigned char)(bits >> 8);
    out[2] = (unsigned char)bits;
    return true;
}

static ssize_t decode(const char *text, size_t length, unsigned char *out, const uint8_t values[256])
{
    const unsigned char *in = (const unsigned char *)text, *whole_end = in + length / 4 * 4;
    unsigned char *to = out;
    size_t rest = length % 4;
    for (; in < whole_end; in += 4, to += 3)
        if (!decode_group(in, to, values))
            return -1;
    if (!rest)
        return to - out;
    if (rest == 1)
        return -1;
    unsigned char last[4] = {in[0], in[1], rest == 3 ? in[2] : 'A', 'A'}, octets[3];
    if (!decode_group(last, octets, values) || octets[rest - 1] || octets[2])
        return -1; /* not of the alphabet, or trailing bits that are not zero */
    *to++ = octets[0];
    if (rest == 3)
        *to++ = octets[1];
    return to - out;
}

ssize_t guard_base64url_decode(const char *text, size_t length, unsigned char *out)
{
    return decode(text, length, out, url_values);
}

ssize_t guard_base64_decode(const char *text, size_t length, unsigned char *out)
{
    if (length && text[length - 1] == '=') {
        if (length % 4 != 0)
            return -1;
        length--;
        if (text[length - 1] == '=')
            length--;
    }
    return decode(text, length, out, standard_values);
}

static size_t encode(const unsigned char *octets, size_t count, char *out, const char *last_two)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint32_t bits = 0;
    unsigned held = 0;
    char *to = out;
    for (size_t i = 0; i < count || held; i++) {
        bits = bits << 8 | (i < count ? octets[i] : 0U);
        held += 8;
        while (held >= 6) {
            unsigned value = bits >> (held - 6) & 63;
            *to++ = value < 62 ? alphabet[value] : last_two[value - 62];
            held -= 6;
            if (i >= count)
                held = 0;
        }
        if (i >= count)
            break;
    }
    *to = '\0';
    return (size_t)(to - out);
}

size_t guard_base64url_encode(const unsigned char *octets, size_t count, char *out)
{
    return encode(octets, count, out, "-_");
}

size_t guard_base64_encode(const unsigned char *octets, size_t count, char *out)
{
    size_t length = encode(octets, count, out, "+/");
    while (length % 4)
        out[length++] = '=';
    out[length] = '\0';
    return length;
}
