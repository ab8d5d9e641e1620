/* guardctl import go-auth: the Redis data of mosquitto-go-auth becomes a policy. */
#include "ctl/commands.h"

#include "auth/password.h"
#include "core/memory.h"
#include "core/quoted.h"
#include "ctl/goauth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUPERUSER "superuser"
#define COMMON    "common"

struct run {
    struct ctl_import import;
    struct goauth goauth;
    bool superusers; /* somebody is one */
    bool bound;      /* there are placeholders */
};

static void note(struct run *run, enum guard_note_kind kind, const char *place, const char *text, const char *more)
{
    guard_translation_note(&run->import.translation, kind, place, 0, "%s: %s", text, more);
}

static void note_filter(struct run *run, enum guard_note_kind kind, const char *place, const char *filter,
                        const char *more)
{
    note(run, kind, place, filter, more);
    guard_translation_stricter(&run->import.translation, filter, NULL);
}

/* ---- rules ---- */

static const struct {
    enum goauth_kind kind;
    const char *label, *text;
} kinds[] = {{GOAUTH_WACLS, "write", "allow publish"},
             {GOAUTH_RACLS, "read", "allow receive"},
             {GOAUTH_RWACLS, "readwrite", "allow publish,receive"},
             {GOAUTH_SACLS, "subscribe", "allow subscribe-only"}};

/* What mosquitto-go-auth granted besides, by comparing a SUBSCRIBE with the filter as if it were a topic. */
static void note_differences(struct run *run, const char *place, enum goauth_kind kind, const char *filter)
{
    size_t length = strlen(filter);
    bool plus_last = length && filter[length - 1] == '+' && (length == 1 || filter[length - 2] == '/');
    bool plus_hash = length >= 3 && strcmp(filter + length - 3, "+/#") == 0;
    if (kind == GOAUTH_SACLS && (plus_last || plus_hash))
        note_filter(run, GUARD_NOTE_STRICTER, place, filter,
                    "it also let a SUBSCRIBE with # in place of the + pass, which asks for more than it says");
    if (filter[0] == '+' && (!filter[1] || filter[1] == '/'))
        note_filter(run, GUARD_NOTE_STRICTER, place, filter,
                    "its first + also stood for levels that begin with $ ($SYS)");
    if (strcmp(filter, "#") == 0)
        note(run, GUARD_NOTE_REMARK, place, filter,
             "becomes **: it gave topics that begin with $, too; write # if that was not meant");
}

static void add_rule(struct run *run, const char *role, size_t which, size_t number, const struct foreign_key *key)
{
    const char *filter = key->values[number];
    bool everybody = strcmp(role, COMMON) == 0, all = strcmp(filter, "#") == 0;
    bool subscribes = kinds[which].kind == GOAUTH_SACLS, shared = false;
    struct guard_buffer topic = {0};
    const char *behind = filter, *group = "$share/+/";
    if (subscribes && strncmp(filter, group, strlen(group)) == 0) {
        behind = filter + strlen(group);
        shared = true;
    }
    const char *fault = NULL;
    if (subscribes && !shared && strncmp(filter, "$share/", 7) == 0)
        fault = "a rule cannot be for one shared group; for all of them, write its topic with share=yes";
    else if (all)
        guard_buffer_text(&topic, "**");
    else
        fault = foreign_template(&topic, behind, everybody ? FOREIGN_PERCENT : FOREIGN_LITERAL);
    if (fault) {
        note_filter(run, GUARD_NOTE_LEFT_OUT, key->name, filter, fault);
    } else {
        note_differences(run, key->name, kinds[which].kind, behind);
        run->bound = run->bound || (everybody && strchr(filter, '%'));
        foreign_rule_add(&run->import.translation,
                         &(struct foreign_rule){.role = role,
                                                .label = kinds[which].label,
                                                .number = number + 1,
                                                .text = kinds[which].text,
                                                .topic = topic.data ? topic.data : "",
                                                .conditions = shared               ? " share=yes"
                                                              : subscribes && !all ? " share=no"
                                                                                   : "",
                                                .place = key->name});
    }
    guard_buffer_free(&topic);
}

