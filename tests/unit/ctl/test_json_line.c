/* ctl/json_line.h: what it takes, what it refuses, and that decoding in place never leaves the line. */
#include "ctl/json_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A copy on the heap of exactly the right size, so that a sanitizer sees every step outside. */
static char *copy_of(const char *text)
{
    char *line = strdup(text);
    assert_non_null(line);
    return line;
}

/* Whether text is one string, and if so that it means length octets of expected. */
static void check_string(const char *text, const char *expected, size_t length)
{
    char *line = copy_of(text);
    struct ctl_json json;
    struct ctl_text string;
    ctl_json_start(&json, line);
    assert_true(ctl_json_string(&json, &string) && ctl_json_finish(&json));
    assert_int_equal(string.length, length);
    assert_memory_equal(string.data, expected, length + 1);
    free(line);
}

static void refuse_string(const char *text)
{
    char *line = copy_of(text);
    struct ctl_json json;
    struct ctl_text string;
    ctl_json_start(&json, line);
    bool taken = ctl_json_string(&json, &string) && ctl_json_finish(&json);
    if (taken)
        print_error("taken: %s\n", text);
    assert_false(taken);
    assert_non_null(json.error);
    free(line);
}

static void test_strings(void **state)
{
    (void)state;
    check_string("\"\"", "", 0);
    check_string("  \"a b\"  ", "a b", 3);
    check_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8);
    check_string("\"\\u0061\\u00e9\\u20AC\\uD83D\\uDE00\"", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10);
    check_string("\"a\\u0000b\"", "a\0b", 3);
    check_string("\"\\ud800\"", "\xed\xa0\x80", 3); /* a lone surrogate stays recognisable as ill-formed */
    check_string("\"\\ud800\\u0041\"",
                 "\xed\xa0\x80"
                 "A",
                 4); /* … also before something else */
    check_string("\"\xff\"", "\xff", 1);
}

static void test_strings_refused(void **state)
{
    static const char *const bad[] = {
        "",          "x",           "\"",    "\"a",      "\"\\",    "\"\\\"",          "\"\\x\"",
        "\"\\u12\"", "\"\\u12g4\"", "\"\\u", "\"a\tb\"", "\"a\" b", "\"\\ud800\\u12\""};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_string(bad[i]);
}

static bool integer(const char *text, int64_t minimum, int64_t maximum, int64_t *out)
{
    char *line = copy_of(text);
    struct ctl_json json;
    ctl_json_start(&json, line);
    bool taken = ctl_json_integer(&json, minimum, maximum, out) && ctl_json_finish(&json);
    free(line);
    return taken;
}

static void test_integers(void **state)
{
    static const char *const bad[] = {
        "", "-", "+1", "01", "1.0", "1e2", "1E2", "3", "-3", "9999999999999999999999", "1x", "\"1\""};
    int64_t value = 0;
    (void)state;
    assert_true(integer("0", -2, 2, &value) && value == 0);
    assert_true(integer(" -2 ", -2, 2, &value) && value == -2);
    assert_true(integer("4294967295", 0, UINT32_MAX, &value) && value == UINT32_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(integer(bad[i], -2, 2, &value));
}

/* Walks {"a":[1,2],"b":{}} like texts: numbers in arrays in one object. Returns the sum, or -1 if it was refused. */
static int64_t sum_of(const char *text)
{
    char *line = copy_of(text);
    struct ctl_json json;
    struct ctl_text name;
    unsigned outer, inner;
    int64_t sum = 0, value;
    ctl_json_start(&json, line);
    if (ctl_json_open(&json, '{', &outer))
        while (ctl_json_next_member(&json, &name, outer))
            if (ctl_json_open(&json, '[', &inner))
                while (ctl_json_next_element(&json, inner) && ctl_json_integer(&json, 0, 9, &value))
                    sum += value;
    bool taken = ctl_json_finish(&json);
    free(line);
    return taken ? sum : -1;
}

static void test_containers(void **state)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "{}}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":[1}",
                                      "{\"a\":[1,]}",
                                      "{\"a\":[,1]}",
                                      "{\"a\":[1 2]}",
                                      "{\"a\":[1],}",
                                      "{,\"a\":[1]}",
                                      "{\"a\":[1]\"b\":[2]}",
                                      "{a:[1]}",
                                      "[1]",
                                      "{\"a\":[1]} {}"};
    (void)state;
    assert_int_equal(sum_of("{}"), 0);
    assert_int_equal(sum_of(" { \"a\" : [ 1 , 2 ] , \"b\" : [ ] , \"c\":[3]}\r"), 6);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sum_of(bad[i]), -1);
}

static void test_literals(void **state)
{
    char yes[] = "true", no[] = "false", bad[] = "truth";
    struct ctl_json json;
    bool value;
    (void)state;
    ctl_json_start(&json, yes);
    assert_true(ctl_json_bool(&json, &value) && value);
    ctl_json_start(&json, no);
    assert_true(ctl_json_bool(&json, &value) && !value);
    ctl_json_start(&json, bad);
    assert_false(ctl_json_bool(&json, &value));
    assert_false(ctl_json_null(&json)); /* an error stays */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),    cmocka_unit_test(test_strings_refused), cmocka_unit_test(test_integers),
        cmocka_unit_test(test_containers), cmocka_unit_test(test_literals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
