#include "plugin/login_methods.h"

#include "audit/audit.h"
#include "auth/certificate.h"
#include "auth/throttle.h"
#include "auth/token.h"
#include "auth/worker.h"
#include "core/clients.h"
#include "core/clock.h"
#include "plugin/plugin.h"
#include "plugin/policy_source.h"
#include "plugin/revoked.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000

void guard_login_refuse(struct guard_login *login, enum guard_reason reason, const char *why)
{
    login->reason = reason;
    snprintf(login->why, sizeof login->why, "%s", why);
}

static void refuse(struct guard_login *login, enum guard_reason reason)
{
    login->reason = reason;
}

static struct auth_throttle_client throttle_client(const struct guard_login *login)
{
    return (struct auth_throttle_client){login->address, login->username, login->client_id};
}

/* Whether the client may spend our processor time; else it is refused. */
static bool may_try(struct guard_plugin *plugin, struct guard_login *login)
{
    if (!plugin->throttle)
        return true;
    struct auth_throttle_client who = throttle_client(login);
    int64_t retry_ms = 0;
    enum guard_reason reason = auth_throttle_allow(plugin->throttle, &who, login->started_ns / NS_PER_MS, &retry_ms);
    if (reason == GUARD_REASON_NONE)
        return true;
    snprintf(login->why, sizeof login->why, "too many failures; again in %lld s", (long long)(retry_ms + 999) / 1000);
    refuse(login, reason);
    return false;
}

static bool is_guess(enum guard_reason reason)
{
    return reason == GUARD_REASON_BAD_CREDENTIALS || reason == GUARD_REASON_UNKNOWN_USER ||
           reason == GUARD_REASON_JWT_BAD_SIGNATURE;
}

/* What this address has waiting in the queue of password checks is not worth a worker's time any more. */
static void address_blocked(struct guard_plugin *plugin, const char *address, int64_t now_ms)
{
    int64_t block_ms = auth_throttle_blocked_ms(plugin->throttle, address, now_ms);
    guard_log(&plugin->log, GUARD_LOG_WARNING, "address %s is blocked for a while after failed log-ins",
              address ? address : "(unknown)");
    if (plugin->workers)
        auth_worker_drop_group(plugin->workers, auth_throttle_address_key(plugin->throttle, address));
    if (plugin->audit)
        audit_push_alert(plugin->audit, &(struct audit_alert){
                                            .action = AUDIT_ACTION_ALERT_BRUTE_FORCE,
                                            .reason = GUARD_REASON_THRESHOLD,
                                            .rule_id = "bf-ip",
                                            .rule_name = "address blocked after failed authentications",
                                            .address = address,
                                            .key = AUDIT_KEY_SOURCE_IP,
                                            .response = AUDIT_ALERT_BLOCK,
                                            .observed = (double)plugin->options.auth_throttle_failures,
                                            .threshold = (double)plugin->options.auth_throttle_failures,
                                            .baseline = -1,
                                            .score = -1,
                                            .known = -1,
                                            .window_s = 60,
                                            .block_s = (block_ms + 999) / 1000,
                                            .distinct_users = -1,
                                            .distinct_ips = -1,
                                        });
}

void guard_login_outcome(struct guard_plugin *plugin, const struct guard_login *login, uint32_t cost_us)
{
    struct auth_throttle_client who = throttle_client(login);
    int64_t now_ms = guard_clock_monotonic_ns() / NS_PER_MS;
    if (!plugin->throttle)
        return;
    if (login->reason == GUARD_REASON_NONE)
        auth_throttle_success(plugin->throttle, &who, now_ms);
    else if (is_guess(login->reason) &&
             auth_throttle_failure(plugin->throttle, &who, cost_us, now_ms) == GUARD_REASON_IP_BLOCKED)
        address_blocked(plugin, login->address, now_ms);
}

