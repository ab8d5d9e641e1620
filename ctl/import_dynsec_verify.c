/*
 * --verify of dynamic-security: a broker with the plugin and a copy of the file, in which the clients that are asked
 * about have a password we know. Deliveries are asked of a second copy in which everybody may subscribe to everything:
 * the plugin decides them by their own kind of ACL.
 */
#include "ctl/import_dynsec.h"

#include "auth/password.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/siphash.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS_MAX 24
#define FILE_MAX    ((size_t)256 << 20)
#define OBSERVER    "guardctl-observer"
#define ITERATIONS  1000 /* the broker does it for every client, while we wait */

struct trial {
    struct ctl_import *import;
    const struct dynsec_source *source;
    struct guard_json *document;
    struct ctl_mqtt_login clients[CLIENTS_MAX];
    char ids[CLIENTS_MAX][32];
    size_t client_count;
    struct foreign_filter *filters;
    size_t filter_count;
    char *secret;     /* the password, and */
    char *salt, *key; /* what the file says of it */
    struct guard_buffer text;
};

static const struct guard_json *first_of(const struct guard_json *document, const char *name)
{
    return guard_json_first(guard_json_get(document, name));
}

/* ---- questions ---- */

static void choose_clients(struct trial *t)
{
    size_t seen = 0;
    uint64_t random = t->import->seed;
    for (const struct guard_json *one = first_of(t->document, "clients"); one; one = guard_json_next(one)) {
        const char *name = guard_json_string(guard_json_get(one, "username"));
        const char *id = guard_json_string(guard_json_get(one, "clientid"));
        if (!name || !*name || guard_json_true(guard_json_get(one, "disabled")) || foreign_name_fault(name))
            continue;
        size_t at = seen++ < CLIENTS_MAX ? seen - 1 : (size_t)ctl_random_below(&random, seen);
        if (at >= CLIENTS_MAX)
            continue;
        snprintf(t->ids[at], sizeof t->ids[at], "client-%zu", at);
        t->clients[at] = (struct ctl_mqtt_login){.client_id = id ? id : t->ids[at], .username = name};
    }
    t->client_count = seen < CLIENTS_MAX ? seen : CLIENTS_MAX;
    for (size_t i = 0; i < t->client_count; i++)
        t->clients[i].password = t->secret;
}

static bool collect_filters(struct trial *t)
{
    for (int fill = 0; fill < 2; fill++) {
        size_t count = 0;
        for (const struct guard_json *role = first_of(t->document, "roles"); role; role = guard_json_next(role))
            for (const struct guard_json *acl = first_of(role, "acls"); acl; acl = guard_json_next(acl)) {
                const char *topic = guard_json_string(guard_json_get(acl, "topic"));
                if (!topic)
                    continue;
                if (fill)
                    t->filters[count] = (struct foreign_filter){topic, SIZE_MAX};
                count++;
            }
        if (!fill && !(t->filters = calloc(count + 1, sizeof *t->filters)))
            return false;
        t->filter_count = count;
    }
    return true;
}

/* ---- the copy of the file ---- */

static void put_text(struct trial *t, const char *text)
{
    guard_buffer_json_string(&t->text, text, strlen(text));
}

static void put_value(struct trial *t, const struct guard_json *value)
{
    char *text = value ? guard_json_print(value) : strdup("[]");
    guard_buffer_text(&t->text, text ? text : "");
    if (!text)
        t->import->translation.failed = true;
    free(text);
}

