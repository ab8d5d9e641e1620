#include "plugin/policy_store.h"

#include "acl/acl.h"
#include "acl/image.h"
#include "audit/audit.h"
#include "core/clock.h"
#include "core/revocations.h"
#include "plugin/compose.h"
#include "plugin/policy_files.h"
#include "plugin/policy_source.h"
#include "plugin/policy_store_internal.h"

#include <stdlib.h>
#include <string.h>

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
    guard_policy_combine_free(link);
    pthread_mutex_destroy(&link->lock);
    free(link);
    plugin->policy_store = NULL;
}

/* ---- what the store delivers (store thread; of a snapshot, the broker's) ---- */

/* Errors only: what one section seems to lack (a role that is not defined) another one may hold. */
static void add_errors(struct guard_problems *to, const struct guard_problems *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct guard_error *error = &from->items[i].error;
        if (from->items[i].severity == GUARD_PROBLEM_ERROR)
            guard_problems_add(to, GUARD_PROBLEM_ERROR, error->place, error->line, error->column, "%s", error->text);
    }
}

/* The quick way for the common case: a first sync may bring ten thousand roles. */
static bool is_good_role(const struct guard_policy_line *lines, size_t count)
{
    struct guard_error err;
    for (size_t i = 0; i < count; i++)
        if (lines[i].section != GUARD_SECTION_ROLE || acl_rule_parse_check(lines[i].value, &err) != GUARD_OK)
            return false;
    return true;
}

