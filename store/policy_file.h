/*
 * The policy file (docs/policy.md, "Homes"): an INI file whose sections are the hashes of the Redis home.
 *
 *   [role NAME]  [client NAME]  [assign]  [default]        field = value                 ; comment
 *
 * A comment is a line whose first character is ';' or '#', and what follows a ';' that stands outside quotes behind
 * white space or a section's ']'. ('#' cannot begin a comment behind a value: it is a topic filter.) Names that hold
 * white space,
 * '"', '\', ';' or, for fields, '=' are written in double quotes with JSON's escapes. A section may be continued
 * further down; a field given twice in it is an error. The text is UTF-8 without BOM or U+0000; lines end in LF or
 * CRLF.
 */
#ifndef GUARD_STORE_POLICY_FILE_H
#define GUARD_STORE_POLICY_FILE_H

#include "core/buffer.h"
#include "core/error.h"
#include "core/policy_text.h"

#include <stddef.h>

#define GUARD_POLICY_FILE_MAX ((size_t)512 << 20) /* bytes of a file */
#define GUARD_POLICY_LINE_MAX \
    ((size_t)256 << 10)            /* bytes of a line: the longest topic filter, escaped, and its conditions */
#define GUARD_POLICY_NAME_MAX 1024 /* bytes of a role's, rule's or field's name; a client's: 65535 (MQTT) */

/*
 * Reads the file of that path and appends its lines to text (zero-initialised by the caller, who frees it in every
 * case). Values are handed on as written, without the comment and outer white space; only a client's `password` and
 * `attr.*` that are written in quotes are unquoted. The file must belong to root or this user and not be writable by
 * everybody.
 *
 * GUARD_OK: the file was read; there may be warnings (for example: password hashes that everybody may read).
 * GUARD_ERR_SYNTAX: at least one error was added to problems, with line, column and what was expected; text is not to
 * be used. Other codes: the file could not be read; err says why, and the same is added to problems. problems and err
 * may be NULL.
 */
int guard_policy_file_read(const char *path, struct guard_policy_text *text, struct guard_problems *problems,
                           struct guard_error *err);

/* The same for bytes in memory (which need no NUL behind them); place is the name that errors and lines carry. */
int guard_policy_file_parse(const char *place, const char *bytes, size_t length, struct guard_policy_text *text,
                            struct guard_problems *problems);

/*
 * Appends text as a policy file that reads back to the same lines in the same order. Look at out->failed. GUARD_OK, or
 * GUARD_ERR_INVALID if a name or value cannot be written in a file (a control character); err names it.
 */
int guard_policy_file_write(const struct guard_policy_text *text, struct guard_buffer *out, struct guard_error *err);

/* Appends name, in quotes if a section head (or, with field, the left side of a '=') needs them. */
void guard_policy_name_write(struct guard_buffer *out, const char *name, int field);

#endif
