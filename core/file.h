/* Reading policy, key and secret files with the care that a root-owned broker's files need. */
#ifndef GUARD_CORE_FILE_H
#define GUARD_CORE_FILE_H

#include "core/error.h"

#include <stddef.h>

enum guard_file_kind {
    GUARD_FILE_PUBLIC, /* anybody may read it; only its owner or root may write it (policy, public keys) */
    GUARD_FILE_SECRET  /* others may not even read it: mode & 007 == 0, and no group write */
};

/*
 * Reads a regular file as a whole into *content (NUL-terminated behind length bytes; the caller frees it with
 * guard_free_secret or free). The last path component may not be a symbolic link to a file owned by somebody else than
 * root or this process's user; owner and mode are those of the open descriptor. Larger than limit: GUARD_ERR_LIMIT.
 */
int guard_file_read(const char *path, enum guard_file_kind kind, size_t limit, char **content, size_t *length,
                    struct guard_error *err);

/*
 * Replaces path by length bytes: a temporary file beside it, fsync, rename, fsync of the folder. On failure the old file
 * stays as it was.
 */
int guard_file_replace(const char *path, const void *bytes, size_t length, unsigned mode, struct guard_error *err);

#endif
