/*
 * A block of memory shared by reference count: what was read from a file in one piece and is used where it lies
 * (snapshots). Whoever keeps a pointer into it keeps a reference.
 */
#ifndef GUARD_CORE_SLAB_H
#define GUARD_CORE_SLAB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define GUARD_SLAB_ALIGN 64 /* bytes begins at a multiple of that; a large one at one of 2 MiB */

struct guard_slab {
    atomic_uint references;
    bool secret; /* wiped before it is freed */
    size_t size;
    char *bytes;
};

/* One reference, content as it comes. NULL: out of memory. */
struct guard_slab *guard_slab_new(size_t size, bool secret);
struct guard_slab *guard_slab_ref(struct guard_slab *slab); /* returns slab */
void guard_slab_unref(struct guard_slab **slab);            /* *slab may be NULL and is afterwards */

#endif
