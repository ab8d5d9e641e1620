#include "audit/out.h"

#include "core/clock.h"
#include "core/utf8.h"

#include <math.h>

#define ONES  0x0101010101010101ULL
#define HIGHS 0x8080808080808080ULL

/* Decimal digits two at a time. */
static char *digits_backward(char *end, uint64_t value)
{
    static const char pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
        "4445464748495051525354555657585960616263646566676869707172737475767778798081828384858687"
        "888990919293949596979899";
    while (value >= 100) {
        unsigned pair = (unsigned)(value % 100) * 2;
        value /= 100;
        *--end = pairs[pair + 1];
        *--end = pairs[pair];
    }
    if (value >= 10) {
        *--end = pairs[value * 2 + 1];
        *--end = pairs[value * 2];
    } else {
        *--end = (char)('0' + value);
    }
    return end;
}

void audit_put_unsigned(struct audit_out *out, uint64_t value)
{
    char buffer[20];
    char *end = buffer + sizeof buffer;
    char *start = digits_backward(end, value);
    audit_put(out, start, (size_t)(end - start));
}

void audit_put_number(struct audit_out *out, double value)
{
    if (!isfinite(value) || fabs(value) > 9e15)
        value = 0;
    if (value < 0) {
        audit_put_literal(out, "-");
        value = -value;
    }
    uint64_t thousandths = (uint64_t)llround(value * 1000.0);
    unsigned fraction = (unsigned)(thousandths % 1000);
    audit_put_unsigned(out, thousandths / 1000);
    if (!fraction)
        return;
    char decimals[4] = {'.', (char)('0' + fraction / 100), (char)('0' + fraction / 10 % 10),
                        (char)('0' + fraction % 10)};
    size_t length = sizeof decimals;
    while (decimals[length - 1] == '0')
        length--;
    audit_put(out, decimals, length);
}

void audit_put_hex(struct audit_out *out, const unsigned char *octets, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    if ((size_t)(out->end - out->at) < 2 * count) {
        out->overflow = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        *out->at++ = digits[octets[i] >> 4];
        *out->at++ = digits[octets[i] & 15];
    }
}

void audit_put_time(struct audit_out *out, int64_t real_ns)
{
    char text[GUARD_TIMESTAMP_SIZE + 2];
    guard_timestamp(real_ns, text + 1);
    text[0] = '"';
    text[GUARD_TIMESTAMP_SIZE] = '"';
    audit_put(out, text, GUARD_TIMESTAMP_SIZE + 1);
}

void audit_put_seconds(struct audit_out *out, int64_t seconds)
{
    char text[GUARD_TIMESTAMP_SIZE];
    guard_timestamp_seconds(seconds, text);
    audit_put_literal(out, "\"");
    audit_put(out, text, sizeof "2026-09-01T12:34:56" - 1);
    audit_put_literal(out, "Z\"");
}

/* Whether one of eight bytes is a control, DEL or above, a quote or a backslash: the usual "zero byte" trick, each
 * test. */
static bool needs_care(uint64_t word)
{
    uint64_t quote = word ^ (ONES * '"'), backslash = word ^ (ONES * '\\'), del = word ^ (ONES * 0x7f);
    uint64_t found = (word - ONES * 0x20) | (quote - ONES) | (backslash - ONES) | (del - ONES) | word;
    return found & HIGHS;
}

/* How many bytes from the start can be copied as they are. */
static size_t plain_prefix(const char *text, size_t length)
{
    size_t i = 0;
    for (uint64_t word; i + 8 <= length; i += 8) {
        memcpy(&word, text + i, 8);
        if (needs_care(word))
            break;
    }
    while (i < length && (unsigned char)text[i] >= 0x20 && (unsigned char)text[i] < 0x7f && text[i] != '"' &&
           text[i] != '\\')
        i++;
    return i;
}

/* One character that plain_prefix stopped at. */
static unsigned put_careful(struct audit_out *out, const char *text, size_t width)
{
    if (width == 1 && (*text == '"' || *text == '\\')) {
        audit_put_literal(out, "\\");
        audit_put(out, text, 1);
        return 0;
    }
    if (width && !guard_utf8_is_deceptive(guard_utf8_decode(text, width))) {
        audit_put(out, text, width);
        return 0;
    }
    audit_put_literal(out, "\xef\xbf\xbd");
    return AUDIT_PUT_SANITIZED;
}

unsigned audit_put_prefix(struct audit_out *out, const char *text, size_t length, size_t total, size_t max)
{
    unsigned flags = 0;
    size_t i = 0, used = 0;
    audit_put_literal(out, "\"");
    while (i < length) {
        size_t room = max - used;
        size_t plain = plain_prefix(text + i, length - i < room ? length - i : room);
        audit_put(out, text + i, plain);
        i += plain;
        used += plain;
        if (i == length)
            break;
        size_t width = guard_utf8_sequence(text + i, length - i);
        bool kept = width && !guard_utf8_is_deceptive(guard_utf8_decode(text + i, width));
        if (used + (kept ? width : 3) > max)
            break;
        flags |= put_careful(out, text + i, width);
        used += kept ? width : 3;
        i += width ? width : 1;
    }
    audit_put_literal(out, "\"");
    return flags | (i < total ? AUDIT_PUT_TRUNCATED : 0);
}

unsigned audit_put_string(struct audit_out *out, const char *text, size_t length, size_t max)
{
    return audit_put_prefix(out, text, length, length, max);
}
