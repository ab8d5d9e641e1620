#include "ctl/foreign_redis.h"

#include "core/file.h"
#include "core/memory.h"
#include "store/redis_connection.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS   30000
#define BATCH        1000
#define PASSWORD_MAX 4096

struct reader {
    struct foreign_data *data;
    struct guard_redis *redis;
    struct guard_redis_fault fault;
};

static int fail(struct reader *reader)
{
    return guard_redis_fail(&reader->fault, GUARD_REASON_STORE_UNAVAILABLE, "out of memory");
}

/* A copy with a NUL behind it; NULL if it holds one itself. *failed: out of memory. */
static char *copy_text(const struct guard_reply *reply, bool *failed)
{
    if (reply->type != GUARD_REPLY_STRING || memchr(reply->text, '\0', reply->length))
        return NULL;
    char *copy = strndup(reply->text, reply->length);
    *failed = *failed || !copy;
    return copy;
}

static int add_key(struct reader *reader, const struct guard_reply *name)
{
    struct foreign_data *data = reader->data;
    bool failed = false;
    if (data->count == data->capacity) {
        size_t capacity = data->capacity ? 2 * data->capacity : 1024;
        struct foreign_key *keys = reallocarray(data->keys, capacity, sizeof *keys);
        if (!keys)
            return fail(reader);
        data->keys = keys;
        data->capacity = capacity;
    }
    char *copy = copy_text(name, &failed);
    if (copy)
        data->keys[data->count++] = (struct foreign_key){.name = copy, .type = FOREIGN_OTHER};
    else
        data->skipped++;
    return failed ? fail(reader) : 0;
}

static int scan(struct reader *reader, const char *pattern)
{
    char cursor[32] = "0";
    do {
        const char *argv[] = {"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"};
        const struct guard_reply *reply;
        if (guard_redis_queue(reader->redis, 6, argv, NULL, &reader->fault) != 0 ||
            guard_redis_read(reader->redis, &reply, &reader->fault) != 0)
            return -1;
        if (reply->type == GUARD_REPLY_ERROR)
            return guard_redis_server_fault(reply, &reader->fault);
        const char *next = guard_reply_text(reply, 0);
        if (!next || strlen(next) >= sizeof cursor || reply->count != 2)
            return guard_redis_fail(&reader->fault, GUARD_REASON_STORE_PROTOCOL_ERROR,
                                    "SCAN was answered in a way not understood");
        strcpy(cursor, next);
        for (size_t i = 0; i < reply->items[1]->count; i++)
            if (add_key(reader, reply->items[1]->items[i]) != 0)
                return -1;
    } while (strcmp(cursor, "0") != 0);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct foreign_key *)a)->name, ((const struct foreign_key *)b)->name);
}

/* SCAN may give a key more than once. first: where this server's keys begin. */
static void sort_keys(struct foreign_data *data, size_t first)
{
    size_t kept = first;
    if (data->count > first)
        qsort(data->keys + first, data->count - first, sizeof *data->keys, by_name);
    for (size_t i = first; i < data->count; i++)
        if (kept > first && by_name(&data->keys[i], &data->keys[kept - 1]) == 0)
            free(data->keys[i].name);
        else
            data->keys[kept++] = data->keys[i];
    data->count = kept;
}

static void take_type(struct foreign_key *key, const struct guard_reply *reply)
{
    key->type = guard_reply_is(reply, "string") ? FOREIGN_STRING
                : guard_reply_is(reply, "set")  ? FOREIGN_SET
                : guard_reply_is(reply, "hash") ? FOREIGN_HASH
                                                : FOREIGN_OTHER;
}

/* Pairs of fields and values, or single values, put in order by the first of each group. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int take_values(struct reader *reader, struct foreign_key *key, const struct guard_reply *reply)
{
    const struct guard_reply *const *items = (const struct guard_reply *const *)reply->items;
    size_t width = key->type == FOREIGN_HASH ? 2 : 1, count = reply->type == GUARD_REPLY_ARRAY ? reply->count : 1;
    bool failed = false;
    if (reply->type == GUARD_REPLY_NIL)
        return 0; /* gone since */
    key->values = calloc(count + 1, sizeof *key->values);
    if (!key->values)
        return fail(reader);
    for (size_t i = 0; i + width <= count; i += width) {
        char *group[2] = {NULL, NULL};
        for (size_t k = 0; k < width; k++)
            group[k] = copy_text(reply->type == GUARD_REPLY_ARRAY ? items[i + k] : reply, &failed);
        if (group[0] && (width == 1 || group[1])) {
            memcpy(key->values + key->count, group, width * sizeof *group);
            key->count += width;
        } else {
            reader->data->skipped++;
            free(group[0]);
            free(group[1]);
        }
    }
    if (key->count)
        qsort(key->values, key->count / width, width * sizeof *key->values, by_text);
    return failed ? fail(reader) : 0;
}

enum step { STEP_TYPE, STEP_EXPIRY, STEP_VALUES };

static const char *command_of(enum step step, const struct foreign_key *key)
{
    static const char *const read[] = {"GET", "SMEMBERS", "HGETALL", NULL};
    return step == STEP_TYPE ? "TYPE" : step == STEP_EXPIRY ? "PTTL" : read[key->type];
}

