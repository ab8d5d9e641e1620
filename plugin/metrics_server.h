/*
 * Figures over HTTP for whoever cannot read metrics_file: GET /metrics and nothing else, on a loopback address or a
 * unix socket, one connection at a time, by a thread of its own that never touches what the broker thread uses.
 */
#ifndef GUARD_PLUGIN_METRICS_SERVER_H
#define GUARD_PLUGIN_METRICS_SERVER_H

#include "core/error.h"

struct audit;
struct guard_metrics;
struct guard_metrics_server;

/*
 * Listens at "127.0.0.1:PORT", "[::1]:PORT" or "unix:/PATH" (mode 0660; a socket that nobody listens on any more is
 * replaced). audit may be NULL and must outlive it.
 */
int guard_metrics_server_start(const char *where, const struct audit *audit, struct guard_metrics_server **out,
                               struct guard_error *err);

/* Ends and joins the thread. *server may be NULL. */
void guard_metrics_server_stop(struct guard_metrics_server **server);

/* What the next scrapes get, but for the audit's own figures, which are read then. Before the first call: 503. */
void guard_metrics_server_offer(struct guard_metrics_server *server, const struct guard_metrics *metrics);

#endif
