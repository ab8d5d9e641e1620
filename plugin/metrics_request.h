/* The request of a metrics scraper (RFC 9112, as much of it as that takes). Pure: octets in, status out. */
#ifndef GUARD_PLUGIN_METRICS_REQUEST_H
#define GUARD_PLUGIN_METRICS_REQUEST_H

#include <stddef.h>

#define GUARD_REQUEST_MAX 4096

/*
 * The status that the answer will have: 200 for GET /metrics, else 400, 404, 405, 431 (longer than GUARD_REQUEST_MAX)
 * or 505; 0 = it is not complete. What follows the head is not looked at.
 */
int guard_metrics_request(const char *octets, size_t length);

#endif
