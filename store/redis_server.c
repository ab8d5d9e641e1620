#include "store/redis_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int guard_redis_server_role(struct guard_redis *redis, enum guard_redis_role *role, struct guard_redis_fault *fault)
{
    static const char *const argv[] = {"ROLE"};
    const struct guard_reply *reply;
    *role = GUARD_ROLE_UNKNOWN;
    if (guard_redis_queue(redis, 1, argv, NULL, fault) != 0 || guard_redis_read(redis, &reply, fault) != 0)
        return -1;
    if (reply->type == GUARD_REPLY_ERROR) /* not permitted: go without; anything else (LOADING …) will not go away */
        return strncmp(reply->text, "NOPERM", 6) == 0 ? 0 : guard_redis_server_fault(reply, fault);
    const char *name = guard_reply_text(reply, 0), *link = guard_reply_text(reply, 3);
    if (!name)
        return guard_redis_fail(fault, GUARD_REASON_STORE_PROTOCOL_ERROR, "ROLE was answered in a way not understood");
    if (strcmp(name, "master") == 0)
        *role = GUARD_ROLE_MASTER;
    else if (strcmp(name, "slave") == 0)
        *role = link && strcmp(link, "connected") == 0 ? GUARD_ROLE_REPLICA : GUARD_ROLE_DETACHED;
    return 0;
}

/* Connects to endpoint; with must_be_master, refuses what is none. */
static int open_server(struct guard_redis_server *server, const struct guard_redis_endpoint *endpoint,
                       bool must_be_master, struct guard_redis **redis, struct guard_redis_fault *fault)
{
    enum guard_redis_role role;
    server->endpoint = *endpoint;
    if (guard_redis_open(endpoint, server->settings, redis, fault) != 0)
        return -1;
    int rc = guard_redis_server_role(*redis, &role, fault);
    if (rc == 0 && must_be_master && role != GUARD_ROLE_MASTER && role != GUARD_ROLE_UNKNOWN)
        rc = guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "%.100s is not the master (yet)", endpoint->host);
    if (rc == 0 && role == GUARD_ROLE_DETACHED)
        rc = guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "%.100s is a replica without its master",
                              endpoint->host);
    if (rc != 0)
        guard_redis_close(redis);
    return rc;
}

/* Settings for a Sentinel: no database; the password only if it asks for one. */
static int open_sentinel(struct guard_redis_server *server, const struct guard_redis_endpoint *endpoint,
                         struct guard_redis_settings *settings, struct guard_redis **redis,
                         struct guard_redis_fault *fault)
{
    *settings = *server->settings;
    settings->database = 0;
    settings->password = NULL;
    if (guard_redis_open(endpoint, settings, redis, fault) != 0 && fault->reason == GUARD_REASON_STORE_AUTH_FAILED) {
        settings->password = server->settings->password;
        return guard_redis_open(endpoint, settings, redis, fault);
    }
    return *redis ? 0 : -1;
}

static int parse_endpoint(const char *host, const char *port, struct guard_redis_endpoint *endpoint)
{
    long number = port ? strtol(port, NULL, 10) : 0;
    if (!host || !*host || strlen(host) >= sizeof endpoint->host || number < 1 || number > 65535)
        return -1;
    strcpy(endpoint->host, host);
    endpoint->port = (unsigned)number;
    return 0;
}

/* Asks one Sentinel where the master is. */
static int ask_sentinel(struct guard_redis_server *server, const struct guard_redis_endpoint *sentinel,
                        struct guard_redis_endpoint *master, struct guard_redis_fault *fault)
{
    struct guard_redis_settings settings;
    struct guard_redis *redis = NULL;
    if (open_sentinel(server, sentinel, &settings, &redis, fault) != 0)
        return -1;
    const struct guard_reply *reply =
        guard_redis_call(redis, fault, "SENTINEL", "get-master-addr-by-name", server->url->service, NULL);
    int rc = reply ? parse_endpoint(guard_reply_text(reply, 0), guard_reply_text(reply, 1), master) : -1;
    if (reply && rc != 0)
        guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE, "the Sentinel knows no master named %.100s",
                         server->url->service);
    guard_redis_close(&redis);
    return rc;
}

static int connect_by_sentinel(struct guard_redis_server *server, struct guard_redis **redis,
                               struct guard_redis_fault *fault)
{
    struct guard_redis_endpoint master;
    for (size_t i = 0; i < server->url->host_count; i++) {
        const struct guard_redis_endpoint *sentinel = &server->url->hosts[i];
        if (ask_sentinel(server, sentinel, &master, fault) == 0) {
            server->sentinel = *sentinel;
            if (open_server(server, &master, true, redis, fault) == 0)
                return 0;
        }
        if (fault->interrupted)
            return -1;
    }
    return -1;
}

