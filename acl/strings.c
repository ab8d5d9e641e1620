#include "acl/strings.h"

#include "acl/label.h"
#include "acl/memory.h"

#include <stdlib.h>
#include <string.h>

void acl_strings_init(struct acl_strings *strings, uint64_t seed)
{
    *strings = (struct acl_strings){.seed = seed};
}

void acl_strings_free(struct acl_strings *strings)
{
    free(strings->pool);
    free(strings->offsets);
    free(strings->index);
    *strings = (struct acl_strings){0};
}

static uint32_t hash_of(const struct acl_strings *strings, const char *text, size_t length)
{
    return acl_label_hash(strings->seed, acl_head_careful(text, (uint32_t)length), text, (uint32_t)length);
}

/* The place of the index where text is, or where it would go. */
static uint32_t place_of(const struct acl_strings *strings, const char *text, size_t length, uint32_t hash)
{
    uint32_t at = hash & strings->mask;
    for (; strings->index[at].number; at = (at + 1) & strings->mask) {
        if (strings->index[at].hash != hash)
            continue;
        const char *have = acl_strings_text(strings, strings->index[at].number - 1);
        if (strncmp(have, text, length) == 0 && have[length] == '\0')
            break;
    }
    return at;
}

uint32_t acl_strings_find(const struct acl_strings *strings, const char *text, size_t length)
{
    if (!strings->count)
        return ACL_STRINGS_NONE;
    /* free: 0 - 1 is ACL_STRINGS_NONE */
    return strings->index[place_of(strings, text, length, hash_of(strings, text, length))].number - 1;
}

static bool grow_index(struct acl_strings *strings)
{
    uint32_t size = strings->index ? (strings->mask + 1) * 2 : 32;
    struct acl_string_index *index = acl_zeroed(size, sizeof *index);
    if (!index)
        return false;
    for (uint32_t i = 0; strings->index && i <= strings->mask; i++) {
        if (!strings->index[i].number)
            continue;
        uint32_t at = strings->index[i].hash & (size - 1);
        while (index[at].number)
            at = (at + 1) & (size - 1);
        index[at] = strings->index[i];
    }
    free(strings->index);
    strings->index = index;
    strings->mask = size - 1;
    return true;
}

uint32_t acl_strings_append(struct acl_strings *strings, const char *text, size_t length)
{
    uint32_t offset = strings->pool_used;
    if (!acl_grow(&strings->pool, &strings->pool_size, 1, (size_t)offset + length + 1))
        return ACL_STRINGS_NONE;
    memcpy(strings->pool + offset, text, length);
    strings->pool[offset + length] = '\0';
    strings->pool_used += (uint32_t)length + 1;
    return offset;
}

uint32_t acl_strings_add(struct acl_strings *strings, const char *text, size_t length)
{
    if ((!strings->index || strings->count * 2 >= strings->mask) && !grow_index(strings))
        return ACL_STRINGS_NONE;
    uint32_t hash = hash_of(strings, text, length), at = place_of(strings, text, length, hash);
    if (strings->index[at].number)
        return strings->index[at].number - 1;
    if (!acl_grow(&strings->offsets, &strings->capacity, sizeof *strings->offsets, (size_t)strings->count + 1))
        return ACL_STRINGS_NONE;
    uint32_t offset = acl_strings_append(strings, text, length);
    if (offset == ACL_STRINGS_NONE)
        return ACL_STRINGS_NONE;
    strings->offsets[strings->count] = offset;
    strings->index[at] = (struct acl_string_index){hash, ++strings->count};
    return strings->count - 1;
}
