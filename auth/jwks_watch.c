#include "auth/jwks_watch.h"

#include "auth/jwks_private.h"
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
#define GRANULE_S    2 /* the coarsest time stamps of a file system (vfat): a second change within it leaves no trace */

/* What says of files that they are the same ones, unchanged. */
struct stamp {
    uint64_t sum;
    int64_t newest; /* Unix seconds of the last change */
};

struct auth_jwks_watch {
    char *path;
    struct guard_log log;
    struct auth_jwks *keys;
    struct stamp stamp; /* of what was loaded last */
    bool pending;       /* something changed, or the last load failed */
    int64_t retry_at;   /* monotonic; after a failure */
    int64_t again_at; /* monotonic; what was loaded was so young that it may have been changed unseen. 0: it was not */
    atomic_bool reload;
    struct guard_error last; /* the failure that was logged last: the same one is not logged every second */
};

static void add_file(struct stamp *stamp, const struct stat *st, const char *name)
{
    static const struct guard_siphash_key key; /* nothing secret is hashed */
    int64_t facts[] = {(int64_t)st->st_dev,  (int64_t)st->st_ino,
                       (int64_t)st->st_size, (int64_t)st->st_mtim.tv_sec,
                       st->st_mtim.tv_nsec,  (int64_t)st->st_ctim.tv_sec,
                       st->st_ctim.tv_nsec,  (int64_t)guard_siphash(&key, name, strlen(name))};
    stamp->sum += guard_siphash(&key, facts, sizeof facts); /* a folder gives its entries in any order */
    if (st->st_ctim.tv_sec > stamp->newest)
        stamp->newest = st->st_ctim.tv_sec;
}

static void add_folder(struct stamp *stamp, const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        struct stat st;
        if (auth_jwks_is_key_file(entry->d_name) && fstatat(dirfd(folder), entry->d_name, &st, 0) == 0)
            add_file(stamp, &st, entry->d_name);
    }
    if (folder)
        closedir(folder);
}

/* Changes whenever path leads to something else, or to something that was changed. */
static struct stamp stamp_of(const char *path)
{
    struct stat st;
    struct stamp stamp = {0};
    if (stat(path, &st) != 0)
        stamp.sum = (uint64_t)errno;
    else if (S_ISDIR(st.st_mode))
        add_folder(&stamp, path);
    else
        add_file(&stamp, &st, "");
    return stamp;
}

/* After a load: whether it has to be repeated when time stamps have moved on. */
static void mind_age(struct auth_jwks_watch *watch)
{
    bool young = watch->stamp.newest + GRANULE_S >= guard_clock_now();
    watch->again_at = young ? guard_clock_monotonic_ns() + (GRANULE_S + 1) * RETRY_NS : 0;
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
    watch->stamp = stamp_of(path); /* before the load: a change in between is seen */
    int rc = auth_jwks_load(path, log, &watch->keys, err);
    mind_age(watch);
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

/* Reads what was loaded too young once more, without a word: nearly always it is the same. */
static bool changed_unseen(struct auth_jwks_watch *watch)
{
    struct auth_jwks *keys = NULL;
    struct guard_error err;
    if (!watch->again_at || guard_clock_monotonic_ns() < watch->again_at)
        return false;
    watch->again_at = 0;
    bool same = auth_jwks_load(watch->path, NULL, &keys, &err) == GUARD_OK && auth_jwks_equal(keys, watch->keys);
    auth_jwks_unref(&keys);
    return !same;
}

/* Whether there is something else than what was loaded last; lets it settle. */
static void look_for_change(struct auth_jwks_watch *watch)
{
    const struct timespec settle = {0, SETTLE_MS * 1000000L};
    struct stamp now = stamp_of(watch->path);
    bool changed = now.sum != watch->stamp.sum || changed_unseen(watch);
    for (int turns = 0; now.sum != watch->stamp.sum && turns < SETTLE_TURNS; turns++) {
        watch->stamp = now; /* a file that is written all the time is loaded all the same */
        nanosleep(&settle, NULL);
        now = stamp_of(watch->path);
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
    mind_age(watch);
    if (auth_jwks_equal(loaded, watch->keys)) {
        auth_jwks_unref(&loaded);
        return AUTH_JWKS_SAME;
    }
    auth_jwks_unref(&watch->keys);
    watch->keys = loaded;
    *out = auth_jwks_ref(loaded);
    return AUTH_JWKS_CHANGED;
}
