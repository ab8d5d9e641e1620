/* guardctl role …: roles in Redis, rule by rule. */
#include "ctl/commands.h"

#include "core/quoted.h"
#include "ctl/policy_verify.h"
#include "ctl/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct role {
    struct ctl_redis redis;
    struct ctl_words words;
    const char *name;
    struct guard_policy_text now, next;
    uint64_t version;
};

static void role_end(struct role *role)
{
    guard_policy_text_free(&role->now);
    guard_policy_text_free(&role->next);
    ctl_redis_end(&role->redis);
}

static int role_begin(struct role *role, const struct ctl_command *command, int argc, char **argv, size_t words)
{
    struct guard_error err = {0};
    struct guard_problems problems = {0};
    ctl_redis_init(&role->redis, command);
    int rc = ctl_redis_parse(&role->redis, argc, argv, NULL, ctl_words_expect(&role->words, words, words));
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&role->redis);
    if (rc != CTL_OK)
        return rc;
    role->name = words ? role->words.items[0] : "";
    int read = guard_home_version(role->redis.home, &role->version, &err);
    if (read == GUARD_OK && words)
        read = guard_home_read_one(role->redis.home, GUARD_KEY_ROLE, role->name, &role->now, &problems, &err);
    else if (read == GUARD_OK)
        read = guard_home_read(role->redis.home, GUARD_HOME_POLICY, &role->now, &problems, &err);
    ctl_redis_problems(&problems); /* fields that no policy can hold: a write drops them */
    guard_problems_free(&problems);
    return read == GUARD_OK ? CTL_OK : ctl_redis_fail(&role->redis, &err);
}

static int must_exist(struct role *role)
{
    return role->now.count ? CTL_OK : ctl_redis_refuse(&role->redis, "there is no role '%s'", role->name);
}

/* The role as it is but for one rule; value NULL: without it. */
static int copy_but(struct role *role, const char *rule, const char *value)
{
    int rc = GUARD_OK;
    for (size_t i = 0; i < role->now.count && rc == GUARD_OK; i++)
        if (strcmp(role->now.lines[i].field, rule) != 0)
            rc = guard_policy_text_add(&role->next, &role->now.lines[i]);
    struct guard_policy_line line = {
        .section = GUARD_SECTION_ROLE, .name = role->name, .field = rule, .value = value, .place = "role"};
    return rc == GUARD_OK && value ? guard_policy_text_add(&role->next, &line) : rc;
}

/* Verifies what shall be and writes it. */
static int role_write(struct role *role, const char *action, const char *detail, const char *done)
{
    struct guard_problems problems = {0};
    struct guard_home_change change = {0};
    int rc;
    if (role->next.count && ctl_policy_verify(&role->next, &problems) != GUARD_OK) {
        rc = ctl_redis_refuse_policy(&role->redis, "the role is not valid", &problems);
    } else {
        guard_home_change_section(&change, GUARD_KEY_ROLE, role->name, role->next.lines, role->next.count);
        rc = ctl_redis_commit(&role->redis, &change, action, detail, role->version, done);
    }
    guard_home_change_free(&change);
    guard_problems_free(&problems);
    return rc;
}

static int run_set(const struct ctl_command *command, int argc, char **argv)
{
    struct role role = {0};
    char detail[600];
    int rc = role_begin(&role, command, argc, argv, 3);
    if (rc == CTL_OK) {
        snprintf(detail, sizeof detail, "role %.100s: %.100s = %.300s", role.name, role.words.items[1],
                 role.words.items[2]);
        if (copy_but(&role, role.words.items[1], role.words.items[2]) != GUARD_OK)
            rc = ctl_redis_refuse(&role.redis, "out of memory");
    }
    if (rc == CTL_OK)
        rc = role_write(&role, "role set", detail, "the rule is set");
    role_end(&role);
    return rc;
}

const struct ctl_command ctl_role_set = {
    .name = "role set",
    .summary = "add a rule to a role, or change it",
    .usage = "usage: guardctl role set ROLE RULE_NAME RULE [OPTION]…\n"
             "\n"
             "  guardctl role set device telemetry 'allow publish devices/${username}/data'\n"
             "\n"
             "A role that does not exist yet is made.\n" CTL_REDIS_WRITE_HELP
             "\nExit code: 0 done; 1 refused (the rule has an error); 2 it cannot be done.\n",
    .run = run_set,
};

static bool has_rule(const struct role *role, const char *rule)
{
    for (size_t i = 0; i < role->now.count; i++)
        if (strcmp(role->now.lines[i].field, rule) == 0)
            return true;
    return false;
}

