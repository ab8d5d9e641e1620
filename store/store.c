#include "store/store.h"

#include "core/clock.h"
#include "core/memory.h"
#include "core/thread.h"
#include "store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TIMEOUT_MS 2000

static const char *set_or_null(const char *text)
{
    return text && *text ? text : NULL;
}

/* Copies the strings of a configuration; *from and *to are pointers inside it. */
static bool copy_string(const char **to, const char *from, const char *otherwise)
{
    const char *text = set_or_null(from) ? from : otherwise;
    *to = text ? strdup(text) : NULL;
    return !text || *to;
}

static bool copy_config(struct guard_store_config *to, const struct guard_store_config *from,
                        const struct guard_redis_url *url)
{
    *to = *from;
    to->connect_timeout_ms = from->connect_timeout_ms ? from->connect_timeout_ms : TIMEOUT_MS;
    to->command_timeout_ms = from->command_timeout_ms ? from->command_timeout_ms : TIMEOUT_MS;
    /* each is copied whatever became of the one before: free_config frees them all */
    bool fine = copy_string(&to->url, from->url, "");
    fine = copy_string(&to->username, from->username, set_or_null(url->username)) && fine;
    fine = copy_string(&to->password_file, from->password_file, NULL) && fine;
    fine = copy_string(&to->tls_ca, from->tls_ca, NULL) && fine;
    fine = copy_string(&to->tls_cert, from->tls_cert, NULL) && fine;
    fine = copy_string(&to->tls_key, from->tls_key, NULL) && fine;
    fine = copy_string(&to->prefix, from->prefix, GUARD_STORE_PREFIX) && fine;
    fine = copy_string(&to->snapshot_file, from->snapshot_file, NULL) && fine;
    return copy_string(&to->broker_id, from->broker_id, NULL) && fine;
}

static void free_config(struct guard_store_config *config)
{
    const char *strings[] = {config->url,    config->username,      config->password_file,
                             config->tls_ca, config->tls_cert,      config->tls_key,
                             config->prefix, config->snapshot_file, config->broker_id};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        void *owned;
        memcpy(&owned, &strings[i], sizeof owned);
        free(owned);
    }
    *config = (struct guard_store_config){0};
}

static int check_prefix(const char *prefix, const struct guard_redis_url *url, struct guard_error *err)
{
    if (strlen(prefix) > GUARD_STORE_PREFIX_MAX)
        return guard_fail_at(err, GUARD_ERR_INVALID, "redis_prefix", 0, 0, "is longer than %d bytes",
                             GUARD_STORE_PREFIX_MAX);
    for (const char *c = prefix; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return guard_fail_at(err, GUARD_ERR_INVALID, "redis_prefix", 0, 0,
                                 "holds white space or a control character");
    if (url->mode == GUARD_REDIS_CLUSTER && !guard_redis_prefix_has_tag(prefix, NULL))
        return guard_fail_at(
            err, GUARD_ERR_INVALID, "redis_prefix", 0, 0,
            "'%.100s' needs a hash tag with Redis Cluster, so that all keys are in one slot: for example "
            "{guard}:",
            prefix);
    return GUARD_OK;
}

/* What can be told to be wrong without connecting. */
static int check_config(const struct guard_store_config *config, struct guard_redis_url *url, struct guard_error *err)
{
    const char *prefix = set_or_null(config->prefix) ? config->prefix : GUARD_STORE_PREFIX;
    struct guard_redis_tls *tls = NULL;
    int rc = guard_redis_url_parse(config->url ? config->url : "", url, err);
    if (rc == GUARD_OK)
        rc = check_prefix(prefix, url, err);
    if (rc == GUARD_OK && (set_or_null(config->username) || url->username[0]) && !set_or_null(config->password_file))
        rc = guard_fail_at(err, GUARD_ERR_INVALID, "redis_username", 0, 0, "a user name needs redis_password_file");
    if (rc == GUARD_OK && url->tls)
        rc = guard_redis_tls_new(set_or_null(config->tls_ca), set_or_null(config->tls_cert),
                                 set_or_null(config->tls_key), &tls, err);
    guard_redis_tls_free(&tls);
    return rc;
}

/* Reads the snapshot and hands it out; false: there is none that is used. */
static bool load_snapshot(struct guard_store *store, struct guard_snapshot *snapshot, bool *restored)
{
    struct guard_error err = {0};
    const char *path = store->config.snapshot_file;
    int rc = guard_snapshot_read(path, store->config.prefix, snapshot, &err);
    if (rc == GUARD_OK)
        rc = guard_store_deliver_snapshot(store, snapshot, restored, &err);
    if (rc != GUARD_OK && rc != GUARD_ERR_NOT_FOUND)
        guard_store_problem(store, GUARD_PROBLEM_ERROR, path, "%s", err.text);
    if (rc == GUARD_OK && snapshot->cut_off)
        guard_store_problem(store, GUARD_PROBLEM_WARNING, path,
                            "the last change was not saved as a whole and is left out of the snapshot");
    return rc == GUARD_OK;
}

static int start_saver(struct guard_store *store, struct guard_error *err)
{
    struct guard_snapshot snapshot = {0};
    bool restored = false;
    struct guard_saver_start start = {.path = store->config.snapshot_file,
                                      .prefix = store->config.prefix,
                                      .callbacks = &store->callbacks,
                                      .end = &snapshot.end};
    bool loaded = load_snapshot(store, &snapshot, &restored);
    void *image =
        loaded && !restored && store->callbacks.image ? store->callbacks.image(store->callbacks.context) : NULL;
    if (image)
        snapshot.end.size = 0; /* the next start is to be quicker: the whole is written anew */
    if (loaded)
        start.held = &snapshot.content;
    store->saver = guard_saver_new(&start);
    if (store->saver && image)
        guard_saver_offer(store->saver, &store->held, image);
    else if (image)
        store->callbacks.image_free(image);
    guard_snapshot_free(&snapshot);
    return store->saver ? GUARD_OK : guard_fail(err, GUARD_ERR_INTERNAL, "the snapshot's thread cannot be started");
}

static int start_thread(struct guard_store *store, struct guard_error *err)
{
    struct guard_thread thread = {
        .name = "guard-store", .run = guard_store_thread, .context = store, .wake_fd = store->wake_fd};
    return guard_thread_start(&thread, &store->thread, err);
}

static void free_store(struct guard_store *store)
{
    guard_saver_free(&store->saver);
    guard_content_free(&store->held);
    guard_content_free(&store->seen);
    guard_faults_free(&store->faults);
    guard_redis_tls_free(&store->tls);
    guard_free_secret(&store->password, store->password_length);
    free_config(&store->config);
    if (store->wake_fd >= 0)
        close(store->wake_fd);
    free(store);
}

static int set_up(struct guard_store *store, struct guard_error *err)
{
    store->checks = (struct guard_content_checks){
        .callbacks = &store->callbacks, .prefix = store->config.prefix, .faults = &store->faults};
    store->link.server =
        (struct guard_redis_server){.url = &store->url, .settings = &store->settings, .prefix = store->config.prefix};
    snprintf(store->client_name, sizeof store->client_name, "mosquitto-guard");
    store->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->wake_fd < 0)
        return guard_fail(err, GUARD_ERR_INTERNAL, "no event descriptor");
    store->owes_full = true;
    if (store->config.snapshot_file && start_saver(store, err) != GUARD_OK)
        return GUARD_ERR_INTERNAL;
    guard_store_set_down(store, GUARD_REASON_STORE_UNAVAILABLE, "not connected yet");
    guard_store_tell(store);
    return start_thread(store, err);
}

