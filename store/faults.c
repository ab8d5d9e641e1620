#include "store/faults.h"

#include <stdlib.h>
#include <string.h>

#define FAULTS_MAX 10000

static struct guard_fault_entry *find(const struct guard_faults *faults, const char *key)
{
    for (size_t i = 0; i < faults->count; i++)
        if (strcmp(faults->items[i].key, key) == 0)
            return &faults->items[i];
    return NULL;
}

static struct guard_fault_entry *append(struct guard_faults *faults, const char *key)
{
    if (faults->count == FAULTS_MAX)
        return NULL;
    if (faults->count == faults->capacity) {
        size_t capacity = faults->capacity ? faults->capacity * 2 : 16;
        struct guard_fault_entry *grown = reallocarray(faults->items, capacity, sizeof *grown);
        if (!grown)
            return NULL;
        faults->items = grown;
        faults->capacity = capacity;
    }
    char *copy = strdup(key);
    if (!copy)
        return NULL;
    faults->items[faults->count] = (struct guard_fault_entry){.key = copy};
    return &faults->items[faults->count++];
}

bool guard_faults_note(struct guard_faults *faults, const char *key, uint64_t digest)
{
    struct guard_fault_entry *entry = find(faults, key);
    bool same = entry && entry->digest == digest;
    if (!entry)
        entry = append(faults, key);
    if (entry) {
        entry->digest = digest;
        entry->seen = true;
    }
    return !same && entry;
}

static void drop(struct guard_faults *faults, size_t index)
{
    free(faults->items[index].key);
    faults->items[index] = faults->items[--faults->count];
}

void guard_faults_clear(struct guard_faults *faults, const char *key)
{
    const struct guard_fault_entry *entry = find(faults, key);
    if (entry)
        drop(faults, (size_t)(entry - faults->items));
}

void guard_faults_begin(struct guard_faults *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        faults->items[i].seen = false;
}

void guard_faults_sweep(struct guard_faults *faults)
{
    for (size_t i = faults->count; i-- > 0;)
        if (!faults->items[i].seen)
            drop(faults, i);
}

void guard_faults_free(struct guard_faults *faults)
{
    while (faults->count)
        drop(faults, faults->count - 1);
    free(faults->items);
    *faults = (struct guard_faults){0};
}
