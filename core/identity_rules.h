/* What may become the user name of a session, whichever credential it comes from. */
#ifndef GUARD_CORE_IDENTITY_RULES_H
#define GUARD_CORE_IDENTITY_RULES_H

#include <stdbool.h>
#include <stddef.h>

/* The longest user name, in octets. */
#define GUARD_IDENTITY_MAX 255

/*
 * Whether text (length octets, not necessarily NUL-terminated) is acceptable as an identity: 1..GUARD_IDENTITY_MAX
 * octets of well-formed UTF-8; none of '+', '#', '/' (they would reach beyond one topic level); no character of
 * guard_utf8_is_deceptive (controls, NUL, bidi marks, BOM, non-characters); no '$' in front (MQTT 5.0 §4.7.2); no space
 * of any kind (Unicode White_Space) at either end.
 */
bool guard_identity_acceptable(const char *text, size_t length);

#endif
