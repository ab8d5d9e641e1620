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

bool guard_plugin_port_is_tls(const struct guard_plugin *plugin, const struct mosquitto *client)
{
    const char *list = plugin->options.tls_ports;
    int port = guard_broker_port(client);
    if (strcmp(list, "all") == 0)
        return true;
    while (port && *list) {
        char *end;
        long listed = strtol(list, &end, 10);
        if (end == list)
            return false;
        if (listed == port)
            return true;
        list = end + strspn(end, ", \t");
    }
    return false;
}
