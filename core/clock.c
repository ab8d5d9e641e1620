#include "core/clock.h"

#include <stdbool.h>
#include <time.h>

#define NS_PER_SECOND 1000000000LL

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

int64_t guard_clock_real_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t guard_clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t guard_clock_now(void)
{
    return guard_clock_real_ns() / NS_PER_SECOND;
}

/* Days of the Gregorian calendar before 1 March of a year, counted from 0000-03-01. */
static int64_t days_before_year(int64_t year)
{
    return year * 365 + year / 4 - year / 100 + year / 400;
}

#define DAYS_TO_EPOCH 719468 /* 0000-03-01 to 1970-01-01 */

static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + DAYS_TO_EPOCH;
    int64_t era = z / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static char *put_digits(char *to, int64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + digits;
}

static char *write_timestamp(int64_t seconds, int64_t fraction, char buffer[GUARD_TIMESTAMP_SIZE])
{
    const int64_t first = -62135596800LL, last = 253402300799LL; /* years 1 and 9999 */
    seconds = seconds < first ? first : seconds > last ? last : seconds;
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    char *to = put_digits(buffer, year, 4);
    *to++ = '-';
    to = put_digits(to, month, 2);
    *to++ = '-';
    to = put_digits(to, day, 2);
    *to++ = 'T';
    to = put_digits(to, rest / 3600, 2);
    *to++ = ':';
    to = put_digits(to, rest / 60 % 60, 2);
    *to++ = ':';
    to = put_digits(to, rest % 60, 2);
    *to++ = '.';
    to = put_digits(to, fraction / 1000, 6);
    *to++ = 'Z';
    *to = '\0';
    return buffer;
}

char *guard_timestamp(int64_t real_ns, char buffer[GUARD_TIMESTAMP_SIZE])
{
    int64_t seconds = real_ns / NS_PER_SECOND;
    int64_t fraction = real_ns % NS_PER_SECOND;
    if (fraction < 0) {
        fraction += NS_PER_SECOND;
        seconds--;
    }
    return write_timestamp(seconds, fraction, buffer);
}

char *guard_timestamp_seconds(int64_t seconds, char buffer[GUARD_TIMESTAMP_SIZE])
{
    return write_timestamp(seconds, 0, buffer);
}

struct cursor {
    const char *at, *end;
    bool bad;
};

static int number(struct cursor *c, int digits, int low, int high)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (c->at == c->end || *c->at < '0' || *c->at > '9') {
            c->bad = true;
            return 0;
        }
        value = value * 10 + (*c->at++ - '0');
    }
    if (value < low || value > high)
        c->bad = true;
    return value;
}

static void expect(struct cursor *c, const char *one_of)
{
    for (; c->at != c->end && *one_of; one_of++)
        if (*c->at == *one_of) {
            c->at++;
            return;
        }
    c->bad = true;
}

static void skip_fraction(struct cursor *c)
{
    if (c->at == c->end || *c->at != '.')
        return;
    c->at++;
    const char *start = c->at;
    while (c->at != c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    if (c->at == start)
        c->bad = true;
}

static int64_t offset_seconds(struct cursor *c)
{
    if (c->at != c->end && (*c->at == 'Z' || *c->at == 'z')) {
        c->at++;
        return 0;
    }
    int sign = c->at != c->end && *c->at == '-' ? -1 : 1;
    expect(c, "+-");
    int hours = number(c, 2, 0, 23);
    expect(c, ":");
    int minutes = number(c, 2, 0, 59);
    return (int64_t)sign * (hours * 3600 + minutes * 60);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

int guard_timestamp_parse(const char *text, size_t length, int64_t *seconds)
{
    struct cursor c = {text, text + length, false};
    int year = number(&c, 4, 0, 9999);
    expect(&c, "-");
    int month = number(&c, 2, 1, 12);
    expect(&c, "-");
    int day = number(&c, 2, 1, 31);
    expect(&c, "Tt ");
    int hour = number(&c, 2, 0, 23);
    expect(&c, ":");
    int minute = number(&c, 2, 0, 59);
    expect(&c, ":");
    int second = number(&c, 2, 0, 60);
    skip_fraction(&c);
    int64_t offset = offset_seconds(&c);
    if (c.bad || c.at != c.end || day > days_in_month(year, month))
        return GUARD_ERR_SYNTAX;
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t days = (y >= 0 ? days_before_year(y) : -366) + (153 * m + 2) / 5 + day - 1 - DAYS_TO_EPOCH;
    *seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset;
    return GUARD_OK;
}
