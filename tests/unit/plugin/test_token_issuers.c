/* plugin/token_issuers.c: the file of jwt_issuers_file, what it gives and where its faults are. */
#include "plugin/token_issuers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct guard_issuers **out, struct guard_error *err)
{
    char *content = strdup(text);
    assert_non_null(content);
    return guard_issuers_parse(content, strlen(text), "issuers.conf", out, err);
}

static void everything_a_file_can_say(void **state)
{
    (void)state;
    struct guard_issuers *issuers;
    struct guard_error err = {0};
    int rc = parse("# a comment\r\n"
                   "leeway = 10 ; for all\n"
                   "audience = mqtt\n"
                   "\n"
                   "[issuer https://a.test/realms/plant]   ; exactly so\n"
                   "keys=/etc/a;b.jwks\n"
                   "roles_claim = realm_access.roles\n"
                   "[issuer b]\n"
                   "  keys   =   redis  \n"
                   "audience = x, y\tz\n"
                   "algorithms = ES256, EdDSA\n"
                   "identity_claim = device.serial\n"
                   "leeway = 0\n"
                   "max_lifetime = 86400\n"
                   "bind_client_id = required\n"
                   "client_id_claim = cid\n"
                   "client_id_pattern = line-${identity}-*\n"
                   "bind_username = optional\n"
                   "bind_certificate = off",
                   &issuers, &err);
    if (rc != GUARD_OK)
        fail_msg("line %u: %s", err.line, err.text);
    assert_int_equal(issuers->count, 2);
    const struct guard_issuer *a = &issuers->items[0], *b = &issuers->items[1];
    assert_string_equal(a->config.issuer, "https://a.test/realms/plant");
    assert_string_equal(a->keys, "/etc/a;b.jwks"); /* a ; without white space in front is no comment */
    assert_string_equal(a->config.roles_claim, "realm_access.roles");
    assert_int_equal(a->config.leeway, 10);
    assert_int_equal(a->config.audience_count, 1);
    assert_string_equal(a->config.audiences[0], "mqtt");
    assert_int_equal(a->config.certificate, AUTH_BINDING_OPTIONAL);
    assert_int_equal(a->config.client_id, AUTH_BINDING_OFF);
    assert_null(a->config.identity_claim);
    assert_string_equal(b->config.issuer, "b");
    assert_null(b->keys);
    assert_int_equal(b->config.audience_count, 3);
    assert_string_equal(b->config.audiences[2], "z");
    assert_int_equal(b->config.algorithms, AUTH_ALGORITHM_BIT(AUTH_ES256) | AUTH_ALGORITHM_BIT(AUTH_EDDSA));
    assert_string_equal(b->config.identity_claim, "device.serial");
    assert_int_equal(b->config.leeway, 0);
    assert_int_equal(b->config.max_lifetime, 86400);
    assert_int_equal(b->config.client_id, AUTH_BINDING_REQUIRED);
    assert_string_equal(b->config.client_id_claim, "cid");
    assert_string_equal(b->config.client_id_pattern, "line-${identity}-*");
    assert_int_equal(b->config.username, AUTH_BINDING_OPTIONAL);
    assert_int_equal(b->config.certificate, AUTH_BINDING_OFF);
    guard_issuers_free(&issuers);
    assert_null(issuers);
}

