/*
 * Writes snapshots on a thread of its own, so that a large one does not make the store thread late. Content is
 * immutable: a reference is enough. The newest wins; while one is written, only the last of those that come is kept.
 */
#ifndef GUARD_STORE_SAVER_H
#define GUARD_STORE_SAVER_H

#include "store/content.h"

struct guard_saver;

/*
 * path and prefix are copied; is_saved: the file holds the policy in force. The thread "guard-snapshot" is started, all
 * signals blocked. NULL: no thread or memory.
 */
struct guard_saver *guard_saver_new(const char *path, const char *prefix, bool is_saved);

/* Has content saved soon: a moment after the first change that is not saved, and not more often than what it costs
 * allows. */
void guard_saver_offer(struct guard_saver *saver, const struct guard_content *content);

/* The content offered last is still the store's: the file says so, if it holds that content. */
void guard_saver_confirm(struct guard_saver *saver);

/* The text of the last failure if it was not asked for yet, else false. */
bool guard_saver_failure(struct guard_saver *saver, struct guard_error *err);

/* Saves what is still to be saved, ends the thread, frees. *saver may be NULL. */
void guard_saver_free(struct guard_saver **saver);

#endif
