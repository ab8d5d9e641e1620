/* A policy and what Mosquitto's own files hold, as one: they add up (store/policy_merge.h is where one fixes the
 * other). */
#ifndef GUARD_STORE_POLICY_JOIN_H
#define GUARD_STORE_POLICY_JOIN_H

#include "core/policy_text.h"

/*
 * Appends both to out. A client of both has the policy's password, or else the file's, and the roles of both; the roles
 * of [default] likewise; other defaults are the policy's, where it has them. A role or an assignment that both define
 * is an error: neither may be lost. GUARD_OK, GUARD_ERR_SYNTAX (problems tell) or GUARD_ERR_NOMEM; the caller frees out
 * in every case.
 */
int guard_policy_join(const struct guard_policy_text *policy, const struct guard_policy_text *files,
                      struct guard_policy_text *out, struct guard_problems *problems);

#endif
