/* Memory that held secrets is wiped before it is freed. */
#ifndef GUARD_CORE_MEMORY_H
#define GUARD_CORE_MEMORY_H

#include <stddef.h>

/* Overwrites memory with zeros; the compiler may not leave it out. */
void guard_wipe(void *memory, size_t size);

/* Wipes and frees a NUL-terminated string and sets it to NULL; *text may be NULL. */
void guard_free_string(char **text);

/* Wipes and frees size bytes and sets *memory to NULL; *memory may be NULL. */
void guard_free_secret(void *memory_pointer, size_t size); /* takes the address of any pointer */

/*
 * Asks the system to put a large block (8 MiB and more) on large pages, before it is written to: a third of the time to
 * fill, and fewer misses of the TLB. Only advice; memory may be NULL.
 */
void guard_large_pages(void *memory, size_t size);

/*
 * realloc, to more: used octets of block are kept. A large block is copied while no lock of the allocator is held:
 * realloc of glibc copies with its arena locked, and whoever allocates there waits (the broker for 20 ms, where the
 * pages of 16 MiB were new). NULL: out of memory, block stays as it is.
 */
void *guard_regrow(void *block, size_t used, size_t size);

#endif
