/* The few accessors of the broker that the session table uses, over a struct a test can fill. */
#ifndef GUARD_TESTS_BROKER_DOUBLE_H
#define GUARD_TESTS_BROKER_DOUBLE_H

struct mosquitto {
    const char *id;
    const char *username;
    int port;
};

#endif
