/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef GUARD_CORE_UTF8_H
#define GUARD_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed sequence that text begins with (1..4), or 0 if there is none. */
size_t guard_utf8_sequence(const char *text, size_t length);

/* Whether all of text is well-formed. U+0000 is well-formed here. */
bool guard_utf8_valid(const char *text, size_t length);

/* Whether all of text is ASCII without controls (DEL may be there): what nearly all text is, eight octets at a time. */
bool guard_utf8_is_plain(const char *text, size_t length);

/* The code point of a sequence of that width, which guard_utf8_sequence gave. */
uint32_t guard_utf8_decode(const char *text, size_t width);

/*
 * Code points that deceive people or terminals: C0 and C1 controls, DEL, U+061C, U+200E/F, U+2028/9, U+202A-E,
 * U+2066-9, U+FEFF and non-characters.
 */
bool guard_utf8_is_deceptive(uint32_t code_point);

#endif
