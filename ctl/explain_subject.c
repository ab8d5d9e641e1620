/* Binding the client of a query, once for all queries of the same client. */
#include "ctl/explain.h"

#include "core/buffer.h"
#include "core/siphash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS   (1u << 16)  /* of the hash table */
#define FULL_AT (SLOTS / 2) /* then everything is forgotten and binding starts again */

struct entry {
    uint64_t hash;
    char *key; /* NULL: empty slot */
    size_t length;
    struct explain_subject bound;
};

struct explain_subjects {
    const struct ctl_policy *source;
    struct guard_siphash_key secret;
    struct entry *entries;
    size_t count;
    struct guard_buffer key; /* scratch */
};

struct explain_subjects *explain_subjects_new(const struct ctl_policy *source)
{
    struct explain_subjects *subjects = calloc(1, sizeof *subjects);
    if (!subjects)
        return NULL;
    subjects->source = source;
    subjects->secret = guard_siphash_random_key();
    subjects->entries = calloc(SLOTS, sizeof *subjects->entries);
    if (!subjects->entries) {
        free(subjects);
        return NULL;
    }
    return subjects;
}

static void forget_all(struct explain_subjects *subjects)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct entry *entry = &subjects->entries[i];
        acl_subject_free(&entry->bound.subject);
        acl_subject_free(&entry->bound.classified);
        free(entry->key);
        *entry = (struct entry){0};
    }
    subjects->count = 0;
}

void explain_subjects_free(struct explain_subjects **subjects)
{
    if (!*subjects)
        return;
    forget_all(*subjects);
    guard_buffer_free(&(*subjects)->key);
    free((*subjects)->entries);
    free(*subjects);
    *subjects = NULL;
}

/* A text with its tag and its end, so that no two identities have the same key. */
static void append_text(struct guard_buffer *key, char tag, const char *text)
{
    guard_buffer_byte(key, text ? tag : '-');
    if (text)
        guard_buffer_append(key, text, strlen(text) + 1);
}

static void write_key(struct guard_buffer *key, const struct explain_query *query)
{
    guard_buffer_clear(key);
    append_text(key, 'u', query->username);
    append_text(key, 'c', query->client_id);
    append_text(key, 'a', query->address);
    append_text(key, 'l', query->acl_claim);
    guard_buffer_byte(key, query->roles_given ? 'r' : '-');
    for (size_t i = 0; i < query->role_count; i++) {
        append_text(key, 'r', query->roles[i].name);
        guard_buffer_append(key, &query->roles[i].priority, sizeof query->roles[i].priority);
    }
    for (size_t i = 0; i < query->attribute_count; i++) {
        append_text(key, query->attributes[i].dotted ? '.' : 'n', query->attributes[i].name);
        append_text(key, 'v', query->attributes[i].value);
    }
}

/* ---- binding ---- */

static int add_attributes(struct guard_identity *identity, const struct explain_query *query)
{
    struct guard_buffer name = {0};
    int rc = GUARD_OK;
    for (size_t i = 0; i < query->attribute_count && rc == GUARD_OK; i++) {
        const struct explain_attribute *attribute = &query->attributes[i];
        guard_buffer_clear(&name);
        guard_buffer_text(&name, attribute->dotted ? "" : "attr.");
        guard_buffer_text(&name, attribute->name);
        rc = name.failed ? GUARD_ERR_NOMEM : guard_identity_add_attribute(identity, name.data, attribute->value);
    }
    guard_buffer_free(&name);
    return rc;
}

/*
 * What the client record says, as the plugin would add it: attr.* the query does not name itself, and the roles, which
 * acl_subject_bind leaves out where the query names its own.
 */
static int add_record(struct guard_identity *record, const struct guard_identity *given,
                      const struct guard_client_view *view)
{
    const char *cursor = NULL, *name, *value;
    int32_t priority;
    int rc = GUARD_OK;
    struct guard_buffer full = {0};
    while (rc == GUARD_OK && guard_client_next_role(view, &cursor, &name, &priority))
        rc = guard_identity_add_role(record, name, priority);
    cursor = NULL;
    while (rc == GUARD_OK && guard_client_next_attribute(view, &cursor, &name, &value)) {
        guard_buffer_clear(&full);
        guard_buffer_printf(&full, "attr.%s", name);
        if (full.failed)
            rc = GUARD_ERR_NOMEM;
        else if (!guard_identity_attribute(given, full.data))
            rc = guard_identity_add_attribute(record, full.data, value);
    }
    guard_buffer_free(&full);
    return rc;
}

