/* What the detection learns of identities: countries, hours, how often they are connected, rates over connections. */
#include "detect_fixture.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdlib.h>
#include <string.h>

static struct detect_keys who(const char *address, const char *user, const char *client)
{
    static const struct detect_networks none;
    return detect_keys_of(&key, &none, address, user, client);
}

static unsigned count_of(enum detect_rule rule)
{
    return (unsigned)detect_count(detect, rule);
}

/* ---- countries ---- */

static void login_in(const char *address, const char *country, int64_t now)
{
    struct detect_keys keys = who(address, "dev-42", "dev-42");
    if (country)
        memcpy(&keys.country, country, 2);
    detect_login(detect, &keys, now);
}

static void test_new_country(void **state)
{
    (void)state;
    for (unsigned day = 0; day < 7; day++)
        login_in("192.0.2.1", day % 2 ? "DE" : "AT", START + day * DAY);
    assert_int_equal(alert_count, 0);
    login_in("192.0.2.1", "KP", START + 7 * DAY);
    assert_int_equal(alert_count, 1); /* the address is known */
    assert_int_equal(alerts[0].rule, DETECT_NEW_COUNTRY);
    login_in("192.0.2.1", "KP", START + 7 * DAY + SECOND);
    login_in("192.0.2.1", "DE", START + 7 * DAY + SECOND);
    assert_int_equal(alert_count, 1);
    login_in("203.0.113.9", "BR", START + 8 * DAY); /* both are new: one alert, the graver one */
    assert_int_equal(alert_count, 2);
    assert_int_equal(alerts[1].rule, DETECT_NEW_COUNTRY);
    login_in("203.0.113.10", "BR", START + 8 * DAY);
    assert_int_equal(alerts[2].rule, DETECT_NEW_IP);
    login_in("203.0.113.11", NULL, START + 8 * DAY);
    assert_int_equal(alerts[3].rule, DETECT_NEW_IP);
    assert_int_equal(alert_count, 4);
}

/* The database came when the rest was long learned: then countries have their week, too. */
static void test_countries_are_learned_on_their_own(void **state)
{
    (void)state;
    for (unsigned day = 0; day < 30; day++)
        login_in("192.0.2.1", NULL, START + day * DAY);
    login_in("192.0.2.1", "DE", START + 30 * DAY);
    login_in("192.0.2.1", "AT", START + 36 * DAY);
    assert_int_equal(alert_count, 0);
    login_in("192.0.2.1", "KP", START + 37 * DAY);
    assert_int_equal(count_of(DETECT_NEW_COUNTRY), 1);
}

/* ---- hours ---- */

#define MIDNIGHT (START - START % DAY)

static void act(const char *user, unsigned day, unsigned hour)
{
    struct detect_keys keys = who("192.0.2.1", user, user);
    uint32_t last = 0;
    for (unsigned i = 0; i < 3; i++)
        detect_active(detect, &keys, &last, MIDNIGHT + day * DAY + hour * HOUR + i * SECOND);
}

static void office_days(const char *user, unsigned days)
{
    for (unsigned day = 0; day < days; day++)
        for (unsigned hour = 8; hour < 17; hour++)
            act(user, day, hour);
}

static void test_out_of_hours(void **state)
{
    (void)state;
    assert_true(detect_watch_hours(detect));
    office_days("clerk", 20);
    assert_int_equal(alert_count, 0);
    act("clerk", 20, 3);
    assert_int_equal(alert_count, 1);
    assert_int_equal(alerts[0].rule, DETECT_HOURS);
    assert_true(alerts[0].observed == 0 && alerts[0].threshold == 0.5);
    act("clerk", 20, 9);
    assert_int_equal(alert_count, 1);
}

static void test_the_first_two_weeks_are_learned(void **state)
{
    (void)state;
    assert_true(detect_watch_hours(detect));
    office_days("clerk", 13);
    act("clerk", 13, 3);
    assert_int_equal(alert_count, 0);
    act("clerk", 15, 3);
    assert_int_equal(alert_count, 0); /* it has happened before: one part of 106 */
}

static void test_day_and_night(void **state)
{
    (void)state;
    assert_true(detect_watch_hours(detect));
    for (unsigned day = 0; day < 60; day++)
        for (unsigned hour = 0; hour < 24; hour++)
            act("sensor", day, hour);
    act("sensor", 70, 3); /* after a pause, too */
    assert_int_equal(alert_count, 0);
}

