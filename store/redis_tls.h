/* TLS for the connections to Redis, over memory: the caller moves the octets. */
#ifndef GUARD_STORE_REDIS_TLS_H
#define GUARD_STORE_REDIS_TLS_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct guard_redis_tls;         /* certificates and settings, shared by connections of one thread */
struct guard_redis_tls_session; /* one connection */

/*
 * Loads CA (NULL: the system's) and, if given, certificate and key (PEM files; the key's mode is checked). TLS 1.2 or
 * newer; the server's certificate must be valid for the host it is asked under. GUARD_OK, or an error naming the file.
 */
int guard_redis_tls_new(const char *ca, const char *certificate, const char *key, struct guard_redis_tls **out,
                        struct guard_error *err);
void guard_redis_tls_free(struct guard_redis_tls **tls);

/* host: name or address the certificate must be for. NULL: out of memory. */
struct guard_redis_tls_session *guard_redis_tls_session_new(struct guard_redis_tls *tls, const char *host);
void guard_redis_tls_session_free(struct guard_redis_tls_session **session);

/* Goes on with the handshake: 1 done, 0 more octets are needed, -1 failed (text tells why). */
int guard_redis_tls_handshake(struct guard_redis_tls_session *session, char *text, size_t size);

/* What the peer sent, as it came from the socket. False: out of memory. */
bool guard_redis_tls_received(struct guard_redis_tls_session *session, const char *octets, size_t length);
/* Clear text out of what was received: count, 0 for none yet, -1 for a broken or closed session. */
ssize_t guard_redis_tls_read(struct guard_redis_tls_session *session, char *text, size_t size);
/* Encrypts; what comes of it is fetched by to_send. False: failed. */
bool guard_redis_tls_write(struct guard_redis_tls_session *session, const char *text, size_t length);
/* Takes up to size octets that must go to the socket; 0 = none. */
size_t guard_redis_tls_to_send(struct guard_redis_tls_session *session, char *octets, size_t size);

#endif
