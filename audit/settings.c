/* The configuration: defaults, limits, and a copy of its own. */
#include "audit/internal.h"

#include "core/utf8.h"

#include <stdlib.h>

#define RING_DEFAULT    ((size_t)8 << 20)
#define RING_MIN        ((size_t)64 << 10)
#define RING_MAX        ((size_t)1 << 30)
#define ROTATE_DEFAULT  ((uint64_t)128 << 20)
#define ROTATE_MIN      ((uint64_t)64 << 10)
#define RESERVE_DEFAULT ((uint64_t)16 << 20)
#define BLOCK_MAX_MS    1000
#define BROKER_ID_MAX   128

static int check_broker_id(const char *id, struct guard_error *err)
{
    size_t length = id ? strlen(id) : 0;
    bool good = length && length <= BROKER_ID_MAX && !strpbrk(id, "/+#");
    for (size_t i = 0, width; good && i < length; i += width) {
        width = guard_utf8_sequence(id + i, length - i);
        good = width && !guard_utf8_is_deceptive(guard_utf8_decode(id + i, width));
    }
    return good ? GUARD_OK
                : guard_fail(err, GUARD_ERR_INVALID,
                             "broker_id: 1 to %d bytes of text are expected, without control characters, '/', '+', '#'",
                             BROKER_ID_MAX);
}

static size_t power_of_two(size_t size)
{
    size_t power = RING_MIN;
    while (power < size)
        power *= 2;
    return power;
}

static int check(struct audit_config *c, struct guard_error *err)
{
    unsigned char digest[AUDIT_HASH_SIZE];
    if (!c->dir || !*c->dir)
        return guard_fail(err, GUARD_ERR_INVALID, "audit_dir is not set");
    if (c->ring_size && (c->ring_size < RING_MIN || c->ring_size > RING_MAX))
        return guard_fail(err, GUARD_ERR_INVALID, "the audit ring must have 64 KiB to 1 GiB");
    if (c->rotate_size && c->rotate_size < ROTATE_MIN)
        return guard_fail(err, GUARD_ERR_INVALID, "audit files must have room for 64 KiB at least");
    if (c->block_ms > BLOCK_MAX_MS)
        return guard_fail(err, GUARD_ERR_INVALID, "audit_on_full may block for %d ms at most", BLOCK_MAX_MS);
    if (c->privacy == AUDIT_PRIVACY_HMAC && !c->privacy_key_file)
        return guard_fail(err, GUARD_ERR_INVALID, "audit_privacy hmac needs a key file");
    if (c->config_sha256 &&
        (strlen(c->config_sha256) != 2 * sizeof digest || !audit_unhex(c->config_sha256, sizeof digest, digest)))
        return guard_fail(err, GUARD_ERR_INVALID, "the hash of the configuration is not 64 lower-case hex digits");
    if (c->sink_count > AUDIT_MAX_SINKS)
        return guard_fail(err, GUARD_ERR_LIMIT, "at most %d audit sinks can be used", AUDIT_MAX_SINKS);
    return check_broker_id(c->broker_id, err);
}

static void fill_defaults(struct audit_config *c)
{
    c->ring_size = power_of_two(c->ring_size ? c->ring_size : RING_DEFAULT);
    c->block_ms = c->block_ms ? c->block_ms : 50;
    c->rotate_size = c->rotate_size ? c->rotate_size : ROTATE_DEFAULT;
    c->rotate_seconds = c->rotate_seconds ? c->rotate_seconds : 3600;
    c->fsync_ms = c->fsync_ms ? c->fsync_ms : 1000;
    c->reserve_bytes = c->reserve_bytes ? c->reserve_bytes : RESERVE_DEFAULT;
    c->summary_seconds = c->summary_seconds ? c->summary_seconds : 60;
    c->close_timeout_ms = c->close_timeout_ms ? c->close_timeout_ms : 5000;
}

/* Replaces a borrowed string by a copy. */
static bool own(const char **text)
{
    if (!*text)
        return true;
    *text = strdup(*text);
    return *text != NULL;
}

static bool own_sink(struct audit_sink_config *sink)
{
    bool good = own(&sink->target);
    good = own(&sink->ca_file) && good;
    good = own(&sink->cert_file) && good;
    good = own(&sink->key_file) && good;
    good = own(&sink->username) && good;
    good = own(&sink->password_file) && good;
    return own(&sink->stream) && good;
}

int audit_settings_copy(struct audit_settings *settings, const struct audit_config *config, struct guard_error *err)
{
    struct audit_config *c = &settings->is;
    *c = *config;
    int rc = check(c, err);
    if (rc != GUARD_OK) {
        memset(settings, 0, sizeof *settings);
        return rc;
    }
    fill_defaults(c);
    bool good = own(&c->dir);
    good = own(&c->broker_id) && good;
    good = own(&c->plugin_version) && good;
    good = own(&c->broker_version) && good;
    good = own(&c->config_sha256) && good;
    good = own(&c->signing_key_file) && good;
    good = own(&c->privacy_key_file) && good;
    good = own(&c->detect_allow) && good;
    good = own(&c->country_file) && good;
    for (size_t i = 0; i < c->sink_count; i++) {
        settings->sinks[i] = config->sinks[i];
        good = own_sink(&settings->sinks[i]) && good;
    }
    c->sinks = settings->sinks;
    if (good)
        return GUARD_OK;
    audit_settings_free(settings);
    return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

static void drop(const char **text)
{
    char *mine;
    memcpy(&mine, text, sizeof mine); /* it was made by strdup: the const is the interface's, not the memory's */
    free(mine);
    *text = NULL;
}

void audit_settings_free(struct audit_settings *settings)
{
    struct audit_config *c = &settings->is;
    const char **own_strings[] = {&c->dir,           &c->broker_id,        &c->plugin_version,   &c->broker_version,
                                  &c->config_sha256, &c->signing_key_file, &c->privacy_key_file, &c->detect_allow,
                                  &c->country_file};
    for (size_t i = 0; i < sizeof own_strings / sizeof *own_strings; i++)
        drop(own_strings[i]);
    for (size_t i = 0; i < AUDIT_MAX_SINKS; i++) {
        struct audit_sink_config *sink = &settings->sinks[i];
        const char **strings[] = {&sink->target,   &sink->ca_file,       &sink->cert_file, &sink->key_file,
                                  &sink->username, &sink->password_file, &sink->stream};
        for (size_t j = 0; j < sizeof strings / sizeof *strings; j++)
            drop(strings[j]);
    }
}