/* The member as it is, with a comma behind it. */
static void put_member(struct trial *t, const struct guard_json *member)
{
    put_text(t, guard_json_name(member));
    guard_buffer_byte(&t->text, ':');
    put_value(t, member);
    guard_buffer_byte(&t->text, ',');
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static void put_secret(struct trial *t)
{
    guard_buffer_printf(&t->text, "\"password\":\"%s\",\"salt\":\"%s\",\"iterations\":%d}", t->key, t->salt,
                        ITERATIONS);
}

static void put_clients(struct trial *t)
{
    static const char *const secrets[] = {"password", "salt", "iterations", "encoded_password", NULL};
    guard_buffer_text(&t->text,
                      "\"clients\":[{\"username\":\"" OBSERVER "\",\"roles\":[{\"rolename\":\"" OBSERVER "\"}],");
    put_secret(t);
    for (const struct guard_json *one = first_of(t->document, "clients"); one; one = guard_json_next(one)) {
        guard_buffer_text(&t->text, ",{");
        for (const struct guard_json *member = guard_json_first(one); member; member = guard_json_next(member))
            if (!is_one_of(guard_json_name(member), secrets))
                put_member(t, member);
        put_secret(t);
    }
    guard_buffer_byte(&t->text, ']');
}

static void put_acls(struct trial *t, const struct guard_json *role, bool deliveries)
{
    guard_buffer_text(&t->text, "\"acls\":[");
    bool any = false;
    for (const struct guard_json *acl = first_of(role, "acls"); acl; acl = guard_json_next(acl)) {
        const char *kind = guard_json_string(guard_json_get(acl, "acltype"));
        if (!kind || strncmp(kind, "unsubscribe", 11) == 0 || (deliveries && strncmp(kind, "subscribe", 9) == 0))
            continue;
        if (any)
            guard_buffer_byte(&t->text, ',');
        put_value(t, acl);
        any = true;
    }
    guard_buffer_text(&t->text, "]}");
}

static void put_roles(struct trial *t, bool deliveries)
{
    guard_buffer_text(&t->text,
                      "\"roles\":[{\"rolename\":\"" OBSERVER "\",\"acls\":[{\"acltype\":\"publishClientSend\","
                      "\"topic\":\"#\",\"allow\":true}]}");
    for (const struct guard_json *role = first_of(t->document, "roles"); role; role = guard_json_next(role)) {
        guard_buffer_text(&t->text, ",{");
        for (const struct guard_json *member = guard_json_first(role); member; member = guard_json_next(member))
            if (strcmp(guard_json_name(member), "acls") != 0)
                put_member(t, member);
        put_acls(t, role, deliveries);
    }
    guard_buffer_text(&t->text, "],");
}

static void put_defaults(struct trial *t, bool deliveries)
{
    static const char *const kinds[] = {"publishClientSend", "publishClientReceive", "subscribe"};
    const struct guard_json *defaults = guard_json_get(t->document, "defaultACLAccess");
    guard_buffer_text(&t->text, "\"defaultACLAccess\":{");
    for (size_t i = 0; i < 3; i++)
        if (deliveries && i == 2)
            guard_buffer_text(&t->text, "\"subscribe\":true,");
        else if (guard_json_get(defaults, kinds[i]))
            put_member(t, guard_json_get(defaults, kinds[i]));
    guard_buffer_text(&t->text, "\"unsubscribe\":true},");
}

static int write_copy(struct trial *t, const char *path, bool deliveries, struct guard_error *err)
{
    guard_buffer_clear(&t->text);
    guard_buffer_byte(&t->text, '{');
    put_defaults(t, deliveries);
    put_roles(t, deliveries);
    guard_buffer_text(&t->text, "\"groups\":");
    put_value(t, guard_json_get(t->document, "groups"));
    guard_buffer_byte(&t->text, ',');
    put_clients(t);
    guard_buffer_byte(&t->text, '}');
    return t->text.failed ? guard_fail(err, GUARD_ERR_NOMEM, "out of memory")
                          : guard_file_replace(path, t->text.data, t->text.length, 0600, err);
}

/* ---- the broker ---- */

/* Beside the broker: in lib, as its own install has it, or in the folder there that Debian has for each architecture.
 */
static int find_plugin(const struct trial *t, const struct ctl_trial_broker *broker, char path[PATH_MAX],
                       struct guard_error *err)
{
    static const char *const places[] = {"lib", "lib/*"};
    const char *slash = strrchr(broker->path, '/');
    int length = slash ? (int)(slash - broker->path) : 0;
    snprintf(path, PATH_MAX, "%s", t->source->plugin ? t->source->plugin : "");
    for (size_t i = 0; !t->source->plugin && i < sizeof places / sizeof *places && !*path; i++) {
        char pattern[PATH_MAX + 64];
        glob_t found = {0};
        snprintf(pattern, sizeof pattern, "%.*s/../%s/mosquitto_dynamic_security.so", length, broker->path, places[i]);
        if (glob(pattern, 0, NULL, &found) == 0)
            snprintf(path, PATH_MAX, "%s", found.gl_pathv[0]);
        globfree(&found);
    }
    return access(path, R_OK) == 0
               ? GUARD_OK
               : guard_fail(err, GUARD_ERR_NOT_FOUND,
                            "mosquitto_dynamic_security.so is not there; --plugin PATH says where it is");
}

static int start(struct trial *t, struct ctl_trial_broker *broker, bool deliveries, struct guard_error *err)
{
    char plugin[PATH_MAX], copy[PATH_MAX], lines[3 * PATH_MAX];
    unsigned minor = t->source->newer ? 1 : 0;
    int rc = ctl_trial_broker_find(broker, t->import->mosquitto, err);
    if (rc == GUARD_OK && (broker->major != 2 || broker->minor != minor))
        rc = guard_fail(err, GUARD_ERR_UNSUPPORTED, "%s is Mosquitto %u.%u, and --broker says 2.%u", broker->path,
                        broker->major, broker->minor, minor);
    if (rc == GUARD_OK)
        rc = find_plugin(t, broker, plugin, err);
    if (rc == GUARD_OK)
        rc = ctl_trial_broker_folder(broker, err);
    if (rc != GUARD_OK)
        return rc;
    ctl_trial_broker_file(broker, "dynamic-security.json", copy);
    rc = write_copy(t, copy, deliveries, err);
    snprintf(lines, sizeof lines, "allow_anonymous false\nplugin %s\nplugin_opt_config_file %s\n", plugin, copy);
    return rc == GUARD_OK ? ctl_trial_broker_start(broker, lines, err) : rc;
}

/* Asks those questions that are about deliveries, or the others. */
static int ask_some(struct trial *t, const struct ctl_verify *all, bool deliveries, struct guard_error *err)
{
    struct ctl_trial_broker broker = {0};
    struct ctl_mqtt_login observer = {.client_id = OBSERVER, .username = OBSERVER, .password = t->secret};
    struct ctl_verify some = *all;
    some.questions = calloc(all->count + 1, sizeof *some.questions);
    some.count = 0;
    for (size_t i = 0; some.questions && i < all->count; i++)
        if ((all->questions[i].action == EXPLAIN_RECEIVE) == deliveries)
            some.questions[some.count++] = all->questions[i];
    int rc = some.questions ? start(t, &broker, deliveries, err) : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    if (rc == GUARD_OK)
        rc = ctl_verify_ask_broker(&broker, &some, &observer, err);
    for (size_t i = 0, k = 0; rc == GUARD_OK && i < all->count; i++)
        if ((all->questions[i].action == EXPLAIN_RECEIVE) == deliveries)
            all->questions[i].allowed = some.questions[k++].allowed;
    ctl_trial_broker_end(&broker);
    free(some.questions);
    return rc;
}

static int ask(void *context, const struct ctl_verify *verify, struct guard_error *err)
{
    int rc = ask_some(context, verify, false, err);
    return rc == GUARD_OK ? ask_some(context, verify, true, err) : rc;
}

/* ---- the whole ---- */

static int make_secret(struct trial *t, struct guard_error *err)
{
    struct auth_password_params params = {.format = AUTH_PASSWORD_PBKDF2, .iterations = ITERATIONS};
    char *stored = NULL, *rest = NULL;
    int rc = GUARD_OK;
    uint64_t random = guard_siphash_random_key().k0;
    if (asprintf(&t->secret, "%016llx", (unsigned long long)random) < 0) {
        t->secret = NULL;
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    rc = auth_password_make(&params, t->secret, strlen(t->secret), &stored, err);
    if (rc != GUARD_OK)
        return rc;
    strtok_r(stored, "$", &rest); /* $7$iterations$salt$key */
    strtok_r(NULL, "$", &rest);
    const char *salt = strtok_r(NULL, "$", &rest), *key = strtok_r(NULL, "$", &rest);
    t->salt = salt ? strdup(salt) : NULL;
    t->key = key ? strdup(key) : NULL;
    guard_free_string(&stored);
    return t->salt && t->key ? GUARD_OK : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

static int read_document(struct trial *t, struct guard_error *err)
{
    char *content = NULL;
    size_t length;
    int rc = guard_file_read(t->source->file, GUARD_FILE_PUBLIC, FILE_MAX, &content, &length, err);
    if (rc == GUARD_OK)
        rc = guard_json_parse(content, length, 16, &t->document, err);
    free(content);
    return rc;
}

int dynsec_verify(struct ctl_import *import, const struct acl_policy *policy, void *context)
{
    struct trial t = {.import = import, .source = context};
    struct guard_error err = {0};
    int rc = read_document(&t, &err);
    if (rc == GUARD_OK)
        rc = make_secret(&t, &err);
    if (rc == GUARD_OK && !collect_filters(&t))
        rc = guard_fail(&err, GUARD_ERR_NOMEM, "out of memory");
    if (rc == GUARD_OK)
        choose_clients(&t);
    struct foreign_trial trial = {.clients = t.clients,
                                  .client_count = t.client_count,
                                  .filters = t.filters,
                                  .filter_count = t.filter_count,
                                  .ask = ask,
                                  .context = &t};
    if (rc != GUARD_OK)
        rc = ctl_redis_fail(&import->redis, &err);
    else if (!t.client_count || !t.filter_count)
        rc = ctl_usage_error(import->command,
                             "there is nothing to verify: the file has no clients that may come, or no ACLs");
    else
        rc = foreign_verify(import, policy, &trial);
    guard_json_free(&t.document);
    free(t.filters);
    guard_free_string(&t.secret);
    free(t.salt);
    free(t.key);
    guard_buffer_free(&t.text);
    return rc;
}
