#include "core/file.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_errno(struct guard_error *err, const char *path, const char *what)
{
    int saved = errno;
    enum guard_code code = saved == ENOENT   ? GUARD_ERR_NOT_FOUND
                           : saved == EACCES ? GUARD_ERR_PERMISSION
                           : saved == ENOMEM ? GUARD_ERR_NOMEM
                                             : GUARD_ERR_IO;
    char text[128];
    return guard_fail_at(err, code, path, 0, 0, "cannot %s: %s", what, strerror_r(saved, text, sizeof text));
}

static bool trusted_owner(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

/* A link is followed only where root or this user made it: nobody else can then point us at another file. */
static int open_trusted(const char *path, struct guard_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 || errno != ELOOP)
        return fd < 0 ? fail_errno(err, path, "open") : fd;
    struct stat link;
    if (lstat(path, &link) != 0)
        return fail_errno(err, path, "open");
    if (!trusted_owner(link.st_uid))
        return guard_fail_at(err, GUARD_ERR_PERMISSION, path, 0, 0,
                             "is a symbolic link owned by uid %u; expected root or this user", (unsigned)link.st_uid);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? fail_errno(err, path, "open") : fd;
}

static int check_descriptor(const char *path, const struct stat *st, enum guard_file_kind kind, size_t limit,
                            struct guard_error *err)
{
    unsigned mode = st->st_mode & 07777;
    if (!S_ISREG(st->st_mode))
        return guard_fail_at(err, GUARD_ERR_INVALID, path, 0, 0, "is not a regular file");
    if (!trusted_owner(st->st_uid))
        return guard_fail_at(err, GUARD_ERR_PERMISSION, path, 0, 0,
                             "belongs to uid %u; expected root or the user the broker runs as", (unsigned)st->st_uid);
    if (mode & S_IWOTH)
        return guard_fail_at(err, GUARD_ERR_PERMISSION, path, 0, 0,
                             "may be written by everybody (mode %04o); expected 0644 or less", mode);
    if (kind == GUARD_FILE_SECRET && (mode & (S_IRWXO | S_IWGRP)))
        return guard_fail_at(err, GUARD_ERR_PERMISSION, path, 0, 0,
                             "holds a secret and has mode %04o; expected 0640 or 0600", mode);
    if (st->st_size < 0 || (size_t)st->st_size > limit)
        return guard_fail_at(err, GUARD_ERR_LIMIT, path, 0, 0, "is larger than %zu bytes", limit);
    return GUARD_OK;
}

struct source {
    int fd;
    const char *path;
    size_t expected, limit;
};

static int read_all(const struct source *source, char **content, size_t *length, struct guard_error *err)
{
    size_t capacity = source->expected + 4096, used = 0; /* a file that does not grow needs no second buffer */
    char *data = malloc(capacity);
    while (data) {
        ssize_t got = read(source->fd, data + used, capacity - used - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            guard_free_secret(&data, used);
            return fail_errno(err, source->path, "read");
        }
        used += (size_t)got;
        if (used > source->limit) { /* it grew while we read */
            guard_free_secret(&data, used);
            return guard_fail_at(err, GUARD_ERR_LIMIT, source->path, 0, 0, "is larger than %zu bytes", source->limit);
        }
        if (got == 0) {
            data[used] = '\0';
            *content = data;
            *length = used;
            return GUARD_OK;
        }
        if (used + 1 == capacity) {
            char *grown = malloc(capacity * 2); /* not realloc: it could leave a copy of a secret behind */
            if (grown)
                memcpy(grown, data, used);
            guard_free_secret(&data, used);
            data = grown;
            capacity *= 2;
        }
    }
    return guard_fail_at(err, GUARD_ERR_NOMEM, source->path, 0, 0, "out of memory");
}

int guard_file_open(const char *path, enum guard_file_kind kind, size_t limit, int *fd, size_t *size,
                    struct guard_error *err)
{
    struct stat st;
    *fd = open_trusted(path, err);
    if (*fd < 0)
        return *fd;
    int rc = fstat(*fd, &st) != 0 ? fail_errno(err, path, "examine") : check_descriptor(path, &st, kind, limit, err);
    *size = rc == GUARD_OK ? (size_t)st.st_size : 0;
    if (rc != GUARD_OK)
        close(*fd);
    return rc;
}

int guard_file_read(const char *path, enum guard_file_kind kind, size_t limit, char **content, size_t *length,
                    struct guard_error *err)
{
    size_t size;
    int fd, rc = guard_file_open(path, kind, limit, &fd, &size, err);
    if (rc != GUARD_OK)
        return rc;
    rc = read_all(&(struct source){fd, path, size, limit}, content, length, err);
    close(fd);
    return rc;
}

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length) {
        ssize_t wrote = write(fd, bytes, length);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        bytes += wrote;
        length -= (size_t)wrote;
    }
    return 0;
}

static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd); /* best effort: some file systems do not allow it, and the rename itself was done */
        close(fd);
    }
}

int guard_file_replace_begin(struct guard_file_replacement *file, const char *path, unsigned mode,
                             struct guard_error *err)
{
    *file = (struct guard_file_replacement){.path = path, .fd = -1};
    if (snprintf(file->temporary, sizeof file->temporary, "%s.XXXXXX", path) >= (int)sizeof file->temporary)
        return guard_fail_at(err, GUARD_ERR_LIMIT, path, 0, 0, "the path is too long");
    file->fd = mkostemp(file->temporary, O_CLOEXEC);
    if (file->fd < 0)
        return fail_errno(err, path, "create a file beside it");
    if (fchmod(file->fd, mode) == 0)
        return GUARD_OK;
    int rc = fail_errno(err, path, "write");
    guard_file_replace_abandon(file);
    return rc;
}

int guard_file_replace_append(struct guard_file_replacement *file, const void *bytes, size_t length,
                              struct guard_error *err)
{
    return write_all(file->fd, bytes, length) == 0 ? GUARD_OK : fail_errno(err, file->path, "write");
}

int guard_file_replace_commit(struct guard_file_replacement *file, struct guard_error *err)
{
    int rc = fsync(file->fd) == 0 ? GUARD_OK : fail_errno(err, file->path, "write");
    if (close(file->fd) != 0 && rc == GUARD_OK)
        rc = fail_errno(err, file->path, "write");
    file->fd = -1;
    if (rc == GUARD_OK && rename(file->temporary, file->path) != 0)
        rc = fail_errno(err, file->path, "replace");
    if (rc != GUARD_OK)
        unlink(file->temporary);
    else
        sync_folder(file->path);
    return rc;
}

void guard_file_replace_abandon(struct guard_file_replacement *file)
{
    if (file->fd < 0)
        return;
    close(file->fd);
    unlink(file->temporary);
    file->fd = -1;
}

int guard_file_replace(const char *path, const void *bytes, size_t length, unsigned mode, struct guard_error *err)
{
    struct guard_file_replacement file;
    int rc = guard_file_replace_begin(&file, path, mode, err);
    if (rc != GUARD_OK)
        return rc;
    rc = guard_file_replace_append(&file, bytes, length, err);
    if (rc == GUARD_OK)
        return guard_file_replace_commit(&file, err);
    guard_file_replace_abandon(&file);
    return rc;
}
