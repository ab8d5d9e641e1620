/*
 * Watches a key file or folder and loads it anew when it changes. It asks the file system for what stands there now,
 * behind all links, so that editors and mounted secrets that replace files or links are seen; on the net when that
 * file system's cache lets it. An object of one thread, which must not be the broker's: it reads files, and waits for
 * as long as the file system does. Set-up with overlap is what the file says: publish the new key beside the old one,
 * let signers move over, then take the old one out; what is no longer in the file is refused from the next swap on.
 */
#ifndef GUARD_AUTH_JWKS_WATCH_H
#define GUARD_AUTH_JWKS_WATCH_H

#include "auth/jwks.h"

#include <stdbool.h>

struct auth_jwks_watch;

/*
 * Loads path (file or folder) and begins to watch it. The first set must load: on failure err tells why, *out is NULL.
 * log (may be NULL) is copied and must be usable from the polling thread.
 */
int auth_jwks_watch_new(const char *path, const struct guard_log *log, struct auth_jwks_watch **out,
                        struct guard_error *err);
void auth_jwks_watch_free(struct auth_jwks_watch **watch);

/* The set last loaded, with a reference of the caller's own. Never NULL. */
struct auth_jwks *auth_jwks_watch_keys(struct auth_jwks_watch *watch);

/*
 * Looks for a change, and if there is one waits until nothing has changed for 50 ms and loads. AUTH_JWKS_CHANGED: *out
 * is the new set (one reference for the caller). AUTH_JWKS_SAME: nothing changed, or the keys are the same.
 * AUTH_JWKS_FAILED: the new content was refused (err tells why; also logged), the old set stays in use, and the next
 * poll tries again after 1 s.
 */
enum auth_jwks_poll { AUTH_JWKS_SAME, AUTH_JWKS_CHANGED, AUTH_JWKS_FAILED };
enum auth_jwks_poll auth_jwks_watch_poll(struct auth_jwks_watch *watch, struct auth_jwks **out,
                                         struct guard_error *err);

/* Makes the next poll load the file whether it changed or not (SIGHUP). Safe from any thread. */
void auth_jwks_watch_reload(struct auth_jwks_watch *watch);

#endif
