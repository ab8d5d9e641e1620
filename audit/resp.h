/* The Redis protocol (RESP 2) as far as the stream sink needs it: commands out, replies in, bounded. */
#ifndef GUARD_AUDIT_RESP_H
#define GUARD_AUDIT_RESP_H

#include "audit/connection.h"

#include <stdint.h>

enum resp_type { RESP_NONE, RESP_SIMPLE, RESP_ERROR, RESP_INTEGER, RESP_BULK, RESP_NIL, RESP_ARRAY };

struct resp_value {
    enum resp_type type;
    int64_t integer;
    char *text; /* simple, error, bulk; NUL-terminated, owned */
    struct resp_value *items;
    size_t count;
};

struct resp_stream {
    struct audit_connection *connection;
    char buffer[16384];
    size_t start, end;
    int timeout_ms;
};

void resp_stream_begin(struct resp_stream *stream, struct audit_connection *connection, int timeout_ms);

/* Reads one reply. False: the connection cannot be used any more. *value is freed by resp_free in any case. */
bool resp_read(struct resp_stream *stream, struct resp_value *value);
void resp_free(struct resp_value *value);

/* In an array of names and values ("XINFO"): the value of that name, or NULL. */
const struct resp_value *resp_get(const struct resp_value *map, const char *name);

/* Writes a command of count parts to out (which has room for size bytes). Returns its length, or 0: no room. */
size_t resp_command(char *out, size_t size, const char *const *parts, const size_t *lengths, size_t count);

#endif
