/* guardctl pull, history, log, confirm: looking at the Redis home, and vouching for it. */
#include "ctl/commands.h"

#include "core/clock.h"
#include "core/file.h"
#include "ctl/publish.h"
#include "store/policy_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIRM_SECONDS "600"
#define LOG_DEFAULT     "20"

struct pull {
    struct ctl_redis redis;
    const char *output;
    bool no_clients;
    struct guard_policy_text text;
    struct guard_problems problems;
};

static void print_lines_json(const struct guard_policy_text *text, struct guard_buffer *out)
{
    static const char *const sections[] = {"role", "client", "assign", "default"};
    for (size_t i = 0; i < text->count; i++) {
        const struct guard_policy_line *line = &text->lines[i];
        guard_buffer_printf(out, "%s{\"section\":\"%s\",\"name\":", i ? "," : "", sections[line->section]);
        ctl_json_text(out, line->name);
        guard_buffer_text(out, ",\"field\":");
        ctl_json_text(out, line->field);
        guard_buffer_text(out, ",\"value\":");
        ctl_json_text(out, line->value);
        guard_buffer_byte(out, '}');
    }
}

static int write_policy(struct pull *pull, uint64_t version)
{
    struct guard_buffer out = {0};
    struct guard_error err = {0};
    char now[GUARD_TIMESTAMP_SIZE];
    int rc = GUARD_OK;
    ctl_policy_sort(&pull->text);
    if (pull->redis.json) {
        guard_buffer_printf(&out, "{\"version\":%" PRIu64 ",\"lines\":[", version);
        print_lines_json(&pull->text, &out);
        guard_buffer_text(&out, "],\"problems\":");
        ctl_json_problems(&out, &pull->problems);
        guard_buffer_text(&out, "}\n");
    } else {
        guard_buffer_printf(&out, "; version %" PRIu64 " of %s, %s\n", version, guard_home_server(pull->redis.home),
                            guard_timestamp(guard_clock_real_ns(), now));
        rc = guard_policy_file_write(&pull->text, &out, &err);
    }
    if (rc == GUARD_OK && pull->output)
        rc = out.failed ? guard_fail(&err, GUARD_ERR_NOMEM, "out of memory")
                        : guard_file_replace(pull->output, out.data, out.length, 0600, &err);
    if (rc == GUARD_OK && !pull->output)
        return ctl_redis_print(&pull->redis, &out);
    guard_buffer_free(&out);
    return rc == GUARD_OK ? CTL_OK : ctl_redis_fail(&pull->redis, &err);
}

static int run_pull(const struct ctl_command *command, int argc, char **argv)
{
    struct pull pull = {0};
    struct ctl_words words = {0};
    struct guard_error err = {0};
    uint64_t version = 0;
    const struct ctl_option own[] = {
        {"output", CTL_TEXT, &pull.output}, {"no-clients", CTL_FLAG, &pull.no_clients}, {NULL, CTL_FLAG, NULL}};
    ctl_redis_init(&pull.redis, command);
    int rc = ctl_redis_parse(&pull.redis, argc, argv, own, ctl_words_expect(&words, 0, 0));
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&pull.redis);
    if (rc == CTL_OK) {
        unsigned what = GUARD_HOME_POLICY | (pull.no_clients ? 0 : GUARD_HOME_CLIENTS);
        int read = guard_home_version(pull.redis.home, &version, &err);
        if (read == GUARD_OK)
            read = guard_home_read(pull.redis.home, what, &pull.text, &pull.problems, &err);
        rc = read == GUARD_OK ? write_policy(&pull, version) : ctl_redis_fail(&pull.redis, &err);
    }
    ctl_redis_problems(&pull.problems);
    if (rc == CTL_OK && pull.problems.errors)
        rc = CTL_NO;
    guard_problems_free(&pull.problems);
    guard_policy_text_free(&pull.text);
    ctl_redis_end(&pull.redis);
    return rc;
}