static uint32_t microseconds_since(int64_t start_ns)
{
    return (uint32_t)((guard_clock_monotonic_ns() - start_ns) / 1000);
}

/* ---- certificate ---- */

/* The deny list was looked at before. */
static enum guard_reason certificate_denied(void *context, const struct auth_certificate_query *query)
{
    return guard_user_revoked(context, query->username, query->not_before) ? GUARD_REASON_CERT_REVOKED
                                                                           : GUARD_REASON_NONE;
}

void guard_login_certificate(struct guard_plugin *plugin, struct guard_login *login)
{
    struct auth_certificate_request request = {
        .certificate = login->certificate,
        .now = plugin->now,
        .denied = certificate_denied,
        .denied_context = plugin,
    };
    struct guard_error why;
    login->method = GUARD_AUTH_CERTIFICATE;
    login->reason = auth_certificate_verify(plugin->certificates, &request, &login->identity, &why);
    if (login->reason != GUARD_REASON_NONE) {
        snprintf(login->why, sizeof login->why, "%.250s", why.text);
    } else if (login->identity->not_after <= plugin->now) { /* its last second: the session would have ended already */
        snprintf(login->why, sizeof login->why, "the certificate expires now");
        refuse(login, GUARD_REASON_CERT_REVOKED);
    }
}

/* ---- token ---- */

static enum guard_reason token_revoked(void *context, const struct auth_revocation_query *query)
{
    return guard_token_revoked(context, query->token_id, query->key_id) ||
                   guard_user_revoked(context, query->username, query->has_issued_at ? query->issued_at : 0)
               ? GUARD_REASON_JWT_REVOKED
               : GUARD_REASON_NONE;
}

struct auth_token_request guard_login_token_request(struct guard_plugin *plugin, const struct guard_login *login,
                                                    uint8_t fingerprint[32])
{
    size_t length = 0;
    const char *token = guard_login_offered_token(plugin, login, &length);
    bool certified = login->certificate && auth_certificate_sha256(login->certificate, fingerprint) == GUARD_OK;
    return (struct auth_token_request){
        .token = token,
        .length = length,
        .client_id = login->client_id,
        .username = token == login->username ? NULL : login->username,
        .certificate_sha256 = certified ? fingerprint : NULL,
        .now = plugin->now,
        .revoked = token_revoked,
        .revoked_context = plugin,
    };
}

void guard_login_token(struct guard_plugin *plugin, struct guard_login *login)
{
    uint8_t fingerprint[32];
    login->method = GUARD_AUTH_TOKEN;
    if (!may_try(plugin, login))
        return;
    if (!plugin->tokens) {
        guard_login_refuse(login, GUARD_REASON_JWT_UNKNOWN_KEY, "there are no keys that tokens could be verified with");
        return;
    }
    struct auth_token_request request = guard_login_token_request(plugin, login, fingerprint);
    if (plugin->workers && !login->token && auth_token_is_slow(plugin->tokens, request.token, request.length)) {
        login->by_worker = true; /* an enhanced authentication cannot wait */
        return;
    }
    int64_t start = guard_clock_monotonic_ns();
    login->reason = auth_token_verify(plugin->tokens, &request, &login->identity);
    guard_login_outcome(plugin, login, microseconds_since(start));
}

void guard_login_token_result(struct guard_plugin *plugin, struct guard_login *login, uint32_t cost_us)
{
    const struct guard_identity *identity = login->identity;
    if (login->reason == GUARD_REASON_NONE)
        login->reason = token_revoked(
            plugin, &(struct auth_revocation_query){.token_id = identity->token_id,
                                                    .key_id = identity->key_id,
                                                    .username = identity->username,
                                                    .issuer = identity->issuer,
                                                    .issued_at = identity->issued_at, /* 0 = it does not tell */
                                                    .has_issued_at = true});
    guard_login_outcome(plugin, login, cost_us);
}

