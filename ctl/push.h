/* Publishing a policy that is in memory, as `guardctl push` publishes a file. */
#ifndef GUARD_CTL_PUSH_H
#define GUARD_CTL_PUSH_H

#include "ctl/redis.h"

struct ctl_push_settings {
    bool yes, dry_run, prune_clients;
};

/*
 * Connects, shows what would change, and publishes it as one change with `what` in the log. text (valid; see
 * ctl_policy_verify) is sorted. redis is parsed and not connected; the caller ends it. An exit code.
 */
int ctl_push_text(struct ctl_redis *redis, struct guard_policy_text *text, const char *what,
                  const struct ctl_push_settings *settings);

#endif
