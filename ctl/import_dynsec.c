/*
 * guardctl import dynamic-security: the JSON file of Mosquitto's own plugin becomes a policy. Its order (a client's
 * roles, then its groups' roles, by priority and name; in a role by priority and place; the first match decides)
 * becomes ranks: roles are bound with descending priorities, and rules of a role that do not all say the same have
 * descending ones.
 */
#include "ctl/commands.h"

#include "auth/password.h"
#include "core/file.h"
#include "core/json.h"
#include "core/quoted.h"
#include "ctl/import_dynsec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX   ((size_t)256 << 20)
#define NO_CONTROL "no-control"

struct run {
    struct ctl_import import;
    struct dynsec_source source;
    const struct guard_json *roles, *groups;
};

/* Something with a priority. */
struct item {
    const char *name;
    const struct guard_json *value;
    int64_t priority;
    size_t order;
};

struct items {
    struct item *list;
    size_t count;
};

static const char *text_of(const struct guard_json *object, const char *name)
{
    return guard_json_string(guard_json_get(object, name));
}

static int64_t priority_of(const struct guard_json *object, int64_t otherwise)
{
    int64_t value = otherwise;
    guard_json_integer(guard_json_get(object, "priority"), &value);
    return value > 100000 ? 100000 : value < -100000 ? -100000 : value;
}

static void note(struct run *run, enum guard_note_kind kind, const char *what, const char *name, const char *text)
{
    guard_translation_note(&run->import.translation, kind, run->source.file, 0, "%s '%s': %s", what, name, text);
}

static void add_item(struct run *run, struct items *items, const struct item *item)
{
    struct item *list = reallocarray(items->list, items->count + 1, sizeof *list);
    if (!list) {
        run->import.translation.failed = true;
        return;
    }
    items->list = list;
    list[items->count] = *item;
    list[items->count].order = items->count;
    items->count++;
}

static int by_priority(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int names = x->name && y->name ? strcmp(x->name, y->name) : 0;
    return x->priority != y->priority ? (x->priority > y->priority ? -1 : 1)
           : names                    ? names
                                      : (x->order > y->order) - (x->order < y->order);
}

static void sort(struct items *items)
{
    if (items->count)
        qsort(items->list, items->count, sizeof *items->list, by_priority);
}

/* The first element of array whose member `key` is name, or NULL. */
static const struct guard_json *named(const struct guard_json *array, const char *key, const char *name)
{
    for (const struct guard_json *at = guard_json_first(array); at; at = guard_json_next(at)) {
        const char *text = text_of(at, key);
        if (text && strcmp(text, name) == 0)
            return at;
    }
    return NULL;
}

/* ---- rules ---- */

/* %u and %c stand for something only in 2.1, and only as a whole level. */
static const char *template_of(struct run *run, struct guard_buffer *out, const char *filter)
{
    bool placeholders = false;
    for (const char *at = filter; run->source.newer && (at = strchr(at, '%')) != NULL; at++)
        if (at[1] == 'u' || at[1] == 'c') {
            placeholders = true;
            if ((at > filter && at[-1] != '/') || (at[2] && at[2] != '/'))
                return "it has %u or %c in a part of a level, which is literal there";
        }
    return foreign_template(out, filter, placeholders ? FOREIGN_PERCENT : FOREIGN_LITERAL);
}

static void note_pattern(struct run *run, const char *role, const char *topic, bool allow)
{
    size_t length = strlen(topic), stricter = run->import.translation.counts[GUARD_NOTE_STRICTER];
    if (!allow)
        note(run, GUARD_NOTE_STRICTER, "deny subscribePattern in role", role,
             "a SUBSCRIBE that only touches it is refused, too: # did get round it");
    if (allow && length >= 3 && strcmp(topic + length - 3, "+/#") == 0)
        note(run, GUARD_NOTE_REMARK, "subscribePattern in role", role,
             "together with others it may cover a filter that no single one covers");
    if (!run->source.newer && topic[0] == '+' && (!topic[1] || topic[1] == '/'))
        note(run, allow ? GUARD_NOTE_STRICTER : GUARD_NOTE_WIDER, "subscribePattern in role", role,
             "its first + also stood for levels that begin with $");
    if (!run->source.newer && allow && strcmp(topic, "/#") == 0)
        note(run, GUARD_NOTE_STRICTER, "subscribePattern in role", role, "/# also let a SUBSCRIBE of # pass");
    if (run->import.translation.counts[GUARD_NOTE_STRICTER] > stricter)
        guard_translation_stricter(&run->import.translation, topic, NULL);
}

