#include "audit/segment.h"

#include "audit/chain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PREFIX       "audit-"
#define SUFFIX       ".ndjson"
#define RESERVE_NAME ".reserve"
#define LOCK_NAME    ".lock"
#define NUMBER_MAX   999999999999ULL

/* The number in a name, and where it ends; NULL if the name does not begin like ours. */
static const char *parse_name(const char *name, uint64_t *number)
{
    unsigned char octets[AUDIT_CHAIN_LENGTH / 2];
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0 || strlen(name) >= AUDIT_FILE_NAME_SIZE)
        return NULL;
    const char *at = name + sizeof PREFIX - 1;
    if (strlen(at) < AUDIT_CHAIN_LENGTH + 7 || !audit_unhex(at, sizeof octets, octets) || at[AUDIT_CHAIN_LENGTH] != '-')
        return NULL;
    at += AUDIT_CHAIN_LENGTH + 1;
    *number = 0;
    const char *digits = at;
    while (*at >= '0' && *at <= '9' && *number <= NUMBER_MAX / 10)
        *number = *number * 10 + (uint64_t)(*at++ - '0');
    return at - digits >= 6 ? at : NULL;
}

uint64_t audit_file_number(const char *name)
{
    uint64_t number;
    const char *end = parse_name(name, &number);
    return end && strcmp(end, SUFFIX) == 0 ? number : 0;
}

static int by_number(const void *a, const void *b)
{
    const struct audit_file *x = a, *y = b;
    return x->number != y->number ? (x->number > y->number) - (x->number < y->number) : strcmp(x->name, y->name);
}

int audit_files_list(int dir, struct audit_file **files, size_t *count, size_t *other)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    size_t capacity = 0, others = 0;
    int rc = stream ? GUARD_OK : GUARD_ERR_IO;
    *files = NULL;
    *count = 0;
    if (!stream && copy >= 0)
        close(copy);
    for (const struct dirent *entry; stream && rc == GUARD_OK && (entry = readdir(stream));) {
        uint64_t number;
        const char *end = parse_name(entry->d_name, &number);
        if (!end || strcmp(end, SUFFIX) != 0) {
            others += end && strncmp(end, SUFFIX, sizeof SUFFIX - 1) == 0;
            continue;
        }
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            struct audit_file *grown = reallocarray(*files, capacity, sizeof **files);
            if (!grown) {
                rc = GUARD_ERR_NOMEM;
                break;
            }
            *files = grown;
        }
        (*files)[*count].number = number;
        strcpy((*files)[(*count)++].name, entry->d_name); /* parse_name looked at the length */
    }
    if (stream)
        closedir(stream);
    if (rc == GUARD_OK && *count)
        qsort(*files, *count, sizeof **files, by_number);
    if (other)
        *other = others;
    return rc;
}

/*
 * A broker that still is root makes files for the user it is going to run as: the owner of the folder (of the parent
 * folder, for the folder itself).
 */
