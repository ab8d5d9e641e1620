/*
 * The files of the trail: audit-<chain>-<number>.ndjson in one folder, numbers rising over all runs, mode 0640, only
 * ever appended to, never renamed or truncated. One process at a time: the folder is locked.
 */
#ifndef GUARD_AUDIT_SEGMENT_H
#define GUARD_AUDIT_SEGMENT_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUDIT_FILE_NAME_SIZE 64

struct audit_segments {
    int dir; /* descriptors; -1 = closed */
    int lock;
    int file;                            /* the current one */
    uint64_t number;                     /* of the current or, before the first, the last file there is */
    uint64_t size;                       /* of the current file */
    char name[AUDIT_FILE_NAME_SIZE];     /* of the current file */
    char previous[AUDIT_FILE_NAME_SIZE]; /* of the one before; "" = none */
    uint64_t reserve;                    /* bytes held back on the disk; 0 = none */
};

/* A file of the trail as found in a folder. */
struct audit_file {
    char name[AUDIT_FILE_NAME_SIZE];
    uint64_t number;
};

/*
 * Opens (or makes, mode 0750) and locks the folder and finds the last number. GUARD_ERR_PERMISSION when somebody else
 * uses it or everybody may write to it.
 */
int audit_segments_open(struct audit_segments *segments, const char *path, struct guard_error *err);

/* Closes everything and gives the reserve back. */
void audit_segments_close(struct audit_segments *segments);

/* Makes the file of the next number and turns to it; the old one is synced and closed. False: errno; nothing changed.
 */
bool audit_segments_next(struct audit_segments *segments, const char *chain);

/*
 * What somebody else did to the file that is being written or to the folder it was opened by: NULL = nothing, else the
 * end of a sentence that begins with the file's name. *homeless: new files would not be where path leads.
 */
const char *audit_segments_fault(const struct audit_segments *segments, const char *path, bool *homeless);

/* Opens the folder at path anew, making it if it is gone; numbers go on. False: nothing changed. */
bool audit_segments_move(struct audit_segments *segments, const char *path);

/* A file made by a broker that still is root belongs to the folder's owner. */
void audit_segments_own(const struct audit_segments *segments, int fd);

/* Holds up to that many bytes of the disk, but not more than an eighth of what is free. */
void audit_segments_reserve(struct audit_segments *segments, uint64_t bytes);
void audit_segments_give_back(struct audit_segments *segments);

/* Free bytes of the volume, or 0 when it does not tell. */
uint64_t audit_segments_free(const struct audit_segments *segments);

/*
 * The trail's files of a folder in the order of their numbers; *files is freed by the caller. other (may be NULL)
 * counts files that look like compressed ones of the trail. GUARD_OK, GUARD_ERR_IO or GUARD_ERR_NOMEM.
 */
int audit_files_list(int dir, struct audit_file **files, size_t *count, size_t *other);

/* The number of a file name of the trail, or 0 if it is something else. */
uint64_t audit_file_number(const char *name);

#endif
