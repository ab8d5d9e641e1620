/* --verify of mosquitto-files: random clients and topics near the file's own, asked of a real broker. */
#include "ctl/import_mosquitto.h"

#include "core/file.h"
#include "ctl/import_verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_MAX   24 /* of the file's, beside a stranger */
#define CLIENTS_MAX (USERS_MAX + 2)
#define TOPICS_MAX  4000
#define OBSERVER    "guardctl-observer"

struct trial {
    struct ctl_import *import;
    const struct guard_mosquitto_files *files;
    uint64_t random;
    char *content; /* of the acl_file; the rules point into it */
    struct guard_mosquitto_rules rules;
    struct ctl_mqtt_login clients[CLIENTS_MAX];
    size_t client_count;
    char **topics;
    size_t topic_count;
    struct ctl_question *questions;
    char observer[64];
};

static size_t below(struct trial *trial, size_t limit)
{
    return (size_t)ctl_random_below(&trial->random, limit);
}

/* ---- who ---- */

/* As many of the users as fit, each with the same chance, by the name of their client records. */
static void choose_users(struct trial *trial)
{
    const struct guard_policy_text *text = &trial->import->translation.text;
    size_t seen = 0;
    for (size_t i = 0; i < text->count; i++) {
        const struct guard_policy_line *line = &text->lines[i];
        if (line->section != GUARD_SECTION_CLIENT || (i && strcmp(line[-1].name, line->name) == 0))
            continue;
        size_t at = seen++ < USERS_MAX ? seen - 1 : below(trial, seen);
        if (at < USERS_MAX)
            trial->clients[at].username = line->name;
    }
    trial->client_count = seen < USERS_MAX ? seen : USERS_MAX;
}

/* Some have a client id of their own, some one that is a user's name, too. */
static void choose_clients(struct trial *trial)
{
    static const char *const ids[] = {"c1",  "c2",  "client-3", "dev.4", "c5",  "c6",  "x7",  "x8",  "x9",
                                      "x10", "x11", "x12",      "x13",   "x14", "x15", "x16", "x17", "x18",
                                      "x19", "x20", "x21",      "x22",   "x23", "x24", "x25", "x26"};
    choose_users(trial);
    trial->clients[trial->client_count++].username = "guardctl-stranger";
    if (trial->files->anonymous)
        trial->clients[trial->client_count++].username = NULL;
    for (size_t i = 0; i < trial->client_count; i++) {
        const char *name = trial->clients[i].username;
        bool own = name && *name && strlen(name) < 1000 && below(trial, 3) == 0;
        trial->clients[i].client_id = own ? name : ids[i];
    }
}

/* ---- what about ---- */

/* A level from anywhere in the file, or a word. */
static void append_any_level(struct trial *trial, struct guard_buffer *out)
{
    const char *topic = below(trial, 4) ? trial->rules.items[below(trial, trial->rules.count)].topic : "x";
    size_t skip = below(trial, 4);
    for (const char *slash; skip && (slash = strchr(topic, '/')) != NULL; skip--)
        topic = slash + 1;
    size_t length = strcspn(topic, "/");
    if (length == 1 && strchr("+#", *topic))
        guard_buffer_byte(out, 'y');
    else
        guard_buffer_append(out, topic, length);
}

/* One level of a filter as a topic has it, with %u and %c as this client would fill them. */
static void append_level(struct trial *trial, const struct ctl_mqtt_login *client, const char *level, size_t length,
                         struct guard_buffer *out)
{
    if ((length == 1 && *level == '+') || below(trial, 12) == 0) {
        append_any_level(trial, out);
        return;
    }
    for (size_t i = 0; i < length; i++) {
        bool placeholder = level[i] == '%' && i + 1 < length && below(trial, 8);
        if (placeholder && level[i + 1] == 'c')
            guard_buffer_text(out, client->client_id);
        else if (placeholder && level[i + 1] == 'u')
            guard_buffer_text(out, client->username ? client->username : "x");
        else
            guard_buffer_byte(out, level[i]);
        i += placeholder && strchr("cu", level[i + 1]);
    }
}

