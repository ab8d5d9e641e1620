#include "core/options.h"

#include "core/file.h"
#include "core/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE_LIMIT (1024 * 1024)

enum option_type {
    OPTION_TEXT,
    OPTION_PATH,
    OPTION_SWITCH, /* yes | no */
    OPTION_NUMBER, /* low..high */
    OPTION_SIZE,   /* low..high bytes, with K, M or G behind it */
    OPTION_CHOICE  /* one of choices, stored as its index */
};

enum option_change { ON_RELOAD, ON_RESTART };

struct option_row {
    const char *name;
    enum option_type type;
    size_t offset;       /* of the member in struct guard_options */
    const char *initial; /* the default, as one would write it */
    int64_t low, high;
    const char *choices; /* "reject|log"; for OPTION_TEXT only shown */
    enum option_change change;
    const char *help;
};

#define AT(member) offsetof(struct guard_options, member)
#define TEXT(n, initial, form, change, help)                      \
    {                                                             \
#n, OPTION_TEXT, AT(n), initial, 0, 0, form, change, help \
    }
#define PATH(n, change, help)                                            \
    {                                                                    \
#n, OPTION_PATH, AT(n), "", 0, 0, "file or folder", change, help \
    }
#define SWITCH(n, initial, change, help)                                \
    {                                                                   \
#n, OPTION_SWITCH, AT(n), initial, 0, 1, "yes|no", change, help \
    }
#define NUMBER(n, initial, low, high, change, help)                      \
    {                                                                    \
#n, OPTION_NUMBER, AT(n), initial, low, high, NULL, change, help \
    }
#define SIZE(n, initial, low, high, change, help)                      \
    {                                                                  \
#n, OPTION_SIZE, AT(n), initial, low, high, NULL, change, help \
    }
#define CHOICE(n, initial, choices, change, help)                      \
    {                                                                  \
#n, OPTION_CHOICE, AT(n), initial, 0, 0, choices, change, help \
    }
#define KIB (INT64_C(1) << 10)
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)

