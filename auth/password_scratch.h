/* Inside the password unit: where argon2id takes its memory from. */
#ifndef GUARD_AUTH_PASSWORD_SCRATCH_H
#define GUARD_AUTH_PASSWORD_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

/* Callbacks of libargon2: the scratch memory lent to this thread, else malloc. *memory is NULL on failure. */
int password_scratch_allocate(uint8_t **memory, size_t size);
void password_scratch_release(uint8_t *memory, size_t size);

#endif
