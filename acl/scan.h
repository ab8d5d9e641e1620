/* Words of one line of policy text, with the column of a fault. */
#ifndef GUARD_ACL_SCAN_H
#define GUARD_ACL_SCAN_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

struct acl_scan {
    const char *text; /* NUL-terminated */
    const char *at;
    struct guard_error *err;
};

/* Fills the error with the column of at (a place in the text) and returns GUARD_ERR_SYNTAX. */
int acl_scan_fail(const struct acl_scan *scan, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void acl_scan_blanks(struct acl_scan *scan);

/* Skips blanks and returns the length of the word at scan->at, which ends at a blank, or where one of stops stands. */
size_t acl_scan_word(struct acl_scan *scan, const char *stops);

/* Whether the word of that length is name; without regard to case. */
bool acl_word_is(const char *word, size_t length, const char *name);

/* A decimal number with an optional sign in -limit..limit; the whole word. */
bool acl_word_number(const char *word, size_t length, long limit, long *out);

/*
 * Reads a quoted JSON string at scan->at into out (size octets at least as many as text has; NUL-terminated) and goes
 * behind it. U+0000 is refused. GUARD_OK or GUARD_ERR_SYNTAX.
 */
int acl_scan_quoted(struct acl_scan *scan, char *out, size_t size, size_t *length);

/* Offset in the text of the octet that became out[decoded] of a quoted string which begins at quote. */
size_t acl_quoted_offset(const char *quote, size_t decoded);

#endif