static void learn_node(struct guard_redis_server *server, const struct guard_redis_endpoint *node)
{
    for (size_t i = 0; i < server->node_count; i++)
        if (server->nodes[i].port == node->port && strcmp(server->nodes[i].host, node->host) == 0)
            return;
    if (server->node_count < GUARD_REDIS_HOSTS_MAX)
        server->nodes[server->node_count++] = *node;
}

/* A node of CLUSTER SLOTS: [host, port, …]; no host means the one that was asked. */
static int node_endpoint(const struct guard_reply *node, const struct guard_redis_endpoint *asked,
                         struct guard_redis_endpoint *endpoint)
{
    char port[16];
    if (node->type != GUARD_REPLY_ARRAY || node->count < 2 || node->items[1]->type != GUARD_REPLY_INTEGER)
        return -1;
    const char *host = guard_reply_text(node, 0);
    snprintf(port, sizeof port, "%lld", node->items[1]->integer);
    return parse_endpoint(host && *host ? host : asked->host, port, endpoint);
}

/* Reads CLUSTER SLOTS: [[first slot, last slot, master, replica …] …] */
static int read_slots(struct guard_redis_server *server, const struct guard_reply *slots,
                      const struct guard_redis_endpoint *asked, struct guard_redis_endpoint *master,
                      struct guard_redis_fault *fault)
{
    unsigned slot = 0;
    bool found = false;
    guard_redis_prefix_has_tag(server->prefix, &slot);
    for (size_t r = 0; slots->type == GUARD_REPLY_ARRAY && r < slots->count; r++) {
        const struct guard_reply *range = slots->items[r];
        if (range->type != GUARD_REPLY_ARRAY || range->count < 3 || range->items[0]->type != GUARD_REPLY_INTEGER ||
            range->items[1]->type != GUARD_REPLY_INTEGER)
            continue;
        bool ours = range->items[0]->integer <= slot && slot <= range->items[1]->integer;
        for (size_t n = 2; n < range->count; n++) {
            struct guard_redis_endpoint node;
            if (node_endpoint(range->items[n], asked, &node) != 0)
                continue;
            learn_node(server, &node);
            if (ours && n == 2) {
                *master = node;
                found = true;
            }
        }
    }
    return found ? 0
                 : guard_redis_fail(fault, GUARD_REASON_STORE_UNAVAILABLE,
                                    "no cluster node has slot %u of prefix %.100s", slot, server->prefix);
}

static int connect_by_node(struct guard_redis_server *server, const struct guard_redis_endpoint *node,
                           struct guard_redis **redis, struct guard_redis_fault *fault)
{
    struct guard_redis_endpoint master;
    struct guard_redis *asked = NULL;
    if (guard_redis_open(node, server->settings, &asked, fault) != 0)
        return -1;
    const struct guard_reply *slots = guard_redis_call(asked, fault, "CLUSTER", "SLOTS", NULL);
    int rc = slots ? read_slots(server, slots, node, &master, fault) : -1;
    guard_redis_close(&asked);
    return rc == 0 ? open_server(server, &master, true, redis, fault) : -1;
}

static int connect_by_cluster(struct guard_redis_server *server, struct guard_redis **redis,
                              struct guard_redis_fault *fault)
{
    struct guard_redis_endpoint known[2 * GUARD_REDIS_HOSTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < server->url->host_count; i++)
        known[count++] = server->url->hosts[i];
    for (size_t i = 0; i < server->node_count; i++)
        known[count++] = server->nodes[i];
    for (size_t i = 0; i < count; i++) {
        if (connect_by_node(server, &known[i], redis, fault) == 0)
            return 0;
        if (fault->interrupted)
            return -1;
    }
    return -1;
}

int guard_redis_server_connect(struct guard_redis_server *server, struct guard_redis **redis,
                               struct guard_redis_fault *fault)
{
    *redis = NULL;
    switch (server->url->mode) {
    case GUARD_REDIS_SENTINEL:
        return connect_by_sentinel(server, redis, fault);
    case GUARD_REDIS_CLUSTER:
        return connect_by_cluster(server, redis, fault);
    case GUARD_REDIS_DIRECT:
        break;
    }
    return open_server(server, &server->url->hosts[0], false, redis, fault);
}

int guard_redis_server_watch(struct guard_redis_server *server, struct guard_redis **redis,
                             struct guard_redis_fault *fault)
{
    struct guard_redis_settings settings;
    *redis = NULL;
    if (open_sentinel(server, &server->sentinel, &settings, redis, fault) != 0)
        return -1;
    if (guard_redis_call(*redis, fault, "SUBSCRIBE", "+switch-master", NULL))
        return 0;
    guard_redis_close(redis);
    return -1;
}
