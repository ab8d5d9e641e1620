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

#endif
