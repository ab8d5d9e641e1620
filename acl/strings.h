/* A set of strings that only grows: each has a number, in the order they came. */
#ifndef GUARD_ACL_STRINGS_H
#define GUARD_ACL_STRINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACL_STRINGS_NONE UINT32_MAX

struct acl_string_index {
    uint32_t hash, number; /* number + 1; 0: free */
};

struct acl_strings {
    uint64_t seed;
    char *pool; /* texts, each with a NUL */
    uint32_t pool_used, pool_size;
    uint32_t *offsets; /* by number */
    uint32_t count, capacity;
    struct acl_string_index *index; /* open addressing */
    uint32_t mask;
};

void acl_strings_init(struct acl_strings *strings, uint64_t seed);
void acl_strings_free(struct acl_strings *strings);

/* The number of text, or ACL_STRINGS_NONE. */
uint32_t acl_strings_find(const struct acl_strings *strings, const char *text, size_t length);

/* The same, adding it if need be; ACL_STRINGS_NONE when out of memory. */
uint32_t acl_strings_add(struct acl_strings *strings, const char *text, size_t length);

/* Appends text and a NUL to the pool without making it a member. Its offset, or ACL_STRINGS_NONE when out of memory. */
uint32_t acl_strings_append(struct acl_strings *strings, const char *text, size_t length);

static inline const char *acl_strings_text(const struct acl_strings *strings, uint32_t number)
{
    return strings->pool + strings->offsets[number];
}

#endif
