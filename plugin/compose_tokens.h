/*
 * The keys behind the verifier of tokens: files that are watched and sets from Redis, for one issuer or several. Any
 * change makes a new verifier off the broker thread, which takes it from TICK.
 */
#ifndef GUARD_PLUGIN_COMPOSE_TOKENS_H
#define GUARD_PLUGIN_COMPOSE_TOKENS_H

#include "core/error.h"

struct guard_plugin;
struct guard_token_source;

/*
 * Sets plugin->token_source and, if there are keys, plugin->tokens; begins to watch. Nothing is set when no option
 * speaks of tokens. On failure err tells; guard_compose_tokens_free frees what was begun.
 */
int guard_compose_tokens(struct guard_plugin *plugin, struct guard_error *err);

/* SIGHUP: the background thread reads issuers and key files again; what is faulty leaves everything as it was. */
void guard_compose_tokens_reload(struct guard_plugin *plugin);

/* After every thread has ended. */
void guard_compose_tokens_free(struct guard_plugin *plugin);

#endif
