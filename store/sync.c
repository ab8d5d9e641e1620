#include "store/sync.h"

#include "store/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH      2000 /* keys asked for at a time */
#define ROUNDS_MAX 10   /* re-reads while others keep writing */

static int no_memory(struct guard_redis_fault *fault)
{
    return guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "out of memory");
}

/* HGETALL or GET of a key; builds the key in scratch. */
static int ask(const struct guard_sync *sync, const char *key, struct guard_buffer *scratch,
               struct guard_redis_fault *fault)
{
    const char *name;
    guard_buffer_clear(scratch);
    guard_buffer_text(scratch, sync->checks->prefix);
    guard_buffer_text(scratch, key);
    if (scratch->failed)
        return no_memory(fault);
    const char *argv[] = {guard_key_is_hash(guard_key_parse(key, &name)) ? "HGETALL" : "GET", scratch->data};
    const size_t lengths[] = {strlen(argv[0]), scratch->length};
    return guard_redis_queue(sync->link->data, 2, argv, lengths, fault);
}

/* Asks for count keys from *key on and moves it behind them. */
static int ask_some(const struct guard_sync *sync, const char **key, size_t count, struct guard_redis_fault *fault)
{
    struct guard_buffer scratch = {0};
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++, *key += strlen(*key) + 1)
        rc = ask(sync, *key, &scratch, fault);
    guard_buffer_free(&scratch);
    return rc;
}

/* An error that concerns one key is the key's fault; any other (LOADING, NOPERM, MOVED …) is the server's. */
static bool concerns_the_key(const struct guard_reply *reply)
{
    return reply->type != GUARD_REPLY_ERROR || strncmp(reply->text, "WRONGTYPE", 9) == 0;
}

/* Takes the answers for count keys from *key on and moves it behind them. */
static int take_some(const struct guard_sync *sync, const char **key, size_t count, struct guard_content_edit *edit,
                     struct guard_redis_fault *fault)
{
    for (size_t i = 0; i < count; i++, *key += strlen(*key) + 1) {
        const struct guard_reply *reply;
        if (guard_redis_read(sync->link->data, &reply, fault) != 0)
            return -1;
        if (!concerns_the_key(reply))
            return guard_redis_server_fault(reply, fault);
        if (guard_content_edit_take(edit, *key, reply) != GUARD_OK)
            return no_memory(fault);
    }
    return guard_link_drain(sync->link, fault); /* or the server cuts push off for not listening */
}

static size_t batch_of(size_t left)
{
    return left < BATCH ? left : BATCH;
}

/* Reads all keys, asking one batch ahead of the one whose answers are taken. */
static int read_keys(const struct guard_sync *sync, const struct guard_keys *keys, struct guard_content_edit *edit,
                     struct guard_redis_fault *fault)
{
    const char *to_ask = keys->text.data, *to_take = to_ask;
    size_t asked = batch_of(keys->count), taken = 0;
    int rc = ask_some(sync, &to_ask, asked, fault);
    while (rc == 0 && taken < keys->count) {
        size_t waiting = asked - taken, more = batch_of(keys->count - asked);
        rc = ask_some(sync, &to_ask, more, fault);
        if (rc == 0)
            rc = take_some(sync, &to_take, waiting, edit, fault);
        asked += more;
        taken += waiting;
    }
    return rc;
}

/*
 * While the values of one batch are taken, those of the next one and the SCAN behind it are asked for already: the
 * server is never waiting for us.
 */
static int read_by_scan(const struct guard_sync *sync, struct guard_content_edit *edit, struct guard_redis_fault *fault)
{
    struct guard_redis *redis = sync->link->data;
    struct guard_keys batches[2] = {0};
    char cursor[GUARD_SCAN_CURSOR] = "0";
    unsigned turn = 0;
    bool more = true;
    int rc = guard_scan_ask(redis, sync->checks->prefix, cursor, fault);
    while (rc == 0 && (more || batches[!turn].count)) {
        struct guard_keys *found = &batches[turn], *asked = &batches[!turn];
        const char *to_ask, *to_take = asked->text.data;
        if (more) {
            rc = guard_scan_take(redis, sync->checks->prefix, found, cursor, fault);
            more = strcmp(cursor, "0") != 0;
            if (rc == 0 && more)
                rc = guard_scan_ask(redis, sync->checks->prefix, cursor, fault);
            to_ask = found->text.data;
            if (rc == 0)
                rc = ask_some(sync, &to_ask, found->count, fault);
        }
        if (rc == 0)
            rc = take_some(sync, &to_take, asked->count, edit, fault);
        guard_keys_clear(asked);
        turn = !turn;
    }
    guard_buffer_free(&batches[0].text);
    guard_buffer_free(&batches[1].text);
    return rc;
}

