/* Names in double quotes with JSON's escapes (RFC 8259 §7), as policy files and role lists hold them. */
#ifndef GUARD_CORE_QUOTED_H
#define GUARD_CORE_QUOTED_H

#include "core/buffer.h"
#include "core/error.h"

#include <stddef.h>

/*
 * Reads the quoted text that begins at text[0] == '"' and appends what it means to out. *consumed: bytes of text with
 * both quotes. GUARD_OK; GUARD_ERR_SYNTAX with err's column counted from text (1-based): no closing quote, a bad
 * escape, a raw control character, U+0000 or invalid UTF-8; GUARD_ERR_NOMEM. On failure out is as before.
 */
int guard_quoted_read(const char *text, size_t length, struct guard_buffer *out, size_t *consumed,
                      struct guard_error *err);

/*
 * Appends name as guard_quoted_read reads it back: bare if it is not empty and holds no white space, quote, backslash
 * or byte of special, else in quotes.
 */
void guard_quoted_write(struct guard_buffer *out, const char *name, const char *special);

#endif
