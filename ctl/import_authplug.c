/* guardctl import auth-plug: the Redis data of mosquitto-auth-plug becomes a policy. */
#include "ctl/commands.h"

#include "auth/password.h"
#include "core/memory.h"
#include "core/quoted.h"
#include "ctl/authplug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUPERUSER  "superuser"
#define EVERYTHING "everything"

struct run {
    struct ctl_import import;
    struct authplug plug;
    bool raw_salt, superusers;
};

static void note(struct run *run, enum guard_note_kind kind, const char *place, const char *text, const char *more)
{
    guard_translation_note(&run->import.translation, kind, place, 0, "%s: %s", text, more);
}

static void add_rule(struct run *run, const char *role, const struct authplug_rule *rule, size_t number)
{
    bool wildcard = strpbrk(rule->topic, "+#") != NULL;
    struct guard_buffer topic = {0};
    const char *fault = strncmp(rule->topic, "$share/", 7) == 0
                            ? "a rule cannot be for one shared group; for all of them, write its topic with share=yes"
                            : foreign_template(&topic, rule->topic, FOREIGN_LITERAL);
    struct foreign_rule line = {.role = role,
                                .label = "topic",
                                .number = number,
                                .text = rule->value >= 2 ? "allow publish,receive" : "allow receive",
                                .topic = topic.data ? topic.data : "",
                                .conditions = "",
                                .place = rule->key->name};
    if (fault && rule->value >= 1) {
        note(run, GUARD_NOTE_LEFT_OUT, rule->key->name, rule->topic, fault);
        guard_translation_stricter(&run->import.translation, rule->topic, NULL);
    }
    if (!fault && rule->value >= 1 && !wildcard)
        foreign_rule_add(&run->import.translation, &line);
    line.label = "subscribe";
    line.text = "allow subscribe-only";
    line.conditions = wildcard ? " exact share=no" : " share=no";
    if (!fault && rule->value >= 4)
        foreign_rule_add(&run->import.translation, &line);
    guard_buffer_free(&topic);
}

static void add_password(struct run *run, const char *user, const struct foreign_key *key)
{
    struct guard_error err = {0};
    char *stored = NULL;
    const char *hash = key->count ? key->values[0] : "";
    int rc = GUARD_OK;
    if (strncmp(hash, "PBKDF2$", 7) == 0) {
        rc = foreign_pbkdf2(hash, run->raw_salt ? FOREIGN_SALT_BASE64 : FOREIGN_SALT_TEXT, false, &stored, &err);
        hash = stored;
    }
    if (rc == GUARD_OK)
        rc = auth_password_check(hash, &err);
    if (rc == GUARD_OK)
        foreign_client_add(&run->import.translation, key->name, user, "password", hash);
    else
        note(run, GUARD_NOTE_LEFT_OUT, key->name, "the password must be set anew", err.text);
    guard_free_string(&stored);
}

/* *rule: the first of the user's rules; moved behind the last. */
static void add_user(struct run *run, size_t user, size_t *rule)
{
    struct guard_translation *translation = &run->import.translation;
    const char *name = run->plug.users[user];
    struct guard_buffer role = {0}, roles = {0};
    size_t before = translation->text.count;
    guard_buffer_text(&role, "user:");
    guard_buffer_text(&role, name);
    for (size_t number = 1; *rule < run->plug.rule_count && run->plug.rules[*rule].user == user; ++*rule, number++)
        if (!role.failed)
            add_rule(run, role.data, &run->plug.rules[*rule], number);
    if (translation->text.count > before)
        guard_quoted_write(&roles, role.data, ",:");
    if (authplug_superuser(&run->plug, name)) {
        guard_buffer_text(&roles, roles.length ? ", " SUPERUSER : SUPERUSER);
        run->superusers = true;
    }
    add_password(run, name, run->plug.user_keys[user]);
    if (roles.length && !roles.failed)
        foreign_client_add(translation, run->plug.user_keys[user]->name, name, "roles", roles.data);
    translation->failed = translation->failed || role.failed || roles.failed;
    guard_buffer_free(&role);
    guard_buffer_free(&roles);
}

static void add_everything(struct run *run, const char *role)
{
    foreign_rule_add(&run->import.translation, &(struct foreign_rule){.role = role,
                                                                      .label = "everything",
                                                                      .number = 1,
                                                                      .text = "allow all",
                                                                      .topic = "**",
                                                                      .conditions = "",
                                                                      .place = role});
}