/* The members of an index set, with what stands before each as a key. */
static int list_members(const struct guard_sync *sync, const char *set, const char *before, struct guard_keys *keys,
                        struct guard_redis_fault *fault)
{
    char key[GUARD_STORE_PREFIX_MAX + 16];
    snprintf(key, sizeof key, "%s%s", sync->checks->prefix, set);
    const struct guard_reply *reply = guard_redis_call(sync->link->data, fault, "SMEMBERS", key, NULL);
    if (!reply)
        return -1;
    for (size_t i = 0; i < reply->count; i++) {
        const char *member = guard_reply_text(reply, i);
        if (member && *member && (*before || guard_key_is_read(member)) &&
            guard_keys_add(keys, before, member, fault) != 0)
            return -1;
    }
    return 0;
}

static int read_by_index(const struct guard_sync *sync, struct guard_content_edit *edit,
                         struct guard_redis_fault *fault)
{
    static const enum guard_key_kind single[] = {GUARD_KEY_ASSIGN, GUARD_KEY_DEFAULT, GUARD_KEY_VERSION,
                                                 GUARD_KEY_CONFIRM};
    struct guard_keys keys = {0};
    int rc = 0;
    for (size_t i = 0; i < sizeof single / sizeof single[0] && rc == 0; i++)
        rc = guard_keys_add(&keys, "", guard_key_text(single[i]), fault);
    if (rc == 0)
        rc = list_members(sync, guard_key_text(GUARD_KEY_ROLES), guard_key_text(GUARD_KEY_ROLE), &keys, fault);
    if (rc == 0)
        rc = list_members(sync, guard_key_text(GUARD_KEY_CLIENTS), guard_key_text(GUARD_KEY_CLIENT), &keys, fault);
    if (rc == 0)
        rc = list_members(sync, GUARD_KEY_INDEX, "", &keys, fault);
    if (rc == 0)
        rc = read_keys(sync, &keys, edit, fault);
    guard_buffer_free(&keys.text);
    return rc;
}

/* What link->pending holds, as keys; link->pending is empty afterwards. */
static int take_pending(const struct guard_sync *sync, struct guard_keys *keys, struct guard_redis_fault *fault)
{
    struct guard_buffer held = {0};
    const char **list;
    size_t count;
    int rc = 0;
    guard_keys_clear(keys);
    if (!guard_pending_take(&sync->link->pending, &held, &list, &count))
        return no_memory(fault);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = guard_keys_add(keys, "", list[i], fault);
    free(list);
    guard_buffer_free(&held);
    return rc;
}

/*
 * Reads what is pending until nothing changed while it was read: the barrier lets every change before it be heard, so
 * what was read is then what the server held at one moment, a MULTI of somebody whole or not at all.
 */
static int settle(const struct guard_sync *sync, struct guard_content_edit *edit, struct guard_redis_fault *fault)
{
    struct guard_keys keys = {0};
    int rc = 0;
    for (int round = 0; rc == 0 && round < ROUNDS_MAX; round++) {
        if (sync->link->pending.flushed) {
            rc = 1;
        } else if (!sync->link->pending.changed) {
            break;
        } else {
            rc = take_pending(sync, &keys, fault);
            if (rc == 0)
                rc = read_keys(sync, &keys, edit, fault);
            if (rc == 0)
                rc = guard_link_barrier(sync->link, fault);
        }
    }
    guard_buffer_free(&keys.text);
    return rc;
}

static int finish(struct guard_content_edit *edit, struct guard_content *content, int rc,
                  struct guard_redis_fault *fault)
{
    if (rc != 0) {
        guard_content_edit_abandon(edit);
        return rc;
    }
    return guard_content_edit_finish(edit, content) == GUARD_OK ? 0 : no_memory(fault);
}

int guard_sync_all(const struct guard_sync *sync, struct guard_content *content, struct guard_redis_fault *fault)
{
    int rc = 1;
    for (int round = 0; rc == 1 && round < ROUNDS_MAX; round++) {
        struct guard_content_edit edit = {0};
        guard_pending_free(&sync->link->pending); /* it will all be read */
        if (guard_content_edit_begin(&edit, NULL, sync->good, sync->checks) != GUARD_OK)
            return no_memory(fault);
        rc = sync->use_index ? read_by_index(sync, &edit, fault) : read_by_scan(sync, &edit, fault);
        if (rc == 0)
            rc = guard_link_barrier(sync->link, fault);
        if (rc == 0)
            rc = settle(sync, &edit, fault);
        rc = finish(&edit, content, rc, fault);
    }
    return rc == 1 ? guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "the store is emptied again and again")
                   : rc;
}

int guard_sync_changes(const struct guard_sync *sync, const struct guard_content *base, struct guard_content *next,
                       struct guard_redis_fault *fault)
{
    struct guard_content_edit edit = {0};
    if (sync->link->pending.flushed)
        return 1;
    if (guard_content_edit_begin(&edit, base, sync->good, sync->checks) != GUARD_OK)
        return no_memory(fault);
    return finish(&edit, next, settle(sync, &edit, fault), fault);
}