enum sort_of_rule { RULE_TOPIC, RULE_LITERAL, RULE_PATTERN };

struct place {
    const char *role, *action, *label;
    enum sort_of_rule sort;
    size_t number;
    int64_t priority; /* 0: none */
};

static void add_rule(struct run *run, const struct place *place, const struct guard_json *acl)
{
    const char *topic = text_of(acl, "topic"), *behind = topic, *fault = NULL;
    bool allow = guard_json_true(guard_json_get(acl, "allow")), shared = false, all = false;
    struct guard_buffer template_text = {0};
    char conditions[80] = "", text[64];
    size_t used = 0;
    if (place->sort != RULE_TOPIC && strncmp(topic, "$share/", 7) == 0 && strchr(topic + 7, '/')) {
        behind = strchr(topic + 7, '/') + 1;
        shared = true;
        if (strncmp(topic + 7, "+/", 2) != 0)
            fault =
                allow ? "a rule cannot be for one shared group; for all of them, write its topic with share=yes" : NULL;
    }
    all = place->sort == RULE_PATTERN && !shared && !run->source.newer && strcmp(topic, "#") == 0;
    if (!fault && all)
        guard_buffer_text(&template_text, "**");
    else if (!fault)
        fault = place->sort == RULE_LITERAL ? foreign_template(&template_text, behind, FOREIGN_LITERAL)
                                            : template_of(run, &template_text, behind);
    if (fault) {
        guard_translation_note(&run->import.translation, allow ? GUARD_NOTE_LEFT_OUT : GUARD_NOTE_WIDER,
                               run->source.file, 0, "role '%s': %s %s: %s", place->role, allow ? "allow" : "deny",
                               topic, fault);
        if (allow)
            guard_translation_stricter(&run->import.translation, topic, NULL);
        guard_buffer_free(&template_text);
        return;
    }
    if (place->sort == RULE_PATTERN)
        note_pattern(run, place->role, behind, allow);
    if (place->sort == RULE_LITERAL)
        used += (size_t)snprintf(conditions, sizeof conditions, " exact");
    if (place->sort != RULE_TOPIC && !all)
        used += (size_t)snprintf(conditions + used, sizeof conditions - used, " share=%s", shared ? "yes" : "no");
    if (place->priority)
        snprintf(conditions + used, sizeof conditions - used, " priority=%lld", (long long)place->priority);
    snprintf(text, sizeof text, "%s %s", allow ? "allow" : "deny", place->action);
    foreign_rule_add(&run->import.translation,
                     &(struct foreign_rule){.role = place->role,
                                            .label = place->label,
                                            .number = place->number,
                                            .text = text,
                                            .topic = template_text.data ? template_text.data : "",
                                            .conditions = conditions,
                                            .place = run->source.file});
    guard_buffer_free(&template_text);
}

/* The rules of one kind, in the order in which they are asked. */
static void collect(struct run *run, const struct guard_json *role, const char *type, struct items *items)
{
    struct items found = {0};
    for (const struct guard_json *acl = guard_json_first(guard_json_get(role, "acls")); acl;
         acl = guard_json_next(acl)) {
        const char *kind = text_of(acl, "acltype"), *topic = text_of(acl, "topic");
        bool again = false;
        for (size_t i = 0; kind && topic && i < found.count && run->source.newer; i++)
            again = again || strcmp(text_of(found.list[i].value, "topic"), topic) == 0;
        if (kind && topic && *topic && strcasecmp(kind, type) == 0 && !again)
            add_item(run, &found, &(struct item){.value = acl, .priority = priority_of(acl, 0)});
    }
    sort(&found);
    for (size_t i = 0; i < found.count; i++)
        add_item(run, items, &found.list[i]);
    free(found.list);
}

