#include "core/base64.h"

#include <stdint.h>

/* Value of a character + 1; 0 = not of the alphabet. */
static const uint8_t standard_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,  ['I'] = 9,
    ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27,
    ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45,
    ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62,
};

static unsigned value_of(unsigned char c, unsigned char c62, unsigned char c63)
{
    if (c == c62)
        return 63;
    if (c == c63)
        return 64;
    return standard_values[c];
}

static ssize_t decode(const char *text, size_t length, unsigned char *out, unsigned char c62, unsigned char c63)
{
    uint32_t bits = 0;
    unsigned held = 0;
    unsigned char *to = out;
    if (length % 4 == 1)
        return -1;
    for (size_t i = 0; i < length; i++) {
        unsigned value = value_of((unsigned char)text[i], c62, c63);
        if (!value)
            return -1;
        bits = bits << 6 | (value - 1);
        held += 6;
        if (held >= 8) {
            held -= 8;
            *to++ = (unsigned char)(bits >> held);
        }
    }
    return bits & ((1U << held) - 1) ? -1 : to - out;
}

ssize_t guard_base64url_decode(const char *text, size_t length, unsigned char *out)
{
    return decode(text, length, out, '-', '_');
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
    return decode(text, length, out, '+', '/');
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
