/* Puts the parts together: options -> authentication, policy, audit, threads; and what of it SIGHUP renews. */
#ifndef GUARD_PLUGIN_COMPOSE_H
#define GUARD_PLUGIN_COMPOSE_H

struct guard_plugin;

/* SIGHUP: the config file's reloadable options, and the token keys. */
void guard_compose_reload(struct guard_plugin *plugin);

/*
 * Store thread: a key set of Redis was put or, json NULL, removed. It counts for the issuer of that name whose keys are
 * configured to be in Redis (compose_tokens.c).
 */
void guard_compose_redis_keys(struct guard_plugin *plugin, const char *issuer, const char *json);

#endif
