#include "plugin/login.h"

#include "acl/acl.h"
#include "auth/certificate.h"
#include "core/clients.h"
#include "core/clock.h"
#include "plugin/broker.h"
#include "plugin/login_methods.h"
#include "plugin/plugin.h"
#include "plugin/policy_set.h"
#include "plugin/revoked.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *guard_address_canonical(const char *address, char buffer[GUARD_ADDRESS_SIZE])
{
    struct in6_addr v6;
    if (!address || inet_pton(AF_INET6, address, &v6) != 1)
        return address;
    if (IN6_IS_ADDR_V4MAPPED(&v6))
        return inet_ntop(AF_INET, &v6.s6_addr[12], buffer, GUARD_ADDRESS_SIZE);
    return inet_ntop(AF_INET6, &v6, buffer, GUARD_ADDRESS_SIZE);
}

void guard_login_begin(struct guard_plugin *plugin, struct guard_login *login, struct mosquitto *client,
                       const char *username, const char *password)
{
    *login = (struct guard_login){0};
    login->started_ns = guard_clock_monotonic_ns();
    login->client = client;
    login->client_id = mosquitto_client_id(client);
    if (!login->client_id)
        login->client_id = "";
    login->username = username;
    login->password = password;
    login->password_length = password ? strlen(password) : 0;
    login->certificate = mosquitto_client_certificate(client);
    login->address = guard_address_canonical(mosquitto_client_address(client), login->address_buffer);
    /* exact: the cheap clock lags by a few milliseconds, and a token of this very second would come too early */
    plugin->now = guard_clock_now();
}

void guard_login_end(struct guard_login *login)
{
    auth_certificate_release(login->certificate);
    auth_certificate_names_free(&login->names);
    guard_identity_free(&login->identity);
    guard_identity_free(&login->certified);
}

bool guard_login_names(struct guard_login *login)
{
    return !login->certificate || login->names ||
           auth_certificate_names_read(login->certificate, &login->names) == GUARD_OK;
}

static void refuse(struct guard_login *login, enum guard_reason reason)
{
    login->reason = reason;
}

static bool offers_token(const struct guard_plugin *plugin, const struct guard_login *login)
{
    size_t length;
    return guard_login_offered_token(plugin, login, &length) != NULL;
}

static bool offers(const struct guard_plugin *plugin, const struct guard_login *login, unsigned way)
{
    switch (way) {
    case WAY_CERTIFICATE:
        return login->certificate != NULL;
    case WAY_TOKEN:
        return offers_token(plugin, login);
    default:
        return !login->token && login->username && login->password;
    }
}

static bool offers_all(const struct guard_plugin *plugin, const struct guard_login *login, unsigned ways)
{
    if (login->token && !(ways & WAY_TOKEN))
        return false;
    for (unsigned way = WAY_CERTIFICATE; way <= WAY_PASSWORD; way <<= 1)
        if (ways & way && !offers(plugin, login, way))
            return false;
    return true;
}

/* ---- a certificate and something else ---- */

static int add_facts(struct guard_identity *identity, const struct guard_identity *certified)
{
    for (size_t i = 0; i < certified->attribute_count; i++) {
        const struct guard_attribute *attribute = &certified->attributes[i];
        if (guard_identity_add_attribute_list(identity, attribute->name, (const char *const *)attribute->values,
                                              attribute->count) != GUARD_OK)
            return GUARD_ERR_NOMEM;
    }
    memcpy(identity->certificate_sha256, certified->certificate_sha256, sizeof identity->certificate_sha256);
    memcpy(identity->certificate_serial, certified->certificate_serial, sizeof identity->certificate_serial);
    if (certified->issued_at < identity->issued_at)
        identity->issued_at = certified->issued_at;
    if (certified->not_after && (!identity->not_after || certified->not_after < identity->not_after))
        identity->not_after = certified->not_after;
    return GUARD_OK;
}

static bool names_agree(struct guard_login *login, const char *name, const char *whose)
{
    const char *certified = login->certified ? login->certified->username : name;
    if (name && strcmp(name, certified) == 0)
        return true;
    snprintf(login->why, sizeof login->why, "the certificate names '%.100s', the %s another", certified, whose);
    refuse(login, GUARD_REASON_CERT_IDENTITY_MISMATCH);
    return false;
}

void guard_login_join(struct guard_login *login)
{
    if (!login->certified || !login->identity || login->reason != GUARD_REASON_NONE)
        return;
    if (!names_agree(login, login->identity->username, login->method == GUARD_AUTH_TOKEN ? "token" : "user name"))
        return;
    if (add_facts(login->identity, login->certified) != GUARD_OK)
        refuse(login, GUARD_REASON_INTERNAL_ERROR);
}

/* With a certificate and something else, both must be good; who it is comes from the other, and the names must agree.
 */
static void try_ways(struct guard_plugin *plugin, struct guard_login *login, unsigned ways)
{
    if (ways & WAY_CERTIFICATE) {
        guard_login_certificate(plugin, login);
        if (login->reason != GUARD_REASON_NONE || ways == WAY_CERTIFICATE)
            return;
        login->certified = login->identity;
        login->identity = NULL;
    }
    if (ways & WAY_TOKEN)
        guard_login_token(plugin, login);
    else if (names_agree(login, login->username, "user name")) /* before anything is hashed */
        guard_login_password(plugin, login);
    guard_login_join(login);
}

