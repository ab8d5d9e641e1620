/* The Redis data of mosquitto-auth-plug, and its semantics as a model for --verify. */
#ifndef GUARD_CTL_AUTHPLUG_H
#define GUARD_CTL_AUTHPLUG_H

#include "ctl/foreign.h"
#include "ctl/foreign_redis.h"

/* "GET a%sb%sc" taken apart: the text before, between and behind the names. Zero-initialise; free() held. */
struct authplug_query {
    char *held;
    const char *parts[3];
};

/* A key that is a rule of a user. */
struct authplug_rule {
    size_t user;
    const struct foreign_key *key;
    char *topic;
    long value;
};

struct authplug {
    struct foreign_data data;
    struct authplug_query user, acl;
    bool everything;        /* redis_aclquery is not set: every client may do everything */
    const char *superusers; /* a glob, or NULL */
    char **users;           /* sorted */
    const struct foreign_key **user_keys;
    size_t user_count;
    struct authplug_rule *rules; /* by user */
    size_t rule_count, rule_capacity;
};

/* Takes "GET …" apart; names: how many %s there have to be. False: it is no such query, or out of memory. */
bool authplug_query_parse(const char *text, size_t names, struct authplug_query *query);

/* Sorts the keys of data into users and rules; what is neither is noted. False: out of memory. */
bool authplug_sort(struct authplug *plug, struct guard_translation *translation);
void authplug_free(struct authplug *plug);

/* Whether the superusers' glob has that name. */
bool authplug_superuser(const struct authplug *plug, const char *username);

/* Whether mosquitto-auth-plug allowed it. For foreign_trial.allowed; context is a struct authplug. */
bool authplug_allowed(void *context, const struct ctl_mqtt_login *who, enum explain_action action, const char *topic);

#endif
