/*
 * One version of the policy, compiled: rules, client records, what unknown users are hashed against. Made off the
 * broker thread, never changed afterwards, freed off the broker thread.
 */
#ifndef GUARD_PLUGIN_POLICY_SET_H
#define GUARD_PLUGIN_POLICY_SET_H

#include "core/policy_text.h"

#include <stdbool.h>
#include <stdint.h>

struct acl_policy;
struct guard_clients;

struct guard_policy_set {
    struct acl_policy *acl;
    struct guard_clients *clients;
    char *decoy; /* stored hash that an unknown user's password is hashed against */
    char version[65];
    char sha256[65]; /* of the source, lower-case hex; "" = not computed (an edit in Redis) */
    char ruleset[256];
    int64_t rules;
};

/*
 * Compiles the lines of text. keep_bad_roles: see acl/acl.h. clients: table to use as it is; NULL = built from text.
 * NULL with problems->errors > 0: the text is faulty; NULL without: out of memory.
 */
struct guard_policy_set *guard_policy_set_compile(const struct guard_policy_text *text, struct guard_clients *clients,
                                                  bool keep_bad_roles, struct guard_problems *problems);

/* Of an acl compiled before (taken over, also on failure) and clients; no digest, no name. NULL when out of memory. */
struct guard_policy_set *guard_policy_set_of(struct acl_policy *acl, struct guard_clients *clients);

/* References of an edited acl (taken over, also on failure) and of clients, and the rest of base. NULL when out of
 * memory. */
struct guard_policy_set *guard_policy_set_derive(const struct guard_policy_set *base, struct acl_policy *acl,
                                                 struct guard_clients *clients);

/*
 * The first size - 1 hex digits of SHA-256 over the lines as they were understood: comments and layout do not count. ""
 * for no lines, or out of memory.
 */
void guard_policy_text_digest(const struct guard_policy_text *text, char *hex, size_t size);

/* *set may be NULL. */
void guard_policy_set_free(struct guard_policy_set **set);

#endif
