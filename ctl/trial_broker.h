/*
 * A Mosquitto of our own, for as long as a question needs it: a temporary folder, a free loopback port, no log, no
 * persistence. It ends with guardctl, whatever ends that.
 */
#ifndef GUARD_CTL_TRIAL_BROKER_H
#define GUARD_CTL_TRIAL_BROKER_H

#include "core/error.h"

#include <limits.h>
#include <sys/types.h>

struct ctl_trial_broker {
    char path[PATH_MAX];   /* of the program */
    unsigned major, minor; /* its version */
    char folder[PATH_MAX]; /* "" = not made */
    unsigned port;
    pid_t pid; /* 0 = does not run */
};

/* Finds the program (named, or NULL: on PATH and in the sbin folders) and asks for its version. */
int ctl_trial_broker_find(struct ctl_trial_broker *broker, const char *named, struct guard_error *err);

/* Makes the folder; path is filled with that of a file `name` in it (PATH_MAX octets). */
int ctl_trial_broker_folder(struct ctl_trial_broker *broker, struct guard_error *err);
void ctl_trial_broker_file(const struct ctl_trial_broker *broker, const char *name, char *path);

/* Starts it with configuration lines of the caller's (allow_anonymous, acl_file, plugin …) and waits until it listens.
 */
int ctl_trial_broker_start(struct ctl_trial_broker *broker, const char *configuration, struct guard_error *err);

/* Ends it and removes the folder with everything in it. May be called at any time. */
void ctl_trial_broker_end(struct ctl_trial_broker *broker);

#endif
