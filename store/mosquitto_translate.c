#include "store/mosquitto_files.h"
#include "store/mosquitto_filter.h"

#include "core/file.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LIMIT    900 /* octets of a user name that still makes a role's name */
#define ROLE_PATTERNS "patterns"
#define ROLE_OF_USERS "user-patterns" /* patterns with %u say nothing about clients without a user name */
#define ROLE_NAMELESS "anonymous"
#define ROLE_CLOSED   "no-patterns" /* what the broker does to names that hold a wildcard */

/* Who stands in either file, sorted by name. */
struct user {
    const char *name;
    const struct guard_mosquitto_password *password; /* NULL: not in the password file */
    bool ruled;                                      /* has lines in the acl_file */
    unsigned line;                                   /* the first of them */
};

struct translating {
    const struct guard_mosquitto_files *files;
    struct guard_translation *out;
    struct guard_mosquitto_passwords passwords;
    struct guard_mosquitto_rules rules;
    struct user *users;
    size_t user_count;
    struct guard_buffer name, value, filter; /* scratch */
};

/* ---- roles ---- */

static bool fits_a_role_name(const char *user)
{
    for (const char *at = user; *at; at++)
        if (*at == ']')
            return false;
    return strlen(user) <= NAME_LIMIT;
}

/* Of a user whose name fits. */
static const char *role_of(struct translating *t, const char *user)
{
    guard_buffer_clear(&t->name);
    guard_buffer_text(&t->name, "user:");
    guard_buffer_text(&t->name, user);
    return t->name.failed ? "" : t->name.data;
}

static void add_line(struct translating *t, const struct guard_policy_line *line)
{
    if (t->name.failed || t->value.failed || t->filter.failed)
        t->out->failed = true;
    guard_translation_add(t->out, line);
}

static const char *effect_of(enum guard_mosquitto_access access)
{
    static const char *const effects[] = {"deny all ", "allow subscribe ", "allow publish ",
                                          "allow publish,subscribe "};
    return effects[access];
}

/* The rule as the value of a line, in t->value. False: there is none to write. */
static bool write_rule(struct translating *t, const struct guard_mosquitto_rule *rule)
{
    const char *why = NULL, *place = t->files->acl_file;
    bool deny = rule->access == GUARD_MOSQUITTO_DENY;
    guard_buffer_clear(&t->filter);
    enum guard_filter_fit fit = guard_mosquitto_filter(rule, t->files->version, &t->filter, &why);
    if (fit == GUARD_FILTER_NEVER)
        guard_translation_note(t->out, GUARD_NOTE_REMARK, place, rule->line,
                               "no topic can match this filter; it is left out");
    else if (fit == GUARD_FILTER_WIDENED && !deny)
        guard_translation_note(t->out, GUARD_NOTE_LEFT_OUT, place, rule->line, "'%.128s' grants nothing: %s",
                               rule->topic, why);
    else if (fit == GUARD_FILTER_WIDENED)
        guard_translation_note(t->out, GUARD_NOTE_STRICTER, place, rule->line, "'%.128s' denies '%.128s': %s",
                               rule->topic, t->filter.failed ? "" : t->filter.data, why);
    if (fit == GUARD_FILTER_WIDENED)
        guard_translation_stricter(t->out, deny ? t->filter.data : rule->topic, NULL);
    if (fit == GUARD_FILTER_NEVER || (fit == GUARD_FILTER_WIDENED && !deny))
        return false;
    guard_buffer_clear(&t->value);
    guard_buffer_text(&t->value, effect_of(rule->access));
    if (!t->filter.failed)
        guard_template_write(&t->value, t->filter.data, t->filter.length);
    return true;
}

static bool is_of_users(const struct guard_mosquitto_rule *rule)
{
    return rule->pattern && strstr(rule->topic, "%u");
}

static const char *role_for(struct translating *t, const struct guard_mosquitto_rule *rule)
{
    if (rule->pattern)
        return is_of_users(rule) ? ROLE_OF_USERS : ROLE_PATTERNS;
    return rule->user ? role_of(t, rule->user) : ROLE_NAMELESS;
}

