/*
 * The policy's Redis part: starts the store, compiles what it delivers (on the store's thread), combines it with the
 * policy file, and tells the broker thread how the store stands.
 */
#ifndef GUARD_PLUGIN_POLICY_STORE_H
#define GUARD_PLUGIN_POLICY_STORE_H

#include "core/error.h"
#include "core/policy_text.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct guard_plugin;
struct guard_policy_set;

/* plugin->policy_store, still without a store. GUARD_OK or GUARD_ERR_NOMEM. */
int guard_policy_store_new(struct guard_plugin *plugin);

/*
 * Compiles a policy file's lines, which are kept (text is empty then), together with what Redis delivered last. NULL:
 * problems tell; nothing was changed.
 */
struct guard_policy_set *guard_policy_store_combine(struct guard_plugin *plugin, struct guard_policy_text *text,
                                                    struct guard_problems *problems);

/*
 * Connects if redis_url is set. The snapshot, if there is one, is delivered before this returns; without it everything
 * is denied until Redis has answered.
 */
int guard_policy_store_start(struct guard_plugin *plugin, struct guard_error *err);

/* Broker thread: a policy from the store is in use from now on; what was closed for want of one opens. */
void guard_policy_store_taken(struct guard_plugin *plugin);

/* Stops the store's thread, if it runs. */
void guard_policy_store_stop(struct guard_plugin *plugin);

/* SIGHUP: reads everything anew. */
void guard_policy_store_resync(struct guard_plugin *plugin);

/* How the store stands, as the broker thread was told last. */
struct guard_store_figures {
    bool up;
    uint64_t reconnects, syncs, updates;
    int64_t fresh_at; /* Unix seconds; 0 = never */
    struct guard_store_requests requests;
};

/* Broker thread. False: there is no store. */
bool guard_policy_store_read(const struct guard_plugin *plugin, struct guard_store_figures *out);

void guard_policy_store_free(struct guard_plugin *plugin);

#endif
