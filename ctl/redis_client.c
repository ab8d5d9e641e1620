/* guardctl client …: the client records in Redis. */
#include "ctl/commands.h"

#include "auth/password.h"
#include "core/clients.h"
#include "core/memory.h"
#include "core/quoted.h"
#include "ctl/policy_verify.h"
#include "ctl/redis.h"
#include "ctl/terminal_password.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct client {
    struct ctl_redis redis;
    struct ctl_words words;
    const char *name;
    const char *roles, *client_id, *hash;
    struct ctl_list attributes;
    bool replace, disabled, ask_password, password_stdin;
    struct guard_policy_text now;  /* the record as it is */
    struct guard_policy_text next; /* as it shall be */
    char *made_hash;
    uint64_t version;
};

static void client_end(struct client *client)
{
    guard_policy_text_free(&client->now);
    guard_policy_text_free(&client->next);
    guard_free_string(&client->made_hash);
    ctl_redis_end(&client->redis);
}

/* Parses, connects and reads the record. */
static int client_begin(struct client *client, const struct ctl_command *command, int argc, char **argv,
                        const struct ctl_option *own)
{
    struct guard_error err = {0};
    struct guard_problems problems = {0};
    ctl_redis_init(&client->redis, command);
    int rc = ctl_redis_parse(&client->redis, argc, argv, own, ctl_words_expect(&client->words, 1, 1));
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&client->redis);
    if (rc != CTL_OK)
        return rc;
    client->name = client->words.items[0];
    int read = guard_home_version(client->redis.home, &client->version, &err);
    if (read == GUARD_OK)
        read = guard_home_read_one(client->redis.home, GUARD_KEY_CLIENT, client->name, &client->now, &problems, &err);
    ctl_redis_problems(&problems); /* fields that no policy can hold: a write drops them */
    guard_problems_free(&problems);
    return read == GUARD_OK ? CTL_OK : ctl_redis_fail(&client->redis, &err);
}

static int must_exist(struct client *client)
{
    return client->now.count ? CTL_OK : ctl_redis_refuse(&client->redis, "there is no client '%s'", client->name);
}

static int set(struct guard_policy_text *text, const char *name, const char *field, const char *value)
{
    struct guard_policy_line line = {
        .section = GUARD_SECTION_CLIENT, .name = name, .field = field, .value = value, .place = "client"};
    return guard_policy_text_add(text, &line);
}

static const char *get(const struct guard_policy_text *text, const char *field)
{
    for (size_t i = 0; i < text->count; i++)
        if (strcmp(text->lines[i].field, field) == 0)
            return text->lines[i].value;
    return NULL;
}

/* The record as it is, but for one field. value NULL: without it. */
static int copy_but(struct client *client, const char *field, const char *value)
{
    int rc = GUARD_OK;
    for (size_t i = 0; i < client->now.count && rc == GUARD_OK; i++)
        if (strcmp(client->now.lines[i].field, field) != 0)
            rc = set(&client->next, client->name, client->now.lines[i].field, client->now.lines[i].value);
    if (rc == GUARD_OK && value)
        rc = set(&client->next, client->name, field, value);
    return rc;
}

/* Verifies the record that shall be and writes it. */
static int client_write(struct client *client, int made, const char *action, const char *done)
{
    struct guard_problems problems = {0};
    struct guard_home_change change = {0};
    char detail[300];
    if (made != GUARD_OK || (client->next.count && ctl_policy_verify(&client->next, &problems) == GUARD_ERR_NOMEM)) {
        guard_problems_free(&problems);
        return ctl_redis_fail(&client->redis, &(struct guard_error){.code = GUARD_ERR_NOMEM, .text = "out of memory"});
    }
    if (problems.errors) {
        int rc = ctl_redis_refuse_policy(&client->redis, "the record is not valid", &problems);
        guard_problems_free(&problems);
        return rc;
    }
    snprintf(detail, sizeof detail, "client %s", client->name);
    guard_home_change_section(&change, GUARD_KEY_CLIENT, client->name, client->next.lines, client->next.count);
    int rc = ctl_redis_commit(&client->redis, &change, action, detail, client->version, done);
    guard_home_change_free(&change);
    guard_problems_free(&problems);
    return rc;
}

/* A hash of what is typed or comes on the standard input. CTL_OK or told. */
static int make_hash(struct client *client)
{
    struct guard_buffer password = {0};
    struct guard_error err = {0};
    struct auth_password_params params = {0};
    bool ask = !client->password_stdin && isatty(STDIN_FILENO);
    int rc = ask ? ctl_password_ask(true, &password, &err) : ctl_password_from_stdin(&password, &err);
    if (rc == GUARD_OK)
        rc = auth_password_make(&params, password.data, password.length, &client->made_hash, &err);
    guard_buffer_free(&password);
    return rc == GUARD_OK ? CTL_OK : ctl_redis_fail(&client->redis, &err);
}

