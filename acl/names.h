/*
 * Two small shared dictionaries of a policy: role names with their ids, and the placeholders of its rules with their
 * slots. Both are immutable once a policy has them; an edit puts a layer on top of, or copies, those of its base.
 */
#ifndef GUARD_ACL_NAMES_H
#define GUARD_ACL_NAMES_H

#include "acl/model.h"
#include "acl/strings.h"

#define ACL_SLOTS 1024 /* different placeholders in a policy */

/* A new top layer over base (kept by reference; NULL: none), or NULL when out of memory. Many layers are merged into
 * one. */
struct acl_names *acl_names_new(struct acl_names *base, uint64_t seed);
struct acl_names *acl_names_retain(struct acl_names *names);
void acl_names_release(struct acl_names *names);

/* The id, or ACL_STRINGS_NONE. add: adds it to the top layer; ACL_STRINGS_NONE then means out of memory. */
uint32_t acl_names_find(const struct acl_names *names, const char *text, size_t length);
uint32_t acl_names_add(struct acl_names *names, const char *text, size_t length);

const char *acl_names_text(const struct acl_names *names, uint32_t id);
uint32_t acl_names_count(const struct acl_names *names);
size_t acl_names_memory(const struct acl_names *names);

struct acl_slot {
    char *name;
    enum acl_node_kind kind; /* ONE, ANY or PATH */
};

struct acl_slots {
    atomic_uint references;
    uint32_t count, capacity;
    struct acl_slot *slots;
};

/* A copy of base (NULL: empty) that may be added to, or NULL when out of memory. */
struct acl_slots *acl_slots_new(const struct acl_slots *base);
struct acl_slots *acl_slots_retain(struct acl_slots *slots);
void acl_slots_release(struct acl_slots *slots);

/* The slot of a placeholder, added if need be. GUARD_OK, GUARD_ERR_NOMEM, or GUARD_ERR_LIMIT. */
int acl_slots_add(struct acl_slots *slots, const char *name, enum acl_node_kind kind, uint32_t *slot);

#endif
