/* What reading and --verify of `guardctl import dynamic-security` share. */
#ifndef GUARD_CTL_IMPORT_DYNSEC_H
#define GUARD_CTL_IMPORT_DYNSEC_H

#include "ctl/foreign.h"

struct dynsec_source {
    const char *file, *plugin; /* --plugin: NULL = where the broker's packages put it */
    bool newer, anonymous;     /* --broker 2.1, --anonymous */
};

/* ctl_import_verify; context is a struct dynsec_source. Asks a real broker with the plugin and a copy of the file. */
int dynsec_verify(struct ctl_import *import, const struct acl_policy *policy, void *context);

#endif
