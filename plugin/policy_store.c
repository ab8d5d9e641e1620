#include "plugin/policy_store.h"

#include "acl/acl.h"
#include "audit/audit.h"
#include "core/clients.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/revocations.h"
#include "plugin/compose.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"
#include "store/policy_merge.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct guard_policy_store {
    pthread_mutex_t lock;                /* a file reload and a change from Redis may meet */
    struct guard_policy_text file;       /* the file's lines, in force */
    struct guard_policy_text redis;      /* Redis' roles, assignments, defaults; kept only beside a file */
    struct guard_policy_text bindings;   /* Redis' assignments and defaults */
    struct guard_clients *redis_clients; /* NULL = none yet */
    struct guard_policy_set *latest;     /* what was compiled last: references of its own, never in use by the broker */
    uint64_t version;                    /* guard:version of it; 0 = only the file */
    struct guard_store *store;           /* NULL = no redis_url */
    struct guard_store_state state;      /* broker thread: as told last */
    int64_t down_since_ns;
    bool up_told;
};

int guard_policy_store_new(struct guard_plugin *plugin)
{
    plugin->policy_store = calloc(1, sizeof *plugin->policy_store);
    if (!plugin->policy_store)
        return GUARD_ERR_NOMEM;
    pthread_mutex_init(&plugin->policy_store->lock, NULL);
    return GUARD_OK;
}

void guard_policy_store_free(struct guard_plugin *plugin)
{
    struct guard_policy_store *link = plugin->policy_store;
    if (!link)
        return;
    guard_policy_store_stop(plugin);
    guard_policy_text_free(&link->file);
    guard_policy_text_free(&link->redis);
    guard_policy_text_free(&link->bindings);
    guard_clients_unref(&link->redis_clients);
    guard_policy_set_free(&link->latest);
    pthread_mutex_destroy(&link->lock);
    free(link);
    plugin->policy_store = NULL;
}

/* ---- compiling ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void name_set(const struct guard_plugin *plugin, const struct guard_policy_store *link,
                     struct guard_policy_set *set)
{
    const char *path = plugin->options.policy_file;
    const char *redis = plugin->options.redis_url[0] ? "redis" : "";
    snprintf(set->ruleset, sizeof set->ruleset, "%s%s%s", path[0] ? base_name(path) : "",
             path[0] && redis[0] ? "+" : "", redis);
    if (!set->ruleset[0])
        snprintf(set->ruleset, sizeof set->ruleset, "none");
    if (!link->version)
        return;
    char file[13] = "";
    snprintf(file, sizeof file, "%.12s", set->sha256);
    if (path[0] && file[0])
        snprintf(set->version, sizeof set->version, "%llu+%s", (unsigned long long)link->version, file);
    else
        snprintf(set->version, sizeof set->version, "%llu", (unsigned long long)link->version);
}

/* The client records of Redis with those of the file over them. */
static struct guard_clients *combine_clients(struct guard_clients *redis, const struct guard_policy_text *file,
                                             struct guard_problems *problems)
{
    struct guard_clients_builder *builder = guard_clients_builder_new(redis);
    if (!builder)
        return NULL;
    if (guard_clients_builder_put_text(builder, file, problems) != GUARD_OK) {
        guard_clients_builder_free(&builder);
        return NULL;
    }
    return guard_clients_builder_finish(&builder);
}

static struct guard_policy_set *compile(const struct guard_plugin *plugin, const struct guard_policy_store *link,
                                        const struct guard_policy_text *file, const struct guard_policy_text *redis,
                                        struct guard_problems *problems)
{
    struct guard_policy_text merged = {0};
    struct guard_clients *clients = combine_clients(link->redis_clients, file, problems);
    struct guard_policy_set *set = NULL;
    if (clients && guard_policy_merge(file, redis, &merged, problems) == GUARD_OK)
        set = guard_policy_set_compile(&merged, clients, redis->count > 0, problems);
    guard_policy_text_free(&merged);
    guard_clients_unref(&clients);
    if (set)
        name_set(plugin, link, set);
    return set;
}

/* A second set with references of its own: one for the broker thread, one to edit from. */
static struct guard_policy_set *share(const struct guard_policy_set *set)
{
    struct guard_policy_set *copy = guard_policy_set_derive(set, acl_policy_retain(set->acl), set->clients);
    if (!copy)
        return NULL;
    memcpy(copy->version, set->version, sizeof copy->version);
    memcpy(copy->sha256, set->sha256, sizeof copy->sha256);
    return copy;
}

