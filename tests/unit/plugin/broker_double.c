#include "broker_double.h"

#include "plugin/broker.h"

const char *mosquitto_client_id(const struct mosquitto *client)
{
    return client->id;
}

const char *mosquitto_client_username(const struct mosquitto *client)
{
    return client->username;
}

int mosquitto_client_port(const struct mosquitto *client)
{
    return client->port;
}