/* True if the role has rules now. */
static bool add_role(struct run *run, const char *role, const struct foreign_key *const *keys)
{
    size_t before = run->import.translation.text.count;
    for (size_t which = 0; which < sizeof kinds / sizeof *kinds; which++) {
        const struct foreign_key *key = keys[kinds[which].kind];
        for (size_t i = 0; key && i < key->count; i++)
            add_rule(run, role, which, i, key);
    }
    return run->import.translation.text.count > before;
}

/* ---- users ---- */

static void add_password(struct run *run, const struct goauth_user *user)
{
    const struct foreign_key *key = user->keys[GOAUTH_PASSWORD];
    struct guard_error err = {0};
    char *stored = NULL;
    const char *hash = key && key->count ? key->values[0] : NULL;
    int rc = GUARD_OK;
    if (!hash)
        return;
    if (strncmp(hash, "PBKDF2$", 7) == 0) {
        rc = foreign_pbkdf2(hash, run->goauth.salt, true, &stored, &err);
        hash = stored;
    }
    if (rc == GUARD_OK)
        rc = auth_password_check(hash, &err);
    if (rc == GUARD_OK)
        foreign_client_add(&run->import.translation, key->name, user->name, "password", hash);
    else
        note(run, GUARD_NOTE_LEFT_OUT, key->name, "the password must be set anew", err.text);
    guard_free_string(&stored);
}

static void add_user(struct run *run, const struct goauth_user *user)
{
    struct guard_translation *translation = &run->import.translation;
    const struct foreign_key *su = user->keys[GOAUTH_SUPERUSER];
    bool superuser = su && su->count && strcmp(su->values[0], "true") == 0;
    struct guard_buffer role = {0}, roles = {0};
    guard_buffer_text(&role, "user:");
    guard_buffer_text(&role, user->name);
    if (!role.failed && add_role(run, role.data, user->keys))
        guard_quoted_write(&roles, role.data, ",:");
    if (superuser && run->goauth.no_superusers) {
        note(run, GUARD_NOTE_REMARK, su->name, "no superuser", "superusers were switched off");
    } else if (superuser) {
        guard_buffer_text(&roles, roles.length ? ", " SUPERUSER : SUPERUSER);
        run->superusers = true;
    } else if (su && su->count && strcmp(su->values[0], "false") != 0) {
        note(run, GUARD_NOTE_REMARK, su->name, "no superuser", "its value is not exactly true");
    }
    add_password(run, user);
    if (roles.length && !roles.failed)
        foreign_client_add(translation, user->keys[GOAUTH_PASSWORD] ? user->keys[GOAUTH_PASSWORD]->name : user->name,
                           user->name, "roles", roles.data);
    translation->failed = translation->failed || role.failed || roles.failed;
    guard_buffer_free(&role);
    guard_buffer_free(&roles);
}

/* Users whose names cannot stand in a level of a topic. */
static void note_unbindable(struct run *run)
{
    struct guard_translation *translation = &run->import.translation;
    size_t count = 0;
    for (size_t i = 0; i < run->goauth.user_count; i++) {
        const char *name = run->goauth.users[i].name;
        if (!strpbrk(name, "/+#") && name[0] != '$')
            continue;
        guard_translation_stricter(translation, NULL, name);
        count++;
    }
    if (count)
        guard_translation_note(
            translation, GUARD_NOTE_STRICTER, "common", 0,
            "%zu users have '/', '+' or '#' in their names, or begin with '$': %%u does not stand for "
            "them any more, and they are refused at CONNECT (identity_check)",
            count);
}

static void add_common(struct run *run)
{
    struct guard_translation *translation = &run->import.translation;
    bool rules = add_role(run, COMMON, run->goauth.common);
    if (run->superusers)
        foreign_rule_add(translation, &(struct foreign_rule){.role = SUPERUSER,
                                                             .label = "everything",
                                                             .number = 1,
                                                             .text = "allow all",
                                                             .topic = "**",
                                                             .conditions = "",
                                                             .place = "superusers"});
    if (rules)
        guard_translation_add(
            translation,
            &(struct guard_policy_line){
                .section = GUARD_SECTION_DEFAULT, .name = "", .field = "roles", .value = COMMON, .place = "common"});
    if (run->bound)
        note_unbindable(run);
    note(run, GUARD_NOTE_REMARK, "tokens", "mosquitto-go-auth takes a JWT as user name",
         "here it is the password; jwt_in_username helps while clients change");
}

