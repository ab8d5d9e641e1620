/*
 * A small MQTT 5 client for asking a broker what it allows (`guardctl import … --verify`): one question at a time,
 * every answer waited for. Not for anything else: no TLS, no QoS 2, no reconnecting.
 */
#ifndef GUARD_CTL_MQTT_CLIENT_H
#define GUARD_CTL_MQTT_CLIENT_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

struct ctl_mqtt_client;

struct ctl_mqtt_login {
    const char *client_id;
    const char *username, *password; /* NULL: none */
};

/*
 * Connects to the loopback port. GUARD_OK, and *reason is the CONNACK's reason code (MQTT 5.0 §3.2.2.2): with 0 *out is
 * connected, else *out is NULL. Other codes: there was no answer; err says why.
 */
int ctl_mqtt_connect(unsigned port, const struct ctl_mqtt_login *login, struct ctl_mqtt_client **out, uint8_t *reason,
                     struct guard_error *err);

/* Each: GUARD_OK with *allowed by the reason code of the answer, or an error after which the client is of no use. */
int ctl_mqtt_publish(struct ctl_mqtt_client *client, const char *topic, bool *allowed, struct guard_error *err);
int ctl_mqtt_subscribe(struct ctl_mqtt_client *client, const char *filter, bool *allowed, struct guard_error *err);
int ctl_mqtt_unsubscribe(struct ctl_mqtt_client *client, const char *filter, struct guard_error *err);

/*
 * Waits until everything the broker has for this client is here (PINGREQ and its answer) and tells how many messages
 * came since the last time, retained ones not counted.
 */
int ctl_mqtt_drain(struct ctl_mqtt_client *client, unsigned *messages, struct guard_error *err);

/* Closes it. *client may be NULL. */
void ctl_mqtt_close(struct ctl_mqtt_client **client);

#endif
