/*
 * Appending to a line of JSON: everything that ends up in the trail goes through these few functions (docs/audit.md,
 * "Strings"). Nothing here allocates, knows a locale or formats with printf.
 */
#ifndef GUARD_AUDIT_OUT_H
#define GUARD_AUDIT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The longest line, its line end included; what shippers take without cutting (docs/audit.md). */
#define AUDIT_LINE_MAX 16384

/* Bounds of single values, in bytes of UTF-8 before escaping. */
#define AUDIT_TOPIC_MAX   1024
#define AUDIT_NAME_MAX    1024 /* user name, user id, client id */
#define AUDIT_MESSAGE_MAX 512

struct audit_out {
    char *at;      /* where the next byte goes */
    char *end;     /* first byte that may not be written */
    bool overflow; /* something did not fit and was left out; the line must not be used */
};

enum {
    AUDIT_PUT_SANITIZED = 1, /* something in it was replaced by U+FFFD */
    AUDIT_PUT_TRUNCATED = 2  /* it was cut */
};

static inline void audit_put(struct audit_out *out, const char *bytes, size_t length)
{
    if (__builtin_expect((size_t)(out->end - out->at) < length, 0)) {
        out->overflow = true;
        return;
    }
    memcpy(out->at, bytes, length);
    out->at += length;
}

/* A string literal, as it stands. */
#define audit_put_literal(out, literal) audit_put(out, literal, sizeof(literal) - 1)

/* Trusted text (names of our own lists), as it stands. */
static inline void audit_put_text(struct audit_out *out, const char *text)
{
    audit_put(out, text, strlen(text));
}

void audit_put_unsigned(struct audit_out *out, uint64_t value);

/* A JSON number with at most three decimals; infinite or not a number: 0. */
void audit_put_number(struct audit_out *out, double value);

/* Lower-case hex. */
void audit_put_hex(struct audit_out *out, const unsigned char *octets, size_t count);

/* "2026-09-01T12:34:56.789012Z" with its quotes. */
void audit_put_time(struct audit_out *out, int64_t real_ns);

/* "2026-09-01T12:34:56Z" with its quotes, from Unix seconds. */
void audit_put_seconds(struct audit_out *out, int64_t seconds);

/*
 * Any octets as a JSON string with its quotes. Invalid UTF-8 and code points that deceive (guard_utf8_is_deceptive)
 * become U+FFFD; what would be longer than max bytes is cut at a code point. Returns AUDIT_PUT_* bits.
 */
unsigned audit_put_string(struct audit_out *out, const char *text, size_t length, size_t max);

/*
 * The same for a value of which only the first `length` of `total` bytes are at hand (then length must be > max + 3, so
 * that the cut falls on a code point that is complete).
 */
unsigned audit_put_prefix(struct audit_out *out, const char *text, size_t length, size_t total, size_t max);

#endif
