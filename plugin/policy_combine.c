/* Compiles what the policy file and Redis hold together: the file's part is fixed, Redis adds. */
#include "acl/acl.h"
#include "plugin/policy_clients.h"
#include "plugin/policy_files.h"
#include "plugin/policy_store.h"
#include "plugin/policy_store_internal.h"
#include "store/policy_merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- whole ---- */

/* "<guard:version>", "<guard:version>+<edits since>", with "/<digest of the file>" where a file takes part. */
static void name_set(const struct guard_plugin *plugin, struct guard_policy_set *set)
{
    const struct guard_policy_store *link = plugin->policy_store;
    const char *redis = plugin->options.redis_url[0] ? "redis" : "";
    char edits[24] = "", files[200];
    guard_policy_files_name(&plugin->options, files, sizeof files);
    snprintf(set->ruleset, sizeof set->ruleset, "%s%s%s", files, files[0] && redis[0] ? "+" : "", redis);
    if (!set->ruleset[0])
        snprintf(set->ruleset, sizeof set->ruleset, "none");
    if (!link->delivered)
        return;
    if (link->edits)
        snprintf(edits, sizeof edits, "+%llu", (unsigned long long)link->edits);
    snprintf(set->version, sizeof set->version, "%llu%s%s%s", (unsigned long long)link->version, edits,
             link->file_digest[0] ? "/" : "", link->file_digest);
}

