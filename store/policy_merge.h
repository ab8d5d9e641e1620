/* Policy file and Redis together: the file's part is fixed, Redis adds. */
#ifndef GUARD_STORE_POLICY_MERGE_H
#define GUARD_STORE_POLICY_MERGE_H

#include "core/policy_text.h"

/*
 * Appends to out the lines of `fixed` and those of `added` that do not collide. What the file names wins as a whole: a
 * role or client of that name in `added` is left out with all its lines; an assignment or default of that name
 * likewise. Each name left out is one warning in problems (may be NULL). GUARD_OK or GUARD_ERR_NOMEM (out is not to be
 * used).
 */
int guard_policy_merge(const struct guard_policy_text *fixed, const struct guard_policy_text *added,
                       struct guard_policy_text *out, struct guard_problems *problems);

#endif