const struct ctl_command ctl_pull = {
    .name = "pull",
    .summary = "write what Redis holds as a policy file",
    .usage =
        "usage: guardctl pull [OPTION]…\n"
        "\n"
        "Prints the policy in Redis, or writes it to a file that only you may read: it holds password hashes.\n"
        "\n"
        "  --output FILE     write there instead\n"
        "  --no-clients      leave the client records out\n" CTL_REDIS_HELP
        "\nExit code: 0 done; 1 done, but some of it could not be written (told on stderr); 2 it cannot be read.\n",
    .run = run_pull,
};

/* One kept version. */
static int show_version(struct ctl_redis *redis, uint64_t version, bool first, struct guard_buffer *out,
                        struct guard_error *err)
{
    char key[64];
    snprintf(key, sizeof key, GUARD_HOME_KEY "history:%" PRIu64, version);
    const struct guard_reply *reply = guard_home_call(redis->home, err, "HMGET", key, "time", "who", "action", NULL);
    if (!reply)
        return GUARD_ERR_IO;
    const char *time = guard_reply_text(reply, 0), *who = guard_reply_text(reply, 1),
               *action = guard_reply_text(reply, 2);
    if (!redis->json) {
        guard_buffer_printf(out, "%8" PRIu64 "  ", version);
        ctl_shown_text(out, time);
        guard_buffer_text(out, "  ");
        ctl_shown_text(out, action);
        guard_buffer_text(out, "  ");
        ctl_shown_text(out, who);
        guard_buffer_byte(out, '\n');
        return GUARD_OK;
    }
    guard_buffer_printf(out, "%s{\"version\":%" PRIu64 ",\"time\":", first ? "" : ",", version);
    ctl_json_text(out, time);
    guard_buffer_text(out, ",\"who\":");
    ctl_json_text(out, who);
    guard_buffer_text(out, ",\"action\":");
    ctl_json_text(out, action);
    guard_buffer_byte(out, '}');
    return GUARD_OK;
}

static int show_history(struct ctl_redis *redis)
{
    struct guard_error err = {0};
    struct guard_buffer out = {0};
    uint64_t *versions = NULL;
    size_t count = 0;
    int rc = ctl_history_versions(redis, &versions, &count, &err);
    if (redis->json)
        guard_buffer_text(&out, "[");
    for (size_t i = 0; rc == GUARD_OK && i < count; i++)
        rc = show_version(redis, versions[i], i == 0, &out, &err);
    if (redis->json)
        guard_buffer_text(&out, "]");
    free(versions);
    if (rc == GUARD_OK && !redis->json && !count)
        guard_buffer_text(&out, "no version is kept yet: `guardctl push` keeps them");
    if (rc == GUARD_OK)
        return ctl_redis_print(redis, &out);
    guard_buffer_free(&out);
    return ctl_redis_fail(redis, &err);
}

static int run_history(const struct ctl_command *command, int argc, char **argv)
{
    struct ctl_redis redis;
    struct ctl_words words = {0};
    ctl_redis_init(&redis, command);
    int rc = ctl_redis_parse(&redis, argc, argv, NULL, ctl_words_expect(&words, 0, 0));
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&redis);
    if (rc == CTL_OK)
        rc = show_history(&redis);
    ctl_redis_end(&redis);
    return rc;
}

const struct ctl_command ctl_history = {
    .name = "history",
    .summary = "list the published versions that are kept",
    .usage =
        "usage: guardctl history [OPTION]…\n\nLists the versions `guardctl rollback` can go back to.\n" CTL_REDIS_HELP,
    .run = run_history,
};

/* The value of a field in an entry's list [field, value …]. */
static const char *entry_field(const struct guard_reply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->count; i += 2) {
        const char *field = guard_reply_text(fields, i);
        if (field && strcmp(field, name) == 0)
            return guard_reply_text(fields, i + 1);
    }
    return NULL;
}

/* One entry: [id, [field, value …]]; the id begins with the milliseconds. */
static void show_entry(const struct ctl_redis *redis, const struct guard_reply *entry, bool first,
                       struct guard_buffer *out)
{
    static const char *const names[] = {"version", "who", "what", "detail"};
    char time[GUARD_TIMESTAMP_SIZE];
    const char *id = guard_reply_text(entry, 0);
    const struct guard_reply *fields = entry->count > 1 ? entry->items[1] : entry;
    guard_timestamp((id ? strtoll(id, NULL, 10) : 0) * 1000000, time);
    if (redis->json)
        guard_buffer_printf(out, "%s{\"time\":\"%s\"", first ? "" : ",", time);
    else
        guard_buffer_text(out, time);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = entry_field(fields, names[i]);
        if (redis->json) {
            guard_buffer_printf(out, ",\"%s\":", names[i]);
            ctl_json_text(out, value);
        } else {
            guard_buffer_text(out, "  ");
            ctl_shown_text(out, value);
        }
    }
    guard_buffer_byte(out, redis->json ? '}' : '\n');
}

