#include "core/identity.h"

#include "core/error.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

struct guard_identity *guard_identity_new(void)
{
    return calloc(1, sizeof(struct guard_identity));
}

static void free_attribute(struct guard_attribute *attribute)
{
    for (size_t i = 0; i < attribute->count; i++)
        guard_free_string(&attribute->values[i]);
    free(attribute->values);
    guard_free_string(&attribute->name);
}

void guard_identity_free(struct guard_identity **identity)
{
    struct guard_identity *it = *identity;
    if (!it)
        return;
    for (size_t i = 0; i < it->role_count; i++)
        guard_free_string(&it->roles[i].role);
    free(it->roles);
    for (size_t i = 0; i < it->attribute_count; i++)
        free_attribute(&it->attributes[i]);
    free(it->attributes);
    guard_free_string(&it->username);
    guard_free_string(&it->acl_json);
    guard_free_string(&it->subject);
    guard_free_string(&it->issuer);
    guard_free_string(&it->token_id);
    guard_free_string(&it->key_id);
    guard_wipe(it, sizeof *it);
    free(it);
    *identity = NULL;
}

int guard_identity_add_role(struct guard_identity *identity, const char *role, int32_t priority)
{
    for (size_t i = 0; i < identity->role_count; i++)
        if (strcmp(identity->roles[i].role, role) == 0) {
            if (priority > identity->roles[i].priority)
                identity->roles[i].priority = priority;
            return GUARD_OK;
        }
    struct guard_role_grant *grown = reallocarray(identity->roles, identity->role_count + 1, sizeof *grown);
    if (!grown)
        return GUARD_ERR_NOMEM;
    identity->roles = grown;
    char *copy = strdup(role);
    if (!copy)
        return GUARD_ERR_NOMEM;
    grown[identity->role_count++] = (struct guard_role_grant){copy, priority};
    return GUARD_OK;
}

static struct guard_attribute *attribute_of(struct guard_identity *identity, const char *name)
{
    for (size_t i = 0; i < identity->attribute_count; i++)
        if (strcmp(identity->attributes[i].name, name) == 0)
            return &identity->attributes[i];
    struct guard_attribute *grown = reallocarray(identity->attributes, identity->attribute_count + 1, sizeof *grown);
    if (!grown)
        return NULL;
    identity->attributes = grown;
    char *copy = strdup(name);
    if (!copy)
        return NULL;
    grown[identity->attribute_count] = (struct guard_attribute){copy, NULL, 0};
    return &grown[identity->attribute_count++];
}

int guard_identity_add_attribute(struct guard_identity *identity, const char *name, const char *value)
{
    struct guard_attribute *attribute = attribute_of(identity, name);
    if (!attribute)
        return GUARD_ERR_NOMEM;
    if (!value)
        return GUARD_OK;
    char **grown = reallocarray(attribute->values, attribute->count + 1, sizeof *grown);
    if (!grown)
        return GUARD_ERR_NOMEM;
    attribute->values = grown;
    char *copy = strdup(value);
    if (!copy)
        return GUARD_ERR_NOMEM;
    grown[attribute->count++] = copy;
    return GUARD_OK;
}

const struct guard_attribute *guard_identity_attribute(const struct guard_identity *identity, const char *name)
{
    for (size_t i = 0; i < identity->attribute_count; i++)
        if (strcmp(identity->attributes[i].name, name) == 0)
            return &identity->attributes[i];
    return NULL;
}

const char *guard_auth_method_name(enum guard_auth_method method)
{
    static const char *const names[] = {"none", "certificate", "token", "password", "psk", "enhanced", "anonymous"};
    return (unsigned)method < sizeof names / sizeof *names ? names[method] : "none";
}
