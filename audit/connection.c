#include "audit/connection.h"

#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SLICE_MS 50 /* how long a wait may go on without a look at *stop */

/* ---- endpoints ---- */

static int bad_target(const char *target, struct guard_error *err)
{
    return guard_fail(err, GUARD_ERR_INVALID,
                      "audit sink '%.100s': expected unix:PATH, tcp:HOST:PORT or tls:HOST:PORT ([…] around IPv6)",
                      target);
}

static bool is_port(const char *text)
{
    size_t length = strlen(text);
    long number = length >= 1 && length <= 5 && strspn(text, "0123456789") == length ? strtol(text, NULL, 10) : 0;
    return number >= 1 && number <= 65535;
}

int audit_endpoint_parse(const char *target, struct audit_endpoint *endpoint, struct guard_error *err)
{
    static const struct {
        const char *prefix;
        enum audit_endpoint_kind kind;
    } kinds[] = {{"unix:", AUDIT_ENDPOINT_UNIX}, {"tcp:", AUDIT_ENDPOINT_TCP}, {"tls:", AUDIT_ENDPOINT_TLS}};
    memset(endpoint, 0, sizeof *endpoint);
    const char *rest = NULL;
    for (size_t i = 0; target && i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(target, kinds[i].prefix, strlen(kinds[i].prefix)) == 0) {
            endpoint->kind = kinds[i].kind;
            rest = target + strlen(kinds[i].prefix);
        }
    if (!rest || !*rest)
        return bad_target(target ? target : "", err);
    if (endpoint->kind == AUDIT_ENDPOINT_UNIX)
        return snprintf(endpoint->host, sizeof endpoint->host, "%s", rest) <
                       (int)sizeof((struct sockaddr_un *)NULL)->sun_path
                   ? GUARD_OK
                   : bad_target(target, err);
    const char *colon = strrchr(rest, ':');
    bool brackets = *rest == '[' && colon && colon[-1] == ']';
    const char *start = rest + brackets, *end = colon ? colon - brackets : NULL;
    if (!end || end <= start || (size_t)(end - start) >= sizeof endpoint->host || !is_port(colon + 1) ||
        (!brackets && memchr(start, ':', (size_t)(end - start))))
        return bad_target(target, err);
    memcpy(endpoint->host, start, (size_t)(end - start));
    snprintf(endpoint->port, sizeof endpoint->port, "%s", colon + 1);
    return GUARD_OK;
}

/* ---- TLS ---- */

static int tls_failed(SSL_CTX *context, const char *file, const char *what, struct guard_error *err)
{
    SSL_CTX_free(context);
    ERR_clear_error();
    return guard_fail_at(err, GUARD_ERR_CRYPTO, file, 0, 0, "%s", what);
}

int audit_tls_context(const char *ca_file, const char *cert_file, const char *key_file, SSL_CTX **out,
                      struct guard_error *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
        return tls_failed(context, NULL, "TLS is not available", err);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if ((ca_file ? SSL_CTX_load_verify_file(context, ca_file) : SSL_CTX_set_default_verify_paths(context)) != 1)
        return tls_failed(context, ca_file, "no certificates of authorities can be read", err);
    if (cert_file && SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return tls_failed(context, cert_file, "is not a certificate in PEM", err);
    if (key_file && (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
                     SSL_CTX_check_private_key(context) != 1))
        return tls_failed(context, key_file, "is not the private key of the certificate", err);
    *out = context;
    return GUARD_OK;
}

/* ---- waiting ---- */

/* Waits for events on the descriptor, until the time given (monotonic), or until *stop. */
static bool wait_ready(const struct audit_connection *connection, short events, int64_t until)
{
    for (;;) {
        int64_t left = (until - guard_clock_monotonic_ns()) / 1000000;
        struct pollfd ready = {.fd = connection->fd, .events = events};
        if (left <= 0 || atomic_load_explicit(connection->stop, memory_order_relaxed))
            left = 0;
        int got = poll(&ready, 1, left < SLICE_MS ? (int)left : SLICE_MS);
        if (got > 0)
            return true;
        if ((got < 0 && errno != EINTR) || !left)
            return false;
    }
}

static int64_t deadline(int timeout_ms)
{
    return guard_clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
}

/* ---- connecting ---- */

static bool connect_socket(struct audit_connection *connection, const struct sockaddr *address, socklen_t length,
                           int type, int64_t until)
{
    int error = 0, on = 1;
    socklen_t size = sizeof error;
    connection->fd = socket(address->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        return false;
    if (connect(connection->fd, address, length) != 0 &&
        (errno != EINPROGRESS || !wait_ready(connection, POLLOUT, until) ||
         getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error)) {
        close(connection->fd);
        connection->fd = -1;
        return false;
    }
    if (address->sa_family != AF_UNIX) {
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(connection->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    return true;
}

static bool connect_unix(struct audit_connection *connection, const char *path, bool datagram, int64_t until)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1); /* audit_endpoint_parse looked at the length */
    return connect_socket(connection, (const struct sockaddr *)&address, sizeof address,
                          datagram ? SOCK_DGRAM : SOCK_STREAM, until);
}

static bool connect_host(struct audit_connection *connection, const struct audit_endpoint *endpoint, int64_t until)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    bool connected = false;
    if (getaddrinfo(endpoint->host, endpoint->port, &hints, &found) != 0)
        return false;
    for (const struct addrinfo *at = found; at && !connected; at = at->ai_next)
        connected = connect_socket(connection, at->ai_addr, at->ai_addrlen, SOCK_STREAM, until);
    freeaddrinfo(found);
    return connected;
}

/* Waits for what OpenSSL wants next. False: it failed, or the time is over. */
static bool tls_wait(const struct audit_connection *connection, int result, int64_t until)
{
    int wants = SSL_get_error(connection->ssl, result);
    ERR_clear_error();
    return (wants == SSL_ERROR_WANT_READ && wait_ready(connection, POLLIN, until)) ||
           (wants == SSL_ERROR_WANT_WRITE && wait_ready(connection, POLLOUT, until));
}

/* The certificate must be for the host that was configured: its name, or its address. */
static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1)
        return true;
    ERR_clear_error();
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool start_tls(struct audit_connection *connection, const char *host, SSL_CTX *tls, int64_t until)
{
    connection->ssl = SSL_new(tls);
    if (!connection->ssl || SSL_set_fd(connection->ssl, connection->fd) != 1 || !expect_host(connection->ssl, host))
        return false;
    for (int result; (result = SSL_connect(connection->ssl)) != 1;)
        if (!tls_wait(connection, result, until))
            return false;
    return true;
}

