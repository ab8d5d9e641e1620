/* Every command's row; defined in the command's own file, listed in main.c. */
#ifndef GUARD_CTL_COMMANDS_H
#define GUARD_CTL_COMMANDS_H

#include "ctl/command.h"

extern const struct ctl_command ctl_check;
extern const struct ctl_command ctl_explain;
extern const struct ctl_command ctl_lint;
extern const struct ctl_command ctl_doctor;
extern const struct ctl_command ctl_passwd;
extern const struct ctl_command ctl_certificate;
extern const struct ctl_command ctl_token_verify;
extern const struct ctl_command ctl_keys_jwks;
extern const struct ctl_command ctl_keys_generate;
extern const struct ctl_command ctl_token_issue;
extern const struct ctl_command ctl_audit_tail;
extern const struct ctl_command ctl_audit_verify;
extern const struct ctl_command ctl_audit_keygen;
extern const struct ctl_command ctl_audit_anchor;
extern const struct ctl_command ctl_push;
extern const struct ctl_command ctl_diff;
extern const struct ctl_command ctl_rollback;
extern const struct ctl_command ctl_pull;
extern const struct ctl_command ctl_history;
extern const struct ctl_command ctl_log;
extern const struct ctl_command ctl_confirm;
extern const struct ctl_command ctl_client_add;
extern const struct ctl_command ctl_client_show;
extern const struct ctl_command ctl_client_disable;
extern const struct ctl_command ctl_client_enable;
extern const struct ctl_command ctl_client_remove;
extern const struct ctl_command ctl_client_passwd;
extern const struct ctl_command ctl_role_list;
extern const struct ctl_command ctl_role_show;
extern const struct ctl_command ctl_role_set;
extern const struct ctl_command ctl_role_unset;
extern const struct ctl_command ctl_role_remove;
extern const struct ctl_command ctl_revoke_token;
extern const struct ctl_command ctl_revoke_client;
extern const struct ctl_command ctl_revoke_key;
extern const struct ctl_command ctl_revoke_certificate;
extern const struct ctl_command ctl_ban;
extern const struct ctl_command ctl_unban;
extern const struct ctl_command ctl_status;
extern const struct ctl_command ctl_import_mosquitto;
extern const struct ctl_command ctl_import_goauth;
extern const struct ctl_command ctl_import_authplug;
extern const struct ctl_command ctl_import_emqx;
extern const struct ctl_command ctl_import_dynsec;

#endif
