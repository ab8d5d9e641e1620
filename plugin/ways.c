#include "plugin/ways.h"

#include "plugin/broker.h"
#include "plugin/plugin.h"

#include <stdlib.h>
#include <string.h>

static unsigned way_of(const char *name, size_t length)
{
    static const struct {
        const char *name;
        unsigned way;
    } names[] = {{"certificate", WAY_CERTIFICATE}, {"token", WAY_TOKEN}, {"password", WAY_PASSWORD}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == length && strncmp(names[i].name, name, length) == 0)
            return names[i].way;
    return 0;
}

/* One alternative, up to ',' or the end. */
static int parse_one(const char **text, unsigned *ways, struct guard_error *err)
{
    *ways = 0;
    for (;;) {
        *text += strspn(*text, " \t");
        size_t length = strcspn(*text, "+, \t");
        unsigned way = way_of(*text, length);
        if (!way)
            return guard_fail(err, GUARD_ERR_INVALID,
                              "option auth_methods: '%.*s' is not one of certificate, token, password", (int)length,
                              *text);
        *ways |= way;
        *text += length;
        *text += strspn(*text, " \t");
        if (**text != '+')
            break;
        ++*text;
    }
    if (*ways == (WAY_TOKEN | WAY_PASSWORD) || *ways == (WAY_CERTIFICATE | WAY_TOKEN | WAY_PASSWORD))
        return guard_fail(
            err, GUARD_ERR_INVALID,
            "option auth_methods: MQTT has one password field, so token and password cannot be asked for together");
    return GUARD_OK;
}

int guard_ways_parse(const char *text, unsigned *ways, unsigned *count, struct guard_error *err)
{
    *count = 0;
    for (;;) {
        unsigned mask;
        int rc = parse_one(&text, &mask, err);
        if (rc != GUARD_OK)
            return rc;
        for (unsigned i = 0; i < *count; i++)
            if (ways[i] == mask)
                return guard_fail(err, GUARD_ERR_INVALID, "option auth_methods: a method stands twice");
        if (*count == GUARD_WAYS_MAX)
            return guard_fail(err, GUARD_ERR_INVALID, "option auth_methods: too many methods");
        ways[(*count)++] = mask;
        if (!*text)
            return GUARD_OK;
        if (*text != ',')
            return guard_fail(err, GUARD_ERR_SYNTAX, "option auth_methods: expected ',' before '%.20s'", text);
        text++;
    }
}

/* The number at the beginning of *list, which is moved behind it and its comma; 0 = there is no port. */
static long next_port(const char **list)
{
    char *end;
    long port = strtol(*list, &end, 10);
    if (end == *list || (*end && *end != ',' && *end != ' ' && *end != '\t') || port < 1 || port > 65535)
        return 0;
    end += strspn(end, " \t");
    bool more = *end == ',';
    *list = end + more + strspn(end + more, " \t");
    return more && !**list ? 0 : port;
}

int guard_tls_ports_check(const char *list, struct guard_error *err)
{
    if (strcmp(list, "all") == 0)
        return GUARD_OK;
    for (const char *rest = list; *rest;)
        if (!next_port(&rest))
            return guard_fail(err, GUARD_ERR_INVALID,
                              "option tls_ports: '%.64s' is neither `all` nor a list of ports, comma-separated", list);
    return GUARD_OK;
}

bool guard_plugin_port_is_tls(const struct guard_plugin *plugin, const struct mosquitto *client)
{
    const char *list = plugin->options.tls_ports;
    int port = guard_broker_port(client);
    if (strcmp(list, "all") == 0)
        return true;
    for (long listed = 1; port && *list && listed;) {
        listed = next_port(&list);
        if (listed == port)
            return true;
    }
    return false;
}
