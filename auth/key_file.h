/* Files that hold keys: read with care, told apart by their content. For the units of auth/ only. */
#ifndef GUARD_AUTH_KEY_FILE_H
#define GUARD_AUTH_KEY_FILE_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

enum auth_key_file_format {
    AUTH_KEY_FILE_PEM,   /* has a "-----BEGIN " line */
    AUTH_KEY_FILE_JSON,  /* begins with `{`, white space aside */
    AUTH_KEY_FILE_SECRET /* anything else */
};

struct auth_key_file {
    enum auth_key_file_format format;
    char *content;
    size_t length; /* SECRET: without the line end behind printable ASCII */
    size_t size;   /* of the memory to wipe */
    bool readable_by_others;
};

/*
 * Reads path (core/file.h; at most AUTH_JWKS_MAX_SIZE octets). auth_key_file_free wipes. GUARD_ERR_INVALID for what
 * would be a secret, but looks like a public key in another form (DER, base64 of it, OpenSSH, JSON with a byte order
 * mark …).
 */
int auth_key_file_read(const char *path, struct auth_key_file *file, struct guard_error *err);
void auth_key_file_free(struct auth_key_file *file);

#endif
