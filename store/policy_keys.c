#include "store/policy_keys.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const struct guard_policy_fields *fields, const struct guard_policy_line *line)
{
    uint64_t hash = guard_siphash(&fields->key, line->name, strlen(line->name)) + (uint64_t)line->section;
    if (!fields->by_name_only)
        hash = hash * 0x9e3779b97f4a7c15U ^ guard_siphash(&fields->key, line->field, strlen(line->field));
    return hash;
}

static bool same(const struct guard_policy_fields *fields, const struct guard_policy_line *a,
                 const struct guard_policy_line *b)
{
    return a->section == b->section && (a->name == b->name || strcmp(a->name, b->name) == 0) &&
           (fields->by_name_only || strcmp(a->field, b->field) == 0);
}

/* The slot of line's equal, or the free one where it belongs. */
static size_t probe(const struct guard_policy_fields *fields, const struct guard_policy_text *text,
                    const struct guard_policy_line *line)
{
    size_t mask = fields->capacity - 1, slot = hash_of(fields, line) & mask;
    while (fields->slots[slot] && !same(fields, &text->lines[fields->slots[slot] - 1], line))
        slot = (slot + 1) & mask;
    return slot;
}

static int grow(struct guard_policy_fields *fields, const struct guard_policy_text *text)
{
    struct guard_policy_fields bigger = *fields;
    bigger.capacity = fields->capacity ? fields->capacity * 2 : 64;
    bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
    if (!bigger.slots)
        return GUARD_ERR_NOMEM;
    if (!fields->capacity)
        bigger.key = guard_siphash_random_key();
    for (size_t i = 0; i < fields->capacity; i++)
        if (fields->slots[i])
            bigger.slots[probe(&bigger, text, &text->lines[fields->slots[i] - 1])] = fields->slots[i];
    free(fields->slots);
    *fields = bigger;
    return GUARD_OK;
}

int guard_policy_fields_add(struct guard_policy_fields *fields, const struct guard_policy_text *text, size_t index,
                            size_t *before)
{
    if (fields->count + 1 > fields->capacity / 2 && grow(fields, text) != GUARD_OK)
        return GUARD_ERR_NOMEM;
    size_t slot = probe(fields, text, &text->lines[index]);
    if (fields->slots[slot]) {
        *before = fields->slots[slot] - 1;
        return GUARD_ERR_INVALID;
    }
    fields->slots[slot] = index + 1;
    fields->count++;
    return GUARD_OK;
}

bool guard_policy_fields_find(const struct guard_policy_fields *fields, const struct guard_policy_text *text,
                              const struct guard_policy_line *line, size_t *index)
{
    if (!fields->capacity)
        return false;
    size_t slot = probe(fields, text, line);
    if (fields->slots[slot] && index)
        *index = fields->slots[slot] - 1;
    return fields->slots[slot] != 0;
}

void guard_policy_fields_free(struct guard_policy_fields *fields)
{
    free(fields->slots);
    *fields = (struct guard_policy_fields){.by_name_only = fields->by_name_only};
}
