/* core/options.c: defaults, ranges, the nearest name, the config file, what needs a restart. */
#include "core/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int load(const char *name, const char *value, struct guard_options *options, struct guard_error *err)
{
    struct guard_option_pair pair = {name, value};
    return guard_options_load(&pair, 1, options, err);
}

static void defaults_are_set(void **state)
{
    (void)state;
    struct guard_options options;
    assert_int_equal(guard_options_load(NULL, 0, &options, NULL), GUARD_OK);
    assert_string_equal(options.auth_methods, "certificate,token,password");
    assert_int_equal(options.jwt_leeway, 30);
    assert_int_equal(options.audit_ring_size, 8 << 20);
    assert_int_equal(options.mode, GUARD_MODE_STRICT);
    assert_string_equal(options.policy_file, "");
    assert_true(options.auth_throttle);
    guard_options_free(&options);
}

static void values_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        bool good;
    } cases[] = {
        {"jwt_leeway", "0", true},
        {"jwt_leeway", "3600", true},
        {"jwt_leeway", "3601", false},
        {"jwt_leeway", "-1", false},
        {"jwt_leeway", "30s", false},
        {"jwt_leeway", "", false},
        {"audit_ring_size", "1M", true},
        {"audit_ring_size", "64K", true},
        {"audit_ring_size", "1G", true},
        {"audit_ring_size", "2G", false},
        {"audit_ring_size", "1X", false},
        {"audit_ring_size", "1MM", false},
        {"audit_ring_size", "99999999999999999999", false},
        {"audit_ring_size", "9223372036854775807G", false},
        {"mode", "coexist", true},
        {"mode", "Strict", false},
        {"mode", "", false},
        {"require_tls", "yes", true},
        {"require_tls", "false", true},
        {"require_tls", "1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct guard_options options;
        struct guard_error err = {0};
        int rc = load(cases[i].name, cases[i].value, &options, &err);
        if ((rc == GUARD_OK) != cases[i].good)
            fail_msg("%s %s: %s", cases[i].name, cases[i].value, err.text);
        if (rc == GUARD_OK)
            guard_options_free(&options);
        else
            assert_non_null(strstr(err.text, cases[i].name));
    }
}

static void an_unknown_name_meets_its_neighbour(void **state)
{
    (void)state;
    static const struct {
        const char *wrong, *nearest;
    } cases[] = {
        {"policyfile", "policy_file"}, {"jwt_jwk_file", "jwt_jwks_file"}, {"audit_directory", "audit_dir"},
        {"jwt_isuer", "jwt_issuer"},   {"redis_ulr", "redis_url"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct guard_options options;
        struct guard_error err = {0};
        char expected[64];
        assert_int_equal(load(cases[i].wrong, "x", &options, &err), GUARD_ERR_INVALID);
        snprintf(expected, sizeof expected, "'%s'", cases[i].nearest);
        if (!strstr(err.text, expected))
            fail_msg("%s", err.text);
    }
}

static char *write_config(const char *text)
{
    char *path = strdup("guard-options-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static void the_config_file_gives_way_to_mosquitto_conf(void **state)
{
    (void)state;
    char *path =
        write_config("# comment\n\njwt_leeway 7\r\n  plugin_opt_jwt_issuer   https://idp.example  \nbroker_id b\n");
    struct guard_option_pair pairs[] = {{"broker_id", "a"}, {"config", path}};
    struct guard_options options;
    assert_int_equal(guard_options_load(pairs, 2, &options, NULL), GUARD_OK);
    assert_int_equal(options.jwt_leeway, 7);
    assert_string_equal(options.jwt_issuer, "https://idp.example");
    assert_string_equal(options.broker_id, "a");
    guard_options_free(&options);
    unlink(path);
    free(path);
}

static void faults_of_the_config_file_have_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } cases[] = {
        {"jwt_leeway 1\njwt_leeway 2\n", 2},
        {"\nbroker_id\n", 2},
        {"mode strict\n\nconfig /x\n", 3},
        {"jwt_leewy 1", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = write_config(cases[i].text);
        struct guard_options options;
        struct guard_error err = {0};
        assert_true(load("config", path, &options, &err) != GUARD_OK);
        assert_int_equal(err.line, cases[i].line);
        assert_string_equal(err.place, path);
        unlink(path);
        free(path);
    }
}

static void an_option_given_twice_is_an_error(void **state)
{
    (void)state;
    struct guard_option_pair pairs[] = {{"broker_id", "a"}, {"broker_id", "a"}};
    struct guard_options options;
    struct guard_error err = {0};
    assert_int_equal(guard_options_load(pairs, 2, &options, &err), GUARD_ERR_INVALID);
    assert_non_null(strstr(err.text, "twice"));
}

static void what_needs_a_restart_is_named(void **state)
{
    (void)state;
    struct guard_option_pair pairs[] = {{"broker_id", "a"}, {"identity_check", "log"}, {"jwt_leeway", "5"}};
    struct guard_options before, after;
    char names[128];
    assert_int_equal(guard_options_load(NULL, 0, &before, NULL), GUARD_OK);
    assert_int_equal(guard_options_load(pairs, 3, &after, NULL), GUARD_OK);
    assert_string_equal(guard_options_restart_needed(&before, &after, names, sizeof names), "jwt_leeway, broker_id");
    assert_string_equal(guard_options_restart_needed(&after, &after, names, sizeof names), "");
    guard_options_free(&before);
    guard_options_free(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_set),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(an_unknown_name_meets_its_neighbour),
        cmocka_unit_test(the_config_file_gives_way_to_mosquitto_conf),
        cmocka_unit_test(faults_of_the_config_file_have_a_line),
        cmocka_unit_test(an_option_given_twice_is_an_error),
        cmocka_unit_test(what_needs_a_restart_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
