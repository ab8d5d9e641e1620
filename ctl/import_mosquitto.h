/* The parts of `guardctl import mosquitto-files`. */
#ifndef GUARD_CTL_IMPORT_MOSQUITTO_H
#define GUARD_CTL_IMPORT_MOSQUITTO_H

#include "ctl/import.h"
#include "store/mosquitto_files.h"

/* A ctl_import_verify; context: the struct guard_mosquitto_files. Asks a real broker with a copy of the acl_file. */
int ctl_import_mosquitto_verify(struct ctl_import *import, const struct acl_policy *policy, void *context);

#endif
