/*
 * Writes snapshots on a thread of its own, so that a large one does not make the store thread late. Content is
 * immutable: a reference is enough. The newest wins; while one is written, only the last of those that come is kept.
 */
#ifndef GUARD_STORE_SAVER_H
#define GUARD_STORE_SAVER_H

#include "store/snapshot.h"

struct guard_saver;

/* What it begins with; all is copied or referenced but callbacks, which must outlive it. */
struct guard_saver_start {
    const char *path, *prefix;
    const struct guard_store_callbacks *callbacks; /* for images */
    const struct guard_content *held;              /* what the file holds; NULL: nothing that is in force */
    const struct guard_snapshot_end *end;          /* of that file */
};

/* Starts the thread "guard-snapshot", all signals blocked. NULL: no thread or memory. */
struct guard_saver *guard_saver_new(const struct guard_saver_start *start);

/*
 * Has content saved soon: a moment after the first change that is not saved; as a whole not more often than what it
 * costs allows. image (may be NULL) is what the composition made of it: a reference that becomes the saver's.
 */
void guard_saver_offer(struct guard_saver *saver, const struct guard_content *content, void *image);

/* The content offered last is still the store's: the file says so, if it holds that content. */
void guard_saver_confirm(struct guard_saver *saver);

/* The text of the last failure if it was not asked for yet, else false. */
bool guard_saver_failure(struct guard_saver *saver, struct guard_error *err);

/* Saves what is still to be saved, ends the thread, frees. *saver may be NULL. */
void guard_saver_free(struct guard_saver **saver);

#endif
