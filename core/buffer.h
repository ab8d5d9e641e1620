/* A growable byte string. Zero-initialise it; guard_buffer_free releases it. */
#ifndef GUARD_CORE_BUFFER_H
#define GUARD_CORE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct guard_buffer {
    char *data; /* NUL-terminated once anything was appended; NULL before */
    size_t length;
    size_t capacity;
    bool failed; /* an allocation failed: all later appends do nothing, and the content must not be used */
};

/* Appending never returns an error: look at failed once, at the end. */
void guard_buffer_append(struct guard_buffer *buffer, const void *bytes, size_t length);
void guard_buffer_text(struct guard_buffer *buffer, const char *text);
void guard_buffer_byte(struct guard_buffer *buffer, char byte);
void guard_buffer_printf(struct guard_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends text as a JSON string in quotes. Invalid UTF-8 bytes become U+FFFD; controls are escaped (RFC 8259 §7). */
void guard_buffer_json_string(struct guard_buffer *buffer, const char *text, size_t length);

/* Makes room for more bytes after length and returns where they go, or NULL. */
char *guard_buffer_reserve(struct guard_buffer *buffer, size_t more);

/* Empties it and keeps the memory. */
void guard_buffer_clear(struct guard_buffer *buffer);

/* Hands the NUL-terminated content to the caller, who frees it; the buffer is empty again. NULL if an append failed. */
char *guard_buffer_take(struct guard_buffer *buffer);

/* Wipes and frees. */
void guard_buffer_free(struct guard_buffer *buffer);

#endif
