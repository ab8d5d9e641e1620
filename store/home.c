#include "store/home.h"

#include "core/file.h"
#include "core/memory.h"
#include "store/home_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS        10000 /* a person waits here, not a broker */
#define PASSWORD_FILE_MAX 4096
#define WORDS_MAX         32

int guard_home_fault(const struct guard_home *home, const struct guard_redis_fault *fault, struct guard_error *err)
{
    return guard_fail_at(err, GUARD_ERR_IO, home->place[0] ? home->place : NULL, 0, 0, "%s: %s",
                         guard_reason_sentence(fault->reason), fault->text);
}

void guard_home_close(struct guard_home **home)
{
    struct guard_home *h = *home;
    *home = NULL;
    if (!h)
        return;
    guard_redis_close(&h->redis);
    guard_redis_tls_free(&h->tls);
    guard_free_secret(&h->password, h->password_length);
    free(h->username);
    free(h->prefix);
    free(h);
}

const char *guard_home_server(const struct guard_home *home)
{
    return home->place;
}

static const char *given(const char *text)
{
    return text && *text ? text : NULL;
}

static int prepare(struct guard_home *home, const struct guard_store_config *config, struct guard_error *err)
{
    const char *username = given(config->username) ? config->username : given(home->url.username);
    int rc = GUARD_OK;
    home->prefix = strdup(given(config->prefix) ? config->prefix : GUARD_STORE_PREFIX);
    home->username = username ? strdup(username) : NULL;
    if (!home->prefix || (username && !home->username))
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    if (home->url.mode == GUARD_REDIS_CLUSTER && !guard_redis_prefix_has_tag(home->prefix, NULL))
        return guard_fail(err, GUARD_ERR_INVALID,
                          "with Redis Cluster the prefix needs a hash tag: {guard}: for example");
    if (given(config->password_file))
        rc = guard_file_read(config->password_file, GUARD_FILE_SECRET, PASSWORD_FILE_MAX, &home->password,
                             &home->password_length, err);
    if (rc == GUARD_OK && home->password)
        home->password[strcspn(home->password, "\r\n")] = '\0';
    if (rc == GUARD_OK && home->url.tls)
        rc = guard_redis_tls_new(given(config->tls_ca), given(config->tls_cert), given(config->tls_key), &home->tls,
                                 err);
    home->settings = (struct guard_redis_settings){
        .username = home->username,
        .password = home->password,
        .client_name = "guardctl",
        .tls = home->tls,
        .database = home->url.database,
        .connect_timeout_ms = config->connect_timeout_ms ? config->connect_timeout_ms : TIMEOUT_MS,
        .command_timeout_ms = config->command_timeout_ms ? config->command_timeout_ms : TIMEOUT_MS,
        .wake_fd = -1};
    home->server = (struct guard_redis_server){.url = &home->url, .settings = &home->settings, .prefix = home->prefix};
    return rc;
}

int guard_home_open(const struct guard_store_config *config, struct guard_home **out, struct guard_error *err)
{
    struct guard_redis_fault fault = {0};
    struct guard_home *home = calloc(1, sizeof *home);
    *out = NULL;
    if (!home)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    int rc = guard_redis_url_parse(config->url ? config->url : "", &home->url, err);
    if (rc == GUARD_OK)
        rc = prepare(home, config, err);
    if (rc == GUARD_OK && guard_redis_server_connect(&home->server, &home->redis, &fault) != 0)
        rc = guard_home_fault(home, &fault, err);
    guard_redis_endpoint_text(&home->server.endpoint, home->place, sizeof home->place);
    if (rc == GUARD_OK)
        *out = home;
    else
        guard_home_close(&home);
    return rc;
}

/* A word with the prefix in place of GUARD_HOME_KEY; scratch holds it if there was one. */
static const char *expand(const struct guard_home *home, const char *word, struct guard_buffer *scratch)
{
    if (word[0] != GUARD_HOME_KEY[0])
        return word;
    guard_buffer_text(scratch, home->prefix);
    guard_buffer_text(scratch, word + 1);
    return scratch->failed ? "" : scratch->data;
}

const struct guard_reply *guard_home_call(struct guard_home *home, struct guard_error *err, ...)
{
    struct guard_buffer scratch[WORDS_MAX] = {0};
    const char *argv[WORDS_MAX];
    const struct guard_reply *reply = NULL;
    struct guard_redis_fault fault = {0};
    int argc = 0;
    va_list args;
    va_start(args, err);
    for (const char *word; argc < WORDS_MAX && (word = va_arg(args, const char *)); argc++)
        argv[argc] = expand(home, word, &scratch[argc]);
    va_end(args);
    int rc = guard_redis_queue(home->redis, argc, argv, NULL, &fault);
    if (rc == 0)
        rc = guard_redis_read(home->redis, &reply, &fault);
    if (rc == 0 && reply->type == GUARD_REPLY_ERROR)
        rc = guard_redis_server_fault(reply, &fault);
    for (int i = 0; i < argc; i++)
        guard_buffer_free(&scratch[i]);
    if (rc == 0)
        return reply;
    guard_home_fault(home, &fault, err);
    return NULL;
}

int guard_home_version(struct guard_home *home, uint64_t *version, struct guard_error *err)
{
    const struct guard_reply *reply = guard_home_call(home, err, "GET", GUARD_HOME_KEY "version", NULL);
    *version = reply && reply->type == GUARD_REPLY_STRING ? strtoull(reply->text, NULL, 10) : 0;
    return reply ? GUARD_OK : GUARD_ERR_IO;
}
