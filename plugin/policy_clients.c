#include "plugin/policy_clients.h"

#include "plugin/policy_store_internal.h"
#include "store/policy_join.h"
#include "store/policy_keys.h"

#include <string.h>

/* The file's client lines: of those that it fixes, and of those that Mosquitto's files alone know. Views. */
struct parts {
    struct guard_policy_text fixed, added;
};

static int part(const struct guard_options *options, const struct guard_policy_text *file, struct parts *parts)
{
    struct guard_policy_fields names = {.by_name_only = true};
    size_t before;
    int rc = GUARD_OK;
    for (size_t i = 0; i < file->count && rc != GUARD_ERR_NOMEM; i++)
        if (file->lines[i].section == GUARD_SECTION_CLIENT && strcmp(file->lines[i].place, options->policy_file) == 0)
            rc = guard_policy_fields_add(&names, file, i, &before);
    for (size_t i = 0; i < file->count && rc != GUARD_ERR_NOMEM; i++)
        if (file->lines[i].section == GUARD_SECTION_CLIENT)
            rc = guard_policy_view_line(guard_policy_fields_find(&names, file, &file->lines[i], NULL) ? &parts->fixed
                                                                                                      : &parts->added,
                                        &file->lines[i]);
    guard_policy_fields_free(&names);
    return rc == GUARD_ERR_NOMEM ? rc : GUARD_OK;
}

/* What Redis has about the clients of text. */
static int records_of(const struct guard_clients *redis, const struct guard_policy_text *text,
                      struct guard_policy_text *out)
{
    struct guard_client_view view;
    int rc = GUARD_OK;
    for (size_t i = 0; i < text->count && rc == GUARD_OK; i++) {
        const char *name = text->lines[i].name;
        bool again = i && strcmp(text->lines[i - 1].name, name) == 0;
        if (!again && guard_clients_find(redis, name, strlen(name), &view))
            rc = guard_client_to_text(&view, "redis", out);
    }
    return rc;
}

static int put_added(struct guard_clients_builder *builder, struct guard_clients *redis,
                     const struct guard_policy_text *added, struct guard_problems *problems)
{
    struct guard_policy_text theirs = {0}, joined = {0};
    int rc = records_of(redis, added, &theirs);
    if (rc == GUARD_OK)
        rc = guard_policy_join(&theirs, added, &joined, problems);
    if (rc == GUARD_OK)
        rc = guard_clients_builder_put_text(builder, &joined, problems);
    guard_policy_text_free(&theirs);
    guard_policy_text_free(&joined);
    return rc;
}

struct guard_clients *guard_policy_clients(const struct guard_options *options, struct guard_clients *redis,
                                           const struct guard_policy_text *file, struct guard_problems *problems)
{
    struct parts parts = {0};
    if (redis && !file->count)
        return guard_clients_ref(redis);
    struct guard_clients_builder *builder = guard_clients_builder_new(redis);
    int rc = builder ? part(options, file, &parts) : GUARD_ERR_NOMEM;
    if (rc == GUARD_OK)
        rc = guard_clients_builder_put_text(builder, &parts.fixed, problems);
    if (rc == GUARD_OK && parts.added.count)
        rc = put_added(builder, redis, &parts.added, problems);
    guard_policy_text_free(&parts.fixed);
    guard_policy_text_free(&parts.added);
    if (rc != GUARD_OK)
        guard_clients_builder_free(&builder);
    return rc == GUARD_OK ? guard_clients_builder_finish(&builder) : NULL;
}