static int check_lines(void *context, const struct guard_policy_line *lines, size_t count,
                       struct guard_problems *problems)
{
    struct guard_policy_text text = {0};
    struct guard_problems found = {0};
    struct acl_compile_options options = {0};
    struct acl_policy *policy = NULL;
    int rc = GUARD_OK;
    (void)context;
    if (is_good_role(lines, count))
        return GUARD_OK;
    for (size_t i = 0; i < count && rc == GUARD_OK; i++)
        rc = guard_policy_text_add(&text, &lines[i]);
    if (rc == GUARD_OK)
        rc = acl_policy_compile(&text, &options, &policy, &found);
    add_errors(problems, &found);
    guard_problems_free(&found);
    acl_policy_release(policy);
    guard_policy_text_free(&text);
    return rc;
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

static void describe(struct guard_policy_change *change, const struct guard_store_update *update)
{
    if (update->revocations)
        change->revocations = guard_revocations_ref(update->revocations);
    name_concerned(change, update);
    change->source = AUDIT_POLICY_REDIS;
    change->trigger = update->full ? AUDIT_TRIGGER_STARTUP : AUDIT_TRIGGER_PUBSUB;
    if (update->noticed_ns)
        change->duration_ns = (uint64_t)(guard_clock_real_ns() - update->noticed_ns);
}

static void log_snapshot(const struct guard_plugin *plugin, const struct guard_store_update *update)
{
    if (update->from_snapshot)
        guard_log(guard_background_log(plugin->background), GUARD_LOG_NOTICE,
                  "the policy is from the snapshot %s, saved %lld s ago%s", plugin->options.snapshot_file,
                  (long long)(guard_clock_now() - update->saved_at),
                  update->image ? "" : "; its rules were compiled anew");
}

static int on_update(void *context, const struct guard_store_update *update, struct guard_error *err)
{
    struct guard_plugin *plugin = context;
    struct guard_policy_store *link = plugin->policy_store;
    struct guard_policy_change *change = guard_policy_change_new();
    bool policy = update->full || update->section_count || update->clients;
    if (!change)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    pthread_mutex_lock(&link->lock);
    if (policy)
        change->set = guard_policy_combine_update(plugin, update);
    pthread_mutex_unlock(&link->lock);
    if (policy && !change->set) {
        change->message.discard(&change->message);
        if (update->image)
            return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the compiled rules of the snapshot cannot be used");
        return guard_fail(err, GUARD_ERR_NOMEM, "the policy could not be compiled: out of memory");
    }
    log_snapshot(plugin, update);
    describe(change, update);
    guard_policy_send(plugin, change);
    for (size_t i = 0; i < update->jwks_count; i++)
        guard_compose_redis_keys(plugin, update->jwks[i].issuer, update->jwks[i].json);
    return GUARD_OK;
}

/* Told from within guard_store_start, which only reads the snapshot; all else is told by the store's thread. */
static bool is_of_snapshot(const struct guard_plugin *plugin)
{
    return pthread_equal(pthread_self(), plugin->broker_thread);
}

/* Whether the problem is of the policy; the others are of the snapshot being saved. */
static bool concerns_policy(const struct guard_plugin *plugin, const struct guard_problem *problem)
{
    return problem->severity == GUARD_PROBLEM_ERROR &&
           (is_of_snapshot(plugin) || strcmp(problem->error.place, plugin->options.snapshot_file) != 0);
}

/* A line, record or snapshot that is not taken: logged and audited by the broker thread. */
static void on_problem(void *context, const struct guard_problem *problem)
{
    struct guard_plugin *plugin = context;
    struct guard_policy_change *change = concerns_policy(plugin, problem) ? guard_policy_change_new() : NULL;
    char text[800];
    if (!change) {
        guard_log(guard_background_log(plugin->background),
                  problem->severity == GUARD_PROBLEM_ERROR ? GUARD_LOG_ERROR : GUARD_LOG_WARNING, "redis: %s",
                  guard_error_format(&problem->error, text, sizeof text));
        return;
    }
    change->partial = !is_of_snapshot(plugin);
    change->reason = is_of_snapshot(plugin) ? GUARD_REASON_POLICY_READ_ERROR : GUARD_REASON_POLICY_PARSE_ERROR;
    change->error = problem->error;
    change->source = AUDIT_POLICY_REDIS;
    change->trigger = is_of_snapshot(plugin) ? AUDIT_TRIGGER_STARTUP : AUDIT_TRIGGER_PUBSUB;
    guard_policy_send(plugin, change);
}

/* An INCR of guard:version alone changes nothing but the name under which the policy is in force. */
static void rename_policy(struct guard_plugin *plugin, uint64_t version)
{
    struct guard_policy_store *link = plugin->policy_store;
    struct guard_policy_change *change = guard_policy_change_new();
    if (!change)
        return;
    change->source = AUDIT_POLICY_REDIS;
    change->trigger = AUDIT_TRIGGER_PUBSUB;
    pthread_mutex_lock(&link->lock);
    if (link->delivered && version != link->version)
        change->set = guard_policy_combine_renamed(plugin, version);
    pthread_mutex_unlock(&link->lock);
    if (change->set)
        guard_policy_send(plugin, change);
    else
        change->message.discard(&change->message);
}

static void on_state(void *context, const struct guard_store_state *state)
{
    struct guard_plugin *plugin = context;
    if (state->up && state->version != plugin->policy_store->version) /* only this thread writes it while Redis is up */
        rename_policy(plugin, state->version);
    guard_policy_state_send(plugin, state);
}

/* ---- for the snapshot ---- */

static void *get_image(void *context)
{
    struct guard_plugin *plugin = context;
    pthread_mutex_lock(&plugin->policy_store->lock);
    struct guard_policy_image *image = guard_policy_combine_image(plugin);
    pthread_mutex_unlock(&plugin->policy_store->lock);
    return image;
}

static int write_image(const void *image, const struct guard_sink *sink)
{
    return guard_policy_image_write(image, sink);
}

static void free_image(void *image)
{
    guard_policy_image_free(image);
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
    struct guard_store_callbacks callbacks = {.context = plugin,
                                              .check = check_lines,
                                              .update = on_update,
                                              .state = on_state,
                                              .problem = on_problem,
                                              .image = get_image,
                                              .image_write = write_image,
                                              .image_free = free_image};
    plugin->closed = !guard_policy_in_files(o);
    guard_plugin_update_quick(plugin);
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