/* Remembers set as the latest; returns what goes to the broker thread. */
static struct guard_policy_set *publish(struct guard_policy_store *link, struct guard_policy_set *set)
{
    struct guard_policy_set *out = set ? share(set) : NULL;
    if (!out) {
        guard_policy_set_free(&set);
        return NULL;
    }
    guard_policy_set_free(&link->latest);
    link->latest = set;
    return out;
}

struct guard_policy_set *guard_policy_store_combine(struct guard_plugin *plugin, struct guard_policy_text *text,
                                                    struct guard_problems *problems)
{
    struct guard_policy_store *link = plugin->policy_store;
    pthread_mutex_lock(&link->lock);
    struct guard_policy_set *out = publish(link, compile(plugin, link, text, &link->redis, problems));
    if (out) {
        guard_policy_text_free(&link->file);
        link->file = *text;
        *text = (struct guard_policy_text){0};
    }
    pthread_mutex_unlock(&link->lock);
    return out;
}

/* ---- what the store delivers (store thread) ---- */

static int check_lines(void *context, const struct guard_policy_line *lines, size_t count,
                       struct guard_problems *problems)
{
    struct guard_policy_text text = {0};
    struct acl_compile_options options = {0};
    struct acl_policy *policy = NULL;
    int rc = GUARD_OK;
    (void)context;
    for (size_t i = 0; i < count && rc == GUARD_OK; i++)
        rc = guard_policy_text_add(&text, &lines[i]);
    if (rc == GUARD_OK)
        rc = acl_policy_compile(&text, &options, &policy, problems);
    acl_policy_release(policy);
    guard_policy_text_free(&text);
    return rc;
}

static bool file_has_role(const struct guard_policy_store *link, const char *name)
{
    for (size_t i = 0; i < link->file.count; i++)
        if (link->file.lines[i].section == GUARD_SECTION_ROLE && strcmp(link->file.lines[i].name, name) == 0)
            return true;
    return false;
}

/* The lines of changed assign and default sections replace those remembered. */
static int renew_bindings(struct guard_policy_store *link, const struct guard_store_update *update)
{
    struct guard_policy_text fresh = {0};
    int rc = GUARD_OK;
    for (int kind = 0; kind < 2; kind++) {
        enum guard_policy_section section = kind ? GUARD_SECTION_DEFAULT : GUARD_SECTION_ASSIGN;
        enum guard_store_kind store_kind = kind ? GUARD_STORE_DEFAULT : GUARD_STORE_ASSIGN;
        const struct guard_store_section *changed = NULL;
        for (size_t i = 0; i < update->section_count; i++)
            if (update->sections[i].kind == store_kind)
                changed = &update->sections[i];
        for (size_t i = 0; changed && i < changed->count && rc == GUARD_OK; i++)
            rc = guard_policy_text_add(&fresh, &changed->lines[i]);
        for (size_t i = 0; !changed && i < link->bindings.count && rc == GUARD_OK; i++)
            if (link->bindings.lines[i].section == section)
                rc = guard_policy_text_add(&fresh, &link->bindings.lines[i]);
    }
    if (rc != GUARD_OK) {
        guard_policy_text_free(&fresh);
        return rc;
    }
    guard_policy_text_free(&link->bindings);
    link->bindings = fresh;
    return GUARD_OK;
}

struct edit {
    struct guard_policy_text text; /* the changed roles; and all bindings, if they changed */
    const char **roles;
    size_t role_count;
    bool bindings;
};

static int collect_roles(struct guard_policy_store *link, const struct guard_store_update *update, struct edit *edit)
{
    edit->roles = calloc(update->section_count + 1, sizeof *edit->roles);
    if (!edit->roles)
        return GUARD_ERR_NOMEM;
    for (size_t i = 0; i < update->section_count; i++) {
        const struct guard_store_section *section = &update->sections[i];
        if (section->kind == GUARD_STORE_ASSIGN || section->kind == GUARD_STORE_DEFAULT)
            edit->bindings = true;
        if (section->kind != GUARD_STORE_ROLE || file_has_role(link, section->name))
            continue;
        edit->roles[edit->role_count++] = section->name;
        for (size_t l = 0; l < section->count; l++)
            if (guard_policy_text_add(&edit->text, &section->lines[l]) != GUARD_OK)
                return GUARD_ERR_NOMEM;
    }
    return GUARD_OK;
}

