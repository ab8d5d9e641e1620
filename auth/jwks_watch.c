#include "auth/jwks_watch.h"

#include "core/clock.h"
#include "core/siphash.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SETTLE_MS    50 /* an editor writes, renames and changes modes in one go */
#define SETTLE_TURNS 20
#define RETRY_NS     1000000000LL

struct auth_jwks_watch {
    char *path;
    struct guard_log log;
    struct auth_jwks *keys;
    uint64_t stamp;   /* of what was loaded last */
    bool pending;     /* something changed, or the last load failed */
    int64_t retry_at; /* monotonic; after a failure */
    atomic_bool reload;
    struct guard_error last; /* the failure that was logged last: the same one is not logged every second */
};

/* What says of a file that it is the same one, unchanged. */
static uint64_t stamp_of(const struct stat *st, const char *name)
{
    static const struct guard_siphash_key key; /* nothing secret is hashed */
    int64_t facts[] = {(int64_t)st->st_dev,  (int64_t)st->st_ino,
                       (int64_t)st->st_size, (int64_t)st->st_mtim.tv_sec,
                       st->st_mtim.tv_nsec,  (int64_t)st->st_ctim.tv_sec,
                       st->st_ctim.tv_nsec,  (int64_t)guard_siphash(&key, name, strlen(name))};
    return guard_siphash(&key, facts, sizeof facts);
}

/* Of all entries, in whatever order the folder gives them. */
static uint64_t stamp_of_entries(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    uint64_t sum = 0;
    while (folder && (entry = readdir(folder))) {
        struct stat st;
        if (*entry->d_name != '.' && fstatat(dirfd(folder), entry->d_name, &st, 0) == 0)
            sum += stamp_of(&st, entry->d_name);
    }
    if (folder)
        closedir(folder);
    return sum;
}

/* Changes whenever path leads to something else, or to something that was changed. */
static uint64_t stamp(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return (uint64_t)errno;
    return stamp_of(&st, "") + (S_ISDIR(st.st_mode) ? stamp_of_entries(path) : 0);
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
    if (!watch->path) {
        auth_jwks_watch_free(&watch);
        return guard_fail_at(err, GUARD_ERR_NOMEM, path, 0, 0, "out of memory");
    }
    watch->stamp = stamp(path); /* before the load: a change in between is seen */
    int rc = auth_jwks_load(path, log, &watch->keys, err);
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
    auth_jwks_unref(&it->keys);
    free(it->path);
    free(it);
}

struct auth_jwks *auth_jwks_watch_keys(struct auth_jwks_watch *watch)
{
    return auth_jwks_ref(watch->keys);
}

void auth_jwks_watch_reload(struct auth_jwks_watch *watch)
{
    atomic_store(&watch->reload, true);
}

/* Whether there is something else than what was loaded last; lets it settle. */
static void look_for_change(struct auth_jwks_watch *watch)
{
    const struct timespec settle = {0, SETTLE_MS * 1000000L};
    uint64_t now = stamp(watch->path);
    bool changed = now != watch->stamp;
    for (int turns = 0; now != watch->stamp && turns < SETTLE_TURNS; turns++) {
        watch->stamp = now; /* a file that is written all the time is loaded all the same */
        nanosleep(&settle, NULL);
        now = stamp(watch->path);
    }
    if (atomic_exchange(&watch->reload, false) || changed) {
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

enum auth_jwks_poll auth_jwks_watch_poll(struct auth_jwks_watch *watch, struct auth_jwks **out, struct guard_error *err)
{
    struct auth_jwks *loaded;
    struct guard_error why;
    *out = NULL;
    look_for_change(watch);
    if (!watch->pending || guard_clock_monotonic_ns() < watch->retry_at)
        return AUTH_JWKS_SAME;
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
