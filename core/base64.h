/* Base64 (RFC 4648 §4) and base64url (§5), strict: one text for one octet string. */
#ifndef GUARD_CORE_BASE64_H
#define GUARD_CORE_BASE64_H

#include <stddef.h>
#include <sys/types.h>

/* Octets that a text of that length can decode to, at most. */
#define GUARD_BASE64_DECODED(length) (((length) / 4 + 1) * 3)
/* Characters for that many octets, padded, with the NUL. */
#define GUARD_BASE64_ENCODED(octets) (((octets) + 2) / 3 * 4 + 1)

/*
 * Base64url without padding (RFC 7515 §2): no '=', white space, '+', '/'; the unused trailing bits must be zero.
 * Returns the number of octets written to out (room for GUARD_BASE64_DECODED), or -1.
 */
ssize_t guard_base64url_decode(const char *text, size_t length, unsigned char *out);

/* Standard alphabet; padding is optional, but if there it must be right. The trailing bits must be zero. -1 on error.
 */
ssize_t guard_base64_decode(const char *text, size_t length, unsigned char *out);

/* Write NUL-terminated text and return its length. url: unpadded; the other: padded. */
size_t guard_base64url_encode(const unsigned char *octets, size_t count, char *out);
size_t guard_base64_encode(const unsigned char *octets, size_t count, char *out);

#endif