static int collect_bindings(struct guard_policy_store *link, const struct guard_store_update *update, struct edit *edit)
{
    struct guard_policy_text file = {0}, merged = {0};
    int rc = renew_bindings(link, update);
    for (size_t i = 0; i < link->file.count && rc == GUARD_OK; i++)
        if (link->file.lines[i].section == GUARD_SECTION_ASSIGN || link->file.lines[i].section == GUARD_SECTION_DEFAULT)
            rc = guard_policy_text_add(&file, &link->file.lines[i]);
    if (rc == GUARD_OK)
        rc = guard_policy_merge(&file, &link->bindings, &merged, NULL);
    for (size_t i = 0; i < merged.count && rc == GUARD_OK; i++)
        rc = guard_policy_text_add(&edit->text, &merged.lines[i]);
    guard_policy_text_free(&file);
    guard_policy_text_free(&merged);
    return rc;
}

static struct acl_policy *edit_rules(struct guard_policy_store *link, const struct guard_store_update *update,
                                     struct guard_problems *problems)
{
    struct edit edit = {0};
    struct acl_policy *policy = NULL;
    int rc = collect_roles(link, update, &edit);
    if (rc == GUARD_OK && edit.bindings)
        rc = collect_bindings(link, update, &edit);
    if (rc == GUARD_OK && !edit.role_count && !edit.bindings) {
        policy = acl_policy_retain(link->latest->acl);
    } else if (rc == GUARD_OK) {
        struct acl_edit change = {
            .text = &edit.text, .roles = edit.roles, .role_count = edit.role_count, .bindings = edit.bindings};
        struct acl_compile_options options = {.keep_bad_roles = true, .ignore_clients = true};
        acl_policy_edit(link->latest->acl, &change, &options, &policy, problems);
    }
    if (policy && acl_policy_wants_compaction(policy)) {
        struct acl_policy *compact = NULL;
        if (acl_policy_compact(policy, &compact) == GUARD_OK) {
            acl_policy_release(policy);
            policy = compact;
        }
    }
    guard_policy_text_free(&edit.text);
    free(edit.roles);
    return policy;
}

static bool same_section(const struct guard_policy_line *line, const struct guard_store_section *section)
{
    switch (section->kind) {
    case GUARD_STORE_ROLE:
        return line->section == GUARD_SECTION_ROLE && strcmp(line->name, section->name) == 0;
    case GUARD_STORE_ASSIGN:
        return line->section == GUARD_SECTION_ASSIGN;
    case GUARD_STORE_DEFAULT:
        return line->section == GUARD_SECTION_DEFAULT;
    default:
        return false;
    }
}

static bool is_replaced(const struct guard_store_update *update, const struct guard_policy_line *line)
{
    for (size_t i = 0; i < update->section_count; i++)
        if (same_section(line, &update->sections[i]))
            return true;
    return false;
}

/* before (NULL for a full update) with the sections of update in place of its own. */
static int apply_sections(const struct guard_policy_text *before, const struct guard_store_update *update,
                          struct guard_policy_text *out)
{
    int rc = GUARD_OK;
    for (size_t i = 0; before && i < before->count && rc == GUARD_OK; i++)
        if (!is_replaced(update, &before->lines[i]))
            rc = guard_policy_text_add(out, &before->lines[i]);
    for (size_t i = 0; i < update->section_count && rc == GUARD_OK; i++)
        for (size_t l = 0; l < update->sections[i].count && rc == GUARD_OK; l++)
            rc = guard_policy_text_add(out, &update->sections[i].lines[l]);
    return rc;
}

static struct guard_policy_set *take_all(struct guard_plugin *plugin, const struct guard_store_update *update,
                                         struct guard_problems *problems)
{
    struct guard_policy_store *link = plugin->policy_store;
    struct guard_policy_text text = {0};
    struct guard_policy_set *set = NULL;
    guard_policy_text_free(&link->bindings);
    if (apply_sections(NULL, update, &text) == GUARD_OK && renew_bindings(link, update) == GUARD_OK)
        set = compile(plugin, link, &link->file, &text, problems);
    if (set && plugin->options.policy_file[0]) {
        guard_policy_text_free(&link->redis);
        link->redis = text;
    } else {
        guard_policy_text_free(&text);
    }
    return set;
}

static struct guard_policy_set *take_edit(struct guard_plugin *plugin, const struct guard_store_update *update,
                                          struct guard_problems *problems)
{
    struct guard_policy_store *link = plugin->policy_store;
    struct acl_policy *acl = edit_rules(link, update, problems);
    struct guard_clients *clients = update->clients ? combine_clients(link->redis_clients, &link->file, problems)
                                                    : guard_clients_ref(link->latest->clients);
    struct guard_policy_set *set = NULL;
    if (acl && clients)
        set = guard_policy_set_derive(link->latest, acl, clients); /* takes acl over */
    else
        acl_policy_release(acl);
    guard_clients_unref(&clients);
    if (set)
        name_set(plugin, link, set);
    struct guard_policy_text redis = {0};
    if (set && plugin->options.policy_file[0] && update->section_count &&
        apply_sections(&link->redis, update, &redis) == GUARD_OK) {
        guard_policy_text_free(&link->redis);
        link->redis = redis;
    } else {
        guard_policy_text_free(&redis);
    }
    return set;
}

