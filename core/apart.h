/*
 * Memory for what lives as long as a client's connection, kept apart from the broker's heap. Blocks of the plugin
 * between the broker's own structs spread those over more pages: with ten thousand clients each message of the broker
 * itself cost 7 % more then. In builds without NDEBUG it is plain malloc, so that valgrind and the sanitizers see every
 * block.
 *
 * From any thread. What was taken is kept for the next client and never given back to the system.
 */
#ifndef GUARD_CORE_APART_H
#define GUARD_CORE_APART_H

#include <stddef.h>

/* Zeroed, aligned as malloc does it; NULL: out of memory. To be freed by guard_apart_free alone. */
void *guard_apart_alloc(size_t size);

/* A copy of text, or NULL. */
char *guard_apart_copy(const char *text);

/* Wipes and frees; memory may be NULL. */
void guard_apart_free(void *memory);

/* The same for what *memory_pointer, the address of any pointer, points to; it is NULL afterwards. */
void guard_apart_drop(void *memory_pointer);

#endif