/* clang-format off: one row, one line or two */
static const struct option_row table[] = {
    PATH(config, ON_RESTART,
         "file with further options, one `name value` a line; re-read on SIGHUP, unlike mosquitto.conf's own"),
    PATH(policy_file, ON_RESTART, "the policy file; re-read on SIGHUP"),
    PATH(acl_file, ON_RESTART,
         "Mosquitto's own acl_file, as it is, instead of a policy or beside it; re-read on SIGHUP"),
    PATH(password_file, ON_RESTART,
         "Mosquitto's own password_file, as it is, beside the passwords of the policy; re-read on SIGHUP"),
    TEXT(auth_methods, "certificate,token,password", "list", ON_RESTART,
         "ways in, in the order they are tried: certificate, token, password; `certificate+token` asks for both"),
    CHOICE(mode, "strict", "strict|coexist", ON_RESTART,
           "coexist leaves identities this plugin does not know to the plugins and files that come after it"),
    CHOICE(identity_check, "reject", "reject|log", ON_RELOAD,
           "what happens to a client whose name or id cannot stand in a topic of a rule it holds (`+`, `#`, `/` …)"),
    CHOICE(client_takeover, "same-user", "same-user|any", ON_RELOAD,
           "who may take over the client id of a connected client: only the same user, or anybody"),
    SWITCH(require_tls, "no", ON_RESTART,
           "refuse passwords and tokens on listeners that tls_ports does not name (Mosquitto 2.1)"),
    TEXT(tls_ports, "", "ports", ON_RESTART,
         "listener ports that use TLS, comma-separated, or `all` (per-listener set-ups of 2.0)"),

    PATH(jwt_jwks_file, ON_RESTART,
         "keys that verify tokens: a JWK set, a PEM public key or a folder of them; re-read on SIGHUP"),
    PATH(jwt_issuers_file, ON_RESTART,
         "file with several issuers, instead of the other jwt_ options but the last two; re-read on SIGHUP"),
    TEXT(jwt_issuer, "", "text", ON_RESTART, "the token's `iss` must be exactly this"),
    TEXT(jwt_audience, "", "text", ON_RESTART, "the token's `aud` must be or hold this"),
    TEXT(jwt_algorithms, "RS256,PS256,ES256,EdDSA,HS256", "list", ON_RESTART, "algorithms that are accepted"),
    TEXT(jwt_identity_claim, "sub", "claim", ON_RESTART, "the claim that becomes the user name"),
    TEXT(jwt_roles_claim, "", "claim", ON_RESTART, "the claim that names roles, e.g. `roles` or `realm_access.roles`"),
    NUMBER(jwt_leeway, "30", 0, 3600, ON_RESTART, "seconds by which clocks may differ"),
    NUMBER(jwt_max_lifetime, "0", 0, 315360000, ON_RESTART, "longest exp − iat in seconds; 0 = any"),
    CHOICE(jwt_bind_client_id, "off", "off|optional|required", ON_RESTART,
           "the client id must equal the token's identity"),
    CHOICE(jwt_bind_username, "off", "off|optional|required", ON_RESTART,
           "the MQTT user name must equal the token's identity"),
    CHOICE(jwt_bind_certificate, "optional", "off|optional|required", ON_RESTART,
           "the client certificate must be the one in `cnf.x5t#S256` (RFC 8705); optional: where the token has it"),
    SWITCH(jwt_in_username, "no", ON_RESTART,
           "also take a token from the user name (the broker logs user names: for a migration only)"),
    TEXT(jwt_enhanced_auth_method, "JWT", "name", ON_RESTART,
         "name of the MQTT 5 authentication method whose data is a token"),

    TEXT(cert_identity, "cn", "source", ON_RESTART,
         "what of the client certificate becomes the user name: cn, san.dns, san.uri, san.email … or SOURCE:PATTERN"),

    NUMBER(auth_workers, "2", 0, 64, ON_RESTART,
           "threads for slow password hashes and signatures, at most one fewer than processors (Mosquitto 2.1; 0 = on "
           "the broker's "
           "thread)"),
    NUMBER(auth_timeout, "5", 1, 60, ON_RESTART,
           "seconds after which an unfinished check is a refusal (Mosquitto 2.1)"),
    NUMBER(auth_cache_size, "65536", 0, 16777216, ON_RESTART,
           "verified credentials remembered as keyed hashes; 0 = none"),
    NUMBER(auth_cache_ttl, "3600", 1, 604800, ON_RESTART, "seconds that a verified credential is remembered"),
    SWITCH(auth_throttle, "yes", ON_RESTART, "slow down addresses that keep failing, before any hashing"),
    NUMBER(auth_throttle_failures, "30", 1, 100000, ON_RESTART, "failed attempts a minute that one address may make"),
    NUMBER(auth_throttle_block, "600", 1, 86400, ON_RESTART,
           "seconds an address is blocked the first time; doubles up to a day"),

    TEXT(broker_id, "", "name", ON_RESTART, "this broker's name in audit events; the host name by default"),
    PATH(audit_dir, ON_RESTART, "folder of the audit trail; without it there is none"),
    TEXT(audit_publish, "all", "all|denied|summary:SECONDS", ON_RESTART, "which publishes are audited"),
    TEXT(audit_deliver, "denied", "denied|none|all", ON_RESTART, "which deliveries are audited"),
    PATH(audit_signing_key_file, ON_RESTART, "Ed25519 key that signs checkpoints (`guardctl audit keygen`)"),
    TEXT(audit_on_full, "drop", "drop|block:MS|deny", ON_RESTART,
         "what gives way when events come faster than the disk takes them"),
    TEXT(audit_format, "ecs", "ecs|ocsf", ON_RESTART, "names of the fields"),
    TEXT(audit_failed_user, "full", "full|hash|none", ON_RESTART,
         "user names of failed log-ins (people type passwords there)"),
    CHOICE(audit_privacy, "none", "none|hmac|truncate", ON_RESTART,
           "hmac: pseudonyms for users, client ids and addresses; truncate: addresses without their last bits"),
    PATH(audit_privacy_key_file, ON_RESTART, "16 to 4096 secret bytes that pseudonyms are made with"),
    TEXT(audit_fsync, "1000", "off|MS|batch|event", ON_RESTART, "when written events are forced to the disk"),
    TEXT(audit_syslog, "", "url", ON_RESTART,
         "also send events there: unix:/dev/log, tcp://host:port, tls://host:port"),
    PATH(audit_syslog_ca, ON_RESTART, "CA certificates of the tls:// syslog receiver"),
    PATH(audit_syslog_cert, ON_RESTART, "client certificate for it"),
    PATH(audit_syslog_key, ON_RESTART, "key of that certificate"),
    TEXT(audit_redis, "", "url", ON_RESTART,
         "also add events to a Redis stream: redis://host:port/database, rediss://…, unix:///path; credentials as "
         "below"),
    TEXT(audit_redis_stream, "", "key", ON_RESTART, "name of that stream; audit:<broker_id> by default"),
    NUMBER(audit_redis_length, "1000000", 1000, 1000000000, ON_RESTART, "entries that are kept there, about"),
    SWITCH(audit_mqtt, "no", ON_RESTART, "also publish alerts and state changes below $AUDIT/<broker_id>/"),
    CHOICE(audit_detect, "on", "off|on", ON_RESTART, "write alerts for attacks that the events show"),
    TEXT(audit_detect_allow, "", "addresses", ON_RESTART,
         "addresses and networks that no alert is raised about, comma-separated: gateways, monitoring"),
    PATH(audit_detect_country_file, ON_RESTART,
         "country database (MaxMind's format): alerts for countries that an identity never came from"),
    SWITCH(audit_detect_hours, "no", ON_RESTART, "alerts for identities that are active at unusual hours"),
    SIZE(audit_ring_size, "8M", 64 * KIB, GIB, ON_RESTART, "memory between the broker and the audit writer"),
    SIZE(audit_rotate_size, "128M", 64 * KIB, 1024 * GIB, ON_RESTART, "size at which a new audit file is begun"),
    NUMBER(audit_rotate_interval, "3600", 1, 31536000, ON_RESTART, "seconds after which a new audit file is begun"),

    PATH(metrics_file, ON_RESTART,
         "file with figures for Prometheus, for node_exporter's textfile collector: …/name.prom"),
    NUMBER(metrics_interval, "15", 1, 3600, ON_RESTART, "seconds between two of its versions"),
    TEXT(metrics_listen, "", "address", ON_RESTART,
         "figures over HTTP (GET /metrics): 127.0.0.1:port, [::1]:port or unix:/path"),
    SWITCH(metrics_sys, "no", ON_RESTART, "publish some figures below $SYS/broker/guard/"),

    TEXT(redis_url, "", "url", ON_RESTART,
         "the policy's home: redis://, rediss://, unix://, redis+sentinel://h1,h2/name, redis+cluster://h1,h2"),
    TEXT(redis_username, "", "text", ON_RESTART, "Redis ACL user"),
    PATH(redis_password_file, ON_RESTART, "file that holds the Redis password"),
    PATH(redis_tls_ca, ON_RESTART, "CA certificates of Redis; the system's by default"),
    PATH(redis_tls_cert, ON_RESTART, "client certificate for Redis"),
    PATH(redis_tls_key, ON_RESTART, "key of that certificate"),
    TEXT(redis_prefix, "guard:", "text", ON_RESTART, "what all keys begin with; `{guard}:` for Redis Cluster"),
    SWITCH(redis_index, "no", ON_RESTART, "find roles and clients by the index sets instead of SCAN"),
    NUMBER(redis_connect_timeout, "2000", 50, 60000, ON_RESTART, "milliseconds to connect"),
    NUMBER(redis_command_timeout, "1000", 50, 60000, ON_RESTART, "milliseconds for a command"),
    NUMBER(max_stale, "0", 0, 31536000, ON_RESTART,
           "seconds after which a policy that Redis no longer confirms is too old; 0 = never"),
    TEXT(max_stale_action, "keep", "keep|deny", ON_RESTART, "what a policy that is too old means"),
    PATH(snapshot_file, ON_RESTART, "where the last good policy from Redis is kept, for a start without Redis"),
};
/* clang-format on */

