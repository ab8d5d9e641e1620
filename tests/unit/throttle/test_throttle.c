/* The brake in front of password hashing: who is stopped, for how long, and who is not. */
#include "auth/throttle.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <string.h>

#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)
#define START  INT64_C(1000000)

static struct auth_throttle *throttle;

static int setup(void **state)
{
    (void)state;
    throttle = auth_throttle_new(NULL);
    return throttle ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    auth_throttle_free(&throttle);
    return 0;
}

static struct auth_throttle_client who(const char *address, const char *username)
{
    return (struct auth_throttle_client){address, username, "client-1"};
}

static enum guard_reason allow(const char *address, const char *username, int64_t now)
{
    struct auth_throttle_client client = who(address, username);
    return auth_throttle_allow(throttle, &client, now, NULL);
}

static enum guard_reason failure(const char *address, const char *username, int64_t now)
{
    struct auth_throttle_client client = who(address, username);
    return auth_throttle_failure(throttle, &client, 0, now);
}

static void succeed(const char *address, const char *username, int64_t now)
{
    struct auth_throttle_client client = who(address, username);
    assert_int_equal(auth_throttle_allow(throttle, &client, now, NULL), GUARD_REASON_NONE);
    auth_throttle_success(throttle, &client, now);
}

/* Fails until blocked; how many failures it took. */
static unsigned fail_until_blocked(const char *address, const char *username, int64_t now)
{
    for (unsigned count = 1; count < 1000; count++) {
        assert_int_equal(allow(address, username, now), GUARD_REASON_NONE);
        if (failure(address, username, now) != GUARD_REASON_NONE)
            return count;
    }
    return 0;
}

static void test_user(void **state)
{
    (void)state;
    struct auth_throttle_client client = who("192.0.2.1", "u");
    int64_t retry;
    assert_int_equal(fail_until_blocked("192.0.2.1", "u", START), 10);
    assert_int_equal(auth_throttle_allow(throttle, &client, START + 1000, &retry), GUARD_REASON_RATE_LIMITED);
    assert_true(retry == 10 * MINUTE - 1000);
    /* nobody else is, and the user can come in from anywhere else */
    assert_int_equal(allow("192.0.2.1", "v", START), GUARD_REASON_NONE);
    assert_int_equal(allow("192.0.2.2", "u", START), GUARD_REASON_NONE);
    assert_int_equal(allow("192.0.2.1", NULL, START), GUARD_REASON_NONE);
    assert_int_equal(allow("192.0.2.1", "u", START + 10 * MINUTE - 1), GUARD_REASON_RATE_LIMITED);
    assert_int_equal(allow("192.0.2.1", "u", START + 10 * MINUTE), GUARD_REASON_NONE);
    assert_int_equal(auth_throttle_counts(throttle).users_blocked, 1);
    assert_int_equal(auth_throttle_counts(throttle).refused_user, 2);
}

static void test_leak(void **state)
{
    (void)state;
    /* one failure every 6 s leaks away for ever; one every 5 s does not */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(failure("192.0.2.1", "slow", START + i * 6000), GUARD_REASON_NONE);
    int i = 0;
    while (i < 1000 && failure("192.0.2.1", "fast", START + i * 5000) == GUARD_REASON_NONE)
        i++;
    assert_in_range(i, 40, 70);
}

static void test_back_off(void **state)
{
    (void)state;
    static const int64_t minutes[] = {10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440};
    int64_t now = START;
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        assert_int_equal(fail_until_blocked("192.0.2.1", "u", now), 10);
        assert_int_equal(allow("192.0.2.1", "u", now + minutes[i] * MINUTE - 1), GUARD_REASON_RATE_LIMITED);
        now += minutes[i] * MINUTE;
        assert_int_equal(allow("192.0.2.1", "u", now), GUARD_REASON_NONE);
    }
    now += 24 * HOUR + 1; /* quiet for a day: begins anew */
    fail_until_blocked("192.0.2.1", "u", now);
    assert_int_equal(allow("192.0.2.1", "u", now + 10 * MINUTE), GUARD_REASON_NONE);
}

static void test_success_forgives(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++)
        failure("192.0.2.1", "u", START);
    struct auth_throttle_client other = {"192.0.2.1", "u", "another-client"};
    auth_throttle_success(throttle, &other, START);
    assert_int_equal(fail_until_blocked("192.0.2.1", "u", START), 10);
}

