/*
 * What logging in with a password or certificate costs, and what a storm of logins does to the thread beside it.
 *
 *   bench_password            all of it, about 20 s
 *   bench_password storm N    only the storm, of N jobs
 */
#include "auth/certificate.h"
#include "auth/credential_cache.h"
#include "auth/password.h"
#include "auth/throttle.h"
#include "auth/worker.h"
#include "core/clock.h"
#include "core/memory.h"
#include "tests/unit/certificate/certificate_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median time of one call in microseconds, over `rounds` rounds of `calls` calls. */
static double median_us(unsigned rounds, unsigned calls, void (*call)(void *context, unsigned i), void *context)
{
    double times[101];
    for (unsigned r = 0; r < rounds; r++) {
        int64_t begin = guard_clock_monotonic_ns();
        for (unsigned i = 0; i < calls; i++)
            call(context, r * calls + i);
        times[r] = (double)(guard_clock_monotonic_ns() - begin) / 1000 / calls;
    }
    qsort(times, rounds, sizeof *times, compare);
    return times[rounds / 2];
}

static void verify(void *context, unsigned i)
{
    (void)i;
    auth_password_verify(context, "wrong password", 14, NULL);
}

static void bench_formats(void)
{
    static const struct {
        const char *name;
        struct auth_password_params params;
    } rows[] = {{"$7$ 101 (mosquitto 2.0)", {AUTH_PASSWORD_PBKDF2, 101, 0, 0}},
                {"$7$ 1,000 (mosquitto 2.1)", {AUTH_PASSWORD_PBKDF2, 1000, 0, 0}},
                {"$7$ 210,000 (our default without argon2)", {AUTH_PASSWORD_PBKDF2, 0, 0, 0}},
                {"argon2id 19 MiB, t=2 (our default)", {AUTH_PASSWORD_ARGON2ID, 0, 0, 0}},
                {"argon2id 46 MiB, t=1 (mosquitto 2.1)", {AUTH_PASSWORD_ARGON2ID, 1, 47104, 0}},
                {"bcrypt 10", {AUTH_PASSWORD_BCRYPT, 10, 0, 0}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *stored;
        if (auth_password_make(&rows[i].params, "password", 8, &stored, NULL) != GUARD_OK)
            continue;
        bool cheap = auth_password_cost(stored) == AUTH_PASSWORD_CHEAP;
        double us = median_us(cheap ? 51 : 5, cheap ? 10 : 2, verify, stored);
        printf("verify %-42s %10.1f us   (estimate %llu)\n", rows[i].name, us,
               (unsigned long long)auth_password_estimate_us(stored));
        guard_free_string(&stored);
    }
    printf("verify %-42s %10.2f us\n", "malformed", median_us(51, 1000, verify, (char[]){"$7$101$short"}));
}

struct cached {
    struct auth_credential_cache *cache;
    char stored[128];
};

static void look_up(void *context, unsigned i)
{
    struct cached *cached = context;
    struct auth_credential_mac mac;
    char user[32];
    snprintf(user, sizeof user, "device-%u", i % 10000);
    auth_credential_mac(cached->cache, user, cached->stored, "some password", 13, &mac);
    if (!auth_credential_cache_lookup(cached->cache, &mac, 1))
        auth_credential_cache_store(cached->cache, &mac, 1);
}

static void bench_cache(void)
{
    struct cached cached = {auth_credential_cache_new(16384, 3600000), ""};
    memset(cached.stored, 'x', sizeof cached.stored - 1);
    median_us(1, 10000, look_up, &cached);
    printf("known credentials from the cache                  %10.2f us\n", median_us(51, 1000, look_up, &cached));
    auth_credential_cache_free(&cached.cache);
}

static void refuse(void *context, unsigned i)
{
    char user[32];
    snprintf(user, sizeof user, "user-%u", i);
    struct auth_throttle_client client = {"192.0.2.77", user, "attacker"};
    if (auth_throttle_allow(context, &client, 1000 + i / 10, NULL) == GUARD_REASON_NONE)
        auth_throttle_failure(context, &client, 25000, 1000 + i / 10);
}

static void refuse_spread(void *context, unsigned i)
{
    char address[32];
    snprintf(address, sizeof address, "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
    struct auth_throttle_client client = {address, "user", "attacker"};
    if (auth_throttle_allow(context, &client, 1000 + i / 10, NULL) == GUARD_REASON_NONE)
        auth_throttle_failure(context, &client, 25000, 1000 + i / 10);
}

static void print_flood(const char *what, double us)
{
    printf("wrong password, %-33s %10.2f us   = %.2f %% of a core at 10,000/s\n", what, us, us * 10000 / 1e6 * 100);
}

static void bench_throttle(void)
{
    struct auth_throttle *throttle = auth_throttle_new(NULL);
    print_flood("one address", median_us(51, 10000, refuse, throttle));
    print_flood("ever new addresses", median_us(51, 10000, refuse_spread, throttle));
    auth_throttle_free(&throttle);
}

struct certificate {
    struct auth_certificate_config *config;
    X509 *certificate;
};

static void verify_certificate(void *context, unsigned i)
{
    (void)i;
    struct certificate *it = context;
    struct auth_certificate_request request = {.certificate = it->certificate, .now = MAKER_NOW};
    struct guard_identity *identity;
    if (auth_certificate_verify(it->config, &request, &identity, NULL) != GUARD_REASON_NONE)
        abort();
    guard_identity_free(&identity);
}

static void bench_certificate(void)
{
    struct maker_ca ca;
    struct certificate it;
    maker_ca_make(&ca, "Bench CA");
    it.certificate = maker_plain(&ca, "device-1");
    if (auth_certificate_config_parse("cn:device-{id}={id} \"issuer=O=Example,CN=Bench CA\"", &it.config, NULL))
        abort();
    printf("certificate to identity                           %10.2f us\n",
           median_us(51, 500, verify_certificate, &it));
    auth_certificate_config_free(&it.config);
    X509_free(it.certificate);
    maker_ca_free(&ca);
}

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How long a sleep of one millisecond takes. */
static int64_t tick_ns(void)
{
    int64_t begin = guard_clock_monotonic_ns();
    nanosleep(&(struct timespec){0, 1000000}, NULL);
    return guard_clock_monotonic_ns() - begin;
}

static void submit_storm(struct auth_worker_pool *pool, const char *stored, size_t jobs)
{
    for (size_t i = 0; i < jobs; i++) {
        struct auth_password_job *argument = auth_password_job_new(stored, "password", 8, false);
        struct auth_worker_job job = {i, 1, 0, INT64_MAX, auth_password_job_run, auth_password_job_release, argument};
        if (!argument || auth_worker_submit(pool, &job) != GUARD_OK)
            abort();
    }
}

/* Takes the answers that are there; how many. */
static size_t collect(struct auth_worker_pool *pool)
{
    struct auth_worker_answer answer;
    size_t count = 0;
    while (auth_worker_poll(pool, guard_clock_monotonic_ns() / 1000000, &answer)) {
        if (((struct auth_password_job *)answer.argument)->result != AUTH_PASSWORD_MATCH)
            abort();
        answer.release(answer.argument);
        count++;
    }
    return count;
}

/* `jobs` logins at once on the workers, while this thread does what a broker's does: wakes every millisecond. */
static void bench_storm(size_t jobs)
{
    struct auth_worker_settings settings = {.queue = jobs, .nice = 10};
    struct auth_worker_pool *pool;
    char *stored;
    int64_t alone = 0, beside = 0;
    if (auth_password_make(NULL, "password", 8, &stored, NULL) || auth_worker_pool_new(&settings, &pool, NULL))
        abort();
    for (int i = 0; i < 2000; i++)
        alone = longer(alone, tick_ns());
    int64_t begin = guard_clock_monotonic_ns();
    submit_storm(pool, stored, jobs);
    int64_t submitted = guard_clock_monotonic_ns() - begin;
    for (size_t done = 0; done < jobs;) {
        int64_t collecting = guard_clock_monotonic_ns();
        done += collect(pool);
        collecting = guard_clock_monotonic_ns() - collecting;
        beside = longer(beside, collecting + tick_ns());
    }
    printf("storm of %zu logins, %.30s: submitted in %.2f ms, done in %.2f s\n", jobs, stored, (double)submitted / 1e6,
           (double)(guard_clock_monotonic_ns() - begin) / 1e9);
    printf("largest gap of a 1 kHz loop beside it             %10.2f ms   (without it: %.2f ms)\n",
           (double)beside / 1e6, (double)alone / 1e6);
    auth_worker_pool_free(&pool);
    guard_free_string(&stored);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 3 && strcmp(argv[1], "storm") == 0) {
        bench_storm(strtoul(argv[2], NULL, 10));
        return 0;
    }
    bench_formats();
    bench_cache();
    bench_throttle();
    bench_certificate();
    bench_storm(200);
    return 0;
}