static void add_list(struct run *run, const char *role, const struct items *items, size_t literals, const char *action)
{
    size_t allows = 0;
    bool subscribe = strcmp(action, "subscribe-only") == 0;
    for (size_t i = 0; i < items->count; i++)
        allows += guard_json_true(guard_json_get(items->list[i].value, "allow"));
    for (size_t i = 0; i < items->count; i++) {
        bool mixed = allows && allows < items->count;
        struct place place = {.role = role,
                              .action = action,
                              .label = subscribe ? "subscribe" : action,
                              .sort = !subscribe     ? RULE_TOPIC
                                      : i < literals ? RULE_LITERAL
                                                     : RULE_PATTERN,
                              .number = i + 1,
                              .priority = mixed ? (int64_t)(items->count - i) : 0};
        add_rule(run, &place, items->list[i].value);
    }
}

static void add_role(struct run *run, const struct guard_json *role)
{
    const char *name = text_of(role, "rolename");
    const struct guard_json *wildcards = guard_json_get(role, "allowwildcardsubs");
    struct items send = {0}, receive = {0}, subscribe = {0}, unsubscribe = {0};
    collect(run, role, "publishClientSend", &send);
    collect(run, role, "publishClientReceive", &receive);
    collect(run, role, "subscribeLiteral", &subscribe);
    size_t literals = subscribe.count;
    collect(run, role, "subscribePattern", &subscribe);
    collect(run, role, "unsubscribeLiteral", &unsubscribe);
    collect(run, role, "unsubscribePattern", &unsubscribe);
    add_list(run, name, &send, 0, "publish");
    add_list(run, name, &receive, 0, "receive");
    add_list(run, name, &subscribe, literals, "subscribe-only");
    for (size_t i = 0; i < unsubscribe.count; i++)
        if (!guard_json_true(guard_json_get(unsubscribe.list[i].value, "allow")))
            note(run, GUARD_NOTE_WIDER, "deny unsubscribe in role", name, "unsubscribing is always allowed here");
    if (run->source.newer && guard_json_is(wildcards, GUARD_JSON_BOOL) && !guard_json_true(wildcards))
        note(run, GUARD_NOTE_WIDER, "allowwildcardsubs of role", name,
             "is not carried over: a SUBSCRIBE with wildcards is granted where the rules cover it");
    free(send.list);
    free(receive.list);
    free(subscribe.list);
    free(unsubscribe.list);
}

/* ---- who holds what ---- */

static void append_roles(struct run *run, const struct guard_json *holder, struct items *roles)
{
    struct items found = {0};
    for (const struct guard_json *at = guard_json_first(guard_json_get(holder, "roles")); at;
         at = guard_json_next(at)) {
        const char *name = text_of(at, "rolename");
        if (name && named(run->roles, "rolename", name))
            add_item(run, &found, &(struct item){.name = name, .priority = priority_of(at, -1)});
    }
    sort(&found);
    for (size_t i = 0; i < found.count; i++) {
        bool held = false;
        for (size_t k = 0; k < roles->count; k++)
            held = held || strcmp(roles->list[k].name, found.list[i].name) == 0;
        if (!held) /* what it said before, it says again */
            add_item(run, roles, &found.list[i]);
    }
    free(found.list);
}

static void append_groups(struct run *run, const char *username, struct items *roles)
{
    struct items found = {0};
    for (const struct guard_json *at = guard_json_first(run->groups); at; at = guard_json_next(at)) {
        const struct guard_json *member = named(guard_json_get(at, "clients"), "username", username);
        if (member)
            add_item(
                run, &found,
                &(struct item){.name = text_of(at, "groupname"), .value = at, .priority = priority_of(member, -1)});
    }
    sort(&found);
    for (size_t i = 0; i < found.count; i++)
        append_roles(run, found.list[i].value, roles);
    free(found.list);
}

