#include "plugin/broker.h"

bool guard_broker_is_2_1(void)
{
    return mosquitto_complete_basic_auth != NULL;
}

int guard_broker_port(const struct mosquitto *client)
{
    return mosquitto_client_port ? mosquitto_client_port(client) : 0;
}