static int run_unset(const struct ctl_command *command, int argc, char **argv)
{
    struct role role = {0};
    char detail[300];
    int rc = role_begin(&role, command, argc, argv, 2);
    if (rc == CTL_OK)
        rc = must_exist(&role);
    if (rc == CTL_OK && !has_rule(&role, role.words.items[1]))
        rc = ctl_redis_refuse(&role.redis, "role '%s' has no rule '%s'", role.name, role.words.items[1]);
    if (rc == CTL_OK && copy_but(&role, role.words.items[1], NULL) != GUARD_OK)
        rc = ctl_redis_refuse(&role.redis, "out of memory");
    if (rc == CTL_OK) {
        snprintf(detail, sizeof detail, "role %.100s: %.100s", role.name, role.words.items[1]);
        rc = role_write(&role, "role unset", detail, "the rule is removed");
    }
    role_end(&role);
    return rc;
}

const struct ctl_command ctl_role_unset = {
    .name = "role unset",
    .summary = "remove a rule from a role",
    .usage = "usage: guardctl role unset ROLE RULE_NAME [OPTION]…\n\nRemoving the last rule removes the "
             "role.\n" CTL_REDIS_WRITE_HELP,
    .run = run_unset,
};

static int run_remove(const struct ctl_command *command, int argc, char **argv)
{
    struct role role = {0};
    char detail[300];
    int rc = role_begin(&role, command, argc, argv, 1);
    if (rc == CTL_OK)
        rc = must_exist(&role);
    if (rc == CTL_OK) {
        snprintf(detail, sizeof detail, "role %.200s", role.name);
        rc = role_write(&role, "role remove", detail, "the role is removed");
    }
    role_end(&role);
    return rc;
}

const struct ctl_command ctl_role_remove = {
    .name = "role remove",
    .summary = "remove a role",
    .usage = "usage: guardctl role remove ROLE [OPTION]…\n" CTL_REDIS_WRITE_HELP,
    .run = run_remove,
};

static void show_role(const struct role *role, struct guard_buffer *out)
{
    if (role->redis.json) {
        guard_buffer_text(out, "{\"role\":");
        ctl_json_text(out, role->name);
        guard_buffer_text(out, ",\"rules\":{");
    } else {
        guard_buffer_text(out, "[role ");
        guard_quoted_write(out, role->name, ";");
        guard_buffer_text(out, "]\n");
    }
    for (size_t i = 0; i < role->now.count; i++) {
        const struct guard_policy_line *line = &role->now.lines[i];
        if (role->redis.json) {
            guard_buffer_text(out, i ? "," : "");
            ctl_json_text(out, line->field);
            guard_buffer_byte(out, ':');
            ctl_json_text(out, line->value);
        } else {
            guard_quoted_write(out, line->field, ";=");
            guard_buffer_text(out, " = ");
            ctl_shown_text(out, line->value);
            guard_buffer_byte(out, '\n');
        }
    }
    if (role->redis.json)
        guard_buffer_text(out, "}}");
}

static int run_show(const struct ctl_command *command, int argc, char **argv)
{
    struct role role = {0};
    struct guard_buffer out = {0};
    int rc = role_begin(&role, command, argc, argv, 1);
    if (rc == CTL_OK)
        rc = must_exist(&role);
    if (rc == CTL_OK) {
        show_role(&role, &out);
        rc = ctl_redis_print(&role.redis, &out);
    }
    role_end(&role);
    return rc;
}

const struct ctl_command ctl_role_show = {
    .name = "role show",
    .summary = "show a role's rules",
    .usage = "usage: guardctl role show ROLE [OPTION]…\n" CTL_REDIS_HELP,
    .run = run_show,
};

static void list_roles(const struct role *role, struct guard_buffer *out)
{
    size_t listed = 0;
    guard_buffer_text(out, role->redis.json ? "[" : "");
    for (size_t i = 0, next; i < role->now.count; i = next) {
        const struct guard_policy_line *line = &role->now.lines[i];
        for (next = i + 1; next < role->now.count && strcmp(role->now.lines[next].name, line->name) == 0; next++)
            ;
        if (line->section != GUARD_SECTION_ROLE)
            continue;
        if (role->redis.json) {
            guard_buffer_text(out, listed ? ",{\"role\":" : "{\"role\":");
            ctl_json_text(out, line->name);
            guard_buffer_printf(out, ",\"rules\":%zu}", next - i);
        } else {
            guard_buffer_printf(out, "%6zu  ", next - i);
            ctl_shown_text(out, line->name);
            guard_buffer_byte(out, '\n');
        }
        listed++;
    }
    guard_buffer_text(out, role->redis.json ? "]" : "");
    if (!role->redis.json && !listed)
        guard_buffer_text(out, "no role\n");
}

static int run_list(const struct ctl_command *command, int argc, char **argv)
{
    struct role role = {0};
    struct guard_buffer out = {0};
    int rc = role_begin(&role, command, argc, argv, 0);
    if (rc == CTL_OK) {
        list_roles(&role, &out);
        rc = ctl_redis_print(&role.redis, &out);
    }
    role_end(&role);
    return rc;
}

const struct ctl_command ctl_role_list = {
    .name = "role list",
    .summary = "list the roles with their number of rules",
    .usage = "usage: guardctl role list [OPTION]…\n" CTL_REDIS_HELP,
    .run = run_list,
};
