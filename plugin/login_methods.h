/* The methods of authentication and what they share; used by the chain in login.c. */
#ifndef GUARD_PLUGIN_LOGIN_METHODS_H
#define GUARD_PLUGIN_LOGIN_METHODS_H

#include "auth/password.h"
#include "plugin/login.h"

/* Each fills method and reason, and where that is NONE, identity (the password's also by_worker or not_ours). */
void guard_login_certificate(struct guard_plugin *plugin, struct guard_login *login);
void guard_login_token(struct guard_plugin *plugin, struct guard_login *login);
void guard_login_password(struct guard_plugin *plugin, struct guard_login *login);

/* Completes a login from what verifying its password came to. */
void guard_login_password_result(struct guard_plugin *plugin, struct guard_login *login,
                                 enum auth_password_result result, const struct guard_error *err);

/* Tells the throttle how it went; cost_us: processor time that was spent. */
void guard_login_outcome(struct guard_plugin *plugin, const struct guard_login *login, uint32_t cost_us);

/* The octets of a token, wherever this client put it, or NULL. */
const char *guard_login_offered_token(const struct guard_plugin *plugin, const struct guard_login *login,
                                      size_t *length);

#endif
