#include "plugin/policy_source.h"

#include "acl/acl.h"
#include "auth/password.h"
#include "core/clients.h"
#include "core/clock.h"
#include "core/digest.h"
#include "core/memory.h"
#include "plugin/background.h"
#include "plugin/plugin.h"
#include "plugin/sweep.h"
#include "store/policy_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct guard_policy_source {
    struct guard_plugin *plugin; /* only its options and background are used off the broker thread */
    const char *path;            /* "" = none */
    uint64_t serial;
};

/* What a (re)load came to, on its way to the broker thread. */
struct policy_message {
    struct guard_message message;
    struct guard_policy_set *set; /* NULL: the old one stays */
    enum guard_reason reason;
    struct guard_error error;
    enum audit_policy_trigger trigger;
    uint64_t duration_ns;
};

void guard_policy_set_free(struct guard_policy_set **set_pointer)
{
    struct guard_policy_set *set = *set_pointer;
    if (!set)
        return;
    acl_policy_release(set->acl);
    guard_free_string(&set->decoy);
    guard_clients_unref(&set->clients);
    free(set);
    *set_pointer = NULL;
}

static void log_problems(const struct guard_log *log, const struct guard_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct guard_problem *problem = &problems->items[i];
        char line[800];
        bool error = problem->severity == GUARD_PROBLEM_ERROR;
        guard_log(log, error ? GUARD_LOG_ERROR : GUARD_LOG_WARNING, "policy: %s%s",
                  guard_error_format(&problem->error, line, sizeof line), error ? "" : " (warning)");
    }
    if (problems->errors + problems->warnings > problems->count)
        guard_log(log, GUARD_LOG_ERROR, "policy: %zu more problems",
                  problems->errors + problems->warnings - problems->count);
}

static void first_error(const struct guard_problems *problems, struct guard_error *err)
{
    for (size_t i = 0; err && i < problems->count; i++)
        if (problems->items[i].severity == GUARD_PROBLEM_ERROR) {
            *err = problems->items[i].error;
            return;
        }
}

static void add_text(struct guard_sha256 *sha, const char *text)
{
    guard_sha256_add(sha, text, strlen(text) + 1);
}

/* SHA-256 over every line as it was understood: comments and layout do not change the version. */
static bool digest(const struct guard_policy_text *text, char hex[GUARD_SHA256_HEX])
{
    uint8_t hash[GUARD_SHA256_SIZE];
    struct guard_sha256 *sha = guard_sha256_begin();
    if (!sha)
        return false;
    for (size_t i = 0; i < text->count; i++) {
        const struct guard_policy_line *line = &text->lines[i];
        unsigned char section = (unsigned char)line->section;
        guard_sha256_add(sha, &section, 1);
        add_text(sha, line->name);
        add_text(sha, line->field);
        add_text(sha, line->value);
    }
    bool ok = guard_sha256_end(&sha, hash);
    guard_hex(hash, sizeof hash, hex);
    return ok;
}

static struct guard_clients *build_clients(const struct guard_policy_text *text, struct guard_problems *problems)
{
    struct guard_clients_builder *builder = guard_clients_builder_new(NULL);
    if (!builder)
        return NULL;
    if (guard_clients_builder_put_text(builder, text, problems) != GUARD_OK) {
        guard_clients_builder_free(&builder);
        return NULL;
    }
    return guard_clients_builder_finish(&builder);
}

static bool add_hash(void *context, const struct guard_client_view *view)
{
    if (view->password)
        auth_password_usual_add(context, view->password);
    return true;
}

