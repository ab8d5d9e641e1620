#include "core/revocations.h"
#include "core/serial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PRINT "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"

static struct guard_revocations_builder *builder_with_samples(void)
{
    struct guard_revocations_builder *b = guard_revocations_builder_new(NULL);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_REVOKED_TOKEN, "jti-1", "stolen", NULL), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_REVOKED_CERT, PRINT, "", NULL), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_REVOKED_BEFORE, "alice", "1000", NULL), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_BANNED_ADDRESS, "192.0.2.7", "scan", NULL), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_BANNED_ADDRESS, "10.1.128.0/17", "net", NULL), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_BANNED_ADDRESS, "2001:db8::/33", "six", NULL), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_BANNED_CLIENT, "dev 1", "", NULL), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_REVOKED_KEY, "2026-01", "leaked", NULL), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_REVOKED_SERIAL, "00:af/CN=A/B,O=C", "lost", NULL),
                     GUARD_OK);
    return b;
}

static const char *find(const struct guard_revocations *r, enum guard_revocation_kind kind, const char *name)
{
    return guard_revocations_find(r, kind, name, strlen(name));
}

static void look_up(void **state)
{
    (void)state;
    static const struct {
        enum guard_revocation_kind kind;
        const char *name, *value;
    } cases[] = {
        {GUARD_REVOKED_TOKEN, "jti-1", "stolen"},
        {GUARD_REVOKED_TOKEN, "jti-2", NULL},
        {GUARD_BANNED_CLIENT, "jti-1", NULL},
        {GUARD_REVOKED_CERT, "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF", ""},
        {GUARD_REVOKED_CERT,
         "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", ""},
        {GUARD_REVOKED_CERT, "0011", NULL},
        {GUARD_BANNED_ADDRESS, "192.0.2.7", "scan"},
        {GUARD_BANNED_ADDRESS, "::ffff:192.0.2.7", "scan"},
        {GUARD_BANNED_ADDRESS, "192.0.2.8", NULL},
        {GUARD_BANNED_ADDRESS, "10.1.128.1", "net"},
        {GUARD_BANNED_ADDRESS, "10.1.255.255", "net"},
        {GUARD_BANNED_ADDRESS, "10.1.127.255", NULL},
        {GUARD_BANNED_ADDRESS, "2001:db8:7fff::1", "six"},
        {GUARD_BANNED_ADDRESS, "2001:0db8:0000::1%eth0", "six"},
        {GUARD_BANNED_ADDRESS, "2001:db8:8000::1", NULL},
        {GUARD_BANNED_ADDRESS, "not an address", NULL},
        {GUARD_BANNED_CLIENT, "dev 1", ""},
        {GUARD_BANNED_USER, "dev 1", NULL},
        {GUARD_REVOKED_KEY, "2026-01", "leaked"},
        {GUARD_REVOKED_KEY, "2026-1", NULL},
        {GUARD_REVOKED_TOKEN, "2026-01", NULL},
        {GUARD_REVOKED_SERIAL, "AF/CN=A/B,O=C", "lost"},
        {GUARD_REVOKED_SERIAL, "-0x0aF/CN=A/B,O=C", "lost"},
        {GUARD_REVOKED_SERIAL, "AF/CN=A/B,O=c", NULL},
        {GUARD_REVOKED_SERIAL, "AF0/CN=A/B,O=C", NULL},
        {GUARD_REVOKED_SERIAL, "AF", NULL},
    };
    struct guard_revocations_builder *b = builder_with_samples();
    struct guard_revocations *r = guard_revocations_builder_finish(&b);
    assert_int_equal(guard_revocations_count(r), 9);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *value = find(r, cases[i].kind, cases[i].name);
        if ((value == NULL) != (cases[i].value == NULL) || (value && strcmp(value, cases[i].value) != 0))
            fail_msg("kind %d '%s': '%s'", cases[i].kind, cases[i].name, value ? value : "(null)");
    }
    assert_true(guard_revoked_before(r, "alice", 5, 999));
    assert_true(guard_revoked_before(r, "alice", 5, 0)); /* not stated: old */
    assert_false(guard_revoked_before(r, "alice", 5, 1000));
    assert_false(guard_revoked_before(r, "bob", 3, 0));
    assert_false(guard_revoked_before(NULL, "alice", 5, 0));
    guard_revocations_unref(&r);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        enum guard_revocation_kind kind;
        const char *name, *value;
    } cases[] = {
        {GUARD_REVOKED_TOKEN, "", ""},
        {GUARD_REVOKED_CERT, "zz", ""},
        {GUARD_REVOKED_CERT, PRINT "00", ""},
        {GUARD_REVOKED_BEFORE, "alice", "soon"},
        {GUARD_REVOKED_BEFORE, "alice", ""},
        {GUARD_REVOKED_BEFORE, "alice", "-5"},
        {GUARD_BANNED_ADDRESS, "10.0.0", ""},
        {GUARD_BANNED_ADDRESS, "10.0.0.0/33", ""},
        {GUARD_BANNED_ADDRESS, "10.0.0.0/", ""},
        {GUARD_BANNED_ADDRESS, "::/129", ""},
        {GUARD_REVOKED_KEY, "", ""},
        {GUARD_REVOKED_SERIAL, "AF", ""},
        {GUARD_REVOKED_SERIAL, "AF/", ""},
        {GUARD_REVOKED_SERIAL, "/CN=A", ""},
        {GUARD_REVOKED_SERIAL, "G/CN=A", ""},
        {GUARD_REVOKED_SERIAL, "CN=A/AF", ""},
    };
    struct guard_revocations_builder *b = builder_with_samples();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct guard_error err = {0};
        assert_int_equal(guard_revocations_builder_put(b, cases[i].kind, cases[i].name, cases[i].value, &err),
                         GUARD_ERR_INVALID);
        assert_true(err.text[0] != '\0');
    }
    struct guard_revocations *r = guard_revocations_builder_finish(&b);
    assert_int_equal(guard_revocations_count(r), 9);
    guard_revocations_unref(&r);
}

