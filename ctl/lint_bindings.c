/* guardctl lint: who holds which role, and whether its placeholders can be bound to them. */
#include "ctl/lint.h"

#include "core/nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A placeholder that rules of a role use, and the clients of the file it does not fit. */
struct use {
    const struct lint_rule *rule; /* the first that uses it */
    char *name;
    bool any, path, opens_topic; /* opens_topic: stands at the very beginning, where a value may not begin with '$' */
    size_t missing, unusable;
    char *missing_example, *unusable_example; /* user names */
};

struct role {
    const char *name;
    bool granted, everyone; /* everyone: among [default] roles */
    int32_t lowest, highest, everyone_priority;
    size_t first_use, use_count;
};

struct bindings {
    struct lint *lint;
    struct role *roles; /* sorted by name; those defined in the file */
    size_t role_count, role_capacity;
    struct use *uses; /* role by role */
    size_t use_count, use_capacity;
    const struct guard_policy_line *line; /* that grants are read from */
    size_t *client_roles;                 /* of the client that is looked at */
    size_t client_role_count, client_role_capacity;
    size_t clients;
};

static void *grow(struct lint *lint, void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    size_t more = *capacity ? *capacity * 2 : 32;
    void *grown = reallocarray(array, more, size);
    if (!grown) {
        lint->failed = true;
        return NULL;
    }
    *capacity = more;
    return grown;
}

/* ---- the roles and who has them ---- */

static bool add_role(void *data, const struct acl_role_info *info)
{
    struct bindings *b = data;
    if (info->missing)
        return true;
    struct role *grown = grow(b->lint, b->roles, b->role_count, &b->role_capacity, sizeof *grown);
    if (!grown)
        return false;
    b->roles = grown;
    b->roles[b->role_count++] = (struct role){.name = info->name};
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct role *)a)->name, ((const struct role *)b)->name);
}

static struct role *find_role(const struct bindings *b, const char *name)
{
    struct role wanted = {.name = name};
    return b->role_count ? bsearch(&wanted, b->roles, b->role_count, sizeof wanted, by_name) : NULL;
}

/* A grant in the file, by b->line. Returns the role if it is defined. */
static struct role *note_grant(struct bindings *b, const char *name, int32_t priority)
{
    struct role *role = find_role(b, name);
    if (!role) {
        lint_report(b->lint, LINT_UNDEFINED_ROLE, b->line->place, b->line->line,
                    "the role %s is bound here and not defined: it grants nothing. Add a section [role %s], or correct "
                    "the name",
                    name, name);
        return NULL;
    }
    if (!role->granted || priority < role->lowest)
        role->lowest = priority;
    if (!role->granted || priority > role->highest)
        role->highest = priority;
    role->granted = true;
    return role;
}

static int take_grant(void *data, const char *name, int32_t priority)
{
    struct bindings *b = data;
    struct role *role = note_grant(b, name, priority);
    if (role && b->line->section == GUARD_SECTION_DEFAULT) {
        role->everyone = true;
        role->everyone_priority = priority;
    }
    return GUARD_OK;
}

/* Where the roles of an assignment end: the word `when` outside quotes. */
static size_t roles_length(const char *value)
{
    bool quoted = false;
    for (size_t i = 0; value[i]; i++) {
        if (value[i] == '"' && (i == 0 || value[i - 1] != '\\'))
            quoted = !quoted;
        if (!quoted && i && strncmp(value + i, "when", 4) == 0 && strchr(" \t", value[i - 1]) && value[i + 4] &&
            strchr(" \t", value[i + 4]))
            return i;
    }
    return strlen(value);
}

