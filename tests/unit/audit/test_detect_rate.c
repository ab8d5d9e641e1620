/* Rates against a connection's own habit: what is a spike, what is life, and the two ways in which this once failed. */
#include "detect_fixture.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <math.h>

static void send_window(struct detect_rate *rate, uint32_t window, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        detect_publish(detect, rate, START + window * DETECT_WINDOW_NS + i * (DETECT_WINDOW_NS / (count + 1)));
}

/* The messages of the spike that were needed. */
static unsigned until_alert(struct detect_rate *rate, uint32_t window, unsigned most)
{
    for (unsigned i = 1; i <= most; i++) {
        detect_publish(detect, rate, START + window * DETECT_WINDOW_NS + i);
        if (alert_count)
            return i;
    }
    return 0;
}

static void test_spike(void **state)
{
    (void)state;
    static const struct {
        unsigned habit, low, high;
    } cases[] = {{1, 100, 100}, {10, 100, 120}, {100, 1000, 1200}, {1000, 10000, 12000}};
    for (unsigned i = 0; i < 4; i++) {
        struct detect_rate rate = {0};
        alert_count = 0;
        for (uint32_t window = 0; window < 500; window++)
            send_window(&rate, window, cases[i].habit);
        assert_int_equal(alert_count, 0);
        assert_in_range(until_alert(&rate, 500, 100000), cases[i].low, cases[i].high);
        assert_int_equal(alerts[0].rule, DETECT_RATE);
        assert_true(fabs(alerts[0].baseline - cases[i].habit) < 0.02 * cases[i].habit + 0.1);
    }
}

/* Days of +-50 % and five times as much once an hour are an ordinary life. */
static void test_ordinary_life(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (unsigned client = 0; client < 30; client++) {
        struct detect_rate rate = {0};
        double habit = 1 << client % 8;
        for (uint32_t window = 0; window < 3940; window++) {
            double day = 1 + 0.5 * sin(2 * 3.14159265 * window / 8640),
                   noise = 0.8 + next_random(&random) % 400 / 1000.0;
            send_window(&rate, window, (unsigned)(habit * day * noise * (window % 360 == 0 ? 5 : 1) + 0.5));
        }
    }
    assert_int_equal(alert_count, 0);
}

/* Regression: a plain mean was led up to 300,000 times the habit by 2 % a window. */
static void test_ramp(void **state)
{
    (void)state;
    struct detect_rate rate = {0};
    double count = 10;
    uint32_t window = 0;
    for (; window < 500; window++)
        send_window(&rate, window, 10);
    for (; !alert_count && window < 2000; window++, count *= 1.02)
        send_window(&rate, window, (unsigned)count);
    assert_int_equal(alert_count, 1);
    assert_in_range((unsigned)alerts[0].observed, 1500, 1900); /* 97 times what the habit may have become */
    assert_in_range(window - 500, 255, 270);                   /* after 43 to 45 minutes */
}

/* Regression: a step that stays was never learned. */
static void test_step_that_stays(void **state)
{
    (void)state;
    struct detect_rate rate = {0};
    uint32_t window = 0;
    for (; window < 500; window++)
        send_window(&rate, window, 10);
    for (; window < 500 + 360; window++)
        send_window(&rate, window, 500);
    unsigned in_the_hour = alert_count;
    assert_in_range(in_the_hour, 10, 13); /* one in five minutes */
    assert_in_range(alerts[1].suppressed, 28, 30);
    for (; window < 500 + 2 * 360; window++)
        send_window(&rate, window, 500);
    assert_in_range(alert_count, in_the_hour, in_the_hour + 1);
    unsigned before = alert_count;
    for (; window < 500 + 3 * 360; window++)
        send_window(&rate, window, 500);
    assert_int_equal(alert_count, before);
    send_window(&rate, window, 10000);
    assert_int_equal(alert_count, before + 1); /* and from the new habit it looks again */
}

static void test_silence_and_clock(void **state)
{
    (void)state;
    struct detect_rate rate = {0};
    for (uint32_t window = 0; window < 100; window++)
        send_window(&rate, window, 50);
    send_window(&rate, 10, 50);      /* the clock went back */
    send_window(&rate, 4000000, 50); /* a year of silence */
    send_window(&rate, 4000001, 50);
    assert_int_equal(alert_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_spike),           TEST(test_ordinary_life),     TEST(test_ramp),
        TEST(test_step_that_stays), TEST(test_silence_and_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
