#include "store/redis_tls.h"

#include "core/file.h"
#include "core/memory.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_FILE_MAX (4u << 20)

struct guard_redis_tls {
    SSL_CTX *context;
};

struct guard_redis_tls_session {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

static int fail(struct guard_error *err, const char *path, const char *what)
{
    char text[160] = "";
    unsigned long code = ERR_peek_last_error();
    if (code)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return guard_fail_at(err, GUARD_ERR_CRYPTO, path, 0, 0, "%s%s%s", what, code ? ": " : "", text);
}

/* The key is read by us, so that its owner and mode are those of the descriptor it is read from. */
static int use_key(SSL_CTX *context, const char *path, struct guard_error *err)
{
    char *pem = NULL;
    size_t length = 0;
    int rc = guard_file_read(path, GUARD_FILE_SECRET, PEM_FILE_MAX, &pem, &length, err);
    if (rc != GUARD_OK)
        return rc;
    BIO *bio = BIO_new_mem_buf(pem, (int)length);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    if (!key)
        rc = fail(err, path, "is not a private key in PEM");
    else if (SSL_CTX_use_PrivateKey(context, key) != 1 || SSL_CTX_check_private_key(context) != 1)
        rc = fail(err, path, "does not belong to the certificate");
    EVP_PKEY_free(key);
    BIO_free(bio);
    guard_free_secret(&pem, length);
    return rc;
}

static int configure(SSL_CTX *context, const char *ca, const char *certificate, const char *key,
                     struct guard_error *err)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (ca ? SSL_CTX_load_verify_locations(context, ca, NULL) != 1 : SSL_CTX_set_default_verify_paths(context) != 1)
        return fail(err, ca, "cannot be read as CA certificates");
    if (!certificate)
        return key ? fail(err, key, "a key without redis_tls_cert") : GUARD_OK;
    if (!key)
        return fail(err, certificate, "a certificate without redis_tls_key");
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return fail(err, certificate, "cannot be read as a certificate");
    return use_key(context, key, err);
}

int guard_redis_tls_new(const char *ca, const char *certificate, const char *key, struct guard_redis_tls **out,
                        struct guard_error *err)
{
    struct guard_redis_tls *tls = calloc(1, sizeof *tls);
    *out = NULL;
    if (!tls)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    tls->context = SSL_CTX_new(TLS_client_method());
    int rc =
        tls->context ? configure(tls->context, ca, certificate, key, err) : fail(err, NULL, "TLS is not available");
    if (rc != GUARD_OK)
        guard_redis_tls_free(&tls);
    *out = tls;
    ERR_clear_error();
    return rc;
}

void guard_redis_tls_free(struct guard_redis_tls **tls)
{
    if (*tls)
        SSL_CTX_free((*tls)->context);
    free(*tls);
    *tls = NULL;
}

static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct guard_redis_tls_session *guard_redis_tls_session_new(struct guard_redis_tls *tls, const char *host)
{
    struct guard_redis_tls_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->ssl = SSL_new(tls->context);
    session->in = BIO_new(BIO_s_mem());
    session->out = BIO_new(BIO_s_mem());
    if (!session->ssl || !session->in || !session->out || !expect_host(session->ssl, host)) {
        BIO_free(session->in);
        BIO_free(session->out);
        session->in = session->out = NULL;
        guard_redis_tls_session_free(&session);
        return NULL;
    }
    BIO_set_mem_eof_return(session->in, -1);
    SSL_set_bio(session->ssl, session->in, session->out);
    SSL_set_connect_state(session->ssl);
    return session;
}

void guard_redis_tls_session_free(struct guard_redis_tls_session **session)
{
    if (*session)
        SSL_free((*session)->ssl);
    free(*session);
    *session = NULL;
    ERR_clear_error();
}

int guard_redis_tls_handshake(struct guard_redis_tls_session *session, char *text, size_t size)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(session->ssl);
    if (rc == 1)
        return 1;
    if (SSL_get_error(session->ssl, rc) == SSL_ERROR_WANT_READ)
        return 0;
    long verdict = SSL_get_verify_result(session->ssl);
    if (verdict != X509_V_OK)
        snprintf(text, size, "the server's certificate: %s", X509_verify_cert_error_string(verdict));
    else
        snprintf(text, size, "the TLS handshake failed: %s",
                 ERR_peek_last_error() ? ERR_reason_error_string(ERR_peek_last_error()) : "the connection was closed");
    ERR_clear_error();
    return -1;
}

bool guard_redis_tls_received(struct guard_redis_tls_session *session, const char *octets, size_t length)
{
    return BIO_write(session->in, octets, (int)length) == (int)length;
}

ssize_t guard_redis_tls_read(struct guard_redis_tls_session *session, char *text, size_t size)
{
    ERR_clear_error();
    int count = SSL_read(session->ssl, text, size > INT_MAX ? INT_MAX : (int)size);
    if (count > 0)
        return count;
    bool wants = SSL_get_error(session->ssl, count) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return wants ? 0 : -1;
}

bool guard_redis_tls_write(struct guard_redis_tls_session *session, const char *text, size_t length)
{
    while (length) {
        ERR_clear_error();
        int count = SSL_write(session->ssl, text, length > (1 << 20) ? 1 << 20 : (int)length);
        if (count <= 0) {
            ERR_clear_error();
            return false; /* memory takes everything: this is no "try again" */
        }
        text += count;
        length -= (size_t)count;
    }
    return true;
}

size_t guard_redis_tls_to_send(struct guard_redis_tls_session *session, char *octets, size_t size)
{
    int count = BIO_read(session->out, octets, size > INT_MAX ? INT_MAX : (int)size);
    return count > 0 ? (size_t)count : 0;
}