static void read_grants(struct bindings *b, const struct guard_policy_line *line)
{
    bool names_roles = line->section == GUARD_SECTION_ASSIGN || strcmp(line->field, "roles") == 0;
    if (line->section == GUARD_SECTION_ROLE || !names_roles)
        return;
    size_t length = line->section == GUARD_SECTION_ASSIGN ? roles_length(line->value) : strlen(line->value);
    char *names = strndup(line->value, length);
    b->line = line;
    if (!names || guard_client_list_parse(names, true, take_grant, b, NULL) == GUARD_ERR_NOMEM)
        b->lint->failed = true;
    free(names);
}

static void collect_roles(struct bindings *b)
{
    const struct guard_policy_text *text = &b->lint->source->text;
    acl_policy_each_role(b->lint->source->policy, add_role, b);
    if (b->role_count)
        qsort(b->roles, b->role_count, sizeof *b->roles, by_name);
    for (size_t i = 0; i < text->count; i++)
        read_grants(b, &text->lines[i]);
}

/* ---- placeholders ---- */

static void add_use(struct bindings *b, struct role *role, struct use use)
{
    for (size_t i = role->first_use; i < role->first_use + role->use_count; i++) {
        const struct use *known = &b->uses[i];
        if (strcmp(known->name, use.name) == 0 && known->any == use.any && known->path == use.path &&
            known->opens_topic == use.opens_topic) {
            free(use.name);
            return;
        }
    }
    struct use *grown = grow(b->lint, b->uses, b->use_count, &b->use_capacity, sizeof *grown);
    if (!grown) {
        free(use.name);
        return;
    }
    b->uses = grown;
    b->uses[b->use_count++] = use;
    role->use_count++;
}

/* The placeholders of one rule's filter; `${$}` is none. */
static void read_placeholders(struct bindings *b, struct role *role, const struct lint_rule *rule)
{
    for (const char *p = rule->filter; (p = strstr(p, "${"));) {
        const char *name = p + 2, *end = strchr(name, '}');
        if (!end)
            return;
        size_t length = strcspn(name, "|}");
        struct use use = {.rule = rule, .opens_topic = p == rule->filter};
        use.any = strncmp(name + length, "|any", 4) == 0;
        use.path = strncmp(name + length, "|path", 5) == 0;
        if (strncmp(name, "$}", 2) != 0 && (use.name = strndup(name, length)))
            add_use(b, role, use);
        p = end + 1;
    }
}

/* Rules come role by role, so that the uses of a role lie together. */
static void collect_uses(struct bindings *b)
{
    struct role *role = NULL;
    for (size_t i = 0; i < b->lint->rule_count; i++) {
        const struct lint_rule *rule = &b->lint->rules[i];
        if (!role || strcmp(role->name, rule->info.role) != 0) {
            role = find_role(b, rule->info.role);
            if (!role)
                continue;
            role->first_use = b->use_count;
        }
        if (rule->info.has_placeholder)
            read_placeholders(b, role, rule);
    }
}

static bool usable(const struct use *use, const char *value)
{
    return *value && !strpbrk(value, use->path ? "+#" : "/+#") && !(use->opens_topic && *value == '$');
}

static void count_misfit(size_t *count, char **example, const char *username)
{
    if (!(*count)++)
        *example = strdup(username);
}

static void check_use(struct use *use, const struct guard_client_view *client)
{
    const char *value = NULL;
    if (strcmp(use->name, "username") == 0)
        value = client->username;
    else if (strncmp(use->name, "attr.", 5) == 0)
        value = guard_client_attribute(client, use->name + 5);
    else
        return; /* comes from the connection or its credential */
    if (!value)
        count_misfit(&use->missing, &use->missing_example, client->username);
    else if (!usable(use, value))
        count_misfit(&use->unusable, &use->unusable_example, client->username);
}

static void add_client_role(struct bindings *b, const struct role *role)
{
    size_t index = (size_t)(role - b->roles);
    for (size_t i = 0; i < b->client_role_count; i++)
        if (b->client_roles[i] == index)
            return;
    size_t *grown = grow(b->lint, b->client_roles, b->client_role_count, &b->client_role_capacity, sizeof *grown);
    if (!grown)
        return;
    b->client_roles = grown;
    b->client_roles[b->client_role_count++] = index;
}

