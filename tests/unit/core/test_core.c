/* core/: base64url, JSON strictness, timestamps, UTF-8, reasons. */
#include "core/base64.h"
#include "core/buffer.h"
#include "core/clock.h"
#include "core/identity.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/policy_text.h"
#include "core/reason.h"
#include "core/siphash.h"
#include "core/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void base64url_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *octets; /* NULL: refused */
    } cases[] = {
        {"", ""},        {"Zg", "f"},        {"Zm8", "fo"},
        {"Zm9v", "foo"}, {"Zm9vYg", "foob"}, {"Zm9vYmE", "fooba"},
        {"Zg==", NULL},  {"Zh", NULL},       {"Z", NULL},
        {"Zm9", NULL},   {"Zm 9v", NULL},    {"+/+/", NULL},
        {"Zm9vY", NULL}, {"Zm9v\n", NULL},   {"-_-_", "\xfb\xff\xbf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char out[32];
        ssize_t n = guard_base64url_decode(cases[i].text, strlen(cases[i].text), out);
        if (!cases[i].octets) {
            assert_int_equal(n, -1);
            continue;
        }
        assert_int_equal(n, strlen(cases[i].octets));
        assert_memory_equal(out, cases[i].octets, (size_t)n);
        char back[32];
        guard_base64url_encode(out, (size_t)n, back);
        assert_string_equal(back, cases[i].text);
    }
}

static void base64_round_trips(void **state)
{
    (void)state;
    for (size_t n = 0; n < 64; n++) {
        unsigned char octets[64], out[GUARD_BASE64_DECODED(96)];
        char text[GUARD_BASE64_ENCODED(64)];
        for (size_t i = 0; i < n; i++)
            octets[i] = (unsigned char)(i * 37 + n);
        size_t length = guard_base64_encode(octets, n, text);
        assert_int_equal(length % 4, 0);
        assert_int_equal(guard_base64_decode(text, length, out), n);
        assert_memory_equal(out, octets, n);
    }
}

static void json_takes_only_json(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",   "[]",    "null", " [1, 2.5e-3 ,-0, \"\\u00e9\\ud83d\\ude00\"] ", "{\"a\":{\"a\":[]},\"A\":1}",
        "\"\"", "1e308",
    };
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        "-",
        ".5",
        "+1",
        "NaN",
        "'a'",
        "[1] x",
        "\"\\x\"",
        "\"\t\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\u0000\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "{\"a\":1,\"a\":2}",
        "{\"b\":[{\"x\":1,\"x\":1}]}",
        "{\"a\":1,\"\\u0061\":2}",
        "1e999",
        "[1e999]",
        "tru",
        "\xef\xbb\xbf{}",
        "[1 2]",
        "{\"a\" 1}",
        "]",
        "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]",
    };
    struct guard_json *json;
    struct guard_error err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(guard_json_parse(good[i], strlen(good[i]), 16, &json, &err), GUARD_OK);
        guard_json_free(&json);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (guard_json_parse(bad[i], strlen(bad[i]), 16, &json, &err) == GUARD_OK)
            fail_msg("accepted: %s", bad[i]);
        assert_null(json);
        assert_string_not_equal(err.text, "");
    }
}

static void json_finds_duplicates_among_many(void **state)
{
    (void)state;
    struct guard_buffer b = {0};
    struct guard_json *json;
    guard_buffer_text(&b, "{");
    for (int i = 0; i < 100; i++)
        guard_buffer_printf(&b, "\"k%d\":%d,", i, i);
    size_t before = b.length;
    guard_buffer_text(&b, "\"k100\":1}");
    assert_int_equal(guard_json_parse(b.data, b.length, 4, &json, NULL), GUARD_OK);
    guard_json_free(&json);
    b.length = before;
    guard_buffer_text(&b, "\"k42\":1}");
    assert_int_equal(guard_json_parse(b.data, b.length, 4, &json, NULL), GUARD_ERR_INVALID);
    guard_buffer_free(&b);
}

static void timestamps_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-09-01T12:34:56Z", 1788266096},
        {"2000-02-29T23:59:59.5Z", 951868799},
        {"2026-09-01T14:34:56+02:00", 1788266096},
        {"2100-02-29T00:00:00Z", -1},
        {"2026-13-01T00:00:00Z", -1},
        {"2026-09-01", -1},
        {"2026-09-01T12:34:56", -1},
        {"9999-12-31T23:59:59Z", 253402300799},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t seconds = -7;
        int rc = guard_timestamp_parse(cases[i].text, strlen(cases[i].text), &seconds);
        assert_int_equal(rc == GUARD_OK, cases[i].seconds >= 0);
        if (rc == GUARD_OK)
            assert_true(seconds == cases[i].seconds);
    }
    for (int64_t s = 0; s < 253402300799; s += 86399999) {
        char text[GUARD_TIMESTAMP_SIZE];
        int64_t back;
        guard_timestamp_seconds(s, text);
        assert_int_equal(guard_timestamp_parse(text, strlen(text), &back), GUARD_OK);
        assert_true(back == s);
    }
    char far[GUARD_TIMESTAMP_SIZE];
    assert_string_equal(guard_timestamp_seconds(INT64_MAX, far), "9999-12-31T23:59:59.000000Z");
    assert_string_equal(guard_timestamp_seconds(INT64_MIN, far), "0001-01-01T00:00:00.000000Z");
    /* what nanoseconds in 64 bits can say: the years 1678 to 2262 */
    for (int64_t s = -9000000000; s < 9000000000; s += 8639999) {
        char text[GUARD_TIMESTAMP_SIZE];
        int64_t back;
        guard_timestamp(s * 1000000000, text);
        assert_int_equal(guard_timestamp_parse(text, strlen(text), &back), GUARD_OK);
        assert_true(back == s);
    }
}