static int show_log(struct ctl_redis *redis, const char *number)
{
    struct guard_error err = {0};
    struct guard_buffer out = {0};
    const struct guard_reply *reply =
        guard_home_call(redis->home, &err, "XREVRANGE", GUARD_HOME_KEY "log", "+", "-", "COUNT", number, NULL);
    if (!reply)
        return ctl_redis_fail(redis, &err);
    if (redis->json)
        guard_buffer_byte(&out, '[');
    for (size_t i = reply->count; i-- > 0;) /* the newest comes last, as in every log */
        if (reply->items[i]->type == GUARD_REPLY_ARRAY && reply->items[i]->count == 2)
            show_entry(redis, reply->items[i], i + 1 == reply->count, &out);
    if (redis->json)
        guard_buffer_byte(&out, ']');
    return ctl_redis_print(redis, &out);
}

static int run_log(const struct ctl_command *command, int argc, char **argv)
{
    struct ctl_redis redis;
    struct ctl_words words = {0};
    const char *number = LOG_DEFAULT;
    const struct ctl_option own[] = {{"number", CTL_TEXT, &number}, {NULL, CTL_FLAG, NULL}};
    ctl_redis_init(&redis, command);
    int rc = ctl_redis_parse(&redis, argc, argv, own, ctl_words_expect(&words, 0, 0));
    if (rc == CTL_OK && (!*number || strspn(number, "0123456789") != strlen(number) || strlen(number) > 6))
        rc = ctl_usage_error(command, "--number takes a number");
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&redis);
    if (rc == CTL_OK)
        rc = show_log(&redis, number);
    ctl_redis_end(&redis);
    return rc;
}

const struct ctl_command ctl_log = {
    .name = "log",
    .summary = "show who changed what in Redis",
    .usage = "usage: guardctl log [--number N] [OPTION]…\n"
             "\n"
             "Shows the last N (20) changes made with guardctl: time, version, who, what.\n" CTL_REDIS_HELP,
    .run = run_log,
};

static int run_confirm(const struct ctl_command *command, int argc, char **argv)
{
    struct ctl_redis redis;
    struct ctl_words words = {0};
    struct guard_error err = {0};
    struct guard_home_change change = {0};
    uint64_t version = 0;
    char stamp[32];
    ctl_redis_init(&redis, command);
    int rc = ctl_redis_parse(&redis, argc, argv, NULL, ctl_words_expect(&words, 0, 0));
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&redis);
    if (rc == CTL_OK && guard_home_version(redis.home, &version, &err) != GUARD_OK)
        rc = ctl_redis_fail(&redis, &err);
    if (rc == CTL_OK) {
        snprintf(stamp, sizeof stamp, "%" PRId64, guard_clock_real_ns()); /* each confirmation is another one */
        guard_home_change_add(&change, "SET", GUARD_HOME_KEY "confirm-empty", stamp, "EX", CONFIRM_SECONDS, NULL);
        rc = ctl_redis_commit(&redis, &change, "confirm", "what the store holds now is meant", version,
                              "confirmed: brokers take what the store holds now");
    }
    guard_home_change_free(&change);
    ctl_redis_end(&redis);
    return rc;
}

const struct ctl_command ctl_confirm = {
    .name = "confirm",
    .summary = "tell brokers that an emptied or older store is meant",
    .usage =
        "usage: guardctl confirm [OPTION]…\n"
        "\n"
        "Brokers keep their last policy and raise an alarm when the store was emptied or its version went backwards.\n"
        "This tells them, for ten minutes, that what the store holds now is what you want. Pushing a policy does "
        "too.\n" CTL_REDIS_WRITE_HELP,
    .run = run_confirm,
};
