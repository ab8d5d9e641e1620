/*
 * A stream to a receiver of the trail: TCP, TLS or a unix socket, never blocking for longer than it is told, and ending
 * early when *stop turns true.
 */
#ifndef GUARD_AUDIT_CONNECTION_H
#define GUARD_AUDIT_CONNECTION_H

#include "core/error.h"

#include <openssl/types.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum audit_endpoint_kind { AUDIT_ENDPOINT_UNIX, AUDIT_ENDPOINT_TCP, AUDIT_ENDPOINT_TLS };

struct audit_endpoint {
    enum audit_endpoint_kind kind;
    char host[256]; /* unix: the path */
    char port[8];
};

/* Reads unix:PATH, tcp:HOST:PORT or tls:HOST:PORT; IPv6 addresses stand in brackets. GUARD_OK or GUARD_ERR_INVALID. */
int audit_endpoint_parse(const char *target, struct audit_endpoint *endpoint, struct guard_error *err);

struct audit_connection {
    int fd; /* -1 = closed */
    SSL *ssl;
    const atomic_bool *stop;
};

/*
 * A client context for tls: TLS 1.2 or newer, the receiver's certificate is required and checked. Files as in struct
 * audit_sink_config. *out is freed with SSL_CTX_free.
 */
int audit_tls_context(const char *ca_file, const char *cert_file, const char *key_file, SSL_CTX **out,
                      struct guard_error *err);

/* Connects (datagram: a unix datagram socket). False: not now. tls is used for AUDIT_ENDPOINT_TLS only. */
bool audit_connection_open(struct audit_connection *connection, const struct audit_endpoint *endpoint, bool datagram,
                           SSL_CTX *tls, int timeout_ms);
void audit_connection_close(struct audit_connection *connection);

/* Sends all of it within the time. False: the connection is broken or too slow, and must be closed. */
bool audit_connection_send(struct audit_connection *connection, const char *bytes, size_t length, int timeout_ms);

/* Receives something within the time; 0 or less: the connection must be closed. */
ssize_t audit_connection_receive(struct audit_connection *connection, char *bytes, size_t size, int timeout_ms);

/* Whether the receiver has closed its side. */
bool audit_connection_is_closed(const struct audit_connection *connection);

/* Whether the receiver's system has everything that was sent. */
bool audit_connection_is_settled(const struct audit_connection *connection);

#endif