static void utf8_refuses_what_rfc_3629_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",    "\xe0\x80\x80",
                                      "\x80",     "\xe2\x82",     "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(guard_utf8_valid(bad[i], strlen(bad[i])));
    assert_true(guard_utf8_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
    assert_true(guard_utf8_decode("\xf0\x9f\x98\x80", 4) == 0x1f600);
}

static void reasons_are_closed(void **state)
{
    (void)state;
    assert_int_equal(GUARD_REASON_COUNT - 1, 73);
    for (int r = 1; r < GUARD_REASON_COUNT; r++) {
        assert_int_equal(guard_reason_parse(guard_reason_name((enum guard_reason)r)), r);
        assert_string_not_equal(guard_reason_sentence((enum guard_reason)r), "");
    }
    assert_int_equal(guard_reason_parse("nonsense"), GUARD_REASON_NONE);
}

static void siphash_matches_the_reference(void **state)
{
    (void)state;
    /* the vector of the SipHash paper, appendix A */
    struct guard_siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    unsigned char message[15];
    for (unsigned i = 0; i < sizeof message; i++)
        message[i] = (unsigned char)i;
    assert_true(guard_siphash(&key, message, sizeof message) == 0xa129ca6149be45e5);
}

static void identity_holds_what_was_added(void **state)
{
    (void)state;
    struct guard_identity *identity = guard_identity_new();
    assert_non_null(identity);
    assert_int_equal(guard_identity_add_role(identity, "device", 0), GUARD_OK);
    assert_int_equal(guard_identity_add_role(identity, "device", 5), GUARD_OK);
    assert_int_equal(identity->role_count, 1);
    assert_int_equal(identity->roles[0].priority, 5);
    assert_int_equal(guard_identity_add_attribute(identity, "cert.ou", "a"), GUARD_OK);
    assert_int_equal(guard_identity_add_attribute(identity, "cert.ou", "b"), GUARD_OK);
    assert_int_equal(guard_identity_attribute(identity, "cert.ou")->count, 2);
    assert_null(guard_identity_attribute(identity, "cert.cn"));
    guard_identity_free(&identity);
    assert_null(identity);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    struct guard_buffer b = {0};
    guard_buffer_json_string(&b, "a\"\\\n\x01\xff\xc3\xa9", 8);
    assert_string_equal(b.data, "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\"");
    guard_buffer_free(&b);
}

static void plain_text_is_told_octet_by_octet(void **state)
{
    (void)state;
    for (size_t length = 0; length < 30; length++)
        for (size_t at = 0; at < (length ? length : 1); at++)
            for (int byte = 0; byte < 256; byte++) {
                char text[32];
                memset(text, byte % 2 ? ' ' : 0x7f, sizeof text);
                text[at] = (char)byte;
                bool plain = at >= length || (byte >= 0x20 && byte < 0x80);
                if (guard_utf8_is_plain(text, length) != plain)
                    fail_msg("octet %d at %zu of %zu", byte, at, length);
            }
}

/* Across the sizes at which blocks are moved in different ways, and at their edges. */
static void blocks_keep_what_they_hold(void **state)
{
    static const size_t sizes[] = {1, 1000, 256 * 1024 - 1, 256 * 1024, 9 << 20, 32 << 20, (32 << 20) + 1, 40 << 20};
    unsigned char *block = NULL;
    size_t used = 0;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        block = guard_regrow(block, used, sizes[i]);
        assert_non_null(block);
        for (size_t n = 0; n < used; n += 509)
            assert_int_equal(block[n], n % 251);
        for (size_t n = used; n < sizes[i]; n++)
            block[n] = (unsigned char)(n % 251);
        used = sizes[i];
    }
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64url_is_strict),
        cmocka_unit_test(base64_round_trips),
        cmocka_unit_test(json_takes_only_json),
        cmocka_unit_test(json_finds_duplicates_among_many),
        cmocka_unit_test(timestamps_round_trip),
        cmocka_unit_test(utf8_refuses_what_rfc_3629_refuses),
        cmocka_unit_test(plain_text_is_told_octet_by_octet),
        cmocka_unit_test(reasons_are_closed),
        cmocka_unit_test(blocks_keep_what_they_hold),
        cmocka_unit_test(siphash_matches_the_reference),
        cmocka_unit_test(identity_holds_what_was_added),
        cmocka_unit_test(json_strings_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
