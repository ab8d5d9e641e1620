/* Replies of Redis, in the form RESP2 has them. They live in the connection that read them, until its next read. */
#ifndef GUARD_STORE_REDIS_REPLY_H
#define GUARD_STORE_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>

enum guard_reply_type {
    GUARD_REPLY_STRING,
    GUARD_REPLY_ARRAY,
    GUARD_REPLY_INTEGER,
    GUARD_REPLY_NIL,
    GUARD_REPLY_STATUS,
    GUARD_REPLY_ERROR
};

struct guard_reply {
    enum guard_reply_type type;
    long long integer;
    const char *text; /* of a string, status or error: NUL behind length octets; NULL otherwise */
    size_t length;
    struct guard_reply **items; /* of an array */
    size_t count;
};

/* A string or status equal to text. reply may be NULL. */
bool guard_reply_is(const struct guard_reply *reply, const char *text);
/* The text of item index, or NULL if reply is no array, is shorter, or that item is no string or holds U+0000. */
const char *guard_reply_text(const struct guard_reply *reply, size_t index);

#endif
