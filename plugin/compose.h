/* Puts the parts together: options -> authentication, policy, audit, threads; and what of it SIGHUP renews. */
#ifndef GUARD_PLUGIN_COMPOSE_H
#define GUARD_PLUGIN_COMPOSE_H

struct guard_plugin;

/* SIGHUP: the config file's reloadable options, and the token keys. */
void guard_compose_reload(struct guard_plugin *plugin);

#endif
