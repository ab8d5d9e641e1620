#include "plugin/compose_audit.h"

#include "audit/audit.h"
#include "core/digest.h"
#include "plugin/broker.h"
#include "plugin/compose_sinks.h"
#include "plugin/plugin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* value is "name" or "name:NUMBER"; the number is read where one may stand. */
struct choice {
    const char *name;
    int value;
    bool number;
};

static int choose(const char *option, const char *text, const struct choice *choices, int *value, unsigned *number,
                  struct guard_error *err)
{
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    for (; choices->name; choices++) {
        if (strlen(choices->name) != length || strncmp(choices->name, text, length) != 0)
            continue;
        if (colon && !choices->number)
            break;
        char *end = NULL;
        unsigned long parsed = colon ? strtoul(colon + 1, &end, 10) : 0;
        if (colon && (end == colon + 1 || *end || parsed > 1000000))
            break;
        *value = choices->value;
        *number = (unsigned)parsed;
        return GUARD_OK;
    }
    return guard_fail(err, GUARD_ERR_INVALID, "option %s: '%.64s' is not a valid value", option, text);
}

static int read_modes(const struct guard_options *o, struct audit_config *config, struct guard_error *err)
{
    static const struct choice publish[] = {{"all", AUDIT_PUBLISH_ALL, false},
                                            {"denied", AUDIT_PUBLISH_DENIED, false},
                                            {"summary", AUDIT_PUBLISH_SUMMARY, true},
                                            {0}};
    static const struct choice deliver[] = {{"denied", AUDIT_DELIVER_DENIED, false},
                                            {"none", AUDIT_DELIVER_NONE, false},
                                            {"all", AUDIT_DELIVER_ALL, false},
                                            {0}};
    static const struct choice full[] = {
        {"drop", AUDIT_FULL_DROP, false}, {"block", AUDIT_FULL_BLOCK, true}, {"deny", AUDIT_FULL_DENY, false}, {0}};
    static const struct choice format[] = {{"ecs", AUDIT_FORMAT_ECS, false}, {"ocsf", AUDIT_FORMAT_OCSF, false}, {0}};
    static const struct choice user[] = {{"full", AUDIT_FAILED_USER_FULL, false},
                                         {"hash", AUDIT_FAILED_USER_HASH, false},
                                         {"none", AUDIT_FAILED_USER_NONE, false},
                                         {0}};
    int value[5];
    unsigned unused;
    int rc = choose("audit_publish", o->audit_publish, publish, &value[0], &config->summary_seconds, err);
    if (rc == GUARD_OK)
        rc = choose("audit_deliver", o->audit_deliver, deliver, &value[1], &unused, err);
    if (rc == GUARD_OK)
        rc = choose("audit_on_full", o->audit_on_full, full, &value[2], &config->block_ms, err);
    if (rc == GUARD_OK)
        rc = choose("audit_format", o->audit_format, format, &value[3], &unused, err);
    if (rc == GUARD_OK)
        rc = choose("audit_failed_user", o->audit_failed_user, user, &value[4], &unused, err);
    if (rc != GUARD_OK)
        return rc;
    config->publish = (enum audit_publish_mode)value[0];
    config->deliver = (enum audit_deliver_mode)value[1];
    config->on_full = (enum audit_on_full)value[2];
    config->format = (enum audit_format)value[3];
    config->failed_user = (enum audit_failed_user)value[4];
    return GUARD_OK;
}

static int read_fsync(const char *text, struct audit_config *config, struct guard_error *err)
{
    static const struct choice named[] = {
        {"off", AUDIT_FSYNC_OFF, false}, {"batch", AUDIT_FSYNC_BATCH, false}, {"event", AUDIT_FSYNC_EVENT, false}, {0}};
    char *end;
    unsigned long ms = strtoul(text, &end, 10);
    if (end != text && !*end && ms >= 1 && ms <= 3600000) {
        config->fsync = AUDIT_FSYNC_INTERVAL;
        config->fsync_ms = (unsigned)ms;
        return GUARD_OK;
    }
    int value;
    unsigned unused;
    int rc = choose("audit_fsync", text, named, &value, &unused, err);
    if (rc == GUARD_OK)
        config->fsync = (enum audit_fsync)value;
    return rc;
}

/* The options as they are in force, in one digest, so that a changed configuration shows in the trail. */
static void digest_options(const struct guard_plugin *plugin, char hex[GUARD_SHA256_HEX])
{
    uint8_t hash[GUARD_SHA256_SIZE] = {0};
    struct guard_sha256 *sha = guard_sha256_begin();
    for (size_t i = 0; sha && i < plugin->pair_count; i++) {
        guard_sha256_add(sha, plugin->pairs[i].name, strlen(plugin->pairs[i].name) + 1);
        guard_sha256_add(sha, plugin->pairs[i].value, strlen(plugin->pairs[i].value) + 1);
    }
    if (sha)
        guard_sha256_end(&sha, hash);
    guard_hex(hash, sizeof hash, hex);
}

int guard_compose_audit(struct guard_plugin *plugin, struct guard_error *err)
{
    const struct guard_options *o = &plugin->options;
    char host[256] = "", digest[GUARD_SHA256_HEX];
    struct guard_sinks sinks;
    if (!o->audit_dir[0])
        return GUARD_OK;
    gethostname(host, sizeof host - 1);
    digest_options(plugin, digest);
    struct audit_config config = {
        .dir = o->audit_dir,
        .broker_id = o->broker_id[0] ? o->broker_id
                     : host[0]       ? host
                                     : "mosquitto",
        .plugin_version = GUARD_VERSION,
        .broker_version = guard_broker_is_2_1() ? "2.1" : "2.0",
        .config_sha256 = digest,
        .signing_key_file = o->audit_signing_key_file[0] ? o->audit_signing_key_file : NULL,
        .ring_size = (size_t)o->audit_ring_size,
        .rotate_size = (uint64_t)o->audit_rotate_size,
        .rotate_seconds = (unsigned)o->audit_rotate_interval,
        .detect = o->audit_detect != 0,
        .detect_allow = o->audit_detect_allow[0] ? o->audit_detect_allow : NULL,
        .country_file = o->audit_detect_country_file[0] ? o->audit_detect_country_file : NULL,
        .detect_hours = o->audit_detect_hours,
        .privacy = (enum audit_privacy)o->audit_privacy,
        .privacy_key_file = o->audit_privacy_key_file[0] ? o->audit_privacy_key_file : NULL,
    };
    int rc = read_modes(o, &config, err);
    if (rc == GUARD_OK)
        rc = read_fsync(o->audit_fsync, &config, err);
    if (rc == GUARD_OK)
        rc = guard_compose_sinks(o, &sinks, &config, err);
    if (rc == GUARD_OK)
        rc = audit_open(&config, &plugin->audit, err);
    if (rc != GUARD_OK)
        return rc;
    plugin->rule_names = calloc(GUARD_RULE_NAMES, sizeof *plugin->rule_names);
    if (!plugin->rule_names)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    plugin->audit_publishes = config.publish != AUDIT_PUBLISH_DENIED;
    plugin->audit_deliveries = audit_wants_deliveries(plugin->audit);
    return GUARD_OK;
}