/* What an unknown user's password is hashed against, so that it takes as long as a known one's. */
static char *make_decoy(const struct guard_clients *clients)
{
    struct auth_password_usual usual = {0};
    guard_clients_each(clients, add_hash, &usual);
    return auth_password_decoy(usual.example);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Compiles text; problems tell what is wrong when NULL comes back. */
static struct guard_policy_set *compile(struct guard_policy_source *source, const struct guard_policy_text *text,
                                        struct guard_problems *problems)
{
    struct guard_policy_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    struct acl_compile_options options = {0};
    set->clients = build_clients(text, problems);
    int rc = acl_policy_compile(text, &options, &set->acl, problems);
    if (rc != GUARD_OK || !set->clients || (problems && problems->errors)) {
        guard_policy_set_free(&set);
        return NULL;
    }
    set->decoy = make_decoy(set->clients);
    if (!digest(text, set->sha256)) {
        guard_policy_set_free(&set);
        return NULL;
    }
    snprintf(set->version, sizeof set->version, "%.12s", set->sha256);
    snprintf(set->ruleset, sizeof set->ruleset, "%s", source->path[0] ? base_name(source->path) : "none");
    set->serial = ++source->serial;
    set->rules = (int64_t)acl_policy_rule_count(set->acl);
    return set;
}

static struct guard_policy_set *load(struct guard_policy_source *source, const struct guard_log *log,
                                     enum guard_reason *reason, struct guard_error *err)
{
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    struct guard_policy_set *set = NULL;
    int rc = GUARD_OK;
    *reason = GUARD_REASON_POLICY_PARSE_ERROR;
    *err = (struct guard_error){.code = GUARD_ERR_NOMEM, .text = "out of memory"};
    if (source->path[0])
        rc = guard_policy_file_read(source->path, &text, &problems, err);
    if (rc == GUARD_OK)
        set = compile(source, &text, &problems);
    else if (rc != GUARD_ERR_SYNTAX)
        *reason = GUARD_REASON_POLICY_READ_ERROR;
    log_problems(log, &problems);
    if (!set && problems.errors)
        first_error(&problems, err);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
    return set;
}

int guard_policy_source_open(struct guard_plugin *plugin, struct guard_policy_source **out,
                             struct guard_policy_set **first, struct guard_error *err)
{
    struct guard_policy_source *source = calloc(1, sizeof *source);
    enum guard_reason reason;
    struct guard_error why;
    *out = NULL;
    *first = NULL;
    if (!source)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    source->plugin = plugin;
    source->path = plugin->options.policy_file;
    *first = load(source, &plugin->log, &reason, &why);
    if (!*first) {
        if (err)
            *err = why;
        free(source);
        return why.code;
    }
    *out = source;
    return GUARD_OK;
}

void guard_policy_source_close(struct guard_policy_source **source)
{
    free(*source);
    *source = NULL;
}

static void free_set_job(void *context)
{
    struct guard_policy_set *set = context;
    guard_policy_set_free(&set);
}

static void retire(struct guard_plugin *plugin, struct guard_policy_set *set)
{
    if (!set)
        return;
    if (!plugin->background || !guard_background_run(plugin->background, free_set_job, set))
        guard_policy_set_free(&set);
}

static void deliver_policy(struct guard_plugin *plugin, struct guard_message *base)
{
    struct policy_message *message = (struct policy_message *)base;
    if (message->set) {
        guard_policy_take(plugin, message->set, message->trigger, message->duration_ns);
    } else {
        char text[800];
        guard_error_format(&message->error, text, sizeof text);
        guard_log(&plugin->log, GUARD_LOG_ERROR, "policy not taken, version %s stays in use: %s",
                  plugin->policy->version, text);
        if (plugin->audit)
            audit_push_policy_reload(plugin->audit, &(struct audit_policy_reload){
                                                        .reason = message->reason,
                                                        .ruleset = plugin->policy->ruleset,
                                                        .version = plugin->policy->version,
                                                        .rules = -1,
                                                        .source = AUDIT_POLICY_FILE,
                                                        .trigger = message->trigger,
                                                        .error_text = text,
                                                        .duration_ns = message->duration_ns,
                                                    });
    }
    free(message);
}

static void discard_policy(struct guard_message *base)
{
    struct policy_message *message = (struct policy_message *)base;
    guard_policy_set_free(&message->set);
    free(message);
}

static void reload_job(void *context)
{
    struct guard_policy_source *source = context;
    struct guard_background *background = source->plugin->background;
    struct policy_message *message = calloc(1, sizeof *message);
    if (!message)
        return;
    int64_t start = guard_clock_monotonic_ns();
    message->message = (struct guard_message){.deliver = deliver_policy, .discard = discard_policy};
    message->trigger = AUDIT_TRIGGER_SIGHUP;
    message->set = load(source, guard_background_log(background), &message->reason, &message->error);
    message->duration_ns = (uint64_t)(guard_clock_monotonic_ns() - start);
    guard_background_post(background, &message->message);
}

void guard_policy_reload(struct guard_plugin *plugin)
{
    if (plugin->policy_source->path[0] && !guard_background_run(plugin->background, reload_job, plugin->policy_source))
        guard_log(&plugin->log, GUARD_LOG_ERROR, "policy not read again: out of memory");
}

void guard_policy_take(struct guard_plugin *plugin, struct guard_policy_set *set, enum audit_policy_trigger trigger,
                       uint64_t duration_ns)
{
    struct guard_policy_set *before = plugin->policy;
    pthread_mutex_lock(&plugin->shared_lock); /* held by the HTTP API's thread only to take references */
    plugin->policy = set;
    pthread_mutex_unlock(&plugin->shared_lock);
    plugin->pending.rule = 0; /* it was of the old policy */
    if (plugin->audit) {
        audit_set_policy(plugin->audit, set->ruleset, set->version);
        audit_push_policy_reload(plugin->audit, &(struct audit_policy_reload){
                                                    .ruleset = set->ruleset,
                                                    .version = set->version,
                                                    .previous_version = before ? before->version : NULL,
                                                    .sha256 = set->sha256,
                                                    .rules = set->rules,
                                                    .source = AUDIT_POLICY_FILE,
                                                    .trigger = trigger,
                                                    .duration_ns = duration_ns,
                                                });
    }
    guard_log(&plugin->log, GUARD_LOG_INFO, "policy %s version %s is in use: %lld rules, %zu client records",
              set->ruleset, set->version, (long long)set->rules, guard_clients_count(set->clients));
    if (before)
        guard_sweep_begin(plugin);
    retire(plugin, before);
}
