#include "plugin/compose_sinks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REDIS_PORT    ":6379"
#define DATABASES_MAX 65535

static const char *given(const char *text)
{
    return text[0] ? text : NULL;
}

static int add_syslog(const struct guard_options *o, struct guard_sinks *sinks, struct audit_config *config,
                      struct guard_error *err)
{
    const char *url = o->audit_syslog;
    char *target = sinks->target[config->sink_count];
    if (!url[0])
        return GUARD_OK;
    if (!o->audit_syslog_cert[0] != !o->audit_syslog_key[0])
        return guard_fail(err, GUARD_ERR_INVALID, "options audit_syslog_cert and audit_syslog_key belong together");
    const char *colon = strchr(url, ':');
    if (!colon)
        return guard_fail(err, GUARD_ERR_INVALID,
                          "option audit_syslog: expected unix:PATH, tcp://HOST:PORT or tls://HOST:PORT");
    const char *rest = colon[1] == '/' && colon[2] == '/' ? colon + 3 : colon + 1;
    snprintf(target, GUARD_SINK_TARGET_SIZE, "%.*s:%s", (int)(colon - url), url, rest);
    sinks->sink[config->sink_count++] = (struct audit_sink_config){
        .kind = AUDIT_SINK_SYSLOG,
        .target = target,
        .ca_file = given(o->audit_syslog_ca),
        .cert_file = given(o->audit_syslog_cert),
        .key_file = given(o->audit_syslog_key),
    };
    return GUARD_OK;
}

/* redis://HOST[:PORT][/DATABASE], rediss://…, unix://PATH to what the sink calls it. False: it is none of these. */
static bool translate(const char *url, char *target, unsigned *database)
{
    bool tls = strncmp(url, "rediss://", 9) == 0;
    int wrote;
    *database = 0;
    if (strncmp(url, "unix://", 7) == 0) {
        wrote = snprintf(target, GUARD_SINK_TARGET_SIZE, "unix:%s", url + 7);
        return url[7] == '/' && wrote < GUARD_SINK_TARGET_SIZE;
    }
    if (!tls && strncmp(url, "redis://", 8) != 0)
        return false;
    const char *host = url + (tls ? 9 : 8), *slash = strchr(host, '/');
    int length = slash ? (int)(slash - host) : (int)strlen(host);
    if (!length || strchr(host, '@') || strchr(host, ','))
        return false;
    if (slash && slash[1]) {
        char *end;
        unsigned long number = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || number > DATABASES_MAX)
            return false;
        *database = (unsigned)number;
    }
    const char *bracket = memchr(host, ']', (size_t)length), *from = bracket ? bracket : host;
    bool has_port = memchr(from, ':', (size_t)(host + length - from)) != NULL;
    wrote = snprintf(target, GUARD_SINK_TARGET_SIZE, "%s:%.*s%s", tls ? "tls" : "tcp", length, host,
                     has_port ? "" : REDIS_PORT);
    return wrote < GUARD_SINK_TARGET_SIZE;
}

static int add_redis(const struct guard_options *o, struct guard_sinks *sinks, struct audit_config *config,
                     struct guard_error *err)
{
    char *target = sinks->target[config->sink_count];
    unsigned database;
    if (!o->audit_redis[0])
        return GUARD_OK;
    if (!translate(o->audit_redis, target, &database))
        return guard_fail(err, GUARD_ERR_INVALID,
                          "option audit_redis: expected redis://HOST:PORT/DATABASE, rediss://HOST:PORT/DATABASE or "
                          "unix:///PATH; user and password are those of redis_username and redis_password_file");
    sinks->sink[config->sink_count++] = (struct audit_sink_config){
        .kind = AUDIT_SINK_REDIS,
        .target = target,
        .ca_file = given(o->redis_tls_ca),
        .cert_file = given(o->redis_tls_cert),
        .key_file = given(o->redis_tls_key),
        .username = given(o->redis_username),
        .password_file = given(o->redis_password_file),
        .stream = given(o->audit_redis_stream),
        .max_length = (uint64_t)o->audit_redis_length,
        .database = database,
    };
    return GUARD_OK;
}

int guard_compose_sinks(const struct guard_options *options, struct guard_sinks *sinks, struct audit_config *config,
                        struct guard_error *err)
{
    config->sinks = sinks->sink;
    config->sink_count = 0;
    int rc = add_syslog(options, sinks, config, err);
    return rc == GUARD_OK ? add_redis(options, sinks, config, err) : rc;
}
