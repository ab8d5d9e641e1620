#include "plugin/compose_tokens.h"

#include "auth/jwks.h"
#include "auth/jwks_watch.h"
#include "auth/token.h"
#include "core/buffer.h"
#include "plugin/background.h"
#include "plugin/compose.h"
#include "plugin/plugin.h"
#include "plugin/token_issuers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WITHDRAWN_NAMED  5   /* keys that a line of the log names */
#define WITHDRAWN_LENGTH 100 /* octets of each name */

#define REDIS_SETS_MAX 256 /* more issuers than any broker has: what somebody writes into Redis is bounded */

/* The last good set of one issuer in Redis, also of one that is not configured: the issuers' file may name it later. */
struct redis_set {
    char *issuer;
    struct auth_jwks *keys;
};

/* The issuers in use, each with its file's watch (NULL: its keys are in Redis). */
struct issuer_set {
    struct guard_issuers *issuers;
    struct auth_jwks_watch *watches[AUTH_ISSUERS_MAX];
};

/* The lock is taken by the background and store threads only, and by the broker thread before they run. */
struct guard_token_source {
    pthread_mutex_t lock;
    struct issuer_set set;
    struct redis_set *redis;
    size_t redis_count;
};

/* ---- the set of issuers ---- */

static void free_set(struct issuer_set *set)
{
    for (size_t i = 0; i < AUTH_ISSUERS_MAX; i++)
        auth_jwks_watch_free(&set->watches[i]);
    guard_issuers_free(&set->issuers);
}

/* Reads issuers and key files. On failure *set holds nothing. */
static int load_set(const struct guard_plugin *plugin, struct issuer_set *set, struct guard_error *err)
{
    const struct guard_options *options = &plugin->options;
    *set = (struct issuer_set){0};
    int rc = options->jwt_issuers_file[0] ? guard_issuers_read(options->jwt_issuers_file, &set->issuers, err)
                                          : guard_issuers_of_options(options, &set->issuers, err);
    for (size_t i = 0; rc == GUARD_OK && i < set->issuers->count; i++)
        if (set->issuers->items[i].keys)
            rc = auth_jwks_watch_new(set->issuers->items[i].keys, guard_background_log(plugin->background),
                                     &set->watches[i], err);
    if (rc != GUARD_OK)
        free_set(set);
    return rc;
}

static struct redis_set *find_redis(struct guard_token_source *source, const char *issuer)
{
    for (size_t i = 0; i < source->redis_count; i++)
        if (strcmp(source->redis[i].issuer, issuer) == 0)
            return &source->redis[i];
    return NULL;
}

/* The keys of issuer i with a reference of the caller's own, or NULL: not in Redis (yet). */
static struct auth_jwks *keys_of(struct guard_token_source *source, const struct issuer_set *set, size_t i)
{
    if (set->watches[i])
        return auth_jwks_watch_keys(set->watches[i]);
    const char *name = set->issuers->items[i].config.issuer;
    const struct redis_set *found = name ? find_redis(source, name) : NULL;
    return found ? auth_jwks_ref(found->keys) : NULL;
}

/* *out is NULL if no issuer has keys: then no token is good. */
static int make_verifier(struct guard_token_source *source, const struct issuer_set *set,
                         struct auth_token_verifier **out, struct guard_error *err)
{
    struct auth_issuer issuers[AUTH_ISSUERS_MAX];
    size_t count = 0;
    *out = NULL;
    for (size_t i = 0; i < set->issuers->count; i++) {
        struct auth_jwks *keys = keys_of(source, set, i);
        if (!keys)
            continue;
        issuers[count] = set->issuers->items[i].config;
        issuers[count++].keys = keys;
    }
    int rc = count ? auth_token_verifier_new(issuers, count, out, err) : GUARD_OK;
    for (size_t i = 0; i < count; i++)
        auth_jwks_unref(&issuers[i].keys);
    return rc;
}

/* ---- to the broker thread ---- */

struct keys_message {
    struct guard_message message;
    struct auth_token_verifier *verifier;
    size_t issuers; /* 0: only keys changed */
};

struct withdrawn {
    struct guard_buffer names;
    size_t count;
};

static void name_withdrawn(void *context, const char *kid)
{
    struct withdrawn *withdrawn = context;
    if (withdrawn->count++ >= WITHDRAWN_NAMED)
        return;
    guard_buffer_text(&withdrawn->names, withdrawn->count > 1 ? ", " : "");
    guard_buffer_json_string(&withdrawn->names, kid, strnlen(kid, WITHDRAWN_LENGTH));
}

