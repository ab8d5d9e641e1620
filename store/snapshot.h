/*
 * The last good policy in a file, for a start without Redis. Format 1, numbers in the machine's order:
 *
 *   "GUARDSNAP" 1, uint32 byte order mark, int64 saved at (Unix seconds), uint64 guard:version, uint64 counts of
 * sections, clients and revocations, uint32 length of the prefix and the prefix, then for each entry uint32 key length,
 * uint32 value length, key, value; SHA-256 of all that.
 */
#ifndef GUARD_STORE_SNAPSHOT_H
#define GUARD_STORE_SNAPSHOT_H

#include "store/content.h"

#include <stdint.h>

struct guard_snapshot_times {
    int64_t saved_at, fresh_at; /* Unix seconds */
};

/* Replaces the file atomically, mode 0600. GUARD_OK, or an error (the old file stays). */
int guard_snapshot_write(const char *path, const char *prefix, const struct guard_content *content, int64_t saved_at,
                         struct guard_error *err);

/* Notes in the file that its content was still the store's at that time. Nothing happens if it cannot be done. */
void guard_snapshot_confirm(const char *path, int64_t fresh_at);

/*
 * Reads it into *content (zeroed). GUARD_OK; GUARD_ERR_NOT_FOUND: there is none; GUARD_ERR_INVALID: it is damaged, of
 * another prefix or format, err says what (nothing of it is used); other errors of reading a file that must be private.
 */
int guard_snapshot_read(const char *path, const char *prefix, struct guard_content *content,
                        struct guard_snapshot_times *times, struct guard_error *err);

#endif
