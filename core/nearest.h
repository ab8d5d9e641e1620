/* "Did you mean …": the known name closest to one that is not known. */
#ifndef GUARD_CORE_NEAREST_H
#define GUARD_CORE_NEAREST_H

#include <stddef.h>

/*
 * The name of names[0..count) with the smallest edit distance to name (case ignored; a swap of neighbours is one edit),
 * the first of equals. Never NULL if count > 0.
 */
const char *guard_nearest(const char *name, const char *const *names, size_t count);

#endif