static void give_to_owner_of(int dir, int fd)
{
    struct stat st;
    if (geteuid() == 0 && fstat(dir, &st) == 0 && st.st_uid != 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
        return; /* then it stays root's, and a later rotation will say so */
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void make_folder(const char *path)
{
    char parent[PATH_MAX];
    if (mkdir(path, 0750) != 0 || snprintf(parent, sizeof parent, "%s/..", path) >= (int)sizeof parent)
        return;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0 && above >= 0)
        give_to_owner_of(above, dir);
    if (dir >= 0)
        close(dir);
    if (above >= 0)
        close(above);
}

static int check_folder(const char *path, int dir, struct guard_error *err)
{
    struct stat st;
    if (fstat(dir, &st) != 0)
        return guard_fail_at(err, GUARD_ERR_IO, path, 0, 0, "cannot be examined");
    if (st.st_mode & S_IWOTH)
        return guard_fail_at(err, GUARD_ERR_PERMISSION, path, 0, 0,
                             "may be written by everybody (mode %04o); expected 0750", (unsigned)st.st_mode & 07777);
    return GUARD_OK;
}

static int lock_folder(struct audit_segments *segments, const char *path, struct guard_error *err)
{
    segments->lock = openat(segments->dir, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (segments->lock < 0)
        return guard_fail_at(err, errno == EACCES ? GUARD_ERR_PERMISSION : GUARD_ERR_IO, path, 0, 0,
                             "no file can be made here; it must belong to the user the broker runs as");
    give_to_owner_of(segments->dir, segments->lock);
    if (flock(segments->lock, LOCK_EX | LOCK_NB) != 0) {
        close_one(&segments->lock);
        return guard_fail_at(err, GUARD_ERR_PERMISSION, path, 0, 0, "is in use by another audit writer");
    }
    return GUARD_OK;
}

static int find_last(struct audit_segments *segments, const char *path, struct guard_error *err)
{
    struct audit_file *files = NULL;
    size_t count = 0;
    int rc = audit_files_list(segments->dir, &files, &count, NULL);
    if (rc == GUARD_OK && count) {
        segments->number = files[count - 1].number;
        strcpy(segments->name, files[count - 1].name);
    }
    free(files);
    return rc == GUARD_OK ? rc : guard_fail_at(err, (enum guard_code)rc, path, 0, 0, "cannot be listed");
}

int audit_segments_open(struct audit_segments *segments, const char *path, struct guard_error *err)
{
    *segments = (struct audit_segments){.dir = -1, .lock = -1, .file = -1};
    make_folder(path);
    segments->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (segments->dir < 0)
        return guard_fail_at(err, errno == EACCES ? GUARD_ERR_PERMISSION : GUARD_ERR_NOT_FOUND, path, 0, 0,
                             "is not a folder that can be opened or made");
    int rc = check_folder(path, segments->dir, err);
    if (rc == GUARD_OK)
        rc = lock_folder(segments, path, err);
    if (rc == GUARD_OK)
        rc = find_last(segments, path, err);
    if (rc != GUARD_OK)
        audit_segments_close(segments);
    return rc;
}

void audit_segments_own(const struct audit_segments *segments, int fd)
{
    give_to_owner_of(segments->dir, fd);
}

void audit_segments_close(struct audit_segments *segments)
{
    if (segments->lock >= 0) /* else the reserve is of the one who has it */
        audit_segments_give_back(segments);
    close_one(&segments->file);
    close_one(&segments->lock);
    close_one(&segments->dir);
}

bool audit_segments_next(struct audit_segments *segments, const char *chain)
{
    char name[AUDIT_FILE_NAME_SIZE];
    uint64_t number = segments->number + 1;
    snprintf(name, sizeof name, PREFIX "%.12s-%06llu" SUFFIX, chain, (unsigned long long)number);
    int fd = openat(segments->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    fchmod(fd, 0640); /* whatever the umask */
    give_to_owner_of(segments->dir, fd);
    fsync(segments->dir);
    if (segments->file >= 0)
        fdatasync(segments->file);
    close_one(&segments->file);
    segments->file = fd;
    segments->number = number;
    segments->size = 0;
    memcpy(segments->previous, segments->name, sizeof segments->previous);
    memcpy(segments->name, name, sizeof segments->name);
    return true;
}

/* Whether path still leads to the open folder; a path that cannot be walked any more says nothing. */
static bool is_at_home(const struct audit_segments *segments, const char *path)
{
    struct stat open, there;
    if (*path != '/' || fstat(segments->dir, &open) != 0)
        return true; /* the broker may have left the folder that a relative path begins in */
    if (stat(path, &there) != 0)
        return errno != ENOENT && errno != ENOTDIR;
    return there.st_ino == open.st_ino && there.st_dev == open.st_dev;
}

const char *audit_segments_fault(const struct audit_segments *segments, const char *path, bool *homeless)
{
    struct stat open, there;
    *homeless = !is_at_home(segments, path);
    if (*homeless)
        return "its folder was removed or replaced";
    if (fstat(segments->file, &open) != 0)
        return NULL;
    if (!open.st_nlink || fstatat(segments->dir, segments->name, &there, AT_SYMLINK_NOFOLLOW) != 0 ||
        there.st_ino != open.st_ino || there.st_dev != open.st_dev)
        return "it was removed, renamed or replaced";
    if ((uint64_t)open.st_size < segments->size)
        return "it was cut";
    return (uint64_t)open.st_size > segments->size ? "somebody else has written to it" : NULL;
}

bool audit_segments_move(struct audit_segments *segments, const char *path)
{
    struct audit_segments moved = {.file = -1};
    struct guard_error err;
    if (audit_segments_open(&moved, path, &err) != GUARD_OK)
        return false;
    segments->reserve = 0; /* it went with the folder */
    close_one(&segments->lock);
    close_one(&segments->dir);
    segments->dir = moved.dir;
    segments->lock = moved.lock;
    if (moved.number > segments->number)
        segments->number = moved.number;
    return true;
}

uint64_t audit_segments_free(const struct audit_segments *segments)
{
    struct statvfs volume;
    if (segments->dir < 0 || fstatvfs(segments->dir, &volume) != 0)
        return 0;
    return (uint64_t)volume.f_bavail * volume.f_frsize;
}

void audit_segments_reserve(struct audit_segments *segments, uint64_t bytes)
{
    uint64_t most = audit_segments_free(segments) / 8;
    bytes = bytes < most ? bytes : most;
    audit_segments_give_back(segments);
    if (bytes < 4096)
        return;
    int fd = openat(segments->dir, RESERVE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (fallocate(fd, 0, 0, (off_t)bytes) == 0) /* not posix_fallocate: it would write where this is not known */
        segments->reserve = bytes;
    else
        unlinkat(segments->dir, RESERVE_NAME, 0);
    close(fd);
}

void audit_segments_give_back(struct audit_segments *segments)
{
    if (segments->dir >= 0)
        unlinkat(segments->dir, RESERVE_NAME, 0); /* also one that a crash left */
    segments->reserve = 0;
}
