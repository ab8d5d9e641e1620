/*
 * The policy in use and where it comes from. A guard_policy_set is made off the broker thread and never changes; the
 * broker thread takes a new one from TICK, so that one publish and its deliveries are decided by one policy, and hands
 * the old one back to be freed elsewhere.
 */
#ifndef GUARD_PLUGIN_POLICY_SOURCE_H
#define GUARD_PLUGIN_POLICY_SOURCE_H

#include "audit/audit.h"
#include "core/error.h"
#include "core/policy_text.h"

#include <stdint.h>

struct acl_policy;
struct guard_clients;
struct guard_plugin;
struct guard_policy_source;

struct guard_policy_set {
    struct acl_policy *acl;
    struct guard_clients *clients;
    char *decoy; /* stored hash for users that are not known */
    char version[65];
    char sha256[65]; /* of the source, lower-case hex */
    char ruleset[256];
    uint64_t serial; /* counts up with every set of this process */
    int64_t rules;
};

/*
 * Reads the policy for the first time, on the caller's thread. Without policy_file the policy is empty, which denies
 * everything. On failure every problem was logged and err holds the first.
 */
int guard_policy_source_open(struct guard_plugin *plugin, struct guard_policy_source **source,
                             struct guard_policy_set **first, struct guard_error *err);
void guard_policy_source_close(struct guard_policy_source **source);

/* Frees a set; may take a while, so not on the broker thread. *set may be NULL. */
void guard_policy_set_free(struct guard_policy_set **set);

/* Asks the background thread to read the policy file again; the outcome is logged, audited and taken into use from
 * TICK. */
void guard_policy_reload(struct guard_plugin *plugin);

/* Broker thread: puts set in place of the one in use, tells the audit, and has all sessions looked at again. */
void guard_policy_take(struct guard_plugin *plugin, struct guard_policy_set *set, enum audit_policy_trigger trigger,
                       uint64_t duration_ns);

#endif
