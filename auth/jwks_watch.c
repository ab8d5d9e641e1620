#include "auth/jwks_watch.h"

#include "core/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SETTLE_MS    50 /* an editor writes, renames and changes modes in one go */
#define SETTLE_TURNS 20
#define RETRY_NS     1000000000LL

struct auth_jwks_watch {
    char *path;
    struct guard_log log;
    struct auth_jwks *keys;
    int notify;       /* inotify descriptor */
    bool pending;     /* something changed, or the last load failed */
    int64_t retry_at; /* monotonic; after a failure */
    atomic_bool reload;
    struct guard_error last; /* the failure that was logged last: the same one is not logged every second */
};

/* The folder whose entries are to be watched: path itself, or the one that holds it. */
static void folder_of(const char *path, char folder[PATH_MAX])
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        snprintf(folder, PATH_MAX, "%s", path);
    else if (!slash)
        snprintf(folder, PATH_MAX, ".");
    else
        snprintf(folder, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/*
 * The folder of the name, and where the name is a link, that of its target too: Kubernetes swaps a link elsewhere.
 * Adding a watch that is there already changes nothing, so this is done again after every load.
 */
static bool add_watches(struct auth_jwks_watch *watch)
{
    const uint32_t events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB |
                            IN_DELETE_SELF | IN_MOVE_SELF;
    char folder[PATH_MAX], *target = realpath(watch->path, NULL);
    folder_of(watch->path, folder);
    bool watched = inotify_add_watch(watch->notify, folder, events) >= 0;
    if (target) {
        folder_of(target, folder);
        watched = inotify_add_watch(watch->notify, folder, events) >= 0 && watched;
    }
    free(target);
    return watched;
}

int auth_jwks_watch_new(const char *path, const struct guard_log *log, struct auth_jwks_watch **out,
                        struct guard_error *err)
{
    *out = NULL;
    struct auth_jwks_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return guard_fail_at(err, GUARD_ERR_NOMEM, path, 0, 0, "out of memory");
    if (log)
        watch->log = *log;
    watch->path = strdup(path);
    watch->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int rc;
    if (!watch->path)
        rc = guard_fail_at(err, GUARD_ERR_NOMEM, path, 0, 0, "out of memory");
    else if (watch->notify < 0 || !add_watches(watch)) /* before the load: a change in between is seen */
        rc = guard_fail_at(err, errno == ENOENT ? GUARD_ERR_NOT_FOUND : GUARD_ERR_IO, path, 0, 0,
                           "the folder cannot be watched: %s", strerrordesc_np(errno));
    else
        rc = auth_jwks_load(path, log, &watch->keys, err);
    if (rc != GUARD_OK)
        auth_jwks_watch_free(&watch);
    *out = watch;
    return rc;
}

void auth_jwks_watch_free(struct auth_jwks_watch **watch)
{
    struct auth_jwks_watch *it = *watch;
    *watch = NULL;
    if (!it)
        return;
    if (it->notify >= 0)
        close(it->notify);
    auth_jwks_unref(&it->keys);
    free(it->path);
    free(it);
}

struct auth_jwks *auth_jwks_watch_keys(struct auth_jwks_watch *watch)
{
    return auth_jwks_ref(watch->keys);
}

int auth_jwks_watch_descriptor(const struct auth_jwks_watch *watch)
{
    return watch->notify;
}

void auth_jwks_watch_reload(struct auth_jwks_watch *watch)
{
    atomic_store(&watch->reload, true);
}

/* Takes all events off the descriptor. True if there were any. */
static bool drain(int descriptor)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool any = false;
    while (read(descriptor, events, sizeof events) > 0)
        any = true;
    return any;
}

/* Waits for events until time-out or retry, whichever is first; lets them settle. */
static void wait_for_change(struct auth_jwks_watch *watch, int timeout_ms)
{
    struct pollfd waiting = {watch->notify, POLLIN, 0};
    if (watch->pending) {
        int64_t left_ms = (watch->retry_at - guard_clock_monotonic_ns()) / 1000000 + 1;
        if (left_ms < timeout_ms)
            timeout_ms = left_ms > 0 ? (int)left_ms : 0;
    }
    if (poll(&waiting, 1, timeout_ms) > 0 && drain(watch->notify)) {
        struct timespec settle = {0, SETTLE_MS * 1000000L};
        int turns = SETTLE_TURNS; /* a file that is written all the time is loaded all the same */
        do
            nanosleep(&settle, NULL);
        while (drain(watch->notify) && --turns);
        watch->pending = true;
        watch->retry_at = 0;
    }
    if (atomic_exchange(&watch->reload, false)) {
        watch->pending = true;
        watch->retry_at = 0;
    }
}

static const struct guard_log *log_of(const struct auth_jwks_watch *watch)
{
    return watch->log.write ? &watch->log : NULL;
}

static void note_failure(struct auth_jwks_watch *watch, const struct guard_error *why)
{
    char text[900];
    watch->retry_at = guard_clock_monotonic_ns() + RETRY_NS;
    if (strcmp(why->text, watch->last.text) != 0)
        guard_log(log_of(watch), GUARD_LOG_ERROR, "keys are not taken, the old ones stay: %s",
                  guard_error_format(why, text, sizeof text));
    watch->last = *why;
}

enum auth_jwks_poll auth_jwks_watch_poll(struct auth_jwks_watch *watch, int timeout_ms, struct auth_jwks **out,
                                         struct guard_error *err)
{
    struct auth_jwks *loaded;
    struct guard_error why;
    *out = NULL;
    wait_for_change(watch, timeout_ms);
    if (!watch->pending || guard_clock_monotonic_ns() < watch->retry_at)
        return AUTH_JWKS_SAME;
    add_watches(watch); /* a folder or link that was replaced */
    if (auth_jwks_load(watch->path, log_of(watch), &loaded, &why) != GUARD_OK) {
        note_failure(watch, &why);
        if (err)
            *err = why;
        return AUTH_JWKS_FAILED;
    }
    watch->pending = false;
    watch->last.text[0] = '\0';
    if (auth_jwks_equal(loaded, watch->keys)) {
        auth_jwks_unref(&loaded);
        return AUTH_JWKS_SAME;
    }
    auth_jwks_unref(&watch->keys);
    watch->keys = loaded;
    *out = auth_jwks_ref(loaded);
    return AUTH_JWKS_CHANGED;
}
