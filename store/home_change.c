/* Changing the Redis home: several commands as one. */
#include "store/home_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_LENGTH "100000" /* entries of guard:log kept, about */

void guard_home_change_begin(struct guard_home_change *change)
{
    uint32_t none = 0;
    change->argc_at = change->words.length;
    change->argc = 0;
    guard_buffer_append(&change->words, &none, sizeof none);
}

void guard_home_change_word(struct guard_home_change *change, const char *word)
{
    guard_buffer_append(&change->words, word, strlen(word) + 1);
    change->argc++;
}

void guard_home_change_key(struct guard_home_change *change, enum guard_key_kind kind, const char *name)
{
    guard_buffer_text(&change->words, GUARD_HOME_KEY);
    guard_buffer_text(&change->words, guard_key_text(kind));
    guard_home_change_word(change, name);
}

void guard_home_change_end(struct guard_home_change *change)
{
    if (change->words.failed)
        return;
    memcpy(change->words.data + change->argc_at, &change->argc, sizeof change->argc);
    change->count++;
}

void guard_home_change_add(struct guard_home_change *change, ...)
{
    va_list args;
    guard_home_change_begin(change);
    va_start(args, change);
    for (const char *word; (word = va_arg(args, const char *));)
        guard_home_change_word(change, word);
    va_end(args);
    guard_home_change_end(change);
}

void guard_home_change_free(struct guard_home_change *change)
{
    guard_buffer_free(&change->words);
    *change = (struct guard_home_change){0};
}

static void change_index(struct guard_home_change *change, enum guard_key_kind kind, const char *name, bool present)
{
    if (kind != GUARD_KEY_ROLE && kind != GUARD_KEY_CLIENT)
        return;
    guard_home_change_begin(change);
    guard_home_change_word(change, present ? "SADD" : "SREM");
    guard_home_change_key(change, kind == GUARD_KEY_ROLE ? GUARD_KEY_ROLES : GUARD_KEY_CLIENTS, "");
    guard_home_change_word(change, name);
    guard_home_change_end(change);
}

void guard_home_change_section(struct guard_home_change *change, enum guard_key_kind kind, const char *name,
                               const struct guard_policy_line *lines, size_t count)
{
    guard_home_change_begin(change);
    guard_home_change_word(change, "DEL");
    guard_home_change_key(change, kind, name);
    guard_home_change_end(change);
    change_index(change, kind, name, count > 0);
    if (!count)
        return;
    guard_home_change_begin(change);
    guard_home_change_word(change, "HSET");
    guard_home_change_key(change, kind, name);
    for (size_t i = 0; i < count; i++) {
        guard_home_change_word(change, lines[i].field);
        guard_home_change_word(change, lines[i].value);
    }
    guard_home_change_end(change);
}

static int no_memory(struct guard_error *err)
{
    return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

/* Sends one command of a change; *at moves behind it. argv has room for the largest. */
static int send_one(struct guard_home *home, const char **at, const char **argv, struct guard_redis_fault *fault)
{
    uint32_t argc;
    struct guard_buffer keys = {0};
    size_t key_at[4] = {0}, key_count = 0;
    int key_word[4] = {0};
    memcpy(&argc, *at, sizeof argc);
    *at += sizeof argc;
    for (uint32_t i = 0; i < argc; i++) {
        argv[i] = *at;
        if ((*at)[0] == GUARD_HOME_KEY[0] && key_count < 4) {
            key_word[key_count] = (int)i;
            key_at[key_count++] = keys.length;
            guard_buffer_text(&keys, home->prefix);
            guard_buffer_append(&keys, *at + 1, strlen(*at));
        }
        *at += strlen(*at) + 1;
    }
    for (size_t k = 0; !keys.failed && k < key_count; k++)
        argv[key_word[k]] = keys.data + key_at[k];
    int rc = keys.failed ? guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "out of memory")
                         : guard_redis_queue(home->redis, (int)argc, argv, NULL, fault);
    guard_buffer_free(&keys);
    return rc;
}

/* The number of words of the largest command. */
static uint32_t most_words(const struct guard_home_change *change)
{
    uint32_t most = 0;
    const char *at = change->words.data;
    for (size_t c = 0; c < change->count; c++) {
        uint32_t argc;
        memcpy(&argc, at, sizeof argc);
        at += sizeof argc;
        for (uint32_t i = 0; i < argc; i++)
            at += strlen(at) + 1;
        most = argc > most ? argc : most;
    }
    return most;
}

