#include "plugin/policy_set.h"

#include "acl/acl.h"
#include "auth/password.h"
#include "core/clients.h"
#include "core/digest.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void guard_policy_set_free(struct guard_policy_set **set_pointer)
{
    struct guard_policy_set *set = *set_pointer;
    if (!set)
        return;
    acl_policy_release(set->acl);
    guard_clients_unref(&set->clients);
    guard_free_string(&set->decoy);
    free(set);
    *set_pointer = NULL;
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

void guard_policy_text_digest(const struct guard_policy_text *text, char *hex, size_t size)
{
    char whole[GUARD_SHA256_HEX] = "";
    if (!text->count || !digest(text, whole))
        whole[0] = '\0';
    snprintf(hex, size, "%s", whole);
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

#define USUAL_SAMPLE 1000

struct sample {
    struct auth_password_usual usual;
    unsigned left;
};

static bool add_hash(void *context, const struct guard_client_view *view)
{
    struct sample *sample = context;
    if (view->password)
        auth_password_usual_add(&sample->usual, view->password);
    return --sample->left > 0;
}

/* The hash of an unknown user must take as long as that of a known one. */
static char *make_decoy(const struct guard_clients *clients)
{
    struct sample sample = {.left = USUAL_SAMPLE};
    guard_clients_each(clients, add_hash, &sample);
    return auth_password_decoy(sample.usual.example);
}

struct guard_policy_set *guard_policy_set_compile(const struct guard_policy_text *text, struct guard_clients *clients,
                                                  bool keep_bad_roles, struct guard_problems *problems)
{
    struct acl_compile_options options = {.keep_bad_roles = keep_bad_roles, .ignore_clients = true};
    struct guard_policy_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->clients = clients ? guard_clients_ref(clients) : build_clients(text, problems);
    int rc = acl_policy_compile(text, &options, &set->acl, problems);
    if (rc != GUARD_OK || !set->clients || !digest(text, set->sha256)) {
        guard_policy_set_free(&set);
        return NULL;
    }
    set->decoy = make_decoy(set->clients);
    snprintf(set->version, sizeof set->version, "%.12s", set->sha256);
    set->rules = (int64_t)acl_policy_rule_count(set->acl);
    return set;
}

struct guard_policy_set *guard_policy_set_of(struct acl_policy *acl, struct guard_clients *clients)
{
    struct guard_policy_set *set = calloc(1, sizeof *set);
    if (!set) {
        acl_policy_release(acl);
        return NULL;
    }
    *set = (struct guard_policy_set){.acl = acl, .clients = guard_clients_ref(clients)};
    set->decoy = make_decoy(clients);
    set->rules = (int64_t)acl_policy_rule_count(acl);
    return set;
}

struct guard_policy_set *guard_policy_set_derive(const struct guard_policy_set *base, struct acl_policy *acl,
                                                 struct guard_clients *clients)
{
    struct guard_policy_set *set = calloc(1, sizeof *set);
    if (!set) {
        acl_policy_release(acl);
        return NULL;
    }
    *set = (struct guard_policy_set){.acl = acl, .clients = guard_clients_ref(clients)};
    set->decoy = base->decoy ? strdup(base->decoy) : NULL;
    snprintf(set->ruleset, sizeof set->ruleset, "%s", base->ruleset);
    set->rules = (int64_t)acl_policy_rule_count(acl);
    return set;
}