static int add_attributes(struct client *client)
{
    int rc = GUARD_OK;
    for (size_t i = 0; i < client->attributes.count && rc == GUARD_OK; i++) {
        struct guard_buffer field = {0};
        const char *equals = strchr(client->attributes.items[i], '=');
        size_t length = equals ? (size_t)(equals - client->attributes.items[i]) : 0;
        guard_buffer_text(&field, "attr.");
        guard_buffer_append(&field, client->attributes.items[i], length);
        rc = field.failed ? GUARD_ERR_NOMEM : set(&client->next, client->name, field.data, equals ? equals + 1 : "");
        guard_buffer_free(&field);
    }
    return rc;
}

static int build_record(struct client *client)
{
    const char *hash = client->made_hash ? client->made_hash : client->hash;
    int rc = hash ? set(&client->next, client->name, "password", hash) : GUARD_OK;
    if (rc == GUARD_OK && client->roles)
        rc = set(&client->next, client->name, "roles", client->roles);
    if (rc == GUARD_OK && client->client_id)
        rc = set(&client->next, client->name, "client_id", client->client_id);
    if (rc == GUARD_OK &&
        (client->disabled || (!hash && !client->roles && !client->client_id && !client->attributes.count)))
        rc = set(&client->next, client->name, "disabled", client->disabled ? "yes" : "no"); /* a hash cannot be empty */
    return rc == GUARD_OK ? add_attributes(client) : rc;
}

static int check_attributes(const struct client *client)
{
    for (size_t i = 0; i < client->attributes.count; i++)
        if (!strchr(client->attributes.items[i], '=') || client->attributes.items[i][0] == '=')
            return ctl_usage_error(client->redis.command, "--attr takes NAME=VALUE, not '%s'",
                                   client->attributes.items[i]);
    return CTL_OK;
}

static int run_add(const struct ctl_command *command, int argc, char **argv)
{
    struct client client = {0};
    const struct ctl_option own[] = {{"roles", CTL_TEXT, &client.roles},
                                     {"client-id", CTL_TEXT, &client.client_id},
                                     {"hash", CTL_TEXT, &client.hash},
                                     {"attr", CTL_LIST, &client.attributes},
                                     {"password", CTL_FLAG, &client.ask_password},
                                     {"password-stdin", CTL_FLAG, &client.password_stdin},
                                     {"disabled", CTL_FLAG, &client.disabled},
                                     {"replace", CTL_FLAG, &client.replace},
                                     {NULL, CTL_FLAG, NULL}};
    int rc = client_begin(&client, command, argc, argv, own);
    if (rc == CTL_OK)
        rc = check_attributes(&client);
    if (rc == CTL_OK && client.now.count && !client.replace)
        rc = ctl_redis_refuse(&client.redis, "there is a client '%s' already (--replace replaces it)", client.name);
    if (rc == CTL_OK && (client.ask_password || client.password_stdin))
        rc = make_hash(&client);
    if (rc == CTL_OK)
        rc = client_write(&client, build_record(&client), client.now.count ? "client replace" : "client add",
                          client.now.count ? "the client is replaced" : "the client is added");
    client_end(&client);
    return rc;
}

const struct ctl_command ctl_client_add = {
    .name = "client add",
    .summary = "add a client record to Redis",
    .usage = "usage: guardctl client add USERNAME [OPTION]…\n"
             "\n"
             "  --roles LIST        device, \"floor 2\":5     names, each with an optional binding priority\n"
             "  --client-id LIST    the client ids it may use (any by default)\n"
             "  --password          ask for a password (on a terminal twice, else the first line of the input)\n"
             "  --password-stdin    its first line is the password\n"
             "  --hash HASH         a stored hash, as `guardctl passwd` and other tools make them\n"
             "  --attr NAME=VALUE   ${attr.NAME} in rules; may be given again and again\n"
             "  --disabled          it may not log in yet\n"
             "  --replace           replace the record if there is one\n" CTL_REDIS_WRITE_HELP
             "\nExit code: 0 done; 1 refused; 2 it cannot be done.\n",
    .run = run_add,
};