static struct guard_policy_set *compile(const struct guard_plugin *plugin, const struct guard_policy_text *file,
                                        const struct guard_policy_text *redis, struct guard_problems *problems)
{
    struct guard_policy_text merged = {0};
    const struct guard_policy_text *text = file->count ? &merged : redis;
    struct guard_clients *clients =
        guard_policy_clients(&plugin->options, plugin->policy_store->redis_clients, file, problems);
    struct guard_policy_set *set = NULL;
    if (clients && (!file->count || guard_policy_merge(file, redis, &merged, problems) == GUARD_OK))
        set = guard_policy_set_compile(text, clients, redis->count > 0, problems);
    guard_policy_text_free(&merged);
    guard_clients_unref(&clients);
    if (set)
        name_set(plugin, set);
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

/* A bad role of Redis' stands alone, a bad role of the file's spoils the file: it is checked before they meet. */
static bool file_is_good(const struct guard_policy_text *text, struct guard_problems *problems)
{
    struct acl_compile_options options = {.ignore_clients = true};
    struct acl_policy *policy = NULL;
    int rc = acl_policy_compile(text, &options, &policy, problems);
    acl_policy_release(policy);
    return rc == GUARD_OK;
}

struct guard_policy_set *guard_policy_store_combine(struct guard_plugin *plugin, struct guard_policy_text *text,
                                                    struct guard_problems *problems)
{
    struct guard_policy_store *link = plugin->policy_store;
    struct guard_policy_text redis = {0};
    struct guard_policy_set *out = NULL;
    char before[sizeof link->file_digest];
    pthread_mutex_lock(&link->lock);
    memcpy(before, link->file_digest, sizeof before);
    guard_policy_text_digest(text, link->file_digest, sizeof link->file_digest);
    if (guard_kept_view(&link->redis, &redis) == GUARD_OK && (!redis.count || file_is_good(text, problems)))
        out = publish(link, compile(plugin, text, &redis, problems));
    guard_policy_text_free(&redis);
    if (out) {
        guard_policy_text_free(&link->file);
        link->file = *text;
        *text = (struct guard_policy_text){0};
    } else {
        memcpy(link->file_digest, before, sizeof before);
    }
    pthread_mutex_unlock(&link->lock);
    return out;
}

static struct guard_policy_set *take_all(struct guard_plugin *plugin, const struct guard_store_update *update,
                                         struct guard_problems *problems)
{
    struct guard_policy_store *link = plugin->policy_store;
    struct guard_kept_policy kept = {0};
    struct guard_policy_text text = {0};
    struct guard_policy_set *set = NULL;
    int rc = guard_kept_take(&kept, update, link->file.count > 0);
    for (size_t i = 0; i < update->section_count && rc == GUARD_OK; i++)
        rc = guard_policy_view_lines(&text, update->sections[i].lines, update->sections[i].count);
    if (rc == GUARD_OK)
        set = compile(plugin, &link->file, &text, problems);
    guard_policy_text_free(&text);
    if (set) {
        guard_kept_free(&link->redis);
        link->redis = kept;
    } else {
        guard_kept_free(&kept);
    }
    return set;
}

/* ---- edits ---- */

struct edit {
    struct guard_policy_text text; /* a view: the changed roles; all bindings, if they changed */
    const char **roles;
    size_t role_count;
    bool bindings;
};

static const struct guard_policy_line *role_of_file(const struct guard_policy_store *link, const char *name)
{
    for (size_t i = 0; i < link->file.count; i++)
        if (link->file.lines[i].section == GUARD_SECTION_ROLE && strcmp(link->file.lines[i].name, name) == 0)
            return &link->file.lines[i];
    return NULL;
}

static int collect_roles(struct guard_policy_store *link, const struct guard_store_update *update, struct edit *edit,
                         struct guard_problems *problems)
{
    edit->roles = calloc(update->section_count + 1, sizeof *edit->roles);
    if (!edit->roles)
        return GUARD_ERR_NOMEM;
    for (size_t i = 0; i < update->section_count; i++) {
        const struct guard_store_section *section = &update->sections[i];
        if (section->kind != GUARD_STORE_ROLE) {
            edit->bindings = true;
            continue;
        }
        const struct guard_policy_line *fixed = role_of_file(link, section->name);
        if (fixed && section->count)
            guard_problems_add(problems, GUARD_PROBLEM_WARNING, section->lines[0].place, 0, 0,
                               "role '%s' is left out: the policy file fixes it (%s:%u)", section->name, fixed->place,
                               fixed->line);
        if (fixed)
            continue;
        edit->roles[edit->role_count++] = section->name;
        if (guard_policy_view_lines(&edit->text, section->lines, section->count) != GUARD_OK)
            return GUARD_ERR_NOMEM;
    }
    return GUARD_OK;
}

/* The lines of one kind after the change: those of the update, if it has them, else those kept. */
static int view_bindings(const struct guard_policy_store *link, const struct guard_store_update *update,
                         enum guard_store_kind kind, struct guard_policy_text *view)
{
    const struct guard_kept_section *kept = guard_kept_find(&link->redis, kind, "");
    for (size_t i = 0; i < update->section_count; i++)
        if (update->sections[i].kind == kind)
            return guard_policy_view_lines(view, update->sections[i].lines, update->sections[i].count);
    return kept ? guard_policy_view_lines(view, kept->text.lines, kept->text.count) : GUARD_OK;
}

/* merged holds the strings of what is appended to edit->text. */
static int collect_bindings(const struct guard_policy_store *link, const struct guard_store_update *update,
                            struct edit *edit, struct guard_policy_text *merged, struct guard_problems *problems)
{
    struct guard_policy_text file = {0}, redis = {0};
    int rc = view_bindings(link, update, GUARD_STORE_ASSIGN, &redis);
    if (rc == GUARD_OK)
        rc = view_bindings(link, update, GUARD_STORE_DEFAULT, &redis);
    for (size_t i = 0; i < link->file.count && rc == GUARD_OK; i++)
        if (link->file.lines[i].section == GUARD_SECTION_ASSIGN || link->file.lines[i].section == GUARD_SECTION_DEFAULT)
            rc = guard_policy_view_line(&file, &link->file.lines[i]);
    if (rc == GUARD_OK)
        rc = guard_policy_merge(&file, &redis, merged, problems);
    if (rc == GUARD_OK)
        rc = guard_policy_view_lines(&edit->text, merged->lines, merged->count);
    guard_policy_text_free(&file);
    guard_policy_text_free(&redis);
    return rc;
}

static struct acl_policy *compacted(struct acl_policy *policy)
{
    struct acl_policy *compact = NULL;
    if (!policy || !acl_policy_wants_compaction(policy) || acl_policy_compact(policy, &compact) != GUARD_OK)
        return policy;
    acl_policy_release(policy);
    return compact;
}

/* base with the update in it, and with all bindings if it has none yet. */
static struct acl_policy *edit_rules(struct guard_policy_store *link, struct acl_policy *base, bool bindings,
                                     const struct guard_store_update *update, struct guard_problems *problems)
{
    struct edit edit = {.bindings = bindings};
    struct guard_policy_text merged = {0};
    struct acl_policy *policy = NULL;
    int rc = collect_roles(link, update, &edit, problems);
    if (rc == GUARD_OK && edit.bindings)
        rc = collect_bindings(link, update, &edit, &merged, problems);
    if (rc == GUARD_OK && !edit.role_count && !edit.bindings) {
        policy = acl_policy_retain(base);
    } else if (rc == GUARD_OK) {
        struct acl_edit change = {
            .text = &edit.text, .roles = edit.roles, .role_count = edit.role_count, .bindings = edit.bindings};
        struct acl_compile_options options = {.keep_bad_roles = true, .ignore_clients = true};
        acl_policy_edit(base, &change, &options, &policy, problems);
    }
    guard_policy_text_free(&edit.text);
    guard_policy_text_free(&merged);
    free(edit.roles);
    return compacted(policy);
}

static struct guard_policy_set *take_edit(struct guard_plugin *plugin, const struct guard_store_update *update,
                                          struct guard_problems *problems)
{
    struct guard_policy_store *link = plugin->policy_store;
    struct acl_policy *acl = edit_rules(link, link->latest->acl, false, update, problems);
    struct guard_clients *clients =
        update->clients ? guard_policy_clients(&plugin->options, link->redis_clients, &link->file, problems)
                        : guard_clients_ref(link->latest->clients);
    struct guard_policy_set *set = NULL;
    if (acl && clients && guard_kept_take(&link->redis, update, link->file.count > 0) == GUARD_OK)
        set = guard_policy_set_derive(link->latest, acl, clients); /* takes acl over */
    else
        acl_policy_release(acl);
    guard_clients_unref(&clients);
    if (set)
        name_set(plugin, set);
    return set;
}

/* ---- from a snapshot ---- */

/* What is kept beside a file are all roles, also those that the update, which comes with an image, does not tell. */
static int keep_restored(struct guard_policy_store *link, const struct guard_store_update *update)
{
    struct guard_policy_text text = {0};
    if (!link->file.count)
        return guard_kept_take(&link->redis, update, false);
    int rc = guard_store_copy_policy(link->store, &text);
    if (rc == GUARD_OK)
        rc = guard_kept_take_text(&link->redis, &text);
    guard_policy_text_free(&text);
    return rc;
}

static struct guard_policy_set *take_image(struct guard_plugin *plugin, const struct guard_store_update *update,
                                           struct guard_problems *problems)
{
    struct guard_policy_store *link = plugin->policy_store;
    struct guard_policy_set *set = NULL;
    struct acl_policy *base = guard_policy_image_load(link, update);
    struct acl_policy *acl = base ? edit_rules(link, base, true, update, problems) : NULL;
    struct guard_clients *clients =
        acl ? guard_policy_clients(&plugin->options, link->redis_clients, &link->file, problems) : NULL;
    acl_policy_release(base);
    if (clients && keep_restored(link, update) == GUARD_OK)
        set = guard_policy_set_of(acl, clients); /* takes acl over */
    else
        acl_policy_release(acl);
    guard_clients_unref(&clients);
    if (set)
        name_set(plugin, set);
    return set;
}

/* ---- updates ---- */

static void log_warnings(const struct guard_plugin *plugin, const struct guard_problems *problems)
{
    char text[800];
    for (size_t i = 0; i < problems->count; i++)
        guard_log(guard_background_log(plugin->background), GUARD_LOG_WARNING, "redis: %s",
                  guard_error_format(&problems->items[i].error, text, sizeof text));
}

/* What stands in the version's name: an edit counts from the version it came after. */
static void count_edit(struct guard_policy_store *link, uint64_t version)
{
    bool same = link->delivered && version == link->version;
    link->edits = same ? link->edits + 1 : 0;
    link->version = version;
    link->delivered = true;
}

struct guard_policy_set *guard_policy_combine_update(struct guard_plugin *plugin,
                                                     const struct guard_store_update *update)
{
    struct guard_policy_store *link = plugin->policy_store;
    struct guard_problems problems = {0};
    struct guard_clients *clients_before = link->redis_clients;
    uint64_t version = link->version, edits = link->edits;
    bool delivered = link->delivered;
    if (update->clients)
        link->redis_clients = guard_clients_ref(update->clients);
    count_edit(link, update->version);
    struct guard_policy_set *set =
        publish(link, update->image                   ? take_image(plugin, update, &problems)
                      : update->full || !link->latest ? take_all(plugin, update, &problems)
                                                      : take_edit(plugin, update, &problems));
    log_warnings(plugin, &problems);
    guard_problems_free(&problems);
    if (set && update->clients) {
        guard_clients_unref(&clients_before);
    } else if (!set) {
        if (update->clients)
            guard_clients_unref(&link->redis_clients);
        link->redis_clients = clients_before;
        link->version = version;
        link->edits = edits;
        link->delivered = delivered;
    }
    return set;
}

struct guard_policy_set *guard_policy_combine_renamed(struct guard_plugin *plugin, uint64_t version)
{
    struct guard_policy_store *link = plugin->policy_store;
    if (!link->latest || !link->delivered)
        return NULL;
    link->version = version;
    link->edits = 0;
    name_set(plugin, link->latest);
    return share(link->latest);
}

void guard_policy_combine_free(struct guard_policy_store *link)
{
    guard_policy_text_free(&link->file);
    guard_kept_free(&link->redis);
    guard_clients_unref(&link->redis_clients);
    guard_policy_set_free(&link->latest);
}