#define OPTION_COUNT (sizeof table / sizeof *table)

static void *member(struct guard_options *options, const struct option_row *row)
{
    return (char *)options + row->offset;
}

static const void *member_const(const struct guard_options *options, const struct option_row *row)
{
    return (const char *)options + row->offset;
}

static bool holds_text(const struct option_row *row)
{
    return row->type == OPTION_TEXT || row->type == OPTION_PATH;
}

/* Levenshtein distance, capped: enough to find a typing error. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);
    if (n >= 63)
        return 99;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; *a; a++, i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned best = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

/* The same, but an option written out (audit_directory for audit_dir) is near, however long its rest. */
static unsigned how_far(const char *name, const char *option)
{
    size_t length = strlen(option);
    return strncmp(name, option, length) == 0 ? 1 : distance(name, option);
}

static const struct option_row *find(const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static int unknown_option(const char *name, struct guard_error *err)
{
    const struct option_row *nearest = &table[0];
    for (size_t i = 1; i < OPTION_COUNT; i++)
        if (how_far(name, table[i].name) < how_far(name, nearest->name))
            nearest = &table[i];
    return guard_fail(err, GUARD_ERR_INVALID, "there is no option '%.64s'; did you mean '%s'?", name, nearest->name);
}

static int parse_number(const struct option_row *row, const char *value, int64_t *out, struct guard_error *err)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    int shift = 0;
    if (row->type == OPTION_SIZE && end != value && *end && !end[1]) {
        shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
        end += shift ? 1 : 0;
    }
    if (errno || end == value || *end || number < 0 || number > INT64_MAX >> (shift + 1))
        return guard_fail(err, GUARD_ERR_INVALID, "option %s: '%.64s' is not a number%s", row->name, value,
                          row->type == OPTION_SIZE ? " of bytes (K, M or G may follow)" : "");
    *out = (int64_t)number << shift;
    if (*out < row->low || *out > row->high)
        return guard_fail(err, GUARD_ERR_INVALID, "option %s: %lld is out of range, expected %lld to %lld", row->name,
                          (long long)*out, (long long)row->low, (long long)row->high);
    return GUARD_OK;
}