static void translate(struct run *run)
{
    size_t rule = 0;
    for (size_t user = 0; user < run->plug.user_count; user++)
        add_user(run, user, &rule);
    if (run->superusers)
        add_everything(run, SUPERUSER);
    if (!run->plug.everything)
        return;
    add_everything(run, EVERYTHING);
    guard_translation_add(
        &run->import.translation,
        &(struct guard_policy_line){
            .section = GUARD_SECTION_DEFAULT, .name = "", .field = "roles", .value = EVERYTHING, .place = "default"});
    note(run, GUARD_NOTE_REMARK, "redis_aclquery", "every client may do everything", "as before, where it was not set");
}

static int read_source(struct run *run, const struct foreign_source *source, const char *user, const char *acl)
{
    static const char *const everything[] = {"*", NULL};
    struct guard_error err = {0};
    if (!acl)
        return ctl_usage_error(run->import.command, "--acl-query is needed: redis_aclquery of mosquitto.conf, or none");
    run->plug.everything = strcmp(acl, "none") == 0;
    if (!authplug_query_parse(user, 1, &run->plug.user) ||
        (!run->plug.everything && !authplug_query_parse(acl, 2, &run->plug.acl)))
        return ctl_usage_error(run->import.command,
                               "queries are 'GET …' with one %%s for the user, and a second for the "
                               "topic in --acl-query");
    if (foreign_read(source, everything, &run->plug.data, &err) != GUARD_OK)
        return ctl_redis_fail(&run->import.redis, &err);
    if (!authplug_sort(&run->plug, &run->import.translation))
        return ctl_usage_error(run->import.command, "out of memory");
    translate(run);
    return CTL_OK;
}

static int verify(struct ctl_import *import, const struct acl_policy *policy, void *context)
{
    struct authplug *plug = context;
    struct foreign_filter *filters = calloc(plug->rule_count + 1, sizeof *filters);
    int rc = CTL_USAGE;
    for (size_t i = 0; filters && i < plug->rule_count; i++)
        filters[i] = (struct foreign_filter){plug->rules[i].topic, plug->rules[i].user};
    if (filters)
        rc = foreign_verify(import, policy,
                            &(struct foreign_trial){.users = (const char *const *)plug->users,
                                                    .user_count = plug->user_count,
                                                    .filters = filters,
                                                    .filter_count = plug->rule_count,
                                                    .allowed = authplug_allowed,
                                                    .context = plug});
    free(filters);
    return rc;
}

static int run_command(const struct ctl_command *command, int argc, char **argv)
{
    struct run run = {0};
    struct foreign_source source = {0};
    const char *user = "GET %s", *acl = NULL;
    const struct ctl_option own[] = {FOREIGN_OPTIONS(&source),
                                     {"user-query", CTL_TEXT, &user},
                                     {"acl-query", CTL_TEXT, &acl},
                                     {"superusers", CTL_TEXT, &run.plug.superusers},
                                     {"raw-salt", CTL_FLAG, &run.raw_salt},
                                     {NULL, CTL_FLAG, NULL}};
    ctl_import_init(&run.import, command);
    int rc = ctl_import_parse(&run.import, argc, argv, own);
    if (rc == CTL_OK)
        rc = read_source(&run, &source, user, acl);
    rc = ctl_import_finish(&run.import, rc, verify, &run.plug);
    authplug_free(&run.plug);
    return rc;
}

const struct ctl_command ctl_import_authplug = {
    .name = "import auth-plug",
    .summary = "make a policy of the Redis data of mosquitto-auth-plug",
    .usage =
        "usage: guardctl import auth-plug --from URL --acl-query QUERY [OPTION]…\n"
        "\n" FOREIGN_HELP "  --user-query QUERY    redis_userquery of mosquitto.conf ('GET %s')\n"
        "  --acl-query QUERY     redis_aclquery, 'GET %s-%s' for example; none, if it was not set: then every client\n"
        "                        might do everything\n"
        "  --superusers GLOB     auth_opt_superusers\n"
        "  --raw-salt            the plugin was built with RAW_SALT\n" CTL_IMPORT_HELP,
    .run = run_command,
};
