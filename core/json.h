/*
 * JSON (RFC 8259), strict. The text is first checked by a scanner of our own (grammar, UTF-8, depth, no U+0000, no lone
 * surrogates, nothing behind the value), then built in one block of memory, and searched for duplicate names at every
 * level. What comes out therefore means the same to every conforming reader. Names are compared octet by octet.
 */
#ifndef GUARD_CORE_JSON_H
#define GUARD_CORE_JSON_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guard_json; /* a value inside a parsed document */

enum guard_json_type {
    GUARD_JSON_NULL,
    GUARD_JSON_BOOL,
    GUARD_JSON_NUMBER,
    GUARD_JSON_STRING,
    GUARD_JSON_ARRAY,
    GUARD_JSON_OBJECT
};

/*
 * Checks the grammar without allocating. err tells the column (and line) of the first fault.
 * GUARD_OK, GUARD_ERR_SYNTAX, or GUARD_ERR_LIMIT when nested deeper than max_depth (a scalar has depth 0).
 */
int guard_json_check(const char *text, size_t length, unsigned max_depth, struct guard_error *err);

/*
 * Parses text, which need not be NUL-terminated. *out is freed by guard_json_free. Duplicate names: GUARD_ERR_INVALID.
 */
int guard_json_parse(const char *text, size_t length, unsigned max_depth, struct guard_json **out,
                     struct guard_error *err);
void guard_json_free(struct guard_json **document);

/* All accessors take NULL for "not there" and then answer like for a value of another type. */
enum guard_json_type guard_json_type(const struct guard_json *value);          /* NULL -> GUARD_JSON_NULL */
bool guard_json_is(const struct guard_json *value, enum guard_json_type type); /* NULL -> false */

/* The member of that name, or NULL. */
const struct guard_json *guard_json_get(const struct guard_json *object, const char *name);
/* The text of a string (NUL-terminated, never holding U+0000), or NULL for any other type. Valid as long as the
 * document. */
const char *guard_json_string(const struct guard_json *value);
/* True and *out set if value is a number; *out is finite. */
bool guard_json_number(const struct guard_json *value, double *out);
/* True and *out set if value is a number without fraction in -2^53..2^53. */
bool guard_json_integer(const struct guard_json *value, int64_t *out);
/* True if value is the literal true. */
bool guard_json_true(const struct guard_json *value);
/* First element or member, and the next one; NULL at the end. name is NULL in arrays. */
const struct guard_json *guard_json_first(const struct guard_json *container);
const struct guard_json *guard_json_next(const struct guard_json *value);
const char *guard_json_name(const struct guard_json *member);
/* Compact text of the value, numbers as they were written; NULL when out of memory. The caller frees it. */
char *guard_json_print(const struct guard_json *value);

#endif