static int parse_choice(const struct option_row *row, const char *value, int64_t *out, struct guard_error *err)
{
    const char *choice = row->choices;
    for (int64_t index = 0; *choice; index++) {
        size_t length = strcspn(choice, "|");
        if (strlen(value) == length && strncmp(choice, value, length) == 0) {
            *out = index;
            return GUARD_OK;
        }
        choice += length + (choice[length] == '|');
    }
    return guard_fail(err, GUARD_ERR_INVALID, "option %s: '%.64s' is not one of %s", row->name, value, row->choices);
}

static int set_text(char **text, const char *value, struct guard_error *err)
{
    char *copy = strdup(value);
    if (!copy)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    guard_free_string(text);
    *text = copy;
    return GUARD_OK;
}

static int set(struct guard_options *options, const struct option_row *row, const char *value, struct guard_error *err)
{
    void *target = member(options, row);
    int64_t number = 0;
    int rc;
    switch (row->type) {
    case OPTION_TEXT:
    case OPTION_PATH:
        return set_text(target, value, err);
    case OPTION_SWITCH:
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0 && strcmp(value, "true") != 0 &&
            strcmp(value, "false") != 0)
            return guard_fail(err, GUARD_ERR_INVALID, "option %s: '%.64s' is neither yes nor no", row->name, value);
        *(bool *)target = value[0] == 'y' || value[0] == 't';
        return GUARD_OK;
    case OPTION_CHOICE:
        rc = parse_choice(row, value, &number, err);
        break;
    default:
        rc = parse_number(row, value, &number, err);
    }
    if (rc == GUARD_OK)
        *(int64_t *)target = number;
    return rc;
}

static int set_defaults(struct guard_options *options, struct guard_error *err)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        int rc = set(options, &table[i], table[i].initial, err);
        if (rc != GUARD_OK)
            return rc;
    }
    return GUARD_OK;
}

/* Sets one option that was written by somebody; given marks it so that a second one is noticed. */
static int set_given(struct guard_options *options, bool *given, const char *name, const char *value,
                     struct guard_error *err)
{
    const struct option_row *row = find(name);
    if (!row)
        return unknown_option(name, err);
    if (given[row - table])
        return guard_fail(err, GUARD_ERR_INVALID, "option %s is given twice", name);
    given[row - table] = true;
    return set(options, row, value, err);
}

/* Ends the line at its line end and blanks; returns the beginning of the next one, or NULL. */
static char *cut_line(char *line)
{
    char *end = strchr(line, '\n');
    char *next = end ? end + 1 : NULL;
    if (!end)
        end = line + strlen(line);
    while (end > line && strchr(" \t\r\n", end[-1]))
        end--;
    *end = '\0';
    return next;
}