static bool count_one(void *context, enum guard_revocation_kind kind, const char *name, const char *value)
{
    size_t *counts = context;
    assert_non_null(value);
    assert_true(name[0] != '\0');
    counts[kind]++;
    return true;
}

static void change(void **state)
{
    (void)state;
    size_t counts[GUARD_REVOCATION_KINDS] = {0};
    struct guard_revocations_builder *b = builder_with_samples();
    struct guard_revocations *before = guard_revocations_builder_finish(&b);
    b = guard_revocations_builder_new(before);
    assert_int_equal(guard_revocations_builder_remove(b, GUARD_REVOKED_TOKEN, "jti-1"), GUARD_OK);
    assert_int_equal(guard_revocations_builder_remove(b, GUARD_REVOKED_TOKEN, "unknown"), GUARD_OK);
    assert_int_equal(guard_revocations_builder_remove(b, GUARD_BANNED_ADDRESS, "10.1.128.0/17"), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_BANNED_ADDRESS, "192.0.2.7", "again", NULL), GUARD_OK);
    assert_int_equal(guard_revocations_builder_put(b, GUARD_BANNED_USER, "eve", "", NULL), GUARD_OK);
    struct guard_revocations *after = guard_revocations_builder_finish(&b);
    assert_int_equal(guard_revocations_count(after), 8);
    assert_null(find(after, GUARD_REVOKED_TOKEN, "jti-1"));
    assert_null(find(after, GUARD_BANNED_ADDRESS, "10.1.128.1"));
    assert_string_equal(find(after, GUARD_BANNED_ADDRESS, "192.0.2.7"), "again");
    assert_string_equal(find(before, GUARD_REVOKED_TOKEN, "jti-1"), "stolen");
    assert_string_equal(find(before, GUARD_BANNED_ADDRESS, "10.1.128.1"), "net");
    guard_revocations_each(after, count_one, counts);
    assert_int_equal(counts[GUARD_BANNED_ADDRESS], 2);
    assert_int_equal(counts[GUARD_REVOKED_TOKEN], 0);
    assert_int_equal(counts[GUARD_BANNED_USER], 1);
    guard_revocations_unref(&before);
    guard_revocations_unref(&after);
}

static void serials(void **state)
{
    (void)state;
    static const struct {
        const char *text, *serial; /* NULL = refused */
    } rows[] = {
        {"0a:FF", "AFF"},
        {"0xaff", "AFF"},
        {"00", "0"},
        {"0", "0"},
        {"", NULL},
        {"0x", NULL},
        {":1", NULL},
        {"1:", NULL},
        {"1::2", NULL},
        {"-01", "1"},
        {"-", NULL},
        {"--1", NULL},
        {"-0x", NULL},
        {"g", NULL},
        {"0000000000000000000000000000000000000000000000001", "1"},
        {"11111111111111111111111111111111111111111", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[GUARD_SERIAL_SIZE];
        int rc = guard_serial_canonical(rows[i].text, strlen(rows[i].text), out);
        if ((rc == GUARD_OK) != (rows[i].serial != NULL) || (!rc && strcmp(out, rows[i].serial) != 0))
            fail_msg("'%s' became %d '%s'", rows[i].text, rc, rc ? "" : out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(look_up), cmocka_unit_test(refused), cmocka_unit_test(change),
                                       cmocka_unit_test(serials)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
