/* The audit's part of the composition: its options in their textual form. */
#ifndef GUARD_PLUGIN_COMPOSE_AUDIT_H
#define GUARD_PLUGIN_COMPOSE_AUDIT_H

#include "core/error.h"

struct guard_plugin;

/* Opens the trail if audit_dir is set: plugin->audit. */
int guard_compose_audit(struct guard_plugin *plugin, struct guard_error *err);

#endif