static void make_topic(struct trial *trial, struct guard_buffer *out)
{
    const char *level = trial->rules.items[below(trial, trial->rules.count)].topic;
    const struct ctl_mqtt_login *client = &trial->clients[below(trial, trial->client_count)];
    for (bool first = true; level; first = false) {
        size_t length = strcspn(level, "/");
        bool open = length == 1 && *level == '#';
        size_t more = open ? below(trial, 3) : 1;
        for (size_t i = 0; i < more; i++) {
            if (!first || i)
                guard_buffer_byte(out, '/');
            if (open)
                append_any_level(trial, out);
            else
                append_level(trial, client, level, length, out);
        }
        level = level[length] ? level + length + 1 : NULL;
    }
}

/* What the broker decides by the file: no $SYS (nobody may publish there), no $share, no $CONTROL. */
static bool may_be_asked(const char *topic, size_t length)
{
    size_t slashes = 0;
    for (size_t i = 0; i < length; i++)
        slashes += topic[i] == '/';
    bool ours = *topic != '$' || !(strncmp(topic, "$SYS", 4) == 0 || strncmp(topic, "$share", 6) == 0 ||
                                   strncmp(topic, "$CONTROL", 8) == 0 || strchr(" \t", topic[length - 1]));
    return length && length < 4096 && slashes <= 190 && !strpbrk(topic, "+#") && ours &&
           !guard_topic_impossible(topic, length);
}

static bool make_topics(struct trial *trial)
{
    size_t wanted = trial->import->verify < TOPICS_MAX ? trial->import->verify : TOPICS_MAX;
    struct guard_buffer topic = {0};
    trial->topics = calloc(wanted, sizeof *trial->topics);
    for (size_t tries = 0; trial->topics && trial->topic_count < wanted && tries < 20 * wanted; tries++) {
        guard_buffer_clear(&topic);
        make_topic(trial, &topic);
        if (topic.failed || !topic.length || !may_be_asked(topic.data, topic.length))
            continue;
        trial->topics[trial->topic_count] = strdup(topic.data);
        trial->topic_count += trial->topics[trial->topic_count] != NULL;
    }
    guard_buffer_free(&topic);
    return trial->topic_count > 0;
}

static bool make_questions(struct trial *trial)
{
    trial->questions = calloc(trial->import->verify, sizeof *trial->questions);
    for (size_t i = 0; trial->questions && i < trial->import->verify; i++)
        trial->questions[i] = (struct ctl_question){.client = below(trial, trial->client_count),
                                                    .action = below(trial, 2) ? EXPLAIN_PUBLISH : EXPLAIN_RECEIVE,
                                                    .topic = trial->topics[below(trial, trial->topic_count)]};
    return trial->questions != NULL;
}

/* ---- the broker ---- */

/* The file as it is, and somebody who may publish everything. */
static int write_acl(struct trial *trial, const struct ctl_trial_broker *broker, char *path, struct guard_error *err)
{
    struct guard_buffer text = {0};
    char *content;
    size_t length;
    int rc =
        guard_file_read(trial->files->acl_file, GUARD_FILE_PUBLIC, GUARD_MOSQUITTO_FILE_MAX, &content, &length, err);
    if (rc != GUARD_OK)
        return rc;
    guard_buffer_append(&text, content, length);
    free(content);
    guard_buffer_printf(&text, "\nuser %s\ntopic write #\n", trial->observer);
    for (size_t i = 0; i < trial->topic_count; i++)
        if (trial->topics[i][0] == '$')
            guard_buffer_printf(&text, "topic write %s\n", trial->topics[i]);
    ctl_trial_broker_file(broker, "acl", path);
    rc = text.failed ? guard_fail(err, GUARD_ERR_NOMEM, "out of memory")
                     : guard_file_replace(path, text.data, text.length, 0600, err);
    guard_buffer_free(&text);
    return rc;
}