static void test_spraying_blocks_the_address(void **state)
{
    (void)state;
    char name[32];
    enum guard_reason reason = GUARD_REASON_NONE;
    unsigned count = 0;
    while (reason == GUARD_REASON_NONE && count < 1000) {
        snprintf(name, sizeof name, "user-%u", count++);
        reason = failure("192.0.2.1", name, START);
    }
    assert_int_equal(reason, GUARD_REASON_IP_BLOCKED);
    assert_int_equal(count, 30);
    assert_int_equal(allow("192.0.2.1", "fresh", START), GUARD_REASON_IP_BLOCKED);
    assert_int_equal(allow("192.0.2.2", "fresh", START), GUARD_REASON_NONE);
    assert_int_equal(auth_throttle_counts(throttle).addresses_blocked, 1);
    assert_int_equal(auth_throttle_counts(throttle).refused_address, 1);
    size_t addresses, users;
    auth_throttle_blocked(throttle, START, &addresses, &users);
    assert_int_equal(addresses, 1);
    assert_int_equal(users, 0);
    fail_until_blocked("192.0.2.3", "u", START + 1);
    auth_throttle_blocked(throttle, START + 10 * MINUTE - 1, &addresses, &users);
    assert_int_equal(addresses, 1);
    assert_int_equal(users, 1);
    auth_throttle_blocked(throttle, START + 10 * MINUTE, &addresses, &users);
    assert_int_equal(addresses, 0); /* over; the other one lasts a millisecond longer */
    assert_int_equal(users, 1);
    auth_throttle_blocked(throttle, START + 10 * MINUTE + 1, &addresses, &users);
    assert_int_equal(users, 0);
}

/* A handful of devices with an old password must not take their whole site down. */
static void test_repeated_failures_spare_the_address(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "stale-%d", i);
        assert_int_equal(fail_until_blocked("192.0.2.1", name, START), 10);
    }
    assert_int_equal(allow("192.0.2.1", "good", START), GUARD_REASON_NONE);
}

static void block_address(const char *address, int64_t now)
{
    char name[32];
    for (int i = 0; allow(address, "probe", now) == GUARD_REASON_NONE; i++) {
        assert_true(i < 1000);
        snprintf(name, sizeof name, "user-%d", i);
        failure(address, name, now);
    }
}

static void test_known_clients_pass(void **state)
{
    (void)state;
    succeed("192.0.2.1", "device", START);
    block_address("192.0.2.1", START);
    assert_int_equal(allow("192.0.2.1", "device", START), GUARD_REASON_NONE);
    /* nor does somebody who guesses its password lock it out: he does not know the client id */
    struct auth_throttle_client guesser = {"192.0.2.1", "device", "guess"};
    for (int i = 0; i < 20; i++)
        auth_throttle_failure(throttle, &guesser, 0, START);
    assert_int_equal(auth_throttle_allow(throttle, &guesser, START, NULL), GUARD_REASON_RATE_LIMITED);
    assert_int_equal(allow("192.0.2.1", "device", START), GUARD_REASON_NONE);
    /* its own failures do: first the privilege goes, then the rules are everybody's */
    for (int i = 0; i < 10; i++)
        assert_int_equal(failure("192.0.2.1", "device", START), GUARD_REASON_NONE);
    assert_int_equal(allow("192.0.2.1", "device", START), GUARD_REASON_RATE_LIMITED);
    /* which leaks back */
    assert_int_equal(allow("192.0.2.1", "device", START + MINUTE), GUARD_REASON_NONE);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
        {"2001:db8:1:2::1", "2001:0db8:0001:0002::9", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"fe80::1%eth0", "fe80::2%eth1", true},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
        {"/run/mqtt.sock", "/run/mqtt.sock", true},
        {"/run/mqtt.sock", "/run/other.sock", false},
        {NULL, "", true},
        {NULL, "0.0.0.0", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool same = auth_throttle_address_key(throttle, rows[i].a) == auth_throttle_address_key(throttle, rows[i].b);
        if (same != rows[i].same)
            fail_msg("%s and %s", rows[i].a ? rows[i].a : "NULL", rows[i].b);
    }
}