static int bind_to(const struct acl_policy *policy, const struct explain_query *query,
                   const struct guard_identity *given, const struct guard_identity *record, struct acl_subject **out,
                   struct guard_error *err)
{
    struct guard_role_grant *roles = calloc(query->role_count + 1, sizeof *roles);
    if (!roles)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < query->role_count; i++) {
        /* the grant only lends the name, and acl_subject_bind takes it as const */
        memcpy(&roles[i].role, &query->roles[i].name, sizeof roles[i].role);
        roles[i].priority = query->roles[i].priority;
    }
    struct acl_bind bind = {
        .username = query->username,
        .client_id = query->client_id,
        .address = query->address,
        .identity = given,
        .record_roles = record->roles,
        .record_role_count = record->role_count,
        .record_attributes = record->attributes,
        .record_attribute_count = record->attribute_count,
        .only_roles = query->roles_given,
        .roles = roles,
        .role_count = query->role_count,
    };
    int rc = acl_subject_bind(policy, &bind, out, err);
    free(roles);
    return rc;
}

static int bind_query(const struct ctl_policy *source, const struct explain_query *query, struct explain_subject *bound,
                      struct guard_error *err)
{
    struct guard_identity *given = guard_identity_new(), *record = guard_identity_new();
    struct guard_client_view view;
    int rc = given && record ? add_attributes(given, query) : GUARD_ERR_NOMEM;
    if (rc == GUARD_OK)
        given->method = query->username ? GUARD_AUTH_PASSWORD : GUARD_AUTH_ANONYMOUS;
    if (rc == GUARD_OK && query->acl_claim && !(given->acl_json = guard_identity_copy(given, query->acl_claim)))
        rc = GUARD_ERR_NOMEM;
    if (rc == GUARD_OK && query->username &&
        guard_clients_find(source->clients, query->username, strlen(query->username), &view))
        rc = add_record(record, given, &view);
    if (rc != GUARD_OK)
        guard_fail(err, rc, "out of memory");
    if (rc == GUARD_OK)
        rc = bind_to(source->policy, query, given, record, &bound->subject, err);
    if (rc == GUARD_OK && source->classifier)
        rc = bind_to(source->classifier, query, given, record, &bound->classified, err);
    guard_identity_free(&given);
    guard_identity_free(&record);
    if (rc != GUARD_OK)
        acl_subject_free(&bound->subject);
    return rc;
}

/* ---- the table ---- */

static struct entry *find_slot(struct explain_subjects *subjects, uint64_t hash, const char *key, size_t length)
{
    for (uint64_t i = hash;; i++) {
        struct entry *entry = &subjects->entries[i % SLOTS];
        if (!entry->key)
            return entry;
        if (entry->hash == hash && entry->length == length && memcmp(entry->key, key, length) == 0)
            return entry;
    }
}

const struct explain_subject *explain_subjects_get(struct explain_subjects *subjects, const struct explain_query *query,
                                                   struct guard_error *err)
{
    struct guard_buffer *key = &subjects->key;
    write_key(key, query);
    if (key->failed) {
        guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
        return NULL;
    }
    uint64_t hash = guard_siphash(&subjects->secret, key->data, key->length);
    struct entry *entry = find_slot(subjects, hash, key->data, key->length);
    if (entry->key)
        return &entry->bound;
    if (subjects->count >= FULL_AT) {
        forget_all(subjects);
        entry = find_slot(subjects, hash, key->data, key->length);
    }
    struct entry fresh = {.hash = hash, .length = key->length, .key = malloc(key->length)};
    if (!fresh.key) {
        guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
        return NULL;
    }
    memcpy(fresh.key, key->data, key->length);
    if (bind_query(subjects->source, query, &fresh.bound, err) != GUARD_OK) {
        free(fresh.key);
        return NULL;
    }
    *entry = fresh;
    subjects->count++;
    return &entry->bound;
}
