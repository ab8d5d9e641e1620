/* Putting a whole policy in place of the one in Redis, as one change, with the versions before kept for `rollback`. */
#ifndef GUARD_CTL_PUBLISH_H
#define GUARD_CTL_PUBLISH_H

#include "ctl/policy_diff.h"
#include "ctl/redis.h"

struct ctl_publish {
    const char *action, *detail;              /* for guard:log */
    uint64_t expected;                        /* the version it was prepared on */
    size_t keep;                              /* published versions kept */
    struct guard_policy_text *before, *after; /* sorted */
    const struct ctl_diff *diff;
};

/*
 * Publishes. GUARD_OK and *version, GUARD_ERR_INVALID (somebody else was quicker), GUARD_ERR_IO, GUARD_ERR_NOMEM. More
 * than 200 changed sections are first written as guard:draft:…, which brokers do not look at, and renamed together.
 */
int ctl_publish_run(struct ctl_redis *redis, const struct ctl_publish *publish, uint64_t *version,
                    struct guard_error *err);

/* The versions in guard:history, ascending: *versions (free() it). */
int ctl_history_versions(struct ctl_redis *redis, uint64_t **versions, size_t *count, struct guard_error *err);

/* The policy text kept as that version, to be freed; NULL and err if there is none. */
char *ctl_history_text(struct ctl_redis *redis, uint64_t version, struct guard_error *err);

/* The highest version any broker says it has in force (guard:status:…); 0 = none. */
int ctl_highest_broker_version(struct ctl_redis *redis, uint64_t *version, struct guard_error *err);

#endif
