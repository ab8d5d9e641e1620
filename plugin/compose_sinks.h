/* Where copies of the audit trail go: the options audit_syslog… and audit_redis…, read for audit_open. */
#ifndef GUARD_PLUGIN_COMPOSE_SINKS_H
#define GUARD_PLUGIN_COMPOSE_SINKS_H

#include "audit/audit.h"
#include "core/options.h"

#define GUARD_SINK_TARGET_SIZE 512

/* What config->sinks points to; it has to live until audit_open returns. */
struct guard_sinks {
    struct audit_sink_config sink[2];
    char target[2][GUARD_SINK_TARGET_SIZE];
};

/* Sets config->sinks and sink_count. GUARD_OK or GUARD_ERR_INVALID, with the option's name in the text. */
int guard_compose_sinks(const struct guard_options *options, struct guard_sinks *sinks, struct audit_config *config,
                        struct guard_error *err);

#endif