static int send_all(struct guard_home *home, const struct guard_home_change *change, struct guard_error *err)
{
    struct guard_redis_fault fault = {0};
    const char *at = change->words.data, **argv;
    int rc = 0;
    if (change->words.failed)
        return no_memory(err);
    argv = reallocarray(NULL, (size_t)most_words(change) + 1, sizeof *argv);
    if (!argv)
        return no_memory(err);
    for (size_t i = 0; i < change->count && rc == 0; i++)
        rc = send_one(home, &at, argv, &fault);
    free(argv);
    return rc == 0 ? GUARD_OK : guard_home_fault(home, &fault, err);
}

/* Reads count replies; the first error of the server is the result, but all are read. */
static int read_replies(struct guard_home *home, size_t count, struct guard_error *err)
{
    struct guard_redis_fault fault = {0};
    int rc = GUARD_OK;
    for (size_t i = 0; i < count; i++) {
        const struct guard_reply *reply;
        if (guard_redis_read(home->redis, &reply, &fault) != 0)
            return guard_home_fault(home, &fault, err);
        if (reply->type == GUARD_REPLY_ERROR && rc == GUARD_OK) {
            guard_redis_server_fault(reply, &fault);
            rc = guard_home_fault(home, &fault, err);
        }
    }
    return rc;
}

int guard_home_run(struct guard_home *home, const struct guard_home_change *change, struct guard_error *err)
{
    int rc = send_all(home, change, err);
    return rc == GUARD_OK ? read_replies(home, change->count, err) : rc;
}

/* The answer to EXEC. */
static int take_exec(struct guard_home *home, struct guard_error *err)
{
    const struct guard_reply *reply;
    struct guard_redis_fault fault = {0};
    if (guard_redis_read(home->redis, &reply, &fault) != 0)
        return guard_home_fault(home, &fault, err);
    if (reply->type == GUARD_REPLY_NIL)
        return guard_fail(err, GUARD_ERR_INVALID,
                          "somebody else changed the policy at the same moment; look at it and try again");
    for (size_t i = 0; reply->type == GUARD_REPLY_ARRAY && i < reply->count; i++)
        if (reply->items[i]->type == GUARD_REPLY_ERROR) {
            guard_redis_server_fault(reply->items[i], &fault);
            return guard_home_fault(home, &fault, err);
        }
    if (reply->type == GUARD_REPLY_ERROR) {
        guard_redis_server_fault(reply, &fault);
        return guard_home_fault(home, &fault, err);
    }
    return GUARD_OK;
}

/* What closes every change: the version and the log. */
static void add_tail(struct guard_home_change *tail, const struct guard_home_note *note, uint64_t version)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, version);
    guard_home_change_add(tail, "SET", GUARD_HOME_KEY "version", number, NULL);
    guard_home_change_add(tail, "XADD", GUARD_HOME_KEY "log", "MAXLEN", "~", LOG_LENGTH, "*", "who", note->who, "what",
                          note->action, "detail", note->detail ? note->detail : "", "version", number, NULL);
    guard_home_change_add(tail, "EXEC", NULL);
}

int guard_home_commit(struct guard_home *home, const struct guard_home_change *change,
                      const struct guard_home_note *note, uint64_t *version, struct guard_error *err)
{
    struct guard_home_change tail = {0};
    uint64_t now = 0;
    if (!guard_home_call(home, err, "WATCH", GUARD_HOME_KEY "version", NULL) ||
        guard_home_version(home, &now, err) != GUARD_OK)
        return GUARD_ERR_IO;
    if (now != note->expected) {
        guard_home_call(home, NULL, "UNWATCH", NULL);
        return guard_fail(err, GUARD_ERR_INVALID,
                          "somebody else published version %" PRIu64 " meanwhile; look at it and try again", now);
    }
    *version = (now > note->at_least ? now : note->at_least) + 1;
    add_tail(&tail, note, *version);
    int rc = guard_home_call(home, err, "MULTI", NULL) ? GUARD_OK : GUARD_ERR_IO;
    if (rc == GUARD_OK)
        rc = send_all(home, change, err);
    if (rc == GUARD_OK)
        rc = send_all(home, &tail, err);
    if (rc == GUARD_OK) /* QUEUED each; a refusal here makes EXEC fail as a whole */
        rc = read_replies(home, change->count + tail.count - 1, err);
    if (rc == GUARD_OK)
        rc = take_exec(home, err);
    guard_home_change_free(&tail);
    return rc; /* after a failure the connection may hold unread answers: close it */
}
