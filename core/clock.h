/* Time, in one place. */
#ifndef GUARD_CORE_CLOCK_H
#define GUARD_CORE_CLOCK_H

#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds since the Unix epoch (CLOCK_REALTIME). */
int64_t guard_clock_real_ns(void);

/* Nanoseconds of a clock that never jumps (CLOCK_MONOTONIC). */
int64_t guard_clock_monotonic_ns(void);

/* Seconds since the Unix epoch. */
int64_t guard_clock_now(void);

/* Bytes of "2026-09-01T12:34:56.789012Z" with its NUL. */
#define GUARD_TIMESTAMP_SIZE 28

/* Writes RFC 3339 in UTC with six decimals. Years outside 1..9999 are clamped. Returns buffer. */
char *guard_timestamp(int64_t real_ns, char buffer[GUARD_TIMESTAMP_SIZE]);
/* The same for Unix seconds of any size: nanoseconds in 64 bits end in 2262, what an admin or a token says need not. */
char *guard_timestamp_seconds(int64_t seconds, char buffer[GUARD_TIMESTAMP_SIZE]);

/*
 * Parses RFC 3339 ("2026-09-01T12:34:56Z", also with an offset and a fraction, which is cut) to Unix seconds.
 * GUARD_OK or GUARD_ERR_SYNTAX.
 */
int guard_timestamp_parse(const char *text, size_t length, int64_t *seconds);

#endif