static void add_rule(struct translating *t, const struct guard_mosquitto_rule *rule)
{
    char field[32];
    if (rule->user && guard_topic_impossible(rule->user, strlen(rule->user))) {
        guard_translation_note(t->out, GUARD_NOTE_REMARK, t->files->acl_file, rule->line,
                               "no client can have this user name: it is not UTF-8, or holds a control character");
        return;
    }
    if (rule->user && !fits_a_role_name(rule->user))
        return; /* told with the user */
    if (rule->pattern && !strstr(rule->topic, "%u") && !strstr(rule->topic, "%c"))
        guard_translation_note(t->out, GUARD_NOTE_REMARK, t->files->acl_file, rule->line,
                               "this pattern has neither %%u nor %%c: it holds for everybody alike");
    if (!write_rule(t, rule))
        return;
    snprintf(field, sizeof field, "line-%u", rule->line);
    add_line(t, &(struct guard_policy_line){.section = GUARD_SECTION_ROLE,
                                            .name = role_for(t, rule),
                                            .field = field,
                                            .value = t->value.data,
                                            .place = t->files->acl_file,
                                            .line = rule->line});
}

/* The anonymous part first, then the users in order of their names, then patterns; each in the file's order. */
static int compare_rules(const void *left, const void *right)
{
    const struct guard_mosquitto_rule *a = left, *b = right;
    if (a->pattern != b->pattern)
        return a->pattern ? 1 : -1;
    if (!a->user != !b->user)
        return a->user ? 1 : -1;
    if (is_of_users(a) != is_of_users(b))
        return is_of_users(a) ? 1 : -1;
    int order = a->user ? strcmp(a->user, b->user) : 0;
    return order ? order : a->line < b->line ? -1 : a->line > b->line;
}

static void add_roles(struct translating *t)
{
    if (t->rules.count)
        qsort(t->rules.items, t->rules.count, sizeof *t->rules.items, compare_rules);
    for (size_t i = 0; i < t->rules.count; i++)
        add_rule(t, &t->rules.items[i]);
}

/* ---- users ---- */

static int compare_users(const void *left, const void *right)
{
    const struct user *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    unsigned first = a->password ? a->password->line : 0, second = b->password ? b->password->line : 0;
    return order ? order : first < second ? -1 : first > second;
}

/* Says that a user stands twice in the password file: the broker keeps the last one (2.0), or refuses the file. */
static void twice(struct translating *t, const struct user *user)
{
    bool fatal = t->files->version == GUARD_MOSQUITTO_2_1;
    guard_translation_note(t->out, fatal ? GUARD_NOTE_ERROR : GUARD_NOTE_REMARK, t->files->password_file,
                           user->password->line, "user '%.128s' stands twice in this file%s", user->name,
                           fatal ? "" : "; the last line counts");
}

static void merge_users(struct translating *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->user_count; i++) {
        struct user *user = &t->users[i], *last = kept ? &t->users[kept - 1] : NULL;
        if (!last || strcmp(last->name, user->name) != 0) {
            t->users[kept++] = *user;
            continue;
        }
        if (user->password && last->password)
            twice(t, user);
        if (user->password)
            last->password = user->password;
        if (user->ruled && (!last->ruled || user->line < last->line))
            last->line = user->line;
        last->ruled |= user->ruled;
    }
    t->user_count = kept;
}

static bool collect_users(struct translating *t)
{
    t->users = calloc(t->passwords.count + t->rules.count + 1, sizeof *t->users);
    if (!t->users)
        return false;
    for (size_t i = 0; i < t->passwords.count; i++)
        t->users[t->user_count++] =
            (struct user){.name = t->passwords.items[i].name, .password = &t->passwords.items[i]};
    for (size_t i = 0; i < t->rules.count; i++)
        if (t->rules.items[i].user && !guard_topic_impossible(t->rules.items[i].user, strlen(t->rules.items[i].user)))
            t->users[t->user_count++] =
                (struct user){.name = t->rules.items[i].user, .ruled = true, .line = t->rules.items[i].line};
    qsort(t->users, t->user_count, sizeof *t->users, compare_users);
    merge_users(t);
    return true;
}

