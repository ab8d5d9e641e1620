/* Which server to talk to: the one of the URL, the master Sentinel names, or the cluster node that has the prefix'
 * slot. */
#ifndef GUARD_STORE_REDIS_SERVER_H
#define GUARD_STORE_REDIS_SERVER_H

#include "store/redis_connection.h"

struct guard_redis_server {
    const struct guard_redis_url *url;
    const struct guard_redis_settings *settings; /* for the server itself */
    const char *prefix;                          /* its hash tag decides the slot */
    struct guard_redis_endpoint
        nodes[GUARD_REDIS_HOSTS_MAX]; /* cluster nodes learnt, for when those of the URL are gone */
    size_t node_count;
    struct guard_redis_endpoint endpoint; /* the one found last */
    struct guard_redis_endpoint sentinel; /* the Sentinel that named it */
};

/* What ROLE says of a server. */
enum guard_redis_role {
    GUARD_ROLE_UNKNOWN, /* ROLE is not permitted */
    GUARD_ROLE_MASTER,
    GUARD_ROLE_REPLICA, /* in step with its master */
    GUARD_ROLE_DETACHED /* a replica that has lost its master or is still copying: what it holds may be old */
};

/*
 * Finds the server and connects to it; with Sentinel and Cluster its ROLE must be master. 0, server->endpoint and
 * *redis (guard_redis_close), or -1 and fault of the last try.
 */
int guard_redis_server_connect(struct guard_redis_server *server, struct guard_redis **redis,
                               struct guard_redis_fault *fault);

/* 0 and *role, or -1 and fault (the connection failed). */
int guard_redis_server_role(struct guard_redis *redis, enum guard_redis_role *role, struct guard_redis_fault *fault);

/*
 * With Sentinel: a connection to the Sentinel that named the server, subscribed to +switch-master. 0, or -1 and fault.
 */
int guard_redis_server_watch(struct guard_redis_server *server, struct guard_redis **redis,
                             struct guard_redis_fault *fault);

#endif
