/* Two policies compared field by field. */
#ifndef GUARD_CTL_POLICY_DIFF_H
#define GUARD_CTL_POLICY_DIFF_H

#include "core/buffer.h"
#include "core/policy_text.h"

#include <stdbool.h>
#include <stddef.h>

struct ctl_difference {
    const struct guard_policy_line *before, *after; /* NULL: not there */
};

/* Zero-initialise; ctl_diff_free releases. Points into the two texts. */
struct ctl_diff {
    struct ctl_difference *items; /* sorted by section, name, field */
    size_t count, capacity;
};

/*
 * Compares; both texts are sorted (ctl_policy_sort) by it. keep_clients: clients that `after` does not name are not
 * differences. GUARD_OK or GUARD_ERR_NOMEM.
 */
int ctl_diff_make(struct guard_policy_text *before, struct guard_policy_text *after, bool keep_clients,
                  struct ctl_diff *diff);
void ctl_diff_free(struct ctl_diff *diff);

/* Sorts a text's lines by section, name and field. */
void ctl_policy_sort(struct guard_policy_text *text);

/* Readable, with + - ~ before each field and colour if asked for; password hashes are hidden. */
void ctl_diff_print(const struct ctl_diff *diff, bool colour, struct guard_buffer *out);
/* [{"op":"add|remove|change","section":…,"name":…,"field":…,"before":…,"after":…} …] */
void ctl_diff_json(const struct ctl_diff *diff, struct guard_buffer *out);
/* "3 added, 1 changed, 2 removed" */
void ctl_diff_summary(const struct ctl_diff *diff, struct guard_buffer *out);

#endif
