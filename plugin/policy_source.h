/*
 * Where the policy comes from: the policy file, Redis, or both (the file's part is fixed, Redis adds). The broker
 * thread takes a new policy from TICK only, so that one publish and its deliveries are decided by one policy, and hands
 * the old one back to be freed elsewhere.
 */
#ifndef GUARD_PLUGIN_POLICY_SOURCE_H
#define GUARD_PLUGIN_POLICY_SOURCE_H

#include "audit/audit.h"
#include "core/error.h"
#include "plugin/background.h"
#include "plugin/policy_set.h"

struct guard_plugin;
struct guard_policy_source;
struct guard_revocations;

/*
 * What changed, on its way to the broker thread; it owns everything. Sent by guard_policy_send.
 */
struct guard_policy_change {
    struct guard_message message;
    struct guard_policy_set *set;          /* NULL: the one in use stays */
    struct guard_revocations *revocations; /* NULL: likewise */
    bool review_all;                       /* every session must be looked at, else only those of users */
    char **users;                          /* user names whose records changed */
    size_t user_count;
    enum guard_reason reason; /* why there is no set although there should be; NONE */
    bool partial;             /* with reason: only a part (a role, a record) was not taken */
    struct guard_error error;
    enum audit_policy_source source;
    enum audit_policy_trigger trigger;
    uint64_t duration_ns;
};

/*
 * Reads the policy file for the first time, on the caller's thread: plugin->policy is set. Without one the policy is
 * empty, which denies everything. On failure every problem was logged and err holds the first.
 */
int guard_policy_source_open(struct guard_plugin *plugin, struct guard_error *err);
void guard_policy_source_close(struct guard_plugin *plugin);

/* SIGHUP: the background thread reads the file again; the outcome is logged, audited and taken into use from TICK. */
void guard_policy_reload(struct guard_plugin *plugin);

/* Any thread: sends a change to the broker thread; owns it from here on. */
void guard_policy_send(struct guard_plugin *plugin, struct guard_policy_change *change);

/* Broker thread: takes a change into use. Frees it. */
void guard_policy_take(struct guard_plugin *plugin, struct guard_policy_change *change);

/* A zeroed change, or NULL. */
struct guard_policy_change *guard_policy_change_new(void);

#endif