/* Whether the hash may be used; the broker passes over others (2.0), or refuses the file. */
static bool hash_is_good(struct translating *t, const struct user *user)
{
    struct guard_error err = {0};
    bool fatal = t->files->version == GUARD_MOSQUITTO_2_1;
    if (!t->files->check_hash || t->files->check_hash(user->password->hash, &err) == GUARD_OK)
        return true;
    guard_translation_note(t->out, fatal ? GUARD_NOTE_ERROR : GUARD_NOTE_LEFT_OUT, t->files->password_file,
                           user->password->line, "user '%.128s' cannot log in: %s", user->name, err.text);
    return false;
}

static void add_user(struct translating *t, const struct user *user)
{
    const char *place = user->password ? t->files->password_file : t->files->acl_file;
    unsigned line = user->password ? user->password->line : user->line;
    if (user->ruled && !fits_a_role_name(user->name)) {
        guard_translation_note(t->out, GUARD_NOTE_STRICTER, t->files->acl_file, user->line,
                               "user '%.64s' is disabled: a role's name can hold no ']', and "
                               "at most %d octets of a user name",
                               user->name, NAME_LIMIT);
        guard_translation_stricter(t->out, NULL, user->name);
        add_line(t, &(struct guard_policy_line){.section = GUARD_SECTION_CLIENT,
                                                .name = user->name,
                                                .field = "disabled",
                                                .value = "yes",
                                                .place = place,
                                                .line = line});
        return;
    }
    bool password = user->password && hash_is_good(t, user);
    if (password)
        add_line(t, &(struct guard_policy_line){.section = GUARD_SECTION_CLIENT,
                                                .name = user->name,
                                                .field = "password",
                                                .value = user->password->hash,
                                                .place = place,
                                                .line = line});
    if (user->ruled) {
        const char *role = role_of(t, user->name);
        guard_buffer_clear(&t->value);
        guard_buffer_json_string(&t->value, role, strlen(role));
        guard_buffer_text(&t->value, ":1");
        add_line(t, &(struct guard_policy_line){.section = GUARD_SECTION_CLIENT,
                                                .name = user->name,
                                                .field = "roles",
                                                .value = t->value.failed ? "" : t->value.data,
                                                .place = place,
                                                .line = line});
    }
}

/* ---- the whole ---- */

/* Which kinds of rules there are. */
struct kinds {
    bool nameless, patterns, of_users;
    unsigned line; /* of the first pattern, or of the first line there is */
};

static struct kinds kinds_of(const struct guard_mosquitto_rules *rules)
{
    struct kinds kinds = {0};
    for (size_t i = 0; i < rules->count; i++) {
        const struct guard_mosquitto_rule *rule = &rules->items[i];
        kinds.nameless |= !rule->pattern && !rule->user;
        kinds.of_users |= is_of_users(rule);
        kinds.patterns |= rule->pattern && !is_of_users(rule);
        if (!kinds.line)
            kinds.line = rule->line;
    }
    return kinds;
}

static void assign(struct translating *t, const char *field, const char *value, unsigned line)
{
    add_line(t, &(struct guard_policy_line){.section = GUARD_SECTION_ASSIGN,
                                            .name = "",
                                            .field = field,
                                            .value = value,
                                            .place = t->files->acl_file,
                                            .line = line});
}

/* No pattern holds for a client whose user name or client id has a wildcard in it. */
static void close_wildcard_names(struct translating *t, unsigned line)
{
    add_line(t, &(struct guard_policy_line){.section = GUARD_SECTION_ROLE,
                                            .name = ROLE_CLOSED,
                                            .field = "everything",
                                            .value = "deny all **",
                                            .place = t->files->acl_file,
                                            .line = line});
    assign(t, "wildcard-names-1", ROLE_CLOSED " when username contains \"+\"", line);
    assign(t, "wildcard-names-2", ROLE_CLOSED " when username contains \"#\"", line);
    assign(t, "wildcard-names-3", ROLE_CLOSED " when client_id contains \"+\" and named", line);
    assign(t, "wildcard-names-4", ROLE_CLOSED " when client_id contains \"#\" and named", line);
    if (t->files->anonymous) {
        assign(t, "wildcard-names-5", ROLE_CLOSED " when client_id contains \"+\" and anonymous", line);
        assign(t, "wildcard-names-6", ROLE_CLOSED " when client_id contains \"#\" and anonymous", line);
    }
}

