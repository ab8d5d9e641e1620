/* plugin/ways.c: the option auth_methods, and tls_ports. */
#include "broker_double.h"
#include "plugin/plugin.h"
#include "plugin/ways.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void lists_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned count, first, second;
    } cases[] = {
        {"certificate,token,password", 3, WAY_CERTIFICATE, WAY_TOKEN},
        {"token", 1, WAY_TOKEN, 0},
        {" certificate + token , password ", 2, WAY_CERTIFICATE | WAY_TOKEN, WAY_PASSWORD},
        {"certificate+password", 1, WAY_CERTIFICATE | WAY_PASSWORD, 0},
        {"", 0, 0, 0},
        {"token,", 0, 0, 0},
        {"token,token", 0, 0, 0},
        {"token+password", 0, 0, 0},
        {"jwt", 0, 0, 0},
        {"certificate token", 0, 0, 0},
        {"certificate+", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned ways[GUARD_WAYS_MAX] = {0}, count;
        struct guard_error err = {0};
        int rc = guard_ways_parse(cases[i].text, ways, &count, &err);
        if ((rc == GUARD_OK) != (cases[i].count > 0))
            fail_msg("'%s': %s", cases[i].text, err.text);
        if (rc != GUARD_OK) {
            assert_non_null(strstr(err.text, "auth_methods"));
            continue;
        }
        assert_int_equal(count, cases[i].count);
        assert_int_equal(ways[0], cases[i].first);
        assert_int_equal(ways[1], cases[i].second);
    }
}

static void tls_listeners_are_known_by_port(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        int port;
        bool tls;
    } cases[] = {
        {"8883", 8883, true}, {"8883, 8884", 8884, true}, {"8883", 1883, false}, {"", 8883, false},
        {"all", 1883, true},  {"8883", 0, false},         {"x", 8883, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct guard_plugin plugin = {0};
        char list[32];
        strcpy(list, cases[i].list);
        plugin.options.tls_ports = list;
        struct mosquitto client = {"id", NULL, cases[i].port};
        assert_int_equal(guard_plugin_port_is_tls(&plugin, &client), cases[i].tls);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_parsed),
        cmocka_unit_test(tls_listeners_are_known_by_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
