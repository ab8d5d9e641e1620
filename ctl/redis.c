#include "ctl/redis.h"

#include "core/file.h"
#include "core/utf8.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX (1u << 20)

/* The names of a configuration file and what of ours they set. */
static const struct {
    const char *name, *variable;
    size_t offset;
} settings[] = {
    {"redis_url", "GUARD_REDIS_URL", offsetof(struct guard_store_config, url)},
    {"redis_username", "GUARD_REDIS_USERNAME", offsetof(struct guard_store_config, username)},
    {"redis_password_file", "GUARD_REDIS_PASSWORD_FILE", offsetof(struct guard_store_config, password_file)},
    {"redis_prefix", "GUARD_REDIS_PREFIX", offsetof(struct guard_store_config, prefix)},
    {"redis_tls_ca", NULL, offsetof(struct guard_store_config, tls_ca)},
    {"redis_tls_cert", NULL, offsetof(struct guard_store_config, tls_cert)},
    {"redis_tls_key", NULL, offsetof(struct guard_store_config, tls_key)},
};

#define SETTING_COUNT (sizeof settings / sizeof settings[0])

static const char **setting(struct guard_store_config *config, size_t index)
{
    return (const char **)((char *)config + settings[index].offset);
}

void ctl_redis_init(struct ctl_redis *redis, const struct ctl_command *command)
{
    struct guard_store_config *c = &redis->config;
    *redis = (struct ctl_redis){.command = command};
    const struct ctl_option table[] = {
        {"redis", CTL_TEXT, &c->url},
        {"redis-username", CTL_TEXT, &c->username},
        {"redis-password-file", CTL_TEXT, &c->password_file},
        {"redis-prefix", CTL_TEXT, &c->prefix},
        {"redis-tls-ca", CTL_TEXT, &c->tls_ca},
        {"redis-tls-cert", CTL_TEXT, &c->tls_cert},
        {"redis-tls-key", CTL_TEXT, &c->tls_key},
        {"config", CTL_TEXT, &redis->config_file},
        {"by", CTL_TEXT, &redis->by},
        {"json", CTL_FLAG, &redis->json},
        {NULL, CTL_FLAG, NULL},
    };
    memcpy(redis->options, table, sizeof table);
}

int ctl_redis_parse(struct ctl_redis *redis, int argc, char **argv, const struct ctl_option *own,
                    struct ctl_words *words)
{
    const struct ctl_option *tables[] = {own ? own : redis->options, own ? redis->options : NULL, NULL};
    int rc = ctl_args_parse(redis->command, argc, argv, tables, words);
    if (rc != CTL_OK)
        return rc;
    if (words->count < words->least)
        return ctl_usage_error(redis->command, "an argument is missing");
    if (words->count > words->most)
        return ctl_usage_error(redis->command, "too many arguments: %s", words->items[words->most]);
    return CTL_OK;
}

/* One line of mosquitto.conf or of the plugin's options file: "[plugin_opt_]name value". */
static void take_config_line(struct ctl_redis *redis, char *line)
{
    char *name = line + strspn(line, " \t"), *value;
    if (strncmp(name, "plugin_opt_", 11) == 0)
        name += 11;
    value = name + strcspn(name, " \t");
    if (!*value)
        return;
    *value++ = '\0';
    value += strspn(value, " \t");
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strcmp(name, settings[i].name) == 0 && !*setting(&redis->config, i))
            *setting(&redis->config, i) = value;
}

