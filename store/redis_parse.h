/* hiredis's reader, building replies of our own in memory of our own. Private to store/redis_connection.c. */
#ifndef GUARD_STORE_REDIS_PARSE_H
#define GUARD_STORE_REDIS_PARSE_H

#include "store/redis_reply.h"

struct guard_redis_parser;

struct guard_redis_parser *guard_redis_parser_new(void);
void guard_redis_parser_free(struct guard_redis_parser **parser); /* wipes what it held */
/* Hands octets of the server over. False: out of memory, or it gave up before. */
bool guard_redis_parser_feed(struct guard_redis_parser *parser, const char *bytes, size_t length);
/*
 * The next whole reply, or NULL: *failed false: more octets are needed; true: what came is not RESP2 (or memory ran
 * out) and the connection is of no further use. The reply before is gone.
 */
const struct guard_reply *guard_redis_parser_next(struct guard_redis_parser *parser, bool *failed);

#endif
