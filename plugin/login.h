/*
 * One CONNECT on its way to a verdict: what the client offered, the method that decides, the identity it came to.
 * Lives on the stack of the callback; for a password that a worker verifies, the parts that are needed later wait in
 * the session (docs/architecture.md, "CONNECT").
 */
#ifndef GUARD_PLUGIN_LOGIN_H
#define GUARD_PLUGIN_LOGIN_H

#include "auth/credential_cache.h"
#include "core/identity.h"
#include "core/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct auth_certificate_names;
struct guard_offer;
struct guard_plugin;
struct guard_session;
struct mosquitto;

#define GUARD_ADDRESS_SIZE 64

struct guard_login {
    /* what the broker gave; borrowed for the callback */
    struct mosquitto *client;
    const char *client_id;
    const char *username;            /* as the client sent it; NULL = none */
    const struct guard_offer *offer; /* the client may be gone: what was seen of it; NULL = it is there */
    const char *password;            /* NULL = none; the broker cut it at a NUL */
    size_t password_length;
    const char *token; /* of enhanced authentication, which offers nothing else; NULL = none */
    size_t token_length;
    void *certificate;                    /* to be released by guard_login_end; NULL = none */
    struct auth_certificate_names *names; /* of the certificate, once guard_login_names was called; may be NULL */
    const char *address;                  /* canonical, in address_buffer, or the broker's text; NULL = not known */
    char address_buffer[GUARD_ADDRESS_SIZE];
    int64_t started_ns; /* monotonic */

    /* what came of it */
    enum guard_auth_method method;
    enum guard_reason reason;
    struct guard_identity *identity;
    struct guard_identity *certified; /* of the certificate, where another method has to be good as well; may be NULL */
    const char *stored_hash; /* the policy's hash that a password was verified against; valid while the policy is */
    struct auth_credential_mac mac;
    bool has_mac;
    bool cached;    /* the credential cache answered */
    bool by_worker; /* the password or token goes to a worker: no verdict yet */
    bool not_ours;  /* coexist: leave it to others */
    bool by_broker; /* without credentials: admitted if the broker allows that (acl_file) */
    bool single;    /* its identity may be connected once at a time, says its record or token */
    char why[256];  /* for the log; "" = the reason says it all */
};

/* Collects what the client offers. */
void guard_login_begin(struct guard_plugin *plugin, struct guard_login *login, struct mosquitto *client,
                       const char *username, const char *password);
void guard_login_end(struct guard_login *login);

/* Reads login->names, if there is a certificate and they were not read yet. False when out of memory. */
bool guard_login_names(struct guard_login *login);

/*
 * Runs the methods in their configured order until one applies; that one decides. login->reason NONE: login->identity
 * is who it is (or by_worker, or not_ours).
 */
void guard_login_authenticate(struct guard_plugin *plugin, struct guard_login *login);

/*
 * A good token or password beside a good certificate: both must name the same user, and the identity gets the
 * certificate's facts and its end, if that is earlier. Nothing without login->certified. Says in login->reason what is
 * wrong.
 */
void guard_login_join(struct guard_login *login);

/* Keyed MAC of what a client would present again: final user name (NULL: without it), password, certificate. */
bool guard_login_mac(struct guard_plugin *plugin, const struct guard_login *login, const char *username,
                     struct auth_credential_mac *mac);

/* "::ffff:192.0.2.1" is 192.0.2.1; anything that is no IP address is returned as it is. NULL -> NULL. */
const char *guard_address_canonical(const char *address, char buffer[GUARD_ADDRESS_SIZE]);

#endif