bool audit_connection_open(struct audit_connection *connection, const struct audit_endpoint *endpoint, bool datagram,
                           SSL_CTX *tls, int timeout_ms)
{
    int64_t until = deadline(timeout_ms);
    connection->fd = -1;
    connection->ssl = NULL;
    if (endpoint->kind == AUDIT_ENDPOINT_UNIX)
        return connect_unix(connection, endpoint->host, datagram, until);
    if (connect_host(connection, endpoint, until) &&
        (endpoint->kind == AUDIT_ENDPOINT_TCP || start_tls(connection, endpoint->host, tls, until)))
        return true;
    audit_connection_close(connection);
    return false;
}

void audit_connection_close(struct audit_connection *connection)
{
    if (connection->ssl) {
        SSL_shutdown(connection->ssl); /* one try: a receiver that is gone must not hold us up */
        ERR_clear_error();
        SSL_free(connection->ssl);
    }
    connection->ssl = NULL;
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
}

/* ---- data ---- */

static bool send_tls(struct audit_connection *connection, const char *bytes, size_t length, int64_t until)
{
    while (length) {
        size_t sent = 0;
        int result = SSL_write_ex(connection->ssl, bytes, length, &sent);
        if (result != 1 && !tls_wait(connection, result, until))
            return false;
        bytes += sent;
        length -= sent;
    }
    return true;
}

bool audit_connection_send(struct audit_connection *connection, const char *bytes, size_t length, int timeout_ms)
{
    int64_t until = deadline(timeout_ms);
    if (connection->ssl)
        return send_tls(connection, bytes, length, until);
    while (length) {
        ssize_t sent = send(connection->fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno != EAGAIN || !wait_ready(connection, POLLOUT, until)))
            return false;
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
    }
    return true;
}

ssize_t audit_connection_receive(struct audit_connection *connection, char *bytes, size_t size, int timeout_ms)
{
    int64_t until = deadline(timeout_ms);
    for (;;) {
        size_t got = 0;
        int result = connection->ssl ? SSL_read_ex(connection->ssl, bytes, size, &got) : 0;
        if (result == 1)
            return (ssize_t)got;
        if (connection->ssl) {
            if (!tls_wait(connection, result, until))
                return -1;
            continue;
        }
        ssize_t plain = recv(connection->fd, bytes, size, 0);
        if (plain >= 0)
            return plain;
        if (errno != EINTR && (errno != EAGAIN || !wait_ready(connection, POLLIN, until)))
            return -1;
    }
}

bool audit_connection_is_closed(const struct audit_connection *connection)
{
    char byte;
    ssize_t got = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

bool audit_connection_is_settled(const struct audit_connection *connection)
{
    int waiting = 0;
    return ioctl(connection->fd, SIOCOUTQ, &waiting) != 0 || waiting == 0;
}
