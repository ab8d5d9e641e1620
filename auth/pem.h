/* Reading keys from PEM text, without ever asking anybody for a passphrase. For the units of auth/ only. */
#ifndef GUARD_AUTH_PEM_H
#define GUARD_AUTH_PEM_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

/* Whether text is PEM: it holds a "-----BEGIN " line. */
bool auth_pem_is(const char *text, size_t length);

/*
 * The first key in text: a private one (PKCS #8, PKCS #1, SEC 1), or, unless need_private, a public one (SPKI, PKCS
 * #1). *out is freed by EVP_PKEY_free. GUARD_ERR_INVALID: there is none, it is encrypted, or it cannot be read.
 */
int auth_pem_read(const char *text, size_t length, bool need_private, struct evp_pkey_st **out, bool *is_private,
                  struct guard_error *err);

#endif
