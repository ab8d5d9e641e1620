/* The option auth_methods, and which listeners use TLS. */
#ifndef GUARD_PLUGIN_WAYS_H
#define GUARD_PLUGIN_WAYS_H

#include "core/error.h"

/*
 * "certificate,token,password", each at most once; alternatives that ask for two are joined by '+'
 * ("certificate+token,password"). ways has room for GUARD_WAYS_MAX masks of enum guard_way.
 */
int guard_ways_parse(const char *text, unsigned *ways, unsigned *count, struct guard_error *err);

/* Whether the option tls_ports can be read: `all`, or ports with commas between; "" is none. */
int guard_tls_ports_check(const char *list, struct guard_error *err);

#endif