static void show_record(const struct client *client, struct guard_buffer *out)
{
    if (client->redis.json) {
        guard_buffer_text(out, "{\"username\":");
        ctl_json_text(out, client->name);
    } else {
        guard_buffer_text(out, "[client ");
        guard_quoted_write(out, client->name, ";");
        guard_buffer_text(out, "]\n");
    }
    for (size_t i = 0; i < client->now.count; i++) {
        const struct guard_policy_line *line = &client->now.lines[i];
        const char *value = strcmp(line->field, "password") == 0 ? "(a hash is set)" : line->value;
        if (!client->redis.json) {
            ctl_shown_text(out, line->field);
            guard_buffer_text(out, " = ");
            ctl_shown_text(out, value);
            guard_buffer_byte(out, '\n');
            continue;
        }
        guard_buffer_byte(out, ',');
        ctl_json_text(out, line->field);
        guard_buffer_byte(out, ':');
        ctl_json_text(out, value);
    }
    if (client->redis.json)
        guard_buffer_byte(out, '}');
}

static int run_show(const struct ctl_command *command, int argc, char **argv)
{
    struct client client = {0};
    struct guard_buffer out = {0};
    int rc = client_begin(&client, command, argc, argv, NULL);
    if (rc == CTL_OK)
        rc = must_exist(&client);
    if (rc == CTL_OK) {
        show_record(&client, &out);
        rc = ctl_redis_print(&client.redis, &out);
    }
    client_end(&client);
    return rc;
}

const struct ctl_command ctl_client_show = {
    .name = "client show",
    .summary = "show a client record",
    .usage = "usage: guardctl client show USERNAME [OPTION]…\n\nShows the record in Redis, without the "
             "hash.\n" CTL_REDIS_HELP,
    .run = run_show,
};

static int switch_client(const struct ctl_command *command, int argc, char **argv, bool disable)
{
    struct client client = {0};
    int rc = client_begin(&client, command, argc, argv, NULL);
    if (rc == CTL_OK)
        rc = must_exist(&client);
    if (rc == CTL_OK)
        rc = client_write(&client, copy_but(&client, "disabled", disable ? "yes" : "no"),
                          disable ? "client disable" : "client enable",
                          disable ? "the client is disabled" : "the client is enabled");
    client_end(&client);
    return rc;
}

static int run_disable(const struct ctl_command *command, int argc, char **argv)
{
    return switch_client(command, argc, argv, true);
}

static int run_enable(const struct ctl_command *command, int argc, char **argv)
{
    return switch_client(command, argc, argv, false);
}

const struct ctl_command ctl_client_disable = {
    .name = "client disable",
    .summary = "shut a client out and end its session; the record stays",
    .usage = "usage: guardctl client disable USERNAME [OPTION]…\n" CTL_REDIS_WRITE_HELP,
    .run = run_disable,
};

const struct ctl_command ctl_client_enable = {
    .name = "client enable",
    .summary = "let a disabled client in again",
    .usage = "usage: guardctl client enable USERNAME [OPTION]…\n" CTL_REDIS_WRITE_HELP,
    .run = run_enable,
};

static int run_remove(const struct ctl_command *command, int argc, char **argv)
{
    struct client client = {0};
    int rc = client_begin(&client, command, argc, argv, NULL);
    if (rc == CTL_OK)
        rc = must_exist(&client);
    if (rc == CTL_OK)
        rc = client_write(&client, GUARD_OK, "client remove", "the client is removed");
    client_end(&client);
    return rc;
}

const struct ctl_command ctl_client_remove = {
    .name = "client remove",
    .summary = "remove a client record and end its session",
    .usage = "usage: guardctl client remove USERNAME [OPTION]…\n" CTL_REDIS_WRITE_HELP,
    .run = run_remove,
};

static int run_passwd(const struct ctl_command *command, int argc, char **argv)
{
    struct client client = {0};
    const struct ctl_option own[] = {
        {"hash", CTL_TEXT, &client.hash}, {"password-stdin", CTL_FLAG, &client.password_stdin}, {NULL, CTL_FLAG, NULL}};
    int rc = client_begin(&client, command, argc, argv, own);
    if (rc == CTL_OK)
        rc = must_exist(&client);
    if (rc == CTL_OK && !client.hash)
        rc = make_hash(&client);
    if (rc == CTL_OK) {
        const char *hash = client.made_hash ? client.made_hash : client.hash;
        bool had = get(&client.now, "password") != NULL;
        rc = client_write(&client, copy_but(&client, "password", hash), "client passwd",
                          had ? "the password is changed" : "the password is set");
    }
    client_end(&client);
    return rc;
}

const struct ctl_command ctl_client_passwd = {
    .name = "client passwd",
    .summary = "set a client's password",
    .usage = "usage: guardctl client passwd USERNAME [OPTION]…\n"
             "\n"
             "Asks for the password (twice, on a terminal), or takes the first line of the standard input.\n"
             "\n"
             "  --password-stdin    do not ask even on a terminal\n"
             "  --hash HASH         store this hash instead\n" CTL_REDIS_WRITE_HELP,
    .run = run_passwd,
};