static int read_source(struct run *run, const struct foreign_source *source, const char *encoding)
{
    static const char *const everything[] = {"*", NULL};
    struct guard_error err = {0};
    if (strcmp(encoding, "base64") != 0 && strcmp(encoding, "utf-8") != 0)
        return ctl_usage_error(run->import.command, "--salt-encoding takes base64 or utf-8");
    run->goauth.salt = strcmp(encoding, "utf-8") == 0 ? FOREIGN_SALT_TEXT : FOREIGN_SALT_BASE64;
    if (foreign_read(source, everything, &run->goauth.data, &err) != GUARD_OK)
        return ctl_redis_fail(&run->import.redis, &err);
    if (!goauth_sort(&run->goauth, &run->import.translation))
        return ctl_usage_error(run->import.command, "out of memory");
    for (size_t i = 0; i < run->goauth.user_count; i++)
        add_user(run, &run->goauth.users[i]);
    add_common(run);
    return CTL_OK;
}

/* ---- --verify ---- */

static size_t collect(struct foreign_filter *filters, size_t count, const struct foreign_key *const *keys, size_t owner)
{
    for (int kind = GOAUTH_SACLS; kind < GOAUTH_KINDS; kind++)
        for (size_t i = 0; keys[kind] && i < keys[kind]->count; i++) {
            if (filters)
                filters[count] = (struct foreign_filter){keys[kind]->values[i], owner};
            count++;
        }
    return count;
}

static size_t collect_all(const struct goauth *goauth, struct foreign_filter *filters)
{
    size_t count = 0;
    for (size_t i = 0; i < goauth->user_count; i++)
        count = collect(filters, count, goauth->users[i].keys, i);
    return collect(filters, count, goauth->common, SIZE_MAX);
}

static int verify(struct ctl_import *import, const struct acl_policy *policy, void *context)
{
    struct goauth *goauth = context;
    size_t count = collect_all(goauth, NULL);
    struct foreign_filter *filters = calloc(count + 1, sizeof *filters);
    const char **users = calloc(goauth->user_count + 1, sizeof *users);
    int rc = CTL_USAGE;
    for (size_t i = 0; users && i < goauth->user_count; i++)
        users[i] = goauth->users[i].name;
    if (filters && users) {
        collect_all(goauth, filters);
        rc = foreign_verify(import, policy,
                            &(struct foreign_trial){.users = users,
                                                    .user_count = goauth->user_count,
                                                    .filters = filters,
                                                    .filter_count = count,
                                                    .allowed = goauth_allowed,
                                                    .context = goauth});
    }
    free(filters);
    free(users);
    return rc;
}

static int run_command(const struct ctl_command *command, int argc, char **argv)
{
    struct run run = {0};
    struct foreign_source source = {0};
    const char *encoding = "base64";
    const struct ctl_option own[] = {FOREIGN_OPTIONS(&source),
                                     {"salt-encoding", CTL_TEXT, &encoding},
                                     {"no-superusers", CTL_FLAG, &run.goauth.no_superusers},
                                     {NULL, CTL_FLAG, NULL}};
    ctl_import_init(&run.import, command);
    int rc = ctl_import_parse(&run.import, argc, argv, own);
    if (rc == CTL_OK)
        rc = read_source(&run, &source, encoding);
    rc = ctl_import_finish(&run.import, rc, verify, &run.goauth);
    goauth_free(&run.goauth);
    return rc;
}

const struct ctl_command ctl_import_goauth = {
    .name = "import go-auth",
    .summary = "make a policy of the Redis data of mosquitto-go-auth",
    .usage =
        "usage: guardctl import go-auth --from URL [OPTION]…\n"
        "\n" FOREIGN_HELP
        "  --salt-encoding base64|utf-8   redis_salt_encoding, or hasher_salt_encoding, of mosquitto.conf (base64)\n"
        "  --no-superusers       redis_disable_superuser, or disable_superuser, was true\n" CTL_IMPORT_HELP,
    .run = run_command,
};
