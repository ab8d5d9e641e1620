/* Whether a policy may be published: what `guardctl check` refuses, no write lets through. */
#ifndef GUARD_CTL_POLICY_VERIFY_H
#define GUARD_CTL_POLICY_VERIFY_H

#include "core/policy_text.h"

/*
 * Compiles roles, assignments and defaults, builds the client records and checks their hashes. Every fault goes into
 * problems. GUARD_OK, GUARD_ERR_INVALID (there are errors) or GUARD_ERR_NOMEM.
 */
int ctl_policy_verify(const struct guard_policy_text *text, struct guard_problems *problems);

#endif
