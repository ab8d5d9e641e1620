/*
 * The broker's API as this plugin uses it: Mosquitto 2.0's headers, and what 2.1 added, declared here and weak, so that
 * one binary built on 2.0.11 loads and works on both (each of these is NULL on 2.0).
 */
#ifndef GUARD_PLUGIN_BROKER_H
#define GUARD_PLUGIN_BROKER_H

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>

#include <stdbool.h>

/* Access kinds of ACL_CHECK, return codes and events of 2.1 that 2.0's headers lack. */
#define GUARD_MOSQ_ERR_AUTH_DELAYED   (-5)
#define GUARD_MOSQ_ERR_AUTH_CONTINUE  (-4)
#define GUARD_MOSQ_EVT_CONNECT        11
#define GUARD_MOSQ_EVT_CLIENT_OFFLINE 28

/* Reasons of DISCONNECT and CLIENT_OFFLINE on 2.1 (2.0 always says -1). */
enum guard_broker_reason {
    GUARD_BROKER_CLEAN = 0,
    GUARD_BROKER_PROTOCOL = 2,
    GUARD_BROKER_NO_CONNECTION = 4,
    GUARD_BROKER_CONNECTION_LOST = 7,
    GUARD_BROKER_AUTH = 11,
    GUARD_BROKER_KEEPALIVE = 19,
    GUARD_BROKER_SHUTTING_DOWN = 139,
    GUARD_BROKER_TAKEN_OVER = 142,
    GUARD_BROKER_ADMINISTRATIVE = 152
};

/* 2.1's struct mosquitto_evt_connect and _client_offline begin alike; disconnect has the same two members. */
struct guard_evt_client {
    void *future;
    struct mosquitto *client;
    int reason; /* not in CONNECT */
};

extern int mosquitto_plugin_set_info(mosquitto_plugin_id_t *identifier, const char *name, const char *version)
    __attribute__((weak));
extern void mosquitto_complete_basic_auth(const char *client_id, int result) __attribute__((weak));
extern int mosquitto_client_port(const struct mosquitto *client) __attribute__((weak));

/* Whether the broker is 2.1 or newer. */
bool guard_broker_is_2_1(void);

/* Listener port of the client, or 0 where the broker does not tell. */
int guard_broker_port(const struct mosquitto *client);

#endif