static void test_budget(void **state)
{
    (void)state;
    char address[32];
    struct auth_throttle_client client = {address, "u", "c"};
    int64_t now = START;
    unsigned admitted = 0;
    succeed("192.0.2.1", "device", now);
    /* ten minutes of a flood from ever new addresses, 20 ms a hash, 100 tries a second */
    for (unsigned i = 0; i < 60000; i++, now += 10) {
        snprintf(address, sizeof address, "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
        if (auth_throttle_allow(throttle, &client, now, NULL) != GUARD_REASON_NONE)
            continue;
        admitted++;
        auth_throttle_failure(throttle, &client, 20000, now);
    }
    /* 1 s at once, 4 % of 600 s: 25 s of processor time in hashes of 20 ms */
    assert_in_range(admitted, 1240, 1260);
    assert_int_equal(allow("192.0.2.1", "device", now), GUARD_REASON_NONE);
    assert_true(auth_throttle_counts(throttle).refused_budget > 50000);
}

/* After a restart nobody is known. Devices with an old password must not use up what those with a good one need. */
static void test_budget_is_shared(void **state)
{
    (void)state;
    char address[32];
    struct auth_throttle_client stale = {address, "stale", "c"};
    unsigned refused = 0;
    for (unsigned second = 0; second < 300; second++) {
        int64_t now = START + second * 1000;
        for (unsigned i = 0; i < 20; i++) { /* 40 stale devices try every other second, 20 ms a hash */
            snprintf(address, sizeof address, "10.0.0.%u", i + second % 2 * 20);
            if (auth_throttle_allow(throttle, &stale, now, NULL) == GUARD_REASON_NONE)
                auth_throttle_failure(throttle, &stale, 20000, now);
        }
        snprintf(address, sizeof address, "10.1.0.%u", second);
        struct auth_throttle_client good = {address, "good", "c"};
        if (auth_throttle_allow(throttle, &good, now, NULL) != GUARD_REASON_NONE)
            refused++;
    }
    assert_int_equal(refused, 0);
    assert_true(auth_throttle_counts(throttle).refused_budget > 0);
}

/* A flood of addresses drives out what weighs least, not the blocks. */
static void test_bounded(void **state)
{
    (void)state;
    char address[32];
    struct auth_throttle_settings settings = auth_throttle_defaults();
    auth_throttle_free(&throttle);
    settings.entries = 1024;
    throttle = auth_throttle_new(&settings);
    block_address("192.0.2.1", START);
    for (unsigned i = 0; i < 200000; i++) {
        snprintf(address, sizeof address, "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
        failure(address, "u", START + i / 1000);
    }
    assert_int_equal(allow("192.0.2.1", "x", START + 1000), GUARD_REASON_IP_BLOCKED);
}

static void test_settings(void **state)
{
    (void)state;
    struct auth_throttle_settings settings = auth_throttle_defaults();
    settings.user.burst = settings.address.burst = 0;
    auth_throttle_configure(throttle, &settings);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(failure("192.0.2.1", "u", START), GUARD_REASON_NONE);
    assert_int_equal(allow("192.0.2.1", "u", START), GUARD_REASON_NONE);
    settings.user = (struct auth_throttle_bucket){2, 1000};
    settings.block_ms = 500;
    settings.block_max_ms = 700;
    auth_throttle_configure(throttle, &settings);
    assert_int_equal(fail_until_blocked("192.0.2.1", "u", START), 2);
    assert_int_equal(allow("192.0.2.1", "u", START + 500), GUARD_REASON_NONE);
    assert_int_equal(fail_until_blocked("192.0.2.1", "u", START + 500), 2);
    assert_int_equal(allow("192.0.2.1", "u", START + 1199), GUARD_REASON_RATE_LIMITED);
    assert_int_equal(allow("192.0.2.1", "u", START + 1200), GUARD_REASON_NONE);
}

static void test_reset(void **state)
{
    (void)state;
    fail_until_blocked("192.0.2.1", "u", START);
    block_address("192.0.2.1", START);
    auth_throttle_reset(throttle);
    assert_int_equal(allow("192.0.2.1", "u", START), GUARD_REASON_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_user, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leak, setup, teardown),
        cmocka_unit_test_setup_teardown(test_back_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_success_forgives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spraying_blocks_the_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repeated_failures_spare_the_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_known_clients_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget_is_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
