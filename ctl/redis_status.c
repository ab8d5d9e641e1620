/* guardctl status: the brokers, their policy version and how old it is. */
#include "ctl/commands.h"

#include "core/clock.h"
#include "core/json.h"
#include "ctl/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct status {
    struct ctl_redis redis;
    struct guard_buffer out;
    uint64_t version;
    size_t brokers, unwell;
};

static int64_t number(const struct guard_json *status, const char *name)
{
    int64_t value = 0;
    guard_json_integer(guard_json_get(status, name), &value);
    return value;
}

static const char *string(const struct guard_json *status, const char *name)
{
    const char *text = guard_json_string(guard_json_get(status, name));
    return text ? text : "";
}

/* What is to say about a broker in one word or two. */
static const char *health(const struct status *status, const struct guard_json *broker)
{
    if (guard_json_true(guard_json_get(broker, "unconfirmed")))
        return "waits for confirm";
    if (!guard_json_true(guard_json_get(broker, "up")))
        return "not current";
    if ((uint64_t)number(broker, "policy_version") < status->version)
        return "behind";
    return number(broker, "faulty_keys") ? "faulty keys" : "ok";
}

static void show_broker(struct status *status, const struct guard_json *broker)
{
    struct guard_buffer *out = &status->out;
    int64_t age = guard_clock_now() - number(broker, "fresh_at");
    const char *verdict = health(status, broker);
    status->unwell += strcmp(verdict, "ok") != 0;
    if (status->redis.json) {
        char *whole = guard_json_print(broker);
        guard_buffer_printf(out, "%s{\"health\":\"%s\",\"stale_seconds\":%" PRId64 ",\"status\":%s}",
                            status->brokers ? "," : "", verdict, age < 0 ? 0 : age, whole ? whole : "null");
        free(whole);
    } else {
        ctl_shown_text(out, string(broker, "broker"));
        guard_buffer_printf(out,
                            "  version %" PRId64 ", %" PRId64 " s old, %s: %" PRId64 " roles, %" PRId64
                            " rules, %" PRId64 " clients, %" PRId64 " revocations\n",
                            number(broker, "policy_version"), age < 0 ? 0 : age, verdict, number(broker, "roles"),
                            number(broker, "rules"), number(broker, "clients"), number(broker, "revocations"));
        if (*string(broker, "text")) {
            guard_buffer_text(out, "    ");
            ctl_shown_text(out, string(broker, "text"));
            guard_buffer_byte(out, '\n');
        }
        if (number(broker, "faulty_keys"))
            guard_buffer_printf(out, "    %" PRId64 " keys are not taken; the broker's log and audit name them\n",
                                number(broker, "faulty_keys"));
    }
    status->brokers++;
}

/* Reads one status key; one that just expired is passed over. */
static int take_broker(struct status *status, const char *key, struct guard_error *err)
{
    struct guard_buffer whole = {0};
    struct guard_json *broker = NULL;
    guard_buffer_text(&whole, GUARD_HOME_KEY);
    guard_buffer_text(&whole, key);
    const struct guard_reply *reply =
        whole.failed ? NULL : guard_home_call(status->redis.home, err, "GET", whole.data, NULL);
    if (reply && reply->type == GUARD_REPLY_STRING &&
        guard_json_parse(reply->text, reply->length, 8, &broker, NULL) == GUARD_OK)
        show_broker(status, broker);
    guard_json_free(&broker);
    guard_buffer_free(&whole);
    return reply ? GUARD_OK : GUARD_ERR_IO;
}

static int take_brokers(struct status *status, struct guard_error *err)
{
    struct guard_buffer keys = {0};
    size_t count = 0;
    int rc = guard_home_list(status->redis.home, "status:", &keys, &count, err);
    const char *at = keys.data;
    for (size_t i = 0; rc == GUARD_OK && i < count; i++, at += strlen(at) + 1)
        rc = take_broker(status, at, err);
    guard_buffer_free(&keys);
    return rc;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct status status = {0};
    struct ctl_words words = {0};
    struct guard_error err = {0};
    ctl_redis_init(&status.redis, command);
    int rc = ctl_redis_parse(&status.redis, argc, argv, NULL, ctl_words_expect(&words, 0, 0));
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&status.redis);
    if (rc == CTL_OK) {
        int read = guard_home_version(status.redis.home, &status.version, &err);
        if (read == GUARD_OK) {
            if (status.redis.json)
                guard_buffer_printf(&status.out, "{\"version\":%" PRIu64 ",\"brokers\":[", status.version);
            else
                guard_buffer_printf(&status.out, "%s holds version %" PRIu64 "\n", guard_home_server(status.redis.home),
                                    status.version);
            read = take_brokers(&status, &err);
        }
        if (read == GUARD_OK && status.redis.json)
            guard_buffer_text(&status.out, "]}");
        else if (read == GUARD_OK && !status.brokers)
            guard_buffer_text(&status.out, "no broker wrote its status in the last half minute\n");
        rc = read == GUARD_OK ? ctl_redis_print(&status.redis, &status.out) : ctl_redis_fail(&status.redis, &err);
        if (rc == CTL_OK && status.unwell)
            rc = CTL_NO;
    }
    guard_buffer_free(&status.out);
    ctl_redis_end(&status.redis);
    return rc;
}

const struct ctl_command ctl_status = {
    .name = "status",
    .summary = "show the brokers, their policy version and its age",
    .usage =
        "usage: guardctl status [OPTION]…\n"
        "\n"
        "Lists the brokers that are connected: the policy version each has in force, and how long ago that was known\n"
        "to be current.\n" CTL_REDIS_HELP
        "\nExit code: 0 all are well (or there is none); 1 some are not; 2 it cannot be told.\n",
    .run = run,
};
