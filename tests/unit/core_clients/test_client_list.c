/* Lists of names with binding priorities: a case is a line. */
#include "core/buffer.h"
#include "core/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct good {
    const char *text;
    bool with_priority;
    const char *items; /* name|priority; … */
};

static const struct good goods[] = {
    {"device", true, "device|0;"},
    {"device, floor2:5", true, "device|0;floor2|5;"},
    {"a,b ,\tc", true, "a|0;b|0;c|0;"},
    {" device ", true, "device|0;"},
    {"floor:-7", true, "floor|-7;"},
    {"\"floor 2\":5", true, "floor 2|5;"},
    {"\"a,b\", \"q\\\"uote\"", true, "a,b|0;q\"uote|0;"},
    {"\"user:5\"", true, "user:5|0;"},
    {"user:5", true, "user|5;"},
    {"user:alice", true, "user:alice|0;"},
    {"user:alice:1", true, "user:alice|1;"},
    {"\"\\u00e9t\\u00e9\":1", true, "\xc3\xa9t\xc3\xa9|1;"},
    {"r:2147483647,s:-2147483648", true, "r|2147483647;s|-2147483648;"},
    {"r:2147483648", true, "r:2147483648|0;"}, /* no 32-bit integer: part of the name */
    {"sensor-7:1", false, "sensor-7:1|0;"},
    {"\"sensor 7\",x", false, "sensor 7|0;x|0;"},
};

struct bad {
    const char *text;
    bool with_priority;
    unsigned column;
    const char *says;
};

static const struct bad bads[] = {
    {"", true, 1, "expected a name"},
    {"a,", true, 3, "expected a name"},
    {",a", true, 1, "expected a name"},
    {"a b", true, 3, "expected ','"},
    {"a,,b", true, 3, "expected a name"},
    {"\"open", true, 1, "not closed"},
    {"x, \"open", true, 4, "not closed"},
    {"\"\"", true, 1, "between the quotes"},
    {"\"a\":x", true, 5, "binding priority"},
    {"\"a\":", true, 5, "binding priority"},
    {"\"a\":99999999999", true, 5, "binding priority"},
    {"\"a\":1", false, 4, "expected ','"},
    {"a\"b", true, 2, "in quotes"},
    {"a;b", true, 2, "in quotes"},
    {"\"bad \\q\"", true, 7, ""},
    {":5", true, 1, "expected a name"},
};

static int collect(void *context, const char *name, int32_t priority)
{
    guard_buffer_printf(context, "%s|%d;", name, priority);
    return GUARD_OK;
}

static void good_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        struct guard_buffer items = {0};
        struct guard_error err = {0};
        int rc = guard_client_list_parse(goods[i].text, goods[i].with_priority, collect, &items, &err);
        if (rc != GUARD_OK)
            fail_msg("'%s': %s", goods[i].text, err.text);
        assert_string_equal(items.data, goods[i].items);
        guard_buffer_free(&items);
    }
}

static void bad_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct guard_buffer items = {0};
        struct guard_error err = {0};
        int rc = guard_client_list_parse(bads[i].text, bads[i].with_priority, collect, &items, &err);
        if (rc != GUARD_ERR_SYNTAX || err.column != bads[i].column || !strstr(err.text, bads[i].says))
            fail_msg("'%s': rc %d column %u '%s'", bads[i].text, rc, err.column, err.text);
        guard_buffer_free(&items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_lists), cmocka_unit_test(bad_lists)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
