/* plugin/metrics_request.c: what a scraper may ask, and what anybody else may send. */
#include "plugin/metrics_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    int status;
} cases[] = {
    {"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
    {"GET /metrics HTTP/1.0\r\n\r\n", 200},
    {"GET /metrics HTTP/1.1\n\n", 200},
    {"GET /metrics?name[]=x HTTP/1.1\r\nAccept: */*\r\n\r\n", 200},
    {"GET /metrics HTTP/1.1\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n", 200},
    {"GET /metrics HTTP/1.1\r\n X: folded\r\n\r\n", 200},
    {"POST /metrics HTTP/1.1\r\n\r\n", 405},
    {"HEAD /metrics HTTP/1.1\r\n\r\n", 405},
    {"GET / HTTP/1.1\r\n\r\n", 404},
    {"GET /metrics/ HTTP/1.1\r\n\r\n", 404},
    {"GET /metric HTTP/1.1\r\n\r\n", 404},
    {"GET /../metrics HTTP/1.1\r\n\r\n", 404},
    {"GET /%6detrics HTTP/1.1\r\n\r\n", 404},
    {"POST /x HTTP/1.1\r\n\r\n", 404},
    {"GET /metrics HTTP/2.0\r\n\r\n", 505},
    {"GET /metrics\r\n\r\n", 400},
    {"GET  /metrics HTTP/1.1\r\n\r\n", 400},
    {"GET http://x/metrics HTTP/1.1\r\n\r\n", 400},
    {"get /metrics HTTP/1.1\r\n\r\n", 400},
    {"GET /metrics HTTP/1.1 \r\n\r\n", 400},
    {"GET /metrics HTTP/11\r\n\r\n", 400},
    {" GET /metrics HTTP/1.1\r\n\r\n", 400},
    {"\r\nGET /metrics HTTP/1.1\r\n\r\n", 400},
    {"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400},
    {"GET /metrics HTTP/1.1\r\nA: \x01\r\n\r\n", 400},
    {"GET /met\x7frics HTTP/1.1\r\n\r\n", 400},
    {"ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\n\r\n", 400},
    {"\x16\x03\x01\x02\n\n", 400},
    {"\n", 400},
    {"GET /metrics HTTP/1.1\r\nHost: x\r\n", 0},
    {"GET /metrics HTTP/1.1", 0},
    {"", 0},
};

static void requests_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (guard_metrics_request(cases[i].text, strlen(cases[i].text)) != cases[i].status)
            fail_msg("case %zu is %d, not %d", i, guard_metrics_request(cases[i].text, strlen(cases[i].text)),
                     cases[i].status);
    assert_int_equal(guard_metrics_request("GET /metrics HTTP/1.1\r\nA: \0\r\n\r\n", 29), 400);
}

/* However it comes in pieces, the answer is the same, and never 200 before the end. */
static void pieces_are_waited_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t length = 0; length <= strlen(cases[i].text); length++) {
            int status = guard_metrics_request(cases[i].text, length);
            assert_true(status == 0 || status == cases[i].status);
        }
}

static void too_long(void **state)
{
    (void)state;
    static char text[GUARD_REQUEST_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_int_equal(guard_metrics_request(text, GUARD_REQUEST_MAX), 431);
    assert_int_equal(guard_metrics_request(text, GUARD_REQUEST_MAX - 1), 0);
    memcpy(text, "GET /metrics HTTP/1.1\r\nA: ", 26);
    assert_int_equal(guard_metrics_request(text, GUARD_REQUEST_MAX), 431);
    memcpy(text + GUARD_REQUEST_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(guard_metrics_request(text, GUARD_REQUEST_MAX), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_judged),
        cmocka_unit_test(pieces_are_waited_for),
        cmocka_unit_test(too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