/* What the broker puts into a pattern all the same, or passes over; the plugin refuses such a name at CONNECT. */
static void note_odd_names(struct translating *t)
{
    for (size_t i = 0; i < t->user_count; i++) {
        const struct user *user = &t->users[i];
        if (!strpbrk(user->name, "/+#") && user->name[0] != '$')
            continue;
        guard_translation_note(t->out, GUARD_NOTE_STRICTER,
                               user->password ? t->files->password_file : t->files->acl_file,
                               user->password ? user->password->line : user->line,
                               "user '%.64s' is refused at CONNECT, or with `identity_check log` gets nothing from "
                               "patterns with %%u: its name cannot stand in a level of a topic",
                               user->name);
        guard_translation_stricter(t->out, NULL, user->name);
    }
}

static void add_bindings(struct translating *t)
{
    struct kinds kinds = kinds_of(&t->rules);
    if (kinds.of_users)
        note_odd_names(t);
    if (kinds.patterns || kinds.of_users)
        close_wildcard_names(t, kinds.line);
    if (t->files->anonymous && kinds.nameless)
        assign(t, ROLE_NAMELESS, ROLE_NAMELESS ":1 when anonymous", kinds.line);
    else if (t->files->anonymous && kinds.patterns)
        assign(t, ROLE_NAMELESS, ROLE_PATTERNS " when anonymous", kinds.line);
    if (kinds.of_users)
        assign(t, ROLE_OF_USERS, ROLE_OF_USERS " when named", kinds.line);
    if (kinds.patterns)
        add_line(t, &(struct guard_policy_line){.section = GUARD_SECTION_DEFAULT,
                                                .name = "",
                                                .field = "roles",
                                                .value = ROLE_PATTERNS,
                                                .place = t->files->acl_file,
                                                .line = 0});
    if (t->files->acl_file && *t->files->acl_file)
        add_line(t, &(struct guard_policy_line){.section = GUARD_SECTION_DEFAULT,
                                                .name = "",
                                                .field = "mode",
                                                .value = "off",
                                                .place = t->files->acl_file,
                                                .line = 0});
}

static void translate(struct translating *t)
{
    if (!collect_users(t)) {
        t->out->failed = true;
        return;
    }
    for (size_t i = 0; i < t->user_count; i++)
        add_user(t, &t->users[i]);
    add_roles(t);
    add_bindings(t);
}

static int read_content(const char *path, char **content, size_t *length, struct guard_error *err)
{
    return path && *path ? guard_file_read(path, GUARD_FILE_PUBLIC, GUARD_MOSQUITTO_FILE_MAX, content, length, err)
                         : GUARD_OK;
}

int guard_mosquitto_files_read(const struct guard_mosquitto_files *files, struct guard_translation *out,
                               struct guard_error *err)
{
    struct translating t = {.files = files, .out = out};
    char *passwords = NULL, *rules = NULL;
    size_t password_length = 0, rule_length = 0;
    int rc = read_content(files->password_file, &passwords, &password_length, err);
    if (rc == GUARD_OK)
        rc = read_content(files->acl_file, &rules, &rule_length, err);
    if (rc == GUARD_OK && passwords)
        guard_mosquitto_parse_passwords(passwords, password_length, files->password_file, files->version, &t.passwords,
                                        out);
    if (rc == GUARD_OK && rules)
        guard_mosquitto_parse_rules(rules, rule_length, files->acl_file, &t.rules, out);
    if (rc == GUARD_OK)
        translate(&t);
    free(t.users);
    free(t.passwords.items);
    free(t.rules.items);
    guard_buffer_free(&t.name);
    guard_buffer_free(&t.value);
    guard_buffer_free(&t.filter);
    if (passwords)
        guard_free_secret(&passwords, password_length);
    free(rules);
    if (rc == GUARD_OK && out->failed)
        rc = guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    return rc == GUARD_OK && out->counts[GUARD_NOTE_ERROR] ? GUARD_ERR_SYNTAX : rc;
}