static bool check_client(void *context, const struct guard_client_view *client)
{
    struct bindings *b = context;
    const char *cursor = NULL, *name;
    int32_t priority;
    b->clients++;
    b->client_role_count = 0;
    for (size_t i = 0; i < b->role_count; i++)
        if (b->roles[i].everyone)
            add_client_role(b, &b->roles[i]);
    while (guard_client_next_role(client, &cursor, &name, &priority)) {
        const struct role *role = find_role(b, name);
        if (role)
            add_client_role(b, role);
    }
    for (size_t i = 0; i < b->client_role_count; i++) {
        const struct role *role = &b->roles[b->client_roles[i]];
        for (size_t j = 0; j < role->use_count; j++)
            check_use(&b->uses[role->first_use + j], client);
    }
    return true;
}

/* ---- what is said ---- */

static const char unbindable_effect[] = "an allow with it matches nothing for them, and a deny any one level";

static void report_misfits(struct lint *lint, const struct use *use)
{
    const struct acl_rule_info *rule = &use->rule->info;
    if (use->missing)
        lint_report(lint, LINT_UNBINDABLE, rule->place, rule->line,
                    "%s uses ${%s}, which %zu of the clients that hold role %s do not have (%s): %s. Set %s in their "
                    "records, or take the role from them",
                    lint_rule_name(use->rule), use->name, use->missing, rule->role,
                    use->missing_example ? use->missing_example : "", unbindable_effect, use->name);
    if (use->unusable)
        lint_report(lint, LINT_UNBINDABLE, rule->place, rule->line,
                    "%s uses ${%s}, whose value cannot stand in a topic level for %zu of the clients that hold role %s "
                    "(%s): it is empty, holds / + or #, or begins with $ where the topic begins; %s. %s",
                    lint_rule_name(use->rule), use->name, use->unusable, rule->role,
                    use->unusable_example ? use->unusable_example : "", unbindable_effect,
                    use->path || strcmp(use->name, "username") == 0
                        ? "Change the value"
                        : "Change the value, or write |path if several levels are meant");
}

static bool attribute_is_set(const struct lint *lint, const char *name)
{
    for (size_t i = 0; i < lint->source->text.count; i++) {
        const struct guard_policy_line *line = &lint->source->text.lines[i];
        if (line->section == GUARD_SECTION_CLIENT && strcmp(line->field, name) == 0)
            return true;
    }
    return false;
}

/* Facts that commonly have several values, or one that is a list in words. */
static void report_ambiguous(struct lint *lint, const struct use *use)
{
    static const char *const several[] = {"cert.ou",    "jwt.aud",         "jwt.roles",
                                          "jwt.groups", "jwt.permissions", "jwt.amr"};
    const struct acl_rule_info *rule = &use->rule->info;
    bool listed = strncmp(use->name, "cert.san.", 9) == 0;
    for (size_t i = 0; i < sizeof several / sizeof *several; i++)
        listed = listed || strcmp(use->name, several[i]) == 0;
    if (listed && !use->any && !use->path)
        lint_report(
            lint, LINT_AMBIGUOUS, rule->place, rule->line,
            "%s uses ${%s}, which may have several values: then it is not bound at all. Write ${%s|any} if any one "
            "of them will do",
            lint_rule_name(use->rule), use->name, use->name);
    if (strcmp(use->name, "jwt.scope") == 0 || strcmp(use->name, "jwt.scp") == 0)
        lint_report(
            lint, LINT_AMBIGUOUS, rule->place, rule->line,
            "%s uses ${%s}, which is one text of words parted by blanks: as a topic level it is that whole text. "
            "Bind a role by an assignment instead: role when %s has \"word\"",
            lint_rule_name(use->rule), use->name, use->name);
    if (use->any && (strcmp(use->name, "username") == 0 || strcmp(use->name, "client_id") == 0))
        lint_report(lint, LINT_AMBIGUOUS, rule->place, rule->line,
                    "%s uses ${%s|any}, but a client has only one. Write ${%s}", lint_rule_name(use->rule), use->name,
                    use->name);
}

