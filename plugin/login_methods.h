/* The methods of authentication and what they share; used by the chain in login.c. */
#ifndef GUARD_PLUGIN_LOGIN_METHODS_H
#define GUARD_PLUGIN_LOGIN_METHODS_H

#include "auth/password.h"
#include "auth/token.h"
#include "plugin/login.h"

/* Each fills method and reason, and where that is NONE, identity (or by_worker; the password's
 * also not_ours). */
void guard_login_certificate(struct guard_plugin *plugin, struct guard_login *login);
void guard_login_token(struct guard_plugin *plugin, struct guard_login *login);
void guard_login_password(struct guard_plugin *plugin, struct guard_login *login);

/* Completes a login from what verifying its password came to. */
void guard_login_password_result(struct guard_plugin *plugin, struct guard_login *login,
                                 enum auth_password_result result, const struct guard_error *err);

/* What verifying the login's token needs; everything points into the login, its fingerprint to 32 octets of yours. */
struct auth_token_request guard_login_token_request(struct guard_plugin *plugin, const struct guard_login *login,
                                                    uint8_t fingerprint[32]);

/* Completes a login from what a worker made of its token (reason, identity): revocations, and the throttle. */
void guard_login_token_result(struct guard_plugin *plugin, struct guard_login *login, uint32_t cost_us);

/* why is for the log; "" = the reason says it all. */
void guard_login_refuse(struct guard_login *login, enum guard_reason reason, const char *why);

/* Tells the throttle how it went; cost_us: processor time that was spent. */
void guard_login_outcome(struct guard_plugin *plugin, const struct guard_login *login, uint32_t cost_us);

/* The octets of a token, wherever this client put it, or NULL. */
const char *guard_login_offered_token(const struct guard_plugin *plugin, const struct guard_login *login,
                                      size_t *length);

#endif