/* "first:2, second:1, third" */
static void write_roles(const struct items *roles, struct guard_buffer *out)
{
    for (size_t i = 0; i < roles->count; i++) {
        guard_buffer_text(out, i ? ", " : "");
        guard_quoted_write(out, roles->list[i].name, ",:");
        if (i + 1 < roles->count)
            guard_buffer_printf(out, ":%zu", roles->count - 1 - i);
    }
}

static void add_password(struct run *run, const struct guard_json *client, const char *name)
{
    const char *hash = text_of(client, "encoded_password"), *salt = text_of(client, "salt"),
               *key = text_of(client, "password");
    int64_t iterations = 0;
    struct guard_error err = {0};
    struct guard_buffer joined = {0};
    guard_json_integer(guard_json_get(client, "iterations"), &iterations);
    if (!hash && salt && key) {
        guard_buffer_printf(&joined, "$7$%lld$%s$%s", (long long)iterations, salt, key);
        hash = joined.data;
    }
    if (hash && auth_password_check(hash, &err) == GUARD_OK)
        foreign_client_add(&run->import.translation, run->source.file, name, "password", hash);
    else if (hash)
        guard_translation_note(&run->import.translation, GUARD_NOTE_LEFT_OUT, run->source.file, 0,
                               "client '%s': the password must be set anew: %s", name, err.text);
    guard_buffer_free(&joined);
}

static void add_client(struct run *run, const struct guard_json *client)
{
    const char *name = text_of(client, "username"), *id = text_of(client, "clientid");
    struct items roles = {0};
    struct guard_buffer text = {0};
    add_password(run, client, name);
    append_roles(run, client, &roles);
    append_groups(run, name, &roles);
    write_roles(&roles, &text);
    if (text.length && !text.failed)
        foreign_client_add(&run->import.translation, run->source.file, name, "roles", text.data);
    guard_buffer_clear(&text);
    if (id && *id) {
        guard_quoted_write(&text, id, ",");
        foreign_client_add(&run->import.translation, run->source.file, name, "client_id", text.failed ? "" : text.data);
    }
    if (guard_json_true(guard_json_get(client, "disabled")) || (id && !*id))
        foreign_client_add(&run->import.translation, run->source.file, name, "disabled", "yes");
    guard_buffer_free(&text);
    free(roles.list);
}

static void add_default(struct run *run, enum guard_policy_section section, const char *field, const char *value)
{
    guard_translation_add(
        &run->import.translation,
        &(struct guard_policy_line){
            .section = section, .name = "", .field = field, .value = value, .place = run->source.file});
}

static void add_defaults(struct run *run, const struct guard_json *document)
{
    static const char *const names[][2] = {
        {"publishClientSend", "publish"}, {"publishClientReceive", "receive"}, {"subscribe", "subscribe-only"}};
    const struct guard_json *access = guard_json_get(document, "defaultACLAccess");
    bool any = false;
    for (size_t i = 0; i < 3; i++)
        if (guard_json_true(guard_json_get(access, names[i][0]))) {
            add_default(run, GUARD_SECTION_DEFAULT, names[i][1], "allow");
            any = true;
        }
    if (any) { /* the default never opens these */
        foreign_rule_add(&run->import.translation, &(struct foreign_rule){.role = NO_CONTROL,
                                                                          .label = "deny",
                                                                          .number = 1,
                                                                          .text = "deny all",
                                                                          .topic = "$CONTROL/#",
                                                                          .conditions = "",
                                                                          .place = run->source.file});
        add_default(run, GUARD_SECTION_DEFAULT, "roles", NO_CONTROL ":-1");
    }
    if (!guard_json_true(guard_json_get(access, "unsubscribe")))
        note(run, GUARD_NOTE_REMARK, "defaultACLAccess", "unsubscribe", "unsubscribing is always allowed here");
}

