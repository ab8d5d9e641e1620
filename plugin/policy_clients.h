/* The client records of Redis and of the files, as one table. */
#ifndef GUARD_PLUGIN_POLICY_CLIENTS_H
#define GUARD_PLUGIN_POLICY_CLIENTS_H

#include "core/clients.h"
#include "core/options.h"
#include "core/policy_text.h"

/*
 * A record of the policy file takes the place of Redis' one; what Mosquitto's own files say about a client is added to
 * it (store/policy_join.h). redis may be NULL. A new reference; NULL: problems tell, or out of memory.
 */
struct guard_clients *guard_policy_clients(const struct guard_options *options, struct guard_clients *redis,
                                           const struct guard_policy_text *file, struct guard_problems *problems);

#endif
