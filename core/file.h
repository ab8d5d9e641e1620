/* Reading policy, key and secret files with the care that a root-owned broker's files need. */
#ifndef GUARD_CORE_FILE_H
#define GUARD_CORE_FILE_H

#include "core/error.h"

#include <limits.h>
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
 * Opens a file with the same care and leaves the reading to the caller, who closes *fd: for what is too large to be
 * held twice. *size is what it has now.
 */
int guard_file_open(const char *path, enum guard_file_kind kind, size_t limit, int *fd, size_t *size,
                    struct guard_error *err);

/*
 * Replaces path by length bytes: a temporary file beside it, fsync, rename, fsync of the folder. On failure the old
 * file stays as it was.
 */
int guard_file_replace(const char *path, const void *bytes, size_t length, unsigned mode, struct guard_error *err);

/*
 * The same in pieces, for what is too large to be held twice. After begin gave GUARD_OK, either commit or abandon
 * follows exactly once (commit also ends it when it fails). path must live until then.
 */
struct guard_file_replacement {
    const char *path;
    int fd;
    char temporary[PATH_MAX];
};
int guard_file_replace_begin(struct guard_file_replacement *file, const char *path, unsigned mode,
                             struct guard_error *err);
int guard_file_replace_append(struct guard_file_replacement *file, const void *bytes, size_t length,
                              struct guard_error *err);
int guard_file_replace_commit(struct guard_file_replacement *file, struct guard_error *err);
void guard_file_replace_abandon(struct guard_file_replacement *file);

#endif
