/* What store/home*.c share. */
#ifndef GUARD_STORE_HOME_INTERNAL_H
#define GUARD_STORE_HOME_INTERNAL_H

#include "store/home.h"
#include "store/redis_server.h"

struct guard_home {
    struct guard_redis_url url;
    struct guard_redis_settings settings;
    struct guard_redis_server server;
    struct guard_redis_tls *tls;
    struct guard_redis *redis;
    char *prefix, *username, *password;
    size_t password_length;
    char place[300];
};

/* Turns a fault into err; returns GUARD_ERR_IO. */
int guard_home_fault(const struct guard_home *home, const struct guard_redis_fault *fault, struct guard_error *err);

#endif
