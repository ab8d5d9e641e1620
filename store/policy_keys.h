/* Hash sets over the lines of a policy text: by field (doubles in a section) and by section (what a file fixes). */
#ifndef GUARD_STORE_POLICY_KEYS_H
#define GUARD_STORE_POLICY_KEYS_H

#include "core/policy_text.h"
#include "core/siphash.h"

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise; guard_policy_fields_free releases it. Holds indexes of lines of one text. */
struct guard_policy_fields {
    size_t *slots; /* index + 1 */
    size_t count, capacity;
    struct guard_siphash_key key;
    bool by_name_only; /* section and name alone make a key, not the field */
};

/*
 * Adds text->lines[index]. GUARD_OK; GUARD_ERR_INVALID if one of that section, name and field is there (*before is its
 * index); GUARD_ERR_NOMEM.
 */
int guard_policy_fields_add(struct guard_policy_fields *fields, const struct guard_policy_text *text, size_t index,
                            size_t *before);

/* Whether a line (of any text) has an equal in the set, whose lines belong to text; its index goes to *index if not
 * NULL. */
bool guard_policy_fields_find(const struct guard_policy_fields *fields, const struct guard_policy_text *text,
                              const struct guard_policy_line *line, size_t *index);

void guard_policy_fields_free(struct guard_policy_fields *fields);

#endif