static int take(struct reader *reader, enum step step, struct foreign_key *key, const struct guard_reply *reply)
{
    if (reply->type == GUARD_REPLY_ERROR)
        return guard_redis_server_fault(reply, &reader->fault);
    if (step == STEP_TYPE)
        take_type(key, reply);
    else if (step == STEP_EXPIRY)
        key->expires = reply->type == GUARD_REPLY_INTEGER && reply->integer >= 0;
    else
        return take_values(reader, key, reply);
    return 0;
}

/* One step for keys[0..count). */
static int batch(struct reader *reader, enum step step, struct foreign_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *argv[] = {command_of(step, &keys[i]), keys[i].name};
        if (argv[0] && guard_redis_queue(reader->redis, 2, argv, NULL, &reader->fault) != 0)
            return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct guard_reply *reply;
        if (!command_of(step, &keys[i]))
            continue;
        if (guard_redis_read(reader->redis, &reply, &reader->fault) != 0 || take(reader, step, &keys[i], reply) != 0)
            return -1;
    }
    return 0;
}

static int read_server(struct reader *reader, const char *const *patterns)
{
    size_t first = reader->data->count;
    for (; *patterns; patterns++)
        if (scan(reader, *patterns) != 0)
            return -1;
    sort_keys(reader->data, first);
    for (size_t at = first; at < reader->data->count; at += BATCH) {
        size_t count = reader->data->count - at < BATCH ? reader->data->count - at : BATCH;
        for (int step = STEP_TYPE; step <= STEP_VALUES; step++)
            if (batch(reader, (enum step)step, reader->data->keys + at, count) != 0)
                return -1;
    }
    return 0;
}

static int read_url(const struct foreign_source *source, const char *text, struct guard_redis_settings *settings,
                    const char *const *patterns, struct foreign_data *data, struct guard_error *err)
{
    struct reader reader = {.data = data};
    struct guard_redis_url url;
    struct guard_redis_tls *tls = NULL;
    int rc = guard_redis_url_parse(text, &url, err);
    if (rc != GUARD_OK)
        return rc;
    if (url.mode != GUARD_REDIS_DIRECT)
        return guard_fail(err, GUARD_ERR_INVALID,
                          "--from takes servers themselves: of a cluster every master, of Sentinel the master");
    if (url.tls)
        rc = guard_redis_tls_new(source->tls_ca, source->tls_cert, source->tls_key, &tls, err);
    if (rc != GUARD_OK)
        return rc;
    settings->tls = tls;
    settings->database = url.database;
    settings->username = source->username ? source->username : url.username[0] ? url.username : NULL;
    if (guard_redis_open(&url.hosts[0], settings, &reader.redis, &reader.fault) != 0 ||
        read_server(&reader, patterns) != 0)
        rc = guard_fail_at(err, GUARD_ERR_IO, text, 0, 0, "%s: %s", guard_reason_sentence(reader.fault.reason),
                           reader.fault.text);
    guard_redis_close(&reader.redis);
    guard_redis_tls_free(&tls);
    return rc;
}

int foreign_read(const struct foreign_source *source, const char *const *patterns, struct foreign_data *data,
                 struct guard_error *err)
{
    struct guard_redis_settings settings = {
        .client_name = "guardctl", .connect_timeout_ms = TIMEOUT_MS, .command_timeout_ms = TIMEOUT_MS, .wake_fd = -1};
    char *password = NULL;
    size_t length = 0;
    int rc = GUARD_OK;
    if (!source->urls.count)
        return guard_fail(err, GUARD_ERR_INVALID, "which Redis is to be read? --from URL says so");
    if (source->password_file)
        rc = guard_file_read(source->password_file, GUARD_FILE_SECRET, PASSWORD_MAX, &password, &length, err);
    if (rc == GUARD_OK && password)
        password[strcspn(password, "\r\n")] = '\0';
    settings.password = password;
    for (size_t i = 0; rc == GUARD_OK && i < source->urls.count; i++)
        rc = read_url(source, source->urls.items[i], &settings, patterns, data, err);
    guard_free_secret(&password, length);
    sort_keys(data, 0);
    return rc;
}

void foreign_free(struct foreign_data *data)
{
    for (size_t i = 0; i < data->count; i++) {
        for (size_t k = 0; k < data->keys[i].count; k++)
            guard_free_string(&data->keys[i].values[k]);
        free(data->keys[i].values);
        free(data->keys[i].name);
    }
    free(data->keys);
    *data = (struct foreign_data){0};
}

const struct foreign_key *foreign_find(const struct foreign_data *data, const char *name)
{
    struct foreign_key wanted = {.name = (char *)(uintptr_t)name};
    return data->count ? bsearch(&wanted, data->keys, data->count, sizeof wanted, by_name) : NULL;
}

const char *foreign_field(const struct foreign_key *key, const char *field)
{
    for (size_t i = 0; key && key->type == FOREIGN_HASH && i + 1 < key->count; i += 2)
        if (strcmp(key->values[i], field) == 0)
            return key->values[i + 1];
    return NULL;
}
