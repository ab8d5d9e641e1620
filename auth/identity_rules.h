/*
 * What may be an identity (a user name the guard gives to a session), whatever credential it came from: 1..255 octets
 * of UTF-8 without `+`, `#`, `/`, controls, bidirectional marks, byte order marks or non-characters, not beginning with
 * `$`, and without spaces at either end. A name that keeps to this can stand in a topic level and in a log line as it
 * is.
 */
#ifndef GUARD_AUTH_IDENTITY_RULES_H
#define GUARD_AUTH_IDENTITY_RULES_H

#include <stddef.h>

#define AUTH_IDENTITY_MAX 255 /* octets */

/*
 * NULL if text (length octets, which may hold NUL) is a good identity; otherwise what is wrong with it, as a static
 * English phrase ("holds a control character") that does not repeat the text.
 */
const char *auth_identity_fault(const char *text, size_t length);

#endif