static int read_config(struct ctl_redis *redis, struct guard_error *err)
{
    char *content = NULL, *rest = NULL;
    size_t length = 0;
    int rc = guard_file_read(redis->config_file, GUARD_FILE_PUBLIC, CONFIG_MAX, &content, &length, err);
    if (rc != GUARD_OK)
        return rc;
    guard_buffer_append(&redis->held, content, length);
    free(content);
    if (redis->held.failed)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    for (char *line = strtok_r(redis->held.data, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
        take_config_line(redis, line);
    return GUARD_OK;
}

static void find_who(struct ctl_redis *redis)
{
    char host[100] = "";
    const struct passwd *user = getpwuid(getuid());
    const char *sudo = getenv("SUDO_USER"), *name = sudo && *sudo ? sudo : user ? user->pw_name : "?";
    gethostname(host, sizeof host - 1);
    if (redis->by)
        snprintf(redis->who, sizeof redis->who, "%s", redis->by);
    else
        snprintf(redis->who, sizeof redis->who, "%.100s@%s", name, host);
}

int ctl_redis_connect(struct ctl_redis *redis)
{
    struct guard_error err = {0};
    if (redis->config_file && read_config(redis, &err) != GUARD_OK)
        return ctl_redis_fail(redis, &err);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (!*setting(&redis->config, i) && settings[i].variable)
            *setting(&redis->config, i) = getenv(settings[i].variable);
    if (!redis->config.url)
        return ctl_usage_error(redis->command, "which Redis? --redis URL, --config FILE or GUARD_REDIS_URL say so");
    find_who(redis);
    if (guard_home_open(&redis->config, &redis->home, &err) != GUARD_OK)
        return ctl_redis_fail(redis, &err);
    return CTL_OK;
}

void ctl_redis_end(struct ctl_redis *redis)
{
    guard_home_close(&redis->home);
    guard_buffer_free(&redis->held);
}

void ctl_shown_text(struct guard_buffer *out, const char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (!text)
        guard_buffer_byte(out, '-');
    for (size_t i = 0, width; i < length; i += width ? width : 1) {
        width = guard_utf8_sequence(text + i, length - i);
        uint32_t code = width ? guard_utf8_decode(text + i, width) : (unsigned char)text[i];
        if (width && !guard_utf8_is_deceptive(code))
            guard_buffer_append(out, text + i, width);
        else
            guard_buffer_printf(out, "\\u{%x}", code);
    }
}

void ctl_json_text(struct guard_buffer *out, const char *text)
{
    if (text)
        guard_buffer_json_string(out, text, strlen(text));
    else
        guard_buffer_text(out, "null");
}

int ctl_redis_print(struct ctl_redis *redis, struct guard_buffer *out)
{
    bool fine = !out->failed && (!out->length || fwrite(out->data, 1, out->length, stdout) == out->length);
    if (out->length && out->data && out->data[out->length - 1] != '\n')
        fine = putchar('\n') != EOF && fine;
    fine = fflush(stdout) == 0 && fine;
    guard_buffer_free(out);
    if (!fine)
        fprintf(stderr, "guardctl %s: the output could not be written\n", redis->command->name);
    return fine ? CTL_OK : CTL_USAGE;
}

static void tell(struct ctl_redis *redis, const char *text)
{
    struct guard_buffer out = {0};
    fprintf(stderr, "guardctl %s: %s\n", redis->command->name, text);
    if (!redis->json)
        return;
    guard_buffer_text(&out, "{\"ok\":false,\"error\":");
    ctl_json_text(&out, text);
    guard_buffer_byte(&out, '}');
    ctl_redis_print(redis, &out);
}

int ctl_redis_fail(struct ctl_redis *redis, const struct guard_error *err)
{
    char text[900];
    tell(redis, guard_error_format(err, text, sizeof text));
    return CTL_USAGE;
}

int ctl_redis_refuse(struct ctl_redis *redis, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tell(redis, text);
    return CTL_NO;
}

int ctl_redis_commit(struct ctl_redis *redis, const struct guard_home_change *change, const char *action,
                     const char *detail, uint64_t expected, const char *done)
{
    struct guard_home_note note = {.who = redis->who, .action = action, .detail = detail, .expected = expected};
    struct guard_error err = {0};
    struct guard_buffer out = {0};
    uint64_t version = 0;
    int rc = guard_home_commit(redis->home, change, &note, &version, &err);
    if (rc == GUARD_ERR_INVALID)
        return ctl_redis_refuse(redis, "%s", err.text);
    if (rc != GUARD_OK)
        return ctl_redis_fail(redis, &err);
    if (redis->json) {
        guard_buffer_printf(&out, "{\"ok\":true,\"version\":%" PRIu64 ",\"action\":", version);
        ctl_json_text(&out, action);
        guard_buffer_text(&out, ",\"detail\":");
        ctl_json_text(&out, detail);
        guard_buffer_byte(&out, '}');
    } else {
        guard_buffer_printf(&out, "%s (version %" PRIu64 ")", done, version);
    }
    return ctl_redis_print(redis, &out);
}

void ctl_redis_problems(const struct guard_problems *problems)
{
    char text[900];
    for (size_t i = 0; i < problems->count; i++)
        fprintf(stderr, "%s: %s\n", problems->items[i].severity == GUARD_PROBLEM_ERROR ? "error" : "warning",
                guard_error_format(&problems->items[i].error, text, sizeof text));
}

void ctl_json_problems(struct guard_buffer *out, const struct guard_problems *problems)
{
    guard_buffer_byte(out, '[');
    for (size_t i = 0; i < problems->count; i++) {
        const struct guard_problem *p = &problems->items[i];
        guard_buffer_printf(out, "%s{\"severity\":\"%s\",\"place\":", i ? "," : "",
                            p->severity == GUARD_PROBLEM_ERROR ? "error" : "warning");
        ctl_json_text(out, p->error.place);
        guard_buffer_printf(out, ",\"line\":%u,\"column\":%u,\"text\":", p->error.line, p->error.column);
        ctl_json_text(out, p->error.text);
        guard_buffer_byte(out, '}');
    }
    guard_buffer_byte(out, ']');
}

int ctl_redis_refuse_policy(struct ctl_redis *redis, const char *what, const struct guard_problems *problems)
{
    struct guard_buffer out = {0};
    ctl_redis_problems(problems);
    fprintf(stderr, "guardctl %s: %s (%zu error%s); nothing was changed\n", redis->command->name, what,
            problems->errors, problems->errors == 1 ? "" : "s");
    if (!redis->json)
        return CTL_NO;
    guard_buffer_text(&out, "{\"ok\":false,\"error\":");
    ctl_json_text(&out, what);
    guard_buffer_text(&out, ",\"problems\":");
    ctl_json_problems(&out, problems);
    guard_buffer_byte(&out, '}');
    ctl_redis_print(redis, &out);
    return CTL_NO;
}
