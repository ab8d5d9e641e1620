/*
 * Images: what is written to a file as it lies in memory, and is used again where it was read to (snapshots). A slab is
 * the memory it was read to, shared by reference count: whoever keeps a pointer into it keeps a reference.
 */
#ifndef GUARD_CORE_SLAB_H
#define GUARD_CORE_SLAB_H

#include "core/error.h"

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

/* Where an image is written to. put returns GUARD_OK, or an error, with which the writing ends. */
struct guard_sink {
    int (*put)(void *context, const void *bytes, size_t length);
    void *context;
};

/* The zeros that bring written octets up to a multiple of unit (a power of two, at most 64), and *written with them. */
int guard_sink_pad(const struct guard_sink *sink, size_t *written, size_t unit);

#endif