/* The octets of a token, wherever this client put it, or NULL. */
const char *guard_login_offered_token(const struct guard_plugin *plugin, const struct guard_login *login,
                                      size_t *length)
{
    if (login->token) {
        *length = login->token_length;
        return login->token;
    }
    if (login->password && auth_token_looks_like(login->password, login->password_length)) {
        *length = login->password_length;
        return login->password;
    }
    if (plugin->options.jwt_in_username && login->username &&
        auth_token_looks_like(login->username, strlen(login->username))) {
        *length = strlen(login->username);
        return login->username;
    }
    return NULL;
}

/* ---- password ---- */

/* A password is as old as the CONNECT that brought it. */
static void accept_password(struct guard_login *login)
{
    login->identity = guard_identity_new();
    if (login->identity) {
        login->identity->method = GUARD_AUTH_PASSWORD;
        login->identity->issued_at =
            (guard_clock_real_ns() - (guard_clock_monotonic_ns() - login->started_ns)) / INT64_C(1000000000);
        login->identity->username = guard_identity_copy(login->identity, login->username);
    }
    if (!login->identity || !login->identity->username)
        refuse(login, GUARD_REASON_INTERNAL_ERROR);
}

void guard_login_password_result(struct guard_plugin *plugin, struct guard_login *login,
                                 enum auth_password_result result, const struct guard_error *err)
{
    if (result == AUTH_PASSWORD_MATCH) {
        if (login->has_mac)
            auth_credential_cache_store(plugin->credentials, &login->mac, guard_clock_monotonic_ns() / NS_PER_MS);
        accept_password(login);
    } else if (result == AUTH_PASSWORD_MISMATCH) {
        refuse(login, login->stored_hash ? GUARD_REASON_BAD_CREDENTIALS : GUARD_REASON_UNKNOWN_USER);
    } else {
        guard_log(&plugin->log, GUARD_LOG_ERROR, "the stored password of client '%.128s' cannot be used: %s",
                  login->username, err->text);
        snprintf(login->why, sizeof login->why, "the stored hash cannot be used: %.180s", err->text);
        refuse(login, GUARD_REASON_BAD_CREDENTIALS);
    }
}

static void verify_password_here(struct guard_plugin *plugin, struct guard_login *login, const char *stored)
{
    struct guard_error err = {0};
    int64_t start = guard_clock_monotonic_ns();
    enum auth_password_result result = AUTH_PASSWORD_MISMATCH;
    if (stored)
        result = auth_password_verify(stored, login->password, login->password_length, &err);
    else
        auth_password_dummy(plugin->policy->decoy, login->password, login->password_length);
    guard_login_password_result(plugin, login, result, &err);
    guard_login_outcome(plugin, login, microseconds_since(start));
}

void guard_login_password(struct guard_plugin *plugin, struct guard_login *login)
{
    struct guard_client_view record = {0};
    login->method = GUARD_AUTH_PASSWORD;
    bool known = guard_clients_find(plugin->policy->clients, login->username, strlen(login->username), &record);
    if (!known && plugin->coexist) {
        login->not_ours = true;
        return;
    }
    login->stored_hash = known ? record.password : NULL;
    if (!may_try(plugin, login)) /* also before the cache: a guess must not be answered there either */
        return;
    login->has_mac = login->stored_hash && auth_credential_mac(plugin->credentials, login->username, login->stored_hash,
                                                               login->password, login->password_length, &login->mac);
    if (login->has_mac &&
        auth_credential_cache_lookup(plugin->credentials, &login->mac, login->started_ns / NS_PER_MS)) {
        login->cached = true;
        accept_password(login);
        guard_login_outcome(plugin, login, 0);
        return;
    }
    const char *costs = login->stored_hash ? login->stored_hash : plugin->policy->decoy;
    if (plugin->workers && costs && auth_password_cost(costs) == AUTH_PASSWORD_SLOW)
        login->by_worker = true;
    else
        verify_password_here(plugin, login, login->stored_hash);
}
