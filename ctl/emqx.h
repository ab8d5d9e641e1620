/* What EMQX keeps in Redis for its authenticator and authorizer, and its semantics as a model for --verify. */
#ifndef GUARD_CTL_EMQX_H
#define GUARD_CTL_EMQX_H

#include "ctl/foreign.h"
#include "ctl/foreign_redis.h"

/* A rule taken apart: one field of mqtt_acl:<user>. */
struct emqx_rule {
    const char *filter; /* without `eq ` */
    bool exact;         /* `eq `: the filter is meant letter by letter */
    bool publish, subscribe;
    bool qos[3];     /* of which QoS */
    bool not_retain; /* "retain": false */
    const char *why; /* it cannot be understood, or said: nothing is granted */
};

struct emqx {
    struct foreign_data data;
    const char *users_prefix, *acls_prefix; /* "mqtt_user:", "mqtt_acl:" */
    bool v4;                                /* compatibility_mode = v4: values 1, 2, 3; %u %c */
    char **users;                           /* with a record or rules; sorted, each once */
    size_t user_count;
};

/* Finds the users; keys that belong to none are noted. False: out of memory. */
bool emqx_sort(struct emqx *emqx, struct guard_translation *translation);
void emqx_free(struct emqx *emqx);

/* The hash with that user's record, or its rules; NULL. */
const struct foreign_key *emqx_record(const struct emqx *emqx, const char *user);
const struct foreign_key *emqx_rules(const struct emqx *emqx, const char *user);
bool emqx_superuser(const struct emqx *emqx, const char *user);

/* Takes a field and its value apart. */
struct emqx_rule emqx_rule_parse(const struct emqx *emqx, const char *field, const char *value);

/* Whether EMQX allowed it at QoS 0, not retained. For foreign_trial.allowed; context is a struct emqx. */
bool emqx_allowed(void *context, const struct ctl_mqtt_login *who, enum explain_action action, const char *topic);

#endif