/* An overlapping rotation must not turn a fleet out, so sessions stay; whoever wants them gone is told how. */
static void tell_withdrawn(const struct guard_plugin *plugin, const struct auth_token_verifier *next)
{
    struct withdrawn withdrawn = {0};
    if (plugin->tokens)
        auth_token_verifier_withdrawn(plugin->tokens, next, name_withdrawn, &withdrawn);
    if (withdrawn.count && !withdrawn.names.failed)
        guard_log(
            &plugin->log, GUARD_LOG_NOTICE,
            "%zu token keys are no longer in use: %s%s. Sessions go on until their tokens end; `guardctl revoke key` "
            "ends them",
            withdrawn.count, withdrawn.names.data, withdrawn.count > WITHDRAWN_NAMED ? " …" : "");
    guard_buffer_free(&withdrawn.names);
}

static void deliver_keys(struct guard_plugin *plugin, struct guard_message *base)
{
    struct keys_message *message = (struct keys_message *)base;
    tell_withdrawn(plugin, message->verifier);
    auth_token_verifier_unref(&plugin->tokens);
    plugin->tokens = message->verifier;
    if (message->issuers)
        guard_log(&plugin->log, GUARD_LOG_INFO, "tokens of %zu issuers are accepted", message->issuers);
    else
        guard_log(&plugin->log, GUARD_LOG_INFO, "token keys were renewed");
    free(message);
}

static void discard_keys(struct guard_message *base)
{
    struct keys_message *message = (struct keys_message *)base;
    auth_token_verifier_unref(&message->verifier);
    free(message);
}

/* Makes a verifier over the set and posts it. Under the lock, so that a later change is also posted later. */
static int post_verifier(struct guard_plugin *plugin, const struct issuer_set *set, size_t issuers,
                         struct guard_error *err)
{
    struct keys_message *message = calloc(1, sizeof *message);
    if (!message)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    int rc = make_verifier(plugin->token_source, set, &message->verifier, err);
    if (rc != GUARD_OK) {
        free(message);
        return rc;
    }
    message->message = (struct guard_message){.deliver = deliver_keys, .discard = discard_keys};
    message->issuers = issuers;
    guard_background_post(plugin->background, &message->message);
    return GUARD_OK;
}

static void complain(struct guard_plugin *plugin, const char *what, const struct guard_error *why)
{
    char text[900];
    guard_log(guard_background_log(plugin->background), GUARD_LOG_ERROR, "%s, what is in use stays: %s", what,
              guard_error_format(why, text, sizeof text));
}

/* ---- background thread ---- */

/* About once a second: a changed key file becomes a new verifier. */
static void watch_keys(void *context)
{
    struct guard_plugin *plugin = context; /* only what never changes after start-up is read here */
    struct guard_token_source *source = plugin->token_source;
    struct guard_error err;
    bool changed = false;
    pthread_mutex_lock(&source->lock);
    for (size_t i = 0; i < source->set.issuers->count; i++) {
        struct auth_jwks *keys = NULL;
        if (source->set.watches[i] && auth_jwks_watch_poll(source->set.watches[i], &keys, NULL) == AUTH_JWKS_CHANGED)
            changed = true;
        auth_jwks_unref(&keys);
    }
    int rc = changed ? post_verifier(plugin, &source->set, 0, &err) : GUARD_OK;
    pthread_mutex_unlock(&source->lock);
    if (rc != GUARD_OK)
        complain(plugin, "the new token keys were not taken", &err);
}

/* All issuers anew, or none of them. */
static void reload_issuers(void *context)
{
    struct guard_plugin *plugin = context;
    struct guard_token_source *source = plugin->token_source;
    struct issuer_set loaded;
    struct guard_error err;
    int rc = load_set(plugin, &loaded, &err);
    if (rc == GUARD_OK) {
        pthread_mutex_lock(&source->lock);
        rc = post_verifier(plugin, &loaded, loaded.issuers->count, &err);
        struct issuer_set old = rc == GUARD_OK ? source->set : loaded;
        if (rc == GUARD_OK)
            source->set = loaded;
        pthread_mutex_unlock(&source->lock);
        free_set(&old);
    }
    if (rc != GUARD_OK)
        complain(plugin, "the issuers of tokens were not taken", &err);
}

static void reload_keys(void *context)
{
    struct guard_plugin *plugin = context;
    struct guard_token_source *source = plugin->token_source;
    pthread_mutex_lock(&source->lock);
    for (size_t i = 0; i < source->set.issuers->count; i++)
        if (source->set.watches[i])
            auth_jwks_watch_reload(source->set.watches[i]);
    pthread_mutex_unlock(&source->lock);
    watch_keys(context);
}

void guard_compose_tokens_reload(struct guard_plugin *plugin)
{
    bool several = plugin->options.jwt_issuers_file[0];
    if (plugin->token_source &&
        !guard_background_run(plugin->background, several ? reload_issuers : reload_keys, plugin))
        guard_log(&plugin->log, GUARD_LOG_ERROR, "the token keys were not read again: out of memory");
}

