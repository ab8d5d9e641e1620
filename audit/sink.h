/*
 * Sinks: copies of the trail elsewhere. Each has a thread that reads the files from where it stopped last time, so that
 * a dead receiver costs disk and not memory, and none can hold up the writer or another sink.
 */
#ifndef GUARD_AUDIT_SINK_H
#define GUARD_AUDIT_SINK_H

#include "audit/internal.h"

struct audit_sink;

/* Checks the configuration and starts the thread. A receiver that is not there is not an error. */
int audit_sink_start(struct audit *audit, const struct audit_sink_config *config, struct audit_sink **out,
                     struct guard_error *err);

/* Gives it a second to send what the writer wrote last, then ends and joins the thread. */
void audit_sink_stop(struct audit_sink *sink);
void audit_sink_free(struct audit_sink **sink);

void audit_sink_read(const struct audit_sink *sink, struct audit_sink_metrics *out);

#endif