/* What auth/certificate.h makes of a client certificate. */
static const char *const certificate_facts[] = {
    "cert.cn",          "cert.ou",        "cert.o",       "cert.c",       "cert.serial",    "cert.sha256",
    "cert.spki.sha256", "cert.issuer.cn", "cert.san.dns", "cert.san.uri", "cert.san.email", "cert.san.upn",
};
#define CERTIFICATE_FACTS (sizeof certificate_facts / sizeof *certificate_facts)

static void report_unknown_fact(struct lint *lint, const struct use *use)
{
    const struct acl_rule_info *rule = &use->rule->info;
    if (strncmp(use->name, "cert.", 5) != 0)
        return;
    for (size_t i = 0; i < CERTIFICATE_FACTS; i++)
        if (strcmp(use->name, certificate_facts[i]) == 0)
            return;
    lint_report(lint, LINT_UNBINDABLE, rule->place, rule->line,
                "%s uses ${%s}, which is no fact of a certificate: it can never be bound. Did you mean ${%s}?",
                lint_rule_name(use->rule), use->name, guard_nearest(use->name, certificate_facts, CERTIFICATE_FACTS));
}

static void report_use(struct lint *lint, const struct use *use)
{
    const struct acl_rule_info *rule = &use->rule->info;
    if (strncmp(use->name, "attr.", 5) == 0 && !attribute_is_set(lint, use->name))
        lint_report(lint, LINT_UNBINDABLE, rule->place, rule->line,
                    "%s uses ${%s}, which no client of this file has: it can never be bound, unless cert_identity "
                    "captures it. Set %s in the client records, or use another placeholder",
                    lint_rule_name(use->rule), use->name, use->name);
    else
        report_misfits(lint, use);
    report_ambiguous(lint, use);
    report_unknown_fact(lint, use);
}

static void report_unused(const struct bindings *b)
{
    for (size_t i = 0; i < b->lint->source->text.count; i++) {
        const struct guard_policy_line *line = &b->lint->source->text.lines[i];
        struct role *role = line->section == GUARD_SECTION_ROLE ? find_role(b, line->name) : NULL;
        if (!role || role->granted)
            continue;
        role->granted = true; /* once is enough */
        lint_report(b->lint, LINT_UNUSED_ROLE, line->place, line->line,
                    "nobody in this file holds role %s. Bind it (roles of a client, [assign], roles of [default]) or "
                    "remove it; if tokens name it, --ignore unused-role",
                    role->name);
    }
}

static void fill_rules(const struct bindings *b)
{
    for (size_t i = 0; i < b->lint->rule_count; i++) {
        struct lint_rule *rule = &b->lint->rules[i];
        const struct role *role = find_role(b, rule->info.role);
        if (!role)
            continue;
        rule->everyone = role->everyone;
        rule->lowest = role->everyone ? role->everyone_priority : role->lowest;
        rule->highest = role->highest;
    }
}

static void bindings_free(struct bindings *b)
{
    for (size_t i = 0; i < b->use_count; i++) {
        free(b->uses[i].name);
        free(b->uses[i].missing_example);
        free(b->uses[i].unusable_example);
    }
    free(b->uses);
    free(b->roles);
    free(b->client_roles);
}

void lint_check_bindings(struct lint *lint)
{
    struct bindings b = {.lint = lint};
    collect_roles(&b);
    collect_uses(&b);
    fill_rules(&b);
    guard_clients_each(lint->source->clients, check_client, &b);
    for (size_t i = 0; i < b.use_count; i++)
        report_use(lint, &b.uses[i]);
    report_unused(&b);
    bindings_free(&b);
}
