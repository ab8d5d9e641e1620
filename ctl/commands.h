/* Every command's row; defined in the command's own file, listed in main.c. */
#ifndef GUARD_CTL_COMMANDS_H
#define GUARD_CTL_COMMANDS_H

#include "ctl/command.h"

extern const struct ctl_command ctl_passwd;
extern const struct ctl_command ctl_certificate;
extern const struct ctl_command ctl_token_verify;
extern const struct ctl_command ctl_keys_jwks;
extern const struct ctl_command ctl_keys_generate;
extern const struct ctl_command ctl_token_issue;
extern const struct ctl_command ctl_audit_tail;
extern const struct ctl_command ctl_audit_verify;
extern const struct ctl_command ctl_audit_keygen;

#endif