/* Whether a certificate is all that is missing for a way that asks for one and something else. */
static bool lacks_only_certificate(const struct guard_plugin *plugin, const struct guard_login *login)
{
    for (unsigned i = 0; i < plugin->way_count; i++)
        if (plugin->ways[i] & WAY_CERTIFICATE && plugin->ways[i] != WAY_CERTIFICATE && !login->certificate &&
            offers_all(plugin, login, plugin->ways[i] & ~(unsigned)WAY_CERTIFICATE))
            return true;
    return false;
}

static enum guard_reason reason_without_offer(const struct guard_plugin *plugin, const struct guard_login *login)
{
    unsigned all = 0;
    for (unsigned i = 0; i < plugin->way_count; i++)
        all |= plugin->ways[i];
    if (all == WAY_CERTIFICATE || lacks_only_certificate(plugin, login) ||
        (all & WAY_CERTIFICATE && !login->certificate && !login->password && login->username))
        return GUARD_REASON_CERT_MISSING;
    if (login->password && !(all & WAY_PASSWORD) && all & WAY_TOKEN)
        return GUARD_REASON_JWT_MALFORMED;
    return GUARD_REASON_BAD_CREDENTIALS;
}

static void try_anonymous(const struct guard_plugin *plugin, struct guard_login *login)
{
    login->method = GUARD_AUTH_ANONYMOUS;
    login->identity = guard_identity_new();
    if (!login->identity) {
        refuse(login, GUARD_REASON_INTERNAL_ERROR);
        return;
    }
    login->identity->method = GUARD_AUTH_ANONYMOUS;
    if (plugin->options
            .acl_file[0]) { /* as with the broker's own: allow_anonymous decides, whatever the policy assigns */
        login->by_broker = !plugin->coexist;
        login->not_ours = plugin->coexist;
        return;
    }
    struct acl_bind bind = {.client_id = login->client_id, .address = login->address, .identity = login->identity};
    if (acl_policy_assigns(plugin->policy->acl, &bind))
        return;
    login->not_ours = plugin->coexist;
    refuse(login, plugin->way_count == 1 && plugin->ways[0] == WAY_CERTIFICATE ? GUARD_REASON_CERT_MISSING
                                                                               : GUARD_REASON_ANONYMOUS_DENIED);
}

/* A client certificate proves TLS, whatever the listener. */
static bool needs_tls(const struct guard_plugin *plugin, const struct guard_login *login)
{
    return plugin->options.require_tls && (login->password || offers_token(plugin, login)) && !login->certificate &&
           !guard_plugin_port_is_tls(plugin, login->client);
}

/*
 * Whatever the way in: the connection was made with that certificate's key, and a token may be bound to it. False: it
 * is refused.
 */
static bool certificate_may_be_used(struct guard_plugin *plugin, struct guard_login *login)
{
    if (!login->certificate || !guard_certificates_listed(plugin))
        return true;
    if (!guard_login_names(login)) {
        refuse(login, GUARD_REASON_INTERNAL_ERROR);
        return false;
    }
    if (!guard_certificate_revoked(plugin, login->names))
        return true;
    login->method = GUARD_AUTH_CERTIFICATE;
    snprintf(login->why, sizeof login->why, "the certificate is on the deny list");
    refuse(login, GUARD_REASON_CERT_REVOKED);
    return false;
}

/* What a client meant that was refused before any method looked at it; for the audit. */
static enum guard_auth_method intended(const struct guard_login *login)
{
    return login->token || (login->password && !login->username) ? GUARD_AUTH_TOKEN : GUARD_AUTH_PASSWORD;
}

/* A user name and nothing that proves it. */
static bool is_bare_name(const struct guard_login *login)
{
    return login->username && !login->password && !login->token && !login->certificate;
}

void guard_login_authenticate(struct guard_plugin *plugin, struct guard_login *login)
{
    login->method = intended(login);
    if (plugin->closed) {
        refuse(login, GUARD_REASON_POLICY_UNAVAILABLE);
        return;
    }
    if (needs_tls(plugin, login)) {
        snprintf(login->why, sizeof login->why, "credentials over a listener without TLS (require_tls)");
        refuse(login, GUARD_REASON_PROTOCOL_VERSION_DENIED);
        return;
    }
    if (!certificate_may_be_used(plugin, login))
        return;
    for (unsigned i = 0; i < plugin->way_count; i++)
        if (offers_all(plugin, login, plugin->ways[i])) {
            try_ways(plugin, login, plugin->ways[i]);
            return;
        }
    if (!login->username && !login->password && !login->token) {
        try_anonymous(plugin, login);
        return;
    }
    if (plugin->coexist && is_bare_name(login) && !guard_clients_knows(plugin->policy->clients, login->username)) {
        login->not_ours = true;
        return;
    }
    if (is_bare_name(login))
        snprintf(login->why, sizeof login->why, "a user name without password, token or certificate");
    refuse(login, reason_without_offer(plugin, login));
}

bool guard_login_mac(struct guard_plugin *plugin, const struct guard_login *login, const char *username,
                     struct auth_credential_mac *mac)
{
    uint8_t fingerprint[33] = {0};
    char hex[65] = "";
    if (login->certificate && auth_certificate_sha256(login->certificate, fingerprint) == GUARD_OK)
        for (size_t i = 0; i < 32; i++)
            snprintf(hex + 2 * i, 3, "%02X", fingerprint[i]);
    return auth_credential_mac(plugin->credentials, username ? username : "", hex,
                               login->password ? login->password : "", login->password_length, mac);
}