static int read_config_line(struct guard_options *options, bool *given, char *line, struct guard_error *err)
{
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return GUARD_OK;
    size_t length = strcspn(line, " \t");
    char *value = line + length;
    if (*value)
        *value++ = '\0';
    value += strspn(value, " \t");
    if (strncmp(line, "plugin_opt_", 11) == 0)
        line += 11;
    if (strcmp(line, "config") == 0)
        return guard_fail(err, GUARD_ERR_INVALID, "option config stands in mosquitto.conf only");
    if (!*value)
        return guard_fail(err, GUARD_ERR_SYNTAX, "option %.64s has no value", line);
    return set_given(options, given, line, value, err);
}

static int read_config(struct guard_options *options, const char *path, struct guard_error *err)
{
    bool given[OPTION_COUNT] = {false};
    char *content;
    size_t length;
    int rc = guard_file_read(path, GUARD_FILE_PUBLIC, CONFIG_FILE_LIMIT, &content, &length, err);
    if (rc != GUARD_OK)
        return rc;
    unsigned number = 1;
    for (char *line = content, *next; line && rc == GUARD_OK; line = next, number++) {
        struct guard_error inner;
        next = cut_line(line);
        rc = read_config_line(options, given, line, &inner);
        if (rc != GUARD_OK)
            guard_fail_at(err, inner.code, path, number, 0, "%s", inner.text);
    }
    free(content);
    return rc;
}

static int load(const struct guard_option_pair *pairs, size_t count, struct guard_options *out, struct guard_error *err)
{
    bool given[OPTION_COUNT] = {false};
    int rc = set_defaults(out, err);
    for (size_t i = 0; i < count && rc == GUARD_OK; i++)
        if (strcmp(pairs[i].name, "config") == 0)
            rc = read_config(out, pairs[i].value, err);
    for (size_t i = 0; i < count && rc == GUARD_OK; i++)
        rc = set_given(out, given, pairs[i].name, pairs[i].value, err);
    return rc;
}

int guard_options_load(const struct guard_option_pair *pairs, size_t count, struct guard_options *out,
                       struct guard_error *err)
{
    *out = (struct guard_options){0};
    int rc = load(pairs, count, out, err);
    if (rc != GUARD_OK)
        guard_options_free(out);
    return rc;
}

void guard_options_free(struct guard_options *options)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (holds_text(&table[i]))
            guard_free_string(member(options, &table[i]));
    *options = (struct guard_options){0};
}

static bool differs(const struct guard_options *a, const struct guard_options *b, const struct option_row *row)
{
    if (holds_text(row))
        return strcmp(*(char *const *)member_const(a, row), *(char *const *)member_const(b, row)) != 0;
    if (row->type == OPTION_SWITCH)
        return *(const bool *)member_const(a, row) != *(const bool *)member_const(b, row);
    return *(const int64_t *)member_const(a, row) != *(const int64_t *)member_const(b, row);
}

const char *guard_options_restart_needed(const struct guard_options *now, const struct guard_options *wanted,
                                         char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (table[i].change != ON_RESTART || !differs(now, wanted, &table[i]))
            continue;
        int wrote = snprintf(buffer + used, size - used, "%s%s", used ? ", " : "", table[i].name);
        if (wrote < 0 || (size_t)wrote >= size - used)
            break;
        used += (size_t)wrote;
    }
    return buffer;
}

bool guard_option_reloads(const char *name)
{
    const struct option_row *row = find(name);
    return row && row->change == ON_RELOAD;
}

static void print_values(FILE *to, const struct option_row *row)
{
    if (row->type == OPTION_NUMBER)
        fprintf(to, "%lld–%lld", (long long)row->low, (long long)row->high);
    else if (row->type == OPTION_SIZE)
        fputs("bytes, K, M, G", to);
    else
        for (const char *c = row->choices; *c; c++)
            fprintf(to, *c == '|' ? " \\| " : "%c", *c);
}

void guard_options_print_markdown(FILE *to)
{
    fputs("| option | values | default | takes effect | meaning |\n| --- | --- | --- | --- | --- |\n", to);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        fprintf(to, "| `%s` | ", table[i].name);
        print_values(to, &table[i]);
        fprintf(to, table[i].initial[0] ? " | `%s` | " : " | %s| ", table[i].initial);
        fprintf(to, "%s | %s |\n", table[i].change == ON_RELOAD ? "SIGHUP" : "restart", table[i].help);
    }
}