static char **copy_names(const char *const *names, size_t count)
{
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++)
        if (!(copy[i] = strdup(names[i]))) {
            while (i--)
                free(copy[i]);
            free(copy);
            return NULL;
        }
    return copy;
}

/* Whom a change concerns: everybody, or only the users it names. */
static void name_concerned(struct guard_policy_change *change, const struct guard_store_update *update)
{
    bool all = update->full || update->changed_client_count > 1000;
    for (size_t i = 0; i < update->changed_revocation_count; i++)
        all = all || update->changed_revocations[i].value;
    for (size_t i = 0; i < update->section_count; i++)
        all = all || update->sections[i].kind != GUARD_STORE_ROLE;
    change->review_all = all;
    if (all || !update->changed_client_count)
        return;
    change->users = copy_names(update->changed_clients, update->changed_client_count);
    change->user_count = change->users ? update->changed_client_count : 0;
    change->review_all = !change->users;
}

static int update_policy(struct guard_plugin *plugin, const struct guard_store_update *update,
                         struct guard_policy_change *change)
{
    struct guard_policy_store *link = plugin->policy_store;
    struct guard_problems problems = {0};
    struct guard_clients *clients_before = link->redis_clients;
    uint64_t version_before = link->version;
    if (update->clients)
        link->redis_clients = guard_clients_ref(update->clients);
    link->version = update->version ? update->version : link->version;
    struct guard_policy_set *set =
        update->full || !link->latest ? take_all(plugin, update, &problems) : take_edit(plugin, update, &problems);
    change->set = publish(link, set);
    guard_problems_free(&problems);
    if (change->set) {
        if (update->clients)
            guard_clients_unref(&clients_before);
        return GUARD_OK;
    }
    if (update->clients) {
        guard_clients_unref(&link->redis_clients);
        link->redis_clients = clients_before;
    }
    link->version = version_before;
    return GUARD_ERR_NOMEM;
}

static int on_update(void *context, const struct guard_store_update *update, struct guard_error *err)
{
    struct guard_plugin *plugin = context;
    struct guard_policy_store *link = plugin->policy_store;
    struct guard_policy_change *change = guard_policy_change_new();
    int rc = GUARD_OK;
    if (!change)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    pthread_mutex_lock(&link->lock);
    if (update->full || update->section_count || update->clients)
        rc = update_policy(plugin, update, change);
    pthread_mutex_unlock(&link->lock);
    if (rc != GUARD_OK) {
        change->message.discard(&change->message);
        return guard_fail(err, rc, "the policy could not be compiled: out of memory");
    }
    if (update->revocations)
        change->revocations = guard_revocations_ref(update->revocations);
    name_concerned(change, update);
    change->source = AUDIT_POLICY_REDIS;
    change->trigger = update->from_snapshot ? AUDIT_TRIGGER_STARTUP : AUDIT_TRIGGER_PUBSUB;
    if (update->noticed_ns)
        change->duration_ns = (uint64_t)(guard_clock_real_ns() - update->noticed_ns);
    guard_policy_send(plugin, change);
    for (size_t i = 0; i < update->jwks_count; i++)
        guard_compose_redis_keys(plugin, update->jwks[i].issuer, update->jwks[i].json);
    return GUARD_OK;
}

static void on_problem(void *context, const struct guard_problem *problem)
{
    struct guard_plugin *plugin = context;
    char text[800];
    guard_log(guard_background_log(plugin->background),
              problem->severity == GUARD_PROBLEM_ERROR ? GUARD_LOG_ERROR : GUARD_LOG_WARNING, "redis: %s",
              guard_error_format(&problem->error, text, sizeof text));
}

/* ---- how it stands (to the broker thread) ---- */

struct state_message {
    struct guard_message message;
    struct guard_store_state state;
};

