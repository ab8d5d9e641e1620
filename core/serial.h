/* Serial numbers of certificates, as people and tools write them. */
#ifndef GUARD_CORE_SERIAL_H
#define GUARD_CORE_SERIAL_H

#include <stddef.h>

#define GUARD_SERIAL_SIZE 41 /* 20 octets (RFC 5280 §4.1.2.2) in hex, and NUL */

/*
 * Brings text ("0a:FF", "0xaff", "-0A", lower case, leading zeros) to upper-case hex without sign and leading zeros;
 * "0" for zero. GUARD_OK, or GUARD_ERR_SYNTAX: no hexadecimal number, or one of more than 20 octets.
 */
int guard_serial_canonical(const char *text, size_t length, char out[GUARD_SERIAL_SIZE]);

#endif
