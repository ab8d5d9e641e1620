/*
 * A scanner for JSON values that stand on one line, for batch commands: it walks the text once, decodes strings in
 * place and allocates nothing. The grammar is RFC 8259's, with two exceptions that let a batch carry what a broker may
 * be sent: octets that are not UTF-8 pass through, and a lone surrogate or \u0000 becomes the octets it would have in
 * UTF-8, so that whoever uses the string judges it by its length and content.
 */
#ifndef GUARD_CTL_JSON_LINE_H
#define GUARD_CTL_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A decoded string: NUL-terminated in the line's own memory; data NULL = not given. */
struct ctl_text {
    char *data;
    size_t length;
};

struct ctl_json {
    char *at;          /* the next character; the text ends in a NUL */
    const char *error; /* what was expected, once something was wrong; then every call returns false */
    unsigned items;    /* seen so far in the innermost open container: whether a comma is due */
};

/* Starts scanning a NUL-terminated, writable line. */
void ctl_json_start(struct ctl_json *json, char *line);

/* '{' or '['; saves the outer container's state in *outer, which the matching _next gets back when it meets the end. */
bool ctl_json_open(struct ctl_json *json, char bracket, unsigned *outer);

/* True: another member follows, its name was read and json stands at its value. False: the object's end, or an error.
 */
bool ctl_json_next_member(struct ctl_json *json, struct ctl_text *name, unsigned outer);

/* True: another element follows. False: the array's end, or an error. */
bool ctl_json_next_element(struct ctl_json *json, unsigned outer);

/* The first character of the next value: '"', '{', '[', 't', 'f', 'n', '-', a digit; 0 at the end. */
char ctl_json_peek(struct ctl_json *json);

/* Each reads one value of that type, or sets the error and returns false. */
bool ctl_json_string(struct ctl_json *json, struct ctl_text *out);
bool ctl_json_bool(struct ctl_json *json, bool *out);
bool ctl_json_null(struct ctl_json *json);
/* A whole number minimum..maximum, without fraction or exponent. */
bool ctl_json_integer(struct ctl_json *json, int64_t minimum, int64_t maximum, int64_t *out);

/* True if nothing but white space is left; otherwise the error is set. */
bool ctl_json_finish(struct ctl_json *json);

/* Sets the error unless one is set; returns false. what must live on. */
bool ctl_json_fail(struct ctl_json *json, const char *what);

#endif