static void tell_down(struct guard_plugin *plugin, const struct guard_store_state *state)
{
    guard_log(&plugin->log, GUARD_LOG_WARNING, "redis %s is down, the policy in use stays: %s", state->server,
              state->text);
    if (!plugin->audit)
        return;
    bool deny = strcmp(plugin->options.max_stale_action, "deny") == 0;
    audit_push_store_down(plugin->audit, &(struct audit_store_down){
                                             .reason = state->reason,
                                             .name = "redis",
                                             .address = state->server[0] ? state->server : NULL,
                                             .fail_mode = deny ? AUDIT_FAIL_DENY : AUDIT_FAIL_CACHE,
                                             .cache_entries = (int64_t)state->clients,
                                             .error_text = state->text[0] ? state->text : NULL,
                                         });
}

static void tell_up(struct guard_plugin *plugin, const struct guard_store_state *state, int64_t down_since_ns)
{
    guard_log(&plugin->log, GUARD_LOG_NOTICE, "redis %s is up: %llu roles, %llu client records", state->server,
              (unsigned long long)state->roles, (unsigned long long)state->clients);
    if (plugin->audit)
        audit_push_store_up(plugin->audit,
                            &(struct audit_store_up){
                                .name = "redis",
                                .address = state->server[0] ? state->server : NULL,
                                .outage_ms = (uint64_t)(guard_clock_monotonic_ns() - down_since_ns) / 1000000,
                                .denied_while_down = -1,
                            });
}

static void deliver_state(struct guard_plugin *plugin, struct guard_message *base)
{
    struct state_message *message = (struct state_message *)base;
    struct guard_policy_store *link = plugin->policy_store;
    const struct guard_store_state *state = &message->state;
    bool first = !link->down_since_ns && !link->up_told;
    if (state->up && !link->state.up) {
        tell_up(plugin, state, link->down_since_ns ? link->down_since_ns : guard_clock_monotonic_ns());
        link->up_told = true;
    } else if (!state->up && (link->state.up || first || state->reason != link->state.reason)) {
        if (link->state.up || first)
            link->down_since_ns = guard_clock_monotonic_ns();
        tell_down(plugin, state);
    }
    bool closed = (!state->have_policy && !plugin->options.policy_file[0]) ||
                  (state->expired && strcmp(plugin->options.max_stale_action, "deny") == 0);
    if (closed != plugin->closed)
        guard_log(&plugin->log, GUARD_LOG_WARNING, "%s",
                  closed ? "there is no policy that may be used: everything is denied"
                         : "the policy is in force again");
    plugin->closed = closed;
    link->state = *state;
    free(message);
}

static void discard_state(struct guard_message *message)
{
    free(message);
}

static void on_state(void *context, const struct guard_store_state *state)
{
    struct guard_plugin *plugin = context;
    struct state_message *message = calloc(1, sizeof *message);
    if (!message)
        return;
    message->message = (struct guard_message){.deliver = deliver_state, .discard = discard_state};
    message->state = *state;
    guard_background_post(plugin->background, &message->message);
}

/* ---- start and stop ---- */

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

int guard_policy_store_start(struct guard_plugin *plugin, struct guard_error *err)
{
    const struct guard_options *o = &plugin->options;
    if (!o->redis_url[0])
        return GUARD_OK;
    if (strcmp(o->max_stale_action, "keep") != 0 && strcmp(o->max_stale_action, "deny") != 0)
        return guard_fail(err, GUARD_ERR_INVALID, "option max_stale_action: '%.32s' is not one of keep|deny",
                          o->max_stale_action);
    struct guard_store_config config = {
        .url = o->redis_url,
        .username = or_null(o->redis_username),
        .password_file = or_null(o->redis_password_file),
        .tls_ca = or_null(o->redis_tls_ca),
        .tls_cert = or_null(o->redis_tls_cert),
        .tls_key = or_null(o->redis_tls_key),
        .prefix = or_null(o->redis_prefix),
        .snapshot_file = or_null(o->snapshot_file),
        .broker_id = or_null(o->broker_id),
        .connect_timeout_ms = (unsigned)o->redis_connect_timeout,
        .command_timeout_ms = (unsigned)o->redis_command_timeout,
        .max_stale_s = o->max_stale,
        .use_index = o->redis_index,
    };
    struct guard_store_callbacks callbacks = {
        .context = plugin, .check = check_lines, .update = on_update, .state = on_state, .problem = on_problem};
    plugin->closed = !o->policy_file[0];
    return guard_store_start(&config, &callbacks, &plugin->policy_store->store, err);
}

void guard_policy_store_stop(struct guard_plugin *plugin)
{
    if (plugin->policy_store && plugin->policy_store->store)
        guard_store_stop(&plugin->policy_store->store);
}

void guard_policy_store_resync(struct guard_plugin *plugin)
{
    if (plugin->policy_store->store)
        guard_store_resync(plugin->policy_store->store);
}
