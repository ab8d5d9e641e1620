/* One filter of an acl_file as a template of ours. Included by store/mosquitto_*.c only. */
#ifndef GUARD_STORE_MOSQUITTO_FILTER_H
#define GUARD_STORE_MOSQUITTO_FILTER_H

#include "store/mosquitto_files.h"

enum guard_filter_fit {
    GUARD_FILTER_EXACT,
    GUARD_FILTER_NEVER,  /* matches no topic there is; nothing was written */
    GUARD_FILTER_WIDENED /* the language cannot say it: what was written covers more, so it serves a deny only */
};

/* Appends the template. why is set for GUARD_FILTER_WIDENED. */
enum guard_filter_fit guard_mosquitto_filter(const struct guard_mosquitto_rule *rule, enum guard_mosquitto version,
                                             struct guard_buffer *out, const char **why);

#endif
