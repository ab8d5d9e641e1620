#include "acl/names.h"

#include "acl/memory.h"

#include <stdlib.h>
#include <string.h>

#define LAYERS_MAX 8

struct acl_names {
    atomic_uint references;
    struct acl_names *base;
    uint32_t first; /* id of this layer's first name */
    unsigned layers;
    struct acl_strings strings;
};

static bool copy_names(struct acl_names *to, const struct acl_names *from)
{
    uint32_t count = from ? acl_names_count(from) : 0;
    for (uint32_t id = 0; id < count; id++) {
        const char *text = acl_names_text(from, id);
        if (acl_names_add(to, text, strlen(text)) == ACL_STRINGS_NONE)
            return false;
    }
    return true;
}

struct acl_names *acl_names_new(struct acl_names *base, uint64_t seed)
{
    struct acl_names *names = calloc(1, sizeof *names);
    if (!names)
        return NULL;
    atomic_init(&names->references, 1);
    acl_strings_init(&names->strings, seed);
    names->layers = 1;
    if (base && base->layers < LAYERS_MAX) {
        names->base = acl_names_retain(base);
        names->first = acl_names_count(base);
        names->layers = base->layers + 1;
    } else if (!copy_names(names, base)) {
        acl_names_release(names);
        return NULL;
    }
    return names;
}

struct acl_names *acl_names_retain(struct acl_names *names)
{
    atomic_fetch_add_explicit(&names->references, 1, memory_order_relaxed);
    return names;
}

void acl_names_release(struct acl_names *names)
{
    while (names && atomic_fetch_sub_explicit(&names->references, 1, memory_order_acq_rel) == 1) {
        struct acl_names *base = names->base;
        acl_strings_free(&names->strings);
        free(names);
        names = base;
    }
}

uint32_t acl_names_find(const struct acl_names *names, const char *text, size_t length)
{
    for (; names; names = names->base) {
        uint32_t number = acl_strings_find(&names->strings, text, length);
        if (number != ACL_STRINGS_NONE)
            return names->first + number;
    }
    return ACL_STRINGS_NONE;
}

uint32_t acl_names_add(struct acl_names *names, const char *text, size_t length)
{
    uint32_t id = acl_names_find(names->base, text, length);
    if (id != ACL_STRINGS_NONE)
        return id;
    id = acl_strings_add(&names->strings, text, length);
    return id == ACL_STRINGS_NONE ? id : names->first + id;
}

const char *acl_names_text(const struct acl_names *names, uint32_t id)
{
    while (id < names->first)
        names = names->base;
    return acl_strings_text(&names->strings, id - names->first);
}

uint32_t acl_names_count(const struct acl_names *names)
{
    return names->first + names->strings.count;
}

size_t acl_names_memory(const struct acl_names *names)
{
    size_t size = 0;
    for (; names; names = names->base)
        size += sizeof *names + names->strings.pool_size + sizeof(uint32_t) * names->strings.capacity +
                sizeof *names->strings.index * ((size_t)names->strings.mask + 1);
    return size;
}

struct acl_slots *acl_slots_new(const struct acl_slots *base)
{
    struct acl_slots *slots = calloc(1, sizeof *slots);
    uint32_t slot;
    if (!slots)
        return NULL;
    atomic_init(&slots->references, 1);
    for (uint32_t i = 0; base && i < base->count; i++)
        if (acl_slots_add(slots, base->slots[i].name, base->slots[i].kind, &slot) != GUARD_OK) {
            acl_slots_release(slots);
            return NULL;
        }
    return slots;
}

struct acl_slots *acl_slots_retain(struct acl_slots *slots)
{
    atomic_fetch_add_explicit(&slots->references, 1, memory_order_relaxed);
    return slots;
}

void acl_slots_release(struct acl_slots *slots)
{
    if (!slots || atomic_fetch_sub_explicit(&slots->references, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < slots->count; i++)
        free(slots->slots[i].name);
    free(slots->slots);
    free(slots);
}

int acl_slots_add(struct acl_slots *slots, const char *name, enum acl_node_kind kind, uint32_t *slot)
{
    for (*slot = 0; *slot < slots->count; ++*slot)
        if (slots->slots[*slot].kind == kind && strcmp(slots->slots[*slot].name, name) == 0)
            return GUARD_OK;
    if (slots->count == ACL_SLOTS)
        return GUARD_ERR_LIMIT;
    if (!acl_grow(&slots->slots, &slots->capacity, sizeof *slots->slots, (size_t)slots->count + 1))
        return GUARD_ERR_NOMEM;
    char *copy = strdup(name);
    if (!copy)
        return GUARD_ERR_NOMEM;
    slots->slots[slots->count++] = (struct acl_slot){copy, kind};
    return GUARD_OK;
}