static int start(struct trial *trial, struct ctl_trial_broker *broker, struct guard_error *err)
{
    char acl[PATH_MAX], lines[PATH_MAX + 64];
    unsigned minor = trial->files->version == GUARD_MOSQUITTO_2_1 ? 1 : 0;
    int rc = ctl_trial_broker_find(broker, trial->import->mosquitto, err);
    if (rc == GUARD_OK && (broker->major != 2 || broker->minor != minor))
        rc = guard_fail(err, GUARD_ERR_UNSUPPORTED, "%s is Mosquitto %u.%u, and --broker says 2.%u", broker->path,
                        broker->major, broker->minor, minor);
    if (rc == GUARD_OK)
        rc = ctl_trial_broker_folder(broker, err);
    if (rc == GUARD_OK)
        rc = write_acl(trial, broker, acl, err);
    if (rc != GUARD_OK)
        return rc;
    snprintf(lines, sizeof lines, "allow_anonymous true\nacl_file %s\n", acl);
    return ctl_trial_broker_start(broker, lines, err);
}

static int ask(struct trial *trial, const struct ctl_verify *verify, struct guard_error *err)
{
    struct ctl_trial_broker broker = {0};
    struct ctl_mqtt_login observer = {.client_id = OBSERVER, .username = trial->observer};
    int rc = start(trial, &broker, err);
    if (rc == GUARD_OK)
        rc = ctl_verify_ask_broker(&broker, verify, &observer, err);
    ctl_trial_broker_end(&broker);
    return rc;
}

/* ---- the whole ---- */

static int read_rules(struct trial *trial, struct guard_error *err)
{
    struct guard_translation notes = {0};
    size_t length;
    int rc = guard_file_read(trial->files->acl_file, GUARD_FILE_PUBLIC, GUARD_MOSQUITTO_FILE_MAX, &trial->content,
                             &length, err);
    if (rc == GUARD_OK)
        guard_mosquitto_parse_rules(trial->content, length, trial->files->acl_file, &trial->rules, &notes);
    guard_translation_free(&notes);
    return rc;
}

static int run(struct trial *trial, const struct acl_policy *policy)
{
    struct guard_error err = {0};
    struct ctl_import *import = trial->import;
    int rc = read_rules(trial, &err);
    if (rc == GUARD_OK && !trial->rules.count)
        return ctl_usage_error(import->command, "there is nothing to verify: the acl_file has no topic");
    if (rc == GUARD_OK) {
        choose_clients(trial);
        if (!make_topics(trial) || !make_questions(trial))
            rc = guard_fail(&err, GUARD_ERR_INVALID, "no topic could be made that a client could ask for");
    }
    struct ctl_verify verify = {.clients = trial->clients,
                                .client_count = trial->client_count,
                                .questions = trial->questions,
                                .count = import->verify};
    if (rc == GUARD_OK)
        rc = ask(trial, &verify, &err);
    return rc == GUARD_OK ? ctl_verify_compare(import, policy, &verify) : ctl_redis_fail(&import->redis, &err);
}

int ctl_import_mosquitto_verify(struct ctl_import *import, const struct acl_policy *policy, void *context)
{
    struct trial trial = {.import = import, .files = context, .random = import->seed};
    if (!trial.files->acl_file)
        return ctl_usage_error(import->command, "--verify replays what an acl_file decides: give --acl-file");
    snprintf(trial.observer, sizeof trial.observer, OBSERVER "-%016llx",
             (unsigned long long)ctl_random_below(&trial.random, UINT64_MAX));
    int rc = run(&trial, policy);
    for (size_t i = 0; i < trial.topic_count; i++)
        free(trial.topics[i]);
    free(trial.topics);
    free(trial.questions);
    free(trial.rules.items);
    free(trial.content);
    return rc;
}
