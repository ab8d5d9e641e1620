/* Between json_check.c and json.c: the check, and what building needs to know from it. */
#ifndef GUARD_CORE_JSON_SCAN_H
#define GUARD_CORE_JSON_SCAN_H

#include "core/error.h"

#include <stddef.h>

/* guard_json_check; on success *values is the number of values at all levels. */
int guard_json_scan(const char *text, size_t length, unsigned max_depth, size_t *values, struct guard_error *err);

/* How many characters at the beginning of text are ASCII that stands for itself in a JSON string. */
size_t guard_json_plain_run(const char *text, size_t length);

#endif
