/* What may become a user name. */
#include "core/identity_rules.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <string.h>

static void test_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"a", true},
        {"sensor-7", true},
        {"j\xc3\xbcrgen", true},
        {"a b", true},
        {"a$b", true},
        {"a*b", true},
        {"urn:dev:1", true},
        {"\xf0\x9f\x98\x80", true},
        {"", false},
        {"a/b", false},
        {"a+", false},
        {"#", false},
        {"$SYS", false},
        {" a", false},
        {"a ", false},
        {" ", false},
        {"\xc2\xa0"
         "a",
         false},                  /* no-break space */
        {"a\xe3\x80\x80", false}, /* ideographic space */
        {"a\tb", false},
        {"a\n", false},
        {"a\x7f", false},
        {"a\xc2\x85"
         "b",
         false}, /* C1 control */
        {"a\xe2\x80\xae"
         "b",
         false},                  /* right-to-left override */
        {"a\xe2\x80\x8f", false}, /* right-to-left mark */
        {"a\xe2\x81\xa6"
         "b",
         false}, /* isolate */
        {"\xef\xbb\xbf"
         "a",
         false},                  /* BOM */
        {"a\xef\xbf\xbf", false}, /* non-character */
        {"a\xff", false},
        {"a\xc0\x80", false},     /* overlong NUL */
        {"a\xed\xa0\x80", false}, /* surrogate */
        {"a\xe2\x82", false},     /* cut short */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (guard_identity_acceptable(rows[i].text, strlen(rows[i].text)) != rows[i].good)
            fail_msg("row %zu: '%s'", i, rows[i].text);
}

static void test_length_and_nul(void **state)
{
    (void)state;
    char text[257];
    memset(text, 'a', sizeof text);
    assert_true(guard_identity_acceptable(text, 255));
    assert_false(guard_identity_acceptable(text, 256));
    assert_false(guard_identity_acceptable("a\0b", 3));
    assert_true(guard_identity_acceptable("a/b", 1)); /* only the octets that count */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_length_and_nul)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
