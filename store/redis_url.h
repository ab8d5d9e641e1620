/*
 * Where Redis is, as the option redis_url says it:
 *
 *   redis://[user@]host[:6379][/db]      rediss://…  with TLS      unix:///path/of.sock[?db=N]
 *   redis+sentinel://[user@]h1[:26379],h2…/name[/db]               rediss+sentinel://…
 *   redis+cluster://[user@]h1[:6379],h2…                           rediss+cluster://…
 *
 * IPv6 addresses stand in brackets. A password has no place here: addresses are logged and shown.
 */
#ifndef GUARD_STORE_REDIS_URL_H
#define GUARD_STORE_REDIS_URL_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

#define GUARD_REDIS_HOSTS_MAX 32

enum guard_redis_mode { GUARD_REDIS_DIRECT, GUARD_REDIS_SENTINEL, GUARD_REDIS_CLUSTER };

struct guard_redis_endpoint {
    char host[256]; /* name, address, or the path of a socket */
    unsigned port;  /* 0: host is a path */
};

struct guard_redis_url {
    enum guard_redis_mode mode;
    bool tls;
    char username[256]; /* "" = none */
    char service[256];  /* the master's name for Sentinel */
    unsigned database;
    struct guard_redis_endpoint hosts[GUARD_REDIS_HOSTS_MAX];
    size_t host_count;
};

/* GUARD_OK, or GUARD_ERR_INVALID with a sentence in err that does not repeat what might be a password. */
int guard_redis_url_parse(const char *text, struct guard_redis_url *url, struct guard_error *err);

/* "host:port", "[v6]:port" or the path, cut to size; returns buffer. */
const char *guard_redis_endpoint_text(const struct guard_redis_endpoint *endpoint, char *buffer, size_t size);

/*
 * Whether two keys of that prefix always share a hash slot: it holds a hash tag ({…}, not empty; Redis Cluster
 * specification, "Hash tags"). slot, if not NULL, gets it.
 */
bool guard_redis_prefix_has_tag(const char *prefix, unsigned *slot);

#endif