int guard_store_start(const struct guard_store_config *config, const struct guard_store_callbacks *callbacks,
                      struct guard_store **out, struct guard_error *err)
{
    struct guard_redis_url url;
    *out = NULL;
    int rc = check_config(config, &url, err);
    if (rc != GUARD_OK)
        return rc;
    struct guard_store *store = calloc(1, sizeof *store);
    if (!store)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    store->wake_fd = -1;
    store->url = url;
    store->callbacks = *callbacks;
    *out = store; /* before the thread runs: its callbacks may want it */
    rc = copy_config(&store->config, config, &url) ? set_up(store, err)
                                                   : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    if (rc == GUARD_OK)
        return rc;
    *out = NULL;
    free_store(store);
    return rc;
}

static void wake(struct guard_store *store)
{
    uint64_t one = 1;
    if (write(store->wake_fd, &one, sizeof one) != sizeof one)
        return; /* the counter is full: it is readable already */
}

void guard_store_stop(struct guard_store **store)
{
    if (!*store)
        return;
    atomic_store(&(*store)->stop, true);
    wake(*store);
    pthread_join((*store)->thread, NULL);
    free_store(*store);
    *store = NULL; /* last: a callback may have looked there until now */
}

void guard_store_resync(struct guard_store *store)
{
    atomic_store(&store->resync, true);
    wake(store);
}

struct copy {
    const char *prefix;
    struct guard_policy_text *text;
    int rc;
};

static bool copy_section(void *context, const struct guard_shard_entry *entry)
{
    struct copy *copy = context;
    enum guard_key_kind kind = guard_content_section_kind(entry);
    size_t count = kind == GUARD_KEY_JWKS ? 0 : guard_content_section_count(entry);
    struct guard_policy_line *lines = count ? reallocarray(NULL, count, sizeof *lines) : NULL;
    char *place = NULL;
    if (count && (!lines || asprintf(&place, "%s%s%s", copy->prefix, guard_key_text(kind), entry->key + 1) < 0)) {
        place = NULL;
        copy->rc = GUARD_ERR_NOMEM;
    }
    if (count && copy->rc == GUARD_OK)
        guard_content_section_lines(entry, place, lines);
    for (size_t i = 0; i < count && copy->rc == GUARD_OK; i++)
        copy->rc = guard_policy_text_add(copy->text, &lines[i]);
    free(place);
    free(lines);
    return copy->rc == GUARD_OK;
}

int guard_store_copy_policy(const struct guard_store *store, struct guard_policy_text *text)
{
    const struct guard_content *content = store->in_delivery ? store->in_delivery : &store->held;
    struct copy copy = {.prefix = store->config.prefix, .text = text, .rc = GUARD_OK};
    guard_shard_map_each(content->sections, copy_section, &copy);
    return copy.rc;
}
