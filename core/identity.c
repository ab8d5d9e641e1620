#include "core/identity.h"

#include "core/apart.h"
#include "core/error.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

#define NAME_ROOM 64 /* for the name of a client that logs in with a password */

struct guard_identity *guard_identity_new(void)
{
    return guard_identity_new_with_room(NAME_ROOM);
}

struct guard_identity *guard_identity_new_with_room(size_t room)
{
    struct guard_identity *identity = guard_apart_alloc(sizeof *identity + room);
    if (!identity)
        return NULL;
    identity->room = room;
    return identity;
}

/*
 * Memory for a role or an attribute: of the arena while that lasts. A token's identity is a dozen small pieces, and
 * allocating each of them took longer than everything else about it.
 */
static void *take(struct guard_identity *identity, size_t size)
{
    size_t rounded = (size + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    if (identity->room - identity->used < rounded)
        return malloc(size);
    void *memory = identity->arena + identity->used;
    identity->used += rounded;
    return memory;
}

static bool in_arena(const struct guard_identity *identity, const void *memory)
{
    const char *octet = memory;
    return octet >= identity->arena && octet < identity->arena + identity->room;
}

static void give_back(const struct guard_identity *identity, void *memory)
{
    if (!in_arena(identity, memory))
        free(memory);
}

char *guard_identity_copy(struct guard_identity *identity, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = take(identity, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

/*
 * An attribute is one block: the pointers to its values, its name, its values. values is the block's address where
 * there are values, name where there are none.
 */
static void free_attribute(const struct guard_identity *identity, struct guard_attribute *attribute)
{
    if (in_arena(identity, attribute->count ? (void *)attribute->values : attribute->name))
        return; /* wiped as a whole */
    for (size_t i = 0; i < attribute->count; i++)
        guard_wipe(attribute->values[i], strlen(attribute->values[i]));
    free(attribute->count ? (void *)attribute->values : attribute->name);
}

void guard_identity_free(struct guard_identity **identity)
{
    struct guard_identity *it = *identity;
    if (!it)
        return;
    for (size_t i = 0; i < it->role_count; i++) {
        guard_wipe(it->roles[i].role, strlen(it->roles[i].role));
        give_back(it, it->roles[i].role);
    }
    give_back(it, it->roles);
    for (size_t i = 0; i < it->attribute_count; i++)
        free_attribute(it, &it->attributes[i]);
    give_back(it, it->attributes);
    char **texts[] = {&it->username, &it->acl_json, &it->subject, &it->issuer, &it->token_id, &it->key_id};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!in_arena(it, *texts[i]))
            guard_free_string(texts[i]);
    guard_apart_drop(identity);
}

#define FIRST_ITEMS 8 /* room of a list at once; doubled when used up */

/* list with room for one more behind its used items: itself, or a longer copy. NULL: out of memory, list is as it was.
 */
static void *with_room(struct guard_identity *identity, void *list, size_t used, size_t item_size)
{
    bool full = !list || (used >= FIRST_ITEMS && (used & (used - 1)) == 0);
    if (!full)
        return list;
    void *grown = take(identity, (used ? 2 * used : FIRST_ITEMS) * item_size);
    if (grown && list) {
        memcpy(grown, list, used * item_size);
        give_back(identity, list);
    }
    return grown;
}

int guard_identity_add_role(struct guard_identity *identity, const char *role, int32_t priority)
{
    for (size_t i = 0; i < identity->role_count; i++)
        if (strcmp(identity->roles[i].role, role) == 0) {
            if (priority > identity->roles[i].priority)
                identity->roles[i].priority = priority;
            return GUARD_OK;
        }
    void *roles = with_room(identity, identity->roles, identity->role_count, sizeof(struct guard_role_grant));
    if (!roles)
        return GUARD_ERR_NOMEM;
    identity->roles = roles;
    char *copy = guard_identity_copy(identity, role);
    if (!copy)
        return GUARD_ERR_NOMEM;
    identity->roles[identity->role_count++] = (struct guard_role_grant){copy, priority};
    return GUARD_OK;
}

/* Copies length characters and a NUL to *to, and moves it behind them. */
static char *put(char **to, const char *text, size_t length)
{
    char *copy = *to;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *to += length + 1;
    return copy;
}

/* The block of an attribute with the values of some, and those of more behind them. *to changes on success only. */
static int make_attribute(struct guard_identity *identity, const char *name, const struct guard_attribute *some,
                          const char *const *more, size_t more_count, struct guard_attribute *to)
{
    size_t count = some->count + more_count, name_length = strlen(name);
    size_t size = name_length + 1 + count * sizeof(char *);
    for (size_t i = 0; i < some->count; i++)
        size += strlen(some->values[i]) + 1;
    for (size_t i = 0; i < more_count; i++)
        size += strlen(more[i]) + 1;
    char **values = take(identity, size);
    if (!values)
        return GUARD_ERR_NOMEM;
    char *text = (char *)(values + count);
    struct guard_attribute made = {put(&text, name, name_length), count ? values : NULL, count};
    for (size_t i = 0; i < some->count; i++)
        values[i] = put(&text, some->values[i], strlen(some->values[i]));
    for (size_t i = 0; i < more_count; i++)
        values[some->count + i] = put(&text, more[i], strlen(more[i]));
    *to = made;
    return GUARD_OK;
}

int guard_identity_new_attribute(struct guard_identity *identity, const char *name, const char *const *values,
                                 size_t count)
{
    static const struct guard_attribute none;
    size_t used = identity->attribute_count;
    void *attributes = with_room(identity, identity->attributes, used, sizeof(struct guard_attribute));
    if (!attributes)
        return GUARD_ERR_NOMEM;
    identity->attributes = attributes;
    int rc = make_attribute(identity, name, &none, values, count, &identity->attributes[used]);
    identity->attribute_count += rc == GUARD_OK;
    return rc;
}

static struct guard_attribute *find_attribute(const struct guard_identity *identity, const char *name)
{
    for (size_t i = 0; i < identity->attribute_count; i++)
        if (strcmp(identity->attributes[i].name, name) == 0)
            return &identity->attributes[i];
    return NULL;
}

int guard_identity_add_attribute_list(struct guard_identity *identity, const char *name, const char *const *values,
                                      size_t count)
{
    struct guard_attribute *attribute = find_attribute(identity, name), longer;
    if (!attribute)
        return guard_identity_new_attribute(identity, name, values, count);
    if (!count)
        return GUARD_OK;
    int rc = make_attribute(identity, name, attribute, values, count, &longer);
    if (rc == GUARD_OK) {
        free_attribute(identity, attribute);
        *attribute = longer;
    }
    return rc;
}

int guard_identity_add_attribute(struct guard_identity *identity, const char *name, const char *value)
{
    return guard_identity_add_attribute_list(identity, name, &value, value != NULL);
}

const struct guard_attribute *guard_identity_attribute(const struct guard_identity *identity, const char *name)
{
    return find_attribute(identity, name);
}

const char *guard_auth_method_name(enum guard_auth_method method)
{
    static const char *const names[] = {"none", "certificate", "token", "password", "psk", "enhanced", "anonymous"};
    return (unsigned)method < sizeof names / sizeof *names ? names[method] : "none";
}
