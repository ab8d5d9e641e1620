#include "store/redis_url.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMS "redis://host:port/db, rediss://…, unix:///path, redis+sentinel://h1,h2/name or redis+cluster://h1,h2"

static const struct scheme {
    const char *text;
    enum guard_redis_mode mode;
    bool tls, path;
    unsigned port;
} schemes[] = {
    {"redis://", GUARD_REDIS_DIRECT, false, false, 6379},
    {"rediss://", GUARD_REDIS_DIRECT, true, false, 6379},
    {"unix://", GUARD_REDIS_DIRECT, false, true, 0},
    {"redis+sentinel://", GUARD_REDIS_SENTINEL, false, false, 26379},
    {"rediss+sentinel://", GUARD_REDIS_SENTINEL, true, false, 26379},
    {"redis+cluster://", GUARD_REDIS_CLUSTER, false, false, 6379},
    {"rediss+cluster://", GUARD_REDIS_CLUSTER, true, false, 6379},
};

static int fail(struct guard_error *err, const char *what)
{
    return guard_fail_at(err, GUARD_ERR_INVALID, "redis_url", 0, 0, "%s; expected " FORMS, what);
}

/* A decimal number of digits[0..length) up to highest. */
static bool parse_number(const char *digits, size_t length, unsigned highest, unsigned *number)
{
    unsigned value = 0;
    if (!length || length > 6)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        value = value * 10 + (unsigned)(digits[i] - '0');
    }
    *number = value;
    return value <= highest;
}

static bool copy_text(char *to, size_t size, const char *from, size_t length)
{
    if (length >= size)
        return false;
    memcpy(to, from, length);
    to[length] = '\0';
    return true;
}

/* One "host", "host:port" or "[v6]:port". */
static bool parse_host(const char *text, size_t length, unsigned default_port, struct guard_redis_endpoint *endpoint)
{
    const char *end = text + length, *host = text, *host_end = memchr(text, ':', length), *port;
    if (length && text[0] == '[') {
        host++;
        host_end = memchr(text, ']', length);
        if (!host_end)
            return false;
        port = host_end + 1;
    } else {
        host_end = host_end ? host_end : end;
        port = host_end;
    }
    endpoint->port = default_port;
    if (port != end && (*port != ':' || !parse_number(port + 1, (size_t)(end - port - 1), 65535, &endpoint->port)))
        return false;
    return endpoint->port && host_end > host &&
           copy_text(endpoint->host, sizeof endpoint->host, host, (size_t)(host_end - host));
}

static int parse_hosts(struct guard_redis_url *url, const char *text, size_t length, unsigned port,
                       struct guard_error *err)
{
    while (true) {
        const char *comma = memchr(text, ',', length);
        size_t one = comma ? (size_t)(comma - text) : length;
        if (url->host_count == GUARD_REDIS_HOSTS_MAX)
            return fail(err, "too many hosts");
        if (!parse_host(text, one, port, &url->hosts[url->host_count]))
            return fail(err, "a host or port is missing or malformed");
        url->host_count++;
        if (!comma)
            break;
        length -= one + 1;
        text = comma + 1;
    }
    if (url->mode == GUARD_REDIS_DIRECT && url->host_count > 1)
        return fail(err, "one host only, without Sentinel or Cluster");
    return GUARD_OK;
}

static int parse_path(struct guard_redis_url *url, const char *text, struct guard_error *err)
{
    const char *query = strstr(text, "?db=");
    size_t length = query ? (size_t)(query - text) : strlen(text);
    if (text[0] != '/' || length > 107 || !copy_text(url->hosts[0].host, sizeof url->hosts[0].host, text, length))
        return fail(err, "expected the absolute path of a socket (at most 107 bytes)");
    if (query && !parse_number(query + 4, strlen(query + 4), 65535, &url->database))
        return fail(err, "the database is not a number");
    url->host_count = 1;
    return GUARD_OK;
}

/* What follows the hosts: "/db", or "/name[/db]" with Sentinel. */
static int parse_tail(struct guard_redis_url *url, const char *tail, struct guard_error *err)
{
    if (*tail == '/')
        tail++;
    if (url->mode == GUARD_REDIS_SENTINEL) {
        size_t length = strcspn(tail, "/");
        if (!length || !copy_text(url->service, sizeof url->service, tail, length))
            return fail(err, "the name of the master is missing behind the Sentinels");
        tail += length;
        if (*tail == '/')
            tail++;
    }
    if (!*tail)
        return GUARD_OK;
    if (url->mode == GUARD_REDIS_CLUSTER)
        return fail(err, "Redis Cluster has no databases: nothing may follow the hosts");
    if (!parse_number(tail, strlen(tail), 65535, &url->database))
        return fail(err, "the database is not a number");
    return GUARD_OK;
}

static int parse_user(struct guard_redis_url *url, const char **rest, size_t hosts, struct guard_error *err)
{
    const char *at = memrchr(*rest, '@', hosts);
    if (!at)
        return GUARD_OK;
    if (memchr(*rest, ':', (size_t)(at - *rest)))
        return guard_fail_at(err, GUARD_ERR_INVALID, "redis_url", 0, 0,
                             "holds a password, which would be logged and shown; put it into redis_password_file");
    if (!copy_text(url->username, sizeof url->username, *rest, (size_t)(at - *rest)))
        return fail(err, "the user name is too long");
    *rest = at + 1;
    return GUARD_OK;
}

int guard_redis_url_parse(const char *text, struct guard_redis_url *url, struct guard_error *err)
{
    const struct scheme *scheme = NULL;
    *url = (struct guard_redis_url){0};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && !scheme; i++)
        if (strncmp(text, schemes[i].text, strlen(schemes[i].text)) == 0)
            scheme = &schemes[i];
    if (!scheme)
        return fail(err, "the scheme is not known");
    url->mode = scheme->mode;
    url->tls = scheme->tls;
    const char *rest = text + strlen(scheme->text);
    if (scheme->path)
        return parse_path(url, rest, err);
    int rc = parse_user(url, &rest, strcspn(rest, "/"), err);
    if (rc != GUARD_OK)
        return rc;
    size_t hosts = strcspn(rest, "/");
    rc = parse_hosts(url, rest, hosts, scheme->port, err);
    return rc == GUARD_OK ? parse_tail(url, rest + hosts, err) : rc;
}

const char *guard_redis_endpoint_text(const struct guard_redis_endpoint *endpoint, char *buffer, size_t size)
{
    if (!endpoint->port)
        snprintf(buffer, size, "%s", endpoint->host);
    else if (strchr(endpoint->host, ':'))
        snprintf(buffer, size, "[%s]:%u", endpoint->host, endpoint->port);
    else
        snprintf(buffer, size, "%s:%u", endpoint->host, endpoint->port);
    return buffer;
}

/* CRC-16/XMODEM, as the Redis Cluster specification has it. */
static uint16_t crc16(const char *bytes, size_t length)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc = (uint16_t)(crc ^ (uint16_t)((unsigned char)bytes[i] << 8));
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

bool guard_redis_prefix_has_tag(const char *prefix, unsigned *slot)
{
    const char *open = strchr(prefix, '{'), *close = open ? strchr(open + 1, '}') : NULL;
    if (!close || close == open + 1)
        return false;
    if (slot)
        *slot = crc16(open + 1, (size_t)(close - open - 1)) % 16384;
    return true;
}