static void add_anonymous(struct run *run, const struct guard_json *document)
{
    const char *name = text_of(document, "anonymousGroup");
    const struct guard_json *group = name ? named(run->groups, "groupname", name) : NULL;
    struct items roles = {0};
    struct guard_buffer text = {0};
    append_roles(run, group, &roles);
    write_roles(&roles, &text);
    if (text.length)
        guard_buffer_text(&text, " when anonymous");
    if (run->source.anonymous && text.length && !text.failed)
        add_default(run, GUARD_SECTION_ASSIGN, "anonymous", text.data);
    else if (roles.count)
        note(run, GUARD_NOTE_STRICTER, "anonymousGroup", name,
             "clients without a user name are refused: give --anonymous if mosquitto.conf says allow_anonymous true");
    if (roles.count && !run->source.anonymous)
        guard_translation_stricter(&run->import.translation, NULL, "");
    guard_buffer_free(&text);
    free(roles.list);
}

/* Elements with a usable name, each the first time it stands. */
static void each(struct run *run, const struct guard_json *array, const char *key,
                 void (*add)(struct run *run, const struct guard_json *value))
{
    for (const struct guard_json *at = guard_json_first(array); at; at = guard_json_next(at)) {
        const char *name = text_of(at, key);
        const char *fault = name ? foreign_name_fault(name) : "it has no name";
        if (!fault && named(array, key, name) != at)
            fault = "it stands a second time: the first one counts";
        if (fault)
            note(run, GUARD_NOTE_LEFT_OUT, key, name ? name : "", fault);
        else
            add(run, at);
    }
}

static int read_source(struct run *run, const char *broker)
{
    struct guard_error err = {0};
    struct guard_json *document = NULL;
    char *content = NULL;
    size_t length;
    if (!run->source.file || (strcmp(broker, "2.0") != 0 && strcmp(broker, "2.1") != 0))
        return ctl_usage_error(run->import.command,
                               run->source.file ? "--broker takes 2.0 or 2.1" : "which file? --file FILE");
    run->source.newer = strcmp(broker, "2.1") == 0;
    int rc = guard_file_read(run->source.file, GUARD_FILE_PUBLIC, FILE_MAX, &content, &length, &err);
    if (rc == GUARD_OK)
        rc = guard_json_parse(content, length, 16, &document, &err);
    if (rc == GUARD_OK && !guard_json_is(document, GUARD_JSON_OBJECT))
        rc = guard_fail(&err, GUARD_ERR_SYNTAX, "the file is no JSON object");
    if (rc == GUARD_OK) {
        run->roles = guard_json_get(document, "roles");
        run->groups = guard_json_get(document, "groups");
        each(run, run->roles, "rolename", add_role);
        each(run, guard_json_get(document, "clients"), "username", add_client);
        add_anonymous(run, document);
        add_defaults(run, document);
    }
    guard_json_free(&document);
    free(content);
    return rc == GUARD_OK ? CTL_OK : ctl_redis_fail(&run->import.redis, &err);
}

static int run_command(const struct ctl_command *command, int argc, char **argv)
{
    struct run run = {0};
    const char *broker = "2.0";
    const struct ctl_option own[] = {{"file", CTL_TEXT, &run.source.file},
                                     {"broker", CTL_TEXT, &broker},
                                     {"plugin", CTL_TEXT, &run.source.plugin},
                                     {"anonymous", CTL_FLAG, &run.source.anonymous},
                                     {NULL, CTL_FLAG, NULL}};
    ctl_import_init(&run.import, command);
    int rc = ctl_import_parse(&run.import, argc, argv, own);
    if (rc == CTL_OK)
        rc = read_source(&run, broker);
    return ctl_import_finish(&run.import, rc, dynsec_verify, &run.source);
}

const struct ctl_command ctl_import_dynsec = {
    .name = "import dynamic-security",
    .summary = "make a policy of the file of Mosquitto's dynamic-security plugin",
    .usage = "usage: guardctl import dynamic-security --file FILE [OPTION]…\n"
             "\n"
             "  --file FILE           dynamic-security.json (plugin_opt_config_file)\n"
             "  --broker 2.0|2.1      whose reading of it holds (2.0)\n"
             "  --anonymous           mosquitto.conf says allow_anonymous true: the anonymousGroup stays in use\n"
             "  --plugin PATH         of mosquitto_dynamic_security.so, for --verify, if it is not where packages put "
             "it\n" CTL_IMPORT_HELP,
    .run = run_command,
};