static void faults_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line; /* 0 = the whole file */
        const char *says;
    } rows[] = {
        {"", 0, "there is no [issuer NAME]"},
        {"; nothing\n\n#\n", 0, "there is no [issuer NAME]"},
        {"leeway = 1\n", 0, "there is no [issuer NAME]"},
        {"keys = x\n[issuer a]\n", 1, "keys belong to one issuer"},
        {"[issuer a]\naudience = b\n", 0, "issuer a has no keys"},
        {"[issuer a]\nkeys = k\n[issuer b]\n", 0, "issuer b has no keys"},
        {"[issuer]\n", 1, "expected [issuer NAME]"},
        {"[issuer ]\n", 1, "the issuer's name"},
        {"[issuera]\n", 1, "expected [issuer NAME]"},
        {"[issuer a\n", 1, "expected [issuer NAME]"},
        {"[role a]\n", 1, "expected [issuer NAME]"},
        {"[", 1, "expected [issuer NAME]"},
        {"[issuer a]\nkeys = k\n[issuer a]\n", 3, "stands twice"},
        {"[issuer a]\nkeys\n", 2, "FIELD = VALUE"},
        {"[issuer a]\nkeys =\n", 2, "keys has no value"},
        {"[issuer a]\nkeys = ; k\n", 2, "keys has no value"},
        {"[issuer a]\nkeys = k\nkeys = k\n", 3, "given twice"},
        {"[issuer a]\n= k\n", 2, "no field ''"},
        {"[issuer a]\naudiense = k\n", 2, "did you mean 'audience'?"},
        {"[issuer a]\nKeys = k\n", 2, "no field 'Keys'"},
        {"[issuer a]\naudience = ,\n", 2, "names nobody"},
        {"[issuer a]\nalgorithms = none\n", 2, "none"},
        {"[issuer a]\nalgorithms = RS256 HS1\n", 2, "HS1"},
        {"[issuer a]\nleeway = 3601\n", 2, "0 to 3600"},
        {"[issuer a]\nleeway = -1\n", 2, "0 to 3600"},
        {"[issuer a]\nleeway = 1h\n", 2, "0 to 3600"},
        {"[issuer a]\nleeway = 99999999999999999999\n", 2, "0 to 3600"},
        {"[issuer a]\nmax_lifetime = 1e3\n", 2, "'1e3'"},
        {"[issuer a]\nbind_username = yes\n", 2, "off, optional, required"},
        {"[issuer a]\nbind_client_id = Off\n", 2, "off, optional, required"},
        {"[issuer a]\nclient_id_pattern = x\n", 2, "client_id_pattern does not hold ${identity}"},
        {"[issuer a]\nclient_id_pattern = ${identity}${x}\n", 2, "no other placeholder"},
        {"[issuer a]\nclient_id_pattern = *${identity}\n", 2, "at its end only"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct guard_issuers *issuers;
        struct guard_error err = {0};
        int rc = parse(rows[i].text, &issuers, &err);
        if (rc == GUARD_OK || issuers || err.line != rows[i].line || !strstr(err.text, rows[i].says) ||
            strcmp(err.place, "issuers.conf") != 0)
            fail_msg("%s: %d, line %u, %s: %s", rows[i].text, rc, err.line, err.place, err.text);
    }
}

static void limits(void **state)
{
    (void)state;
    struct guard_issuers *issuers;
    struct guard_error err = {0};
    char text[4096] = "";
    size_t length = 0;
    for (unsigned i = 0; i < AUTH_ISSUERS_MAX; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "[issuer i%u]\nkeys = redis\n", i);
    assert_int_equal(parse(text, &issuers, &err), GUARD_OK);
    assert_int_equal(issuers->count, AUTH_ISSUERS_MAX);
    guard_issuers_free(&issuers);
    snprintf(text + length, sizeof text - length, "[issuer more]\nkeys = redis\n");
    assert_int_equal(parse(text, &issuers, &err), GUARD_ERR_LIMIT);
    assert_int_equal(err.line, 2 * AUTH_ISSUERS_MAX + 1);

    length = (size_t)snprintf(text, sizeof text, "[issuer a]\nkeys = redis\naudience = ");
    for (unsigned i = 0; i < GUARD_AUDIENCES_MAX; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "a%u,", i);
    assert_int_equal(parse(text, &issuers, &err), GUARD_OK);
    assert_int_equal(issuers->items[0].config.audience_count, GUARD_AUDIENCES_MAX);
    guard_issuers_free(&issuers);
    snprintf(text + length, sizeof text - length, "more");
    assert_int_equal(parse(text, &issuers, &err), GUARD_ERR_LIMIT);

    static const char nul[] = "[issuer a]\nkeys = redis\n\0[issuer b]\n";
    char *content = malloc(sizeof nul);
    assert_non_null(content);
    memcpy(content, nul, sizeof nul);
    assert_int_equal(guard_issuers_parse(content, sizeof nul - 1, "issuers.conf", &issuers, &err), GUARD_ERR_SYNTAX);
    assert_null(issuers);
    assert_int_equal(guard_issuers_read("/nonexistent/issuers.conf", &issuers, &err), GUARD_ERR_NOT_FOUND);
    assert_null(issuers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_a_file_can_say),
        cmocka_unit_test(faults_have_a_place),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