/* ---- store thread ---- */

/* Puts (or with NULL removes) the set of an issuer; takes keys over. False: too many, or out of memory. */
static bool put_redis(struct guard_token_source *source, const char *issuer, struct auth_jwks *keys)
{
    struct redis_set *found = find_redis(source, issuer);
    if (found) {
        auth_jwks_unref(&found->keys);
        found->keys = keys;
        if (!keys) {
            free(found->issuer);
            *found = source->redis[--source->redis_count];
        }
        return true;
    }
    if (!keys)
        return true;
    char *name = source->redis_count < REDIS_SETS_MAX ? strdup(issuer) : NULL;
    struct redis_set *grown = name ? reallocarray(source->redis, source->redis_count + 1, sizeof *source->redis) : NULL;
    if (!grown) {
        free(name);
        auth_jwks_unref(&keys);
        return false;
    }
    source->redis = grown;
    source->redis[source->redis_count++] = (struct redis_set){name, keys};
    return true;
}

/* Whether an issuer in use has its keys in Redis under that name. */
static bool wants_redis(const struct guard_token_source *source, const char *issuer)
{
    for (size_t i = 0; i < source->set.issuers->count; i++) {
        const struct guard_issuer *it = &source->set.issuers->items[i];
        if (!it->keys && it->config.issuer && strcmp(it->config.issuer, issuer) == 0)
            return true;
    }
    return false;
}

void guard_compose_redis_keys(struct guard_plugin *plugin, const char *issuer, const char *json)
{
    struct guard_token_source *source = plugin->token_source;
    const struct guard_log *log = guard_background_log(plugin->background);
    char place[512];
    struct auth_jwks *keys = NULL;
    struct guard_error err;
    if (!source)
        return;
    snprintf(place, sizeof place, "%sjwks:%s", plugin->options.redis_prefix, issuer);
    int rc = json ? auth_jwks_parse(json, strlen(json), place, log, &keys, &err) : GUARD_OK;
    if (rc == GUARD_OK) {
        pthread_mutex_lock(&source->lock);
        if (!put_redis(source, issuer, keys))
            rc = guard_fail_at(&err, GUARD_ERR_LIMIT, place, 0, 0, "too many key sets, or out of memory");
        else if (wants_redis(source, issuer))
            rc = post_verifier(plugin, &source->set, 0, &err);
        pthread_mutex_unlock(&source->lock);
    }
    if (rc != GUARD_OK)
        complain(plugin, "a key set of Redis was not taken", &err);
}

/* ---- begin and end ---- */

static int check_options(const struct guard_options *options, struct guard_error *err)
{
    if (options->jwt_issuers_file[0] && (options->jwt_jwks_file[0] || options->jwt_issuer[0]))
        return guard_fail(err, GUARD_ERR_INVALID,
                          "option jwt_issuers_file: the issuers stand in the file, so jwt_jwks_file and jwt_issuer "
                          "have no place beside it");
    return GUARD_OK;
}

/* Whether there is a file to look at every second, or may be after a reload. */
static bool has_files(const struct guard_plugin *plugin, const struct issuer_set *set)
{
    bool files = plugin->options.jwt_issuers_file[0];
    for (size_t i = 0; i < set->issuers->count; i++)
        files |= set->watches[i] != NULL;
    return files;
}

int guard_compose_tokens(struct guard_plugin *plugin, struct guard_error *err)
{
    struct guard_token_source *source;
    int rc = check_options(&plugin->options, err);
    if (rc != GUARD_OK)
        return rc;
    if (!(source = calloc(1, sizeof *source)))
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    pthread_mutex_init(&source->lock, NULL);
    plugin->token_source = source;
    rc = load_set(plugin, &source->set, err);
    if (rc == GUARD_OK)
        rc = make_verifier(source, &source->set, &plugin->tokens, err);
    if (rc == GUARD_OK && has_files(plugin, &source->set) &&
        !guard_background_each_second(plugin->background, watch_keys, plugin))
        rc = guard_fail(err, GUARD_ERR_IO, "cannot start a thread");
    return rc;
}

void guard_compose_tokens_free(struct guard_plugin *plugin)
{
    struct guard_token_source *source = plugin->token_source;
    auth_token_verifier_unref(&plugin->tokens);
    if (!source)
        return;
    free_set(&source->set);
    for (size_t i = 0; i < source->redis_count; i++) {
        free(source->redis[i].issuer);
        auth_jwks_unref(&source->redis[i].keys);
    }
    free(source->redis);
    pthread_mutex_destroy(&source->lock);
    free(source);
    plugin->token_source = NULL;
}
