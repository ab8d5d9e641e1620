/* The Redis data of mosquitto-go-auth, and its semantics as a model for --verify. */
#ifndef GUARD_CTL_GOAUTH_H
#define GUARD_CTL_GOAUTH_H

#include "ctl/foreign.h"
#include "ctl/foreign_redis.h"

enum goauth_kind { GOAUTH_PASSWORD, GOAUTH_SUPERUSER, GOAUTH_SACLS, GOAUTH_RACLS, GOAUTH_WACLS, GOAUTH_RWACLS };
#define GOAUTH_KINDS 6

struct goauth_user {
    const char *name;
    const struct foreign_key *keys[GOAUTH_KINDS];
};

struct goauth {
    struct foreign_data data;
    enum foreign_salt salt;
    bool no_superusers;
    struct goauth_user *users; /* sorted by name */
    size_t user_count;
    char **names; /* what the users' names point into */
    size_t name_count;
    const struct foreign_key *common[GOAUTH_KINDS]; /* from GOAUTH_SACLS on */
};

/* Sorts the keys of data into users; what is no part of a user is noted. False: out of memory. */
bool goauth_sort(struct goauth *goauth, struct guard_translation *translation);
void goauth_free(struct goauth *goauth);

/* Whether mosquitto-go-auth allowed it. For foreign_trial.allowed; context is a struct goauth. */
bool goauth_allowed(void *context, const struct ctl_mqtt_login *who, enum explain_action action, const char *topic);

#endif
