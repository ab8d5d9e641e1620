/*
 * The options of the plugin: `plugin_opt_<name> <value>` in mosquitto.conf, and `<name> <value>` lines in the file that
 * the option `config` names. One row per option in options.c: what it takes, its default, its range and one line of
 * help. docs/configuration.md is held against that table by a test.
 */
#ifndef GUARD_CORE_OPTIONS_H
#define GUARD_CORE_OPTIONS_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum guard_binding { GUARD_BINDING_OFF, GUARD_BINDING_OPTIONAL, GUARD_BINDING_REQUIRED };
enum guard_mode { GUARD_MODE_STRICT, GUARD_MODE_COEXIST };
enum guard_identity_check { GUARD_IDENTITY_REJECT, GUARD_IDENTITY_LOG };
enum guard_takeover { GUARD_TAKEOVER_SAME_USER, GUARD_TAKEOVER_ANY };

/* Values after start-up. Texts belong to the options object; "" = not set. */
struct guard_options {
    char *config;
    char *policy_file;
    char *acl_file;
    char *password_file;
    char *auth_methods;
    int64_t mode;            /* enum guard_mode */
    int64_t identity_check;  /* enum guard_identity_check */
    int64_t client_takeover; /* enum guard_takeover */
    bool require_tls;
    char *tls_ports;

    char *jwt_jwks_file;
    char *jwt_issuers_file;
    char *jwt_issuer;
    char *jwt_audience;
    char *jwt_algorithms;
    char *jwt_identity_claim;
    char *jwt_roles_claim;
    int64_t jwt_leeway;
    int64_t jwt_max_lifetime;
    int64_t jwt_bind_client_id; /* enum guard_binding, as the next two */
    int64_t jwt_bind_username;
    int64_t jwt_bind_certificate;
    bool jwt_in_username;
    char *jwt_enhanced_auth_method;

    char *cert_identity;

    int64_t auth_workers;
    int64_t auth_timeout;
    int64_t auth_cache_size;
    int64_t auth_cache_ttl;
    bool auth_throttle;
    int64_t auth_throttle_failures;
    int64_t auth_throttle_block;

    char *broker_id;
    char *audit_dir;
    char *audit_publish;
    char *audit_deliver; /* denied, none or all */
    char *audit_signing_key_file;
    char *audit_on_full;
    char *audit_format;
    char *audit_failed_user;
    int64_t audit_privacy; /* enum audit_privacy */
    char *audit_privacy_key_file;
    char *audit_fsync;
    char *audit_syslog;
    char *audit_syslog_ca;
    char *audit_syslog_cert;
    char *audit_syslog_key;
    char *audit_redis;
    char *audit_redis_stream;
    int64_t audit_redis_length;
    bool audit_mqtt;
    int64_t audit_detect; /* 0 = off */
    char *audit_detect_allow;
    char *audit_detect_country_file;
    bool audit_detect_hours;
    int64_t audit_ring_size;
    int64_t audit_rotate_size;
    int64_t audit_rotate_interval;

    char *metrics_file;
    int64_t metrics_interval;
    char *metrics_listen;
    bool metrics_sys;

    char *redis_url;
    char *redis_username;
    char *redis_password_file;
    char *redis_tls_ca;
    char *redis_tls_cert;
    char *redis_tls_key;
    char *redis_prefix;
    bool redis_index;
    int64_t redis_connect_timeout;
    int64_t redis_command_timeout;
    int64_t max_stale;
    char *max_stale_action; /* keep or deny */
    char *snapshot_file;
};

struct guard_option_pair {
    const char *name; /* without "plugin_opt_" */
    const char *value;
};

/*
 * Fills *out from the defaults, the config file (if one of the pairs names it) and the pairs, which win. Any unknown
 * name or bad value fails with a text that names the nearest valid one; *out then holds nothing to free.
 */
int guard_options_load(const struct guard_option_pair *pairs, size_t count, struct guard_options *out,
                       struct guard_error *err);
void guard_options_free(struct guard_options *options);

/*
 * Names of the options that differ and cannot change while the broker runs, comma-separated, in buffer; "" if none.
 * Returns buffer.
 */
const char *guard_options_restart_needed(const struct guard_options *now, const struct guard_options *wanted,
                                         char *buffer, size_t size);

/* Whether the option may change while the broker runs (SIGHUP). False for a name that there is not. */
bool guard_option_reloads(const char *name);

/* Prints the table as the rows of the manual's Markdown table (docs/configuration.md). */
void guard_options_print_markdown(FILE *to);

#endif
