/* The policy's part that stands in files: policy_file, and Mosquitto's own acl_file and password_file. */
#ifndef GUARD_PLUGIN_POLICY_FILES_H
#define GUARD_PLUGIN_POLICY_FILES_H

#include "core/options.h"
#include "core/policy_text.h"

#include <stddef.h>

/* Whether a file says who may do what; a password_file alone does not. */
bool guard_policy_in_files(const struct guard_options *options);

/* Whether there is anything to read. */
bool guard_policy_has_files(const struct guard_options *options);

/*
 * Reads them all and appends what they say together to text, which the caller frees in every case. GUARD_OK: problems
 * may hold warnings. GUARD_ERR_SYNTAX: problems say what is wrong. Else err says what cannot be read. On any thread.
 */
int guard_policy_files_read(const struct guard_options *options, struct guard_policy_text *text,
                            struct guard_problems *problems, struct guard_error *err);

/* Their names without folders, "policy.conf+acl", into buffer; "" if there is no policy in files. */
void guard_policy_files_name(const struct guard_options *options, char *buffer, size_t size);

#endif