/* A new shift: unusual for some days, then it is the habit, and the old one fades. */
static void test_new_hours_become_the_habit(void **state)
{
    (void)state;
    assert_true(detect_watch_hours(detect));
    office_days("clerk", 30);
    for (unsigned day = 30; day < 230; day++)
        act("clerk", day, 22);
    assert_in_range(alert_count, 1, 4);
    act("clerk", 230, 12);
    assert_true(alerts[alert_count - 1].time_ns == MIDNIGHT + 230 * DAY + 12 * HOUR);
}

static void test_hours_are_off_by_default(void **state)
{
    (void)state;
    office_days("clerk", 20);
    act("clerk", 20, 3);
    assert_int_equal(alert_count, 0);
}

static void test_hours_are_kept(void **state)
{
    (void)state;
    static const struct guard_siphash_key other = {1, 2};
    assert_true(detect_watch_hours(detect));
    office_days("clerk", 20);
    char *kept = malloc(detect_state_size(detect));
    size_t length = detect_state_size(detect);
    assert_true(length < DETECT_STATE_MAX);
    detect_state_write(detect, kept);
    detect_free(&detect);
    detect = detect_new(&other, collect, NULL);
    assert_true(detect_watch_hours(detect));
    assert_true(detect_state_read(detect, kept, length));
    act("clerk", 20, 9);
    act("clerk", 20, 22);
    assert_int_equal(count_of(DETECT_HOURS), 1);
    detect_free(&detect);
    detect = detect_new(&other, collect, NULL); /* they are not wanted any more: the rest is read */
    assert_true(detect_state_read(detect, kept, length));
    free(kept);
}

/* What version 1 wrote ends before the beginning of the countries. */
static void test_a_state_of_the_first_version(void **state)
{
    (void)state;
    size_t length = detect_state_size(detect), old = length - 16;
    char *kept = malloc(length);
    login_in("192.0.2.1", NULL, START);
    detect_state_write(detect, kept);
    memmove(kept + 48, kept + 64, length - 64);
    memcpy(kept, "guard-detect-1", 15);
    assert_false(detect_state_read(detect, kept, length));
    assert_true(detect_state_read(detect, kept, old));
    login_in("192.0.2.1", NULL, START + 8 * DAY);
    assert_int_equal(alert_count, 0);
    login_in("192.0.2.2", NULL, START + 8 * DAY);
    assert_int_equal(alert_count, 1);
    free(kept);
}

/* ---- one connection at a time ---- */

static struct detect_keys device(const char *address, const char *client, uint32_t connection)
{
    struct detect_keys keys = who(address, "dev-42", client);
    keys.connection = connection;
    keys.single = true;
    return keys;
}

static void test_connected_twice(void **state)
{
    (void)state;
    struct detect_keys first = device("192.0.2.1", "a", 1), second = device("203.0.113.5", "b", 2);
    detect_login(detect, &first, START);
    detect_login(detect, &second, START + SECOND);
    assert_int_equal(alert_count, 1);
    assert_int_equal(alerts[0].rule, DETECT_TWICE);
    assert_true(alerts[0].observed == 2 && alerts[0].distinct_ips == 2);
}

static void test_one_after_the_other(void **state)
{
    (void)state;
    struct detect_keys first = device("192.0.2.1", "a", 1), second = device("203.0.113.5", "b", 2);
    detect_login(detect, &first, START);
    detect_disconnect(detect, &first, START + SECOND);
    detect_login(detect, &second, START + 2 * SECOND);
    assert_int_equal(alert_count, 0);
}

/* A device changes its network: the new connection comes before the broker ends the old one. */
static void test_a_takeover_is_no_second_one(void **state)
{
    (void)state;
    struct detect_keys first = device("192.0.2.1", "a", 1), second = device("203.0.113.5", "a", 2),
                       third = device("192.0.2.1", "b", 3);
    detect_login(detect, &first, START);
    detect_login(detect, &second, START + SECOND);
    detect_disconnect(detect, &first, START + SECOND);
    assert_int_equal(alert_count, 0);
    detect_login(detect, &third, START + 2 * SECOND); /* the second one is there still */
    assert_int_equal(count_of(DETECT_TWICE), 1);
}

static void test_two_clients_behind_one_address(void **state)
{
    (void)state;
    struct detect_keys first = device("192.0.2.1", "a", 1), second = device("192.0.2.1", "b", 2);
    detect_login(detect, &first, START);
    detect_login(detect, &second, START);
    assert_int_equal(alert_count, 0); /* the same place: its own doing */
}

static void test_others_may(void **state)
{
    (void)state;
    struct detect_keys first = device("192.0.2.1", "a", 1), second = device("203.0.113.5", "b", 2);
    first.single = second.single = false;
    detect_login(detect, &first, START);
    detect_login(detect, &second, START);
    assert_int_equal(alert_count, 0);
}

