/*
 * The last good policy in a file, for a start without Redis: maps as they lie in memory, and what the composition made
 * of them (compiled rules), so that a start reads and does not build. Changes are added behind it until they are many;
 * then the whole is written anew.
 *
 * The file (numbers and structures as this machine has them; store/snapshot_format.h):
 *
 *   header, sections, client records, revocations, what the composition made; SHA-256 of all that; a note of when the
 *   store last had this content; changes, each with a SHA-256 that is chained to the one before
 *
 * What is trusted: a file whose owner is root or this user and which nobody else may read or write (core/file.h), once
 * its checksums fit. Maps and changes are checked entry by entry on top of that; the composition's part is its own
 * business. A last change that is not whole (the power failed while it was added) is left out, and that is told; any
 * other damage, and the file is not used at all.
 */
#ifndef GUARD_STORE_SNAPSHOT_H
#define GUARD_STORE_SNAPSHOT_H

#include "store/content.h"

#include <stdint.h>

#define GUARD_SNAPSHOT_DIGEST 32

/* Where the next change goes. What wrote or read the file last has it. */
struct guard_snapshot_end {
    uint64_t device, inode, size; /* of the file as it was left: any other is somebody else's; size 0: there is none */
    uint64_t tail_at;             /* where the digest of the whole stands */
    uint64_t at;                  /* where the next change goes */
    unsigned char digest[GUARD_SNAPSHOT_DIGEST]; /* it is chained to */
};

/* What is to be saved. */
struct guard_snapshot_save {
    const struct guard_content *content;
    const struct guard_store_callbacks *callbacks;
    const void *image; /* what the composition made of it; NULL: nothing */
    int64_t saved_at;  /* Unix seconds */
};

/* Replaces the file atomically, mode 0600. GUARD_OK and *end, or an error (the old file stays). */
int guard_snapshot_write(const char *path, const char *prefix, const struct guard_snapshot_save *save,
                         struct guard_snapshot_end *end, struct guard_error *err);

/*
 * Adds to the file what content has that held, which the file holds, had not; moves *end. GUARD_OK;
 * GUARD_ERR_UNSUPPORTED: it must be written as a whole (too many changes, another file); or an error of writing.
 */
int guard_snapshot_append(const char *path, const struct guard_content *held, const struct guard_snapshot_save *save,
                          struct guard_snapshot_end *end, struct guard_error *err);

/* Notes in the file that its content was still the store's at that time. Nothing happens if it cannot be done. */
void guard_snapshot_confirm(const char *path, const struct guard_snapshot_end *end, int64_t fresh_at);

/* A file read. Zero-initialise. */
struct guard_snapshot {
    struct guard_content base;    /* as it was written as a whole */
    struct guard_content content; /* with the changes since */
    struct guard_slab *image;     /* what the composition made of base; NULL: nothing */
    size_t image_length;
    int64_t saved_at, fresh_at; /* Unix seconds */
    bool cut_off;               /* a last change was not whole and is left out */
    struct guard_snapshot_end end;
};

/*
 * GUARD_OK; GUARD_ERR_NOT_FOUND: there is none; GUARD_ERR_INVALID: it is damaged, of another prefix or format, err says
 * what (nothing of it is used); other errors of reading a file that must be private.
 */
int guard_snapshot_read(const char *path, const char *prefix, struct guard_snapshot *out, struct guard_error *err);
void guard_snapshot_free(struct guard_snapshot *snapshot); /* and zeroes it */

#endif
