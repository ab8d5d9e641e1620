/* The thumbprint of a certificate in a file, as `x5t#S256` holds it (RFC 8705 §3.1). For guardctl. */
#ifndef GUARD_AUTH_THUMBPRINT_H
#define GUARD_AUTH_THUMBPRINT_H

#include "core/error.h"

#include <stdint.h>

/* SHA-256 over the DER of the first certificate in path (PEM, or DER itself). */
int auth_thumbprint_file(const char *path, uint8_t out[32], struct guard_error *err);

#endif