/* ---- rates over connections ---- */

static void send_windows(struct detect_rate *rate, uint32_t first, uint32_t windows, unsigned count)
{
    for (uint32_t window = first; window < first + windows; window++)
        for (unsigned i = 0; i < count; i++)
            detect_publish(detect, rate, START + window * DETECT_WINDOW_NS + i);
}

static void test_habit_outlives_the_connection(void **state)
{
    (void)state;
    struct detect_keys a = who("192.0.2.1", "a", "a"), b = who("192.0.2.1", "b", "b");
    struct detect_rate rate = {0};
    send_windows(&rate, 0, 100, 20);
    detect_rate_keep(detect, &a, &rate);
    rate = (struct detect_rate){0};
    detect_rate_resume(detect, &b, &rate, START);
    assert_int_equal(rate.limit, 0);                                          /* another client has another one */
    detect_rate_resume(detect, &a, &rate, START + 100000 * DETECT_WINDOW_NS); /* days later */
    send_windows(&rate, 100000, 1, 150);
    assert_int_equal(alert_count, 0);
    send_windows(&rate, 100001, 1, 250);
    assert_int_equal(count_of(DETECT_RATE), 1);
    assert_true(alerts[0].baseline > 19 && alerts[0].baseline < 30);
}

static void test_an_alarm_outlives_it_too(void **state)
{
    (void)state;
    struct detect_keys a = who("192.0.2.1", "a", "a");
    struct detect_rate rate = {0};
    send_windows(&rate, 0, 100, 20);
    send_windows(&rate, 100, 1, 1000);
    for (unsigned i = 0; i < 5; i++) {
        detect_rate_keep(detect, &a, &rate);
        rate = (struct detect_rate){0};
        detect_rate_resume(detect, &a, &rate, START + (101 + i) * DETECT_WINDOW_NS);
        send_windows(&rate, 101 + i, 1, 1000);
    }
    assert_int_equal(alert_count, 1); /* who reconnects is not accused anew each time */
}

static void test_many_habits(void **state)
{
    (void)state;
    struct detect_rate rate = {0};
    uint64_t random = 11;
    send_windows(&rate, 0, 100, 20);
    struct detect_keys a = who("192.0.2.1", "a", "a");
    for (unsigned i = 0; i < 30000; i++) {
        struct detect_keys other = {.client = (uint64_t)next_random(&random) << 32 | next_random(&random)};
        detect_rate_keep(detect, &other, &rate);
        detect_rate_keep(detect, &a, &rate); /* what comes back again and again stays */
    }
    struct detect_rate back = {0};
    detect_rate_resume(detect, &a, &back, START);
    assert_int_equal(back.seen, rate.seen);
}

/* With summaries a spike shows at the end of its minute. */
static void test_summaries(void **state)
{
    (void)state;
    struct detect_rate rate = {0};
    for (unsigned minute = 0; minute < 60; minute++)
        detect_publishes(detect, &rate, 120, START + minute * 60 * SECOND, START + (minute * 60 + 59) * SECOND);
    assert_int_equal(alert_count, 0);
    detect_publishes(detect, &rate, 1000, START + 3600 * SECOND, START + 3659 * SECOND); /* 167 in ten seconds */
    assert_int_equal(alert_count, 0);
    detect_publishes(detect, &rate, 3000, START + 3660 * SECOND, START + 3719 * SECOND);
    assert_int_equal(count_of(DETECT_RATE), 1);
    detect_publishes(detect, &rate, UINT64_MAX / 1000, START + 3720 * SECOND, START + 3719 * SECOND); /* nonsense */
    detect_publishes(detect, &rate, 5, START + 3720 * SECOND, START + 100 * DAY);
    assert_int_equal(alert_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_new_country),
        TEST(test_countries_are_learned_on_their_own),
        TEST(test_out_of_hours),
        TEST(test_the_first_two_weeks_are_learned),
        TEST(test_day_and_night),
        TEST(test_new_hours_become_the_habit),
        TEST(test_hours_are_off_by_default),
        TEST(test_hours_are_kept),
        TEST(test_a_state_of_the_first_version),
        TEST(test_connected_twice),
        TEST(test_one_after_the_other),
        TEST(test_a_takeover_is_no_second_one),
        TEST(test_two_clients_behind_one_address),
        TEST(test_others_may),
        TEST(test_habit_outlives_the_connection),
        TEST(test_an_alarm_outlives_it_too),
        TEST(test_many_habits),
        TEST(test_summaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
