/* The worker pool: every job is answered once or not at all, and its argument released exactly once. */
#include "auth/worker.h"
#include "core/clock.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    return guard_clock_monotonic_ns() / 1000000;
}

static void nap(void)
{
    nanosleep(&(struct timespec){0, 200000}, NULL);
}

static atomic_int made, released, woken, running;
static atomic_bool gate; /* gated jobs end when it opens */

struct probe {
    atomic_int runs;
    bool gated;
    uint64_t generation;
};

static void run(void *argument)
{
    struct probe *probe = argument;
    atomic_fetch_add(&running, 1);
    while (probe->gated && !atomic_load(&gate))
        nap();
    atomic_fetch_add(&probe->runs, 1);
    atomic_fetch_sub(&running, 1);
}

static void release(void *argument)
{
    free(argument);
    atomic_fetch_add(&released, 1);
}

static void wake(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static struct auth_worker_pool *pool_of(unsigned threads, size_t queue)
{
    struct auth_worker_settings settings = {
        .threads = threads, .queue = queue, .nice = 5, .wake = wake, .wake_context = &woken};
    struct auth_worker_pool *pool;
    atomic_store(&made, 0);
    atomic_store(&released, 0);
    atomic_store(&woken, 0);
    atomic_store(&gate, false);
    assert_int_equal(auth_worker_pool_new(&settings, &pool, NULL), GUARD_OK);
    return pool;
}

static int submit_until(struct auth_worker_pool *pool, uint64_t id, uint64_t generation, bool gated, int64_t deadline)
{
    struct probe *probe = calloc(1, sizeof *probe);
    assert_non_null(probe);
    probe->gated = gated;
    probe->generation = generation;
    struct auth_worker_job job = {id, generation, id % 10, deadline, run, release, probe};
    int rc = auth_worker_submit(pool, &job);
    if (rc)
        free(probe);
    else
        atomic_fetch_add(&made, 1);
    return rc;
}

static int submit(struct auth_worker_pool *pool, uint64_t id, uint64_t generation, bool gated)
{
    return submit_until(pool, id, generation, gated, INT64_MAX);
}

/* The next answer within ten seconds. */
static struct auth_worker_answer answer_of(struct auth_worker_pool *pool)
{
    struct auth_worker_answer answer;
    for (int i = 0; i < 50000; i++, nap())
        if (auth_worker_poll(pool, now_ms(), &answer))
            return answer;
    fail_msg("no answer");
    return answer;
}

static void expect_done(struct auth_worker_pool *pool, uint64_t id, uint64_t generation)
{
    struct auth_worker_answer answer = answer_of(pool);
    assert_true(answer.id == id && answer.generation == generation);
    assert_int_equal(answer.outcome, AUTH_WORKER_DONE);
    struct probe *probe = answer.argument;
    assert_int_equal(atomic_load(&probe->runs), 1);
    assert_true(probe->generation == generation);
    answer.release(answer.argument);
}

static void expect_nothing(struct auth_worker_pool *pool)
{
    struct auth_worker_answer answer;
    assert_false(auth_worker_poll(pool, now_ms(), &answer));
}

static void wait_running(int count)
{
    for (int i = 0; i < 50000 && atomic_load(&running) != count; i++)
        nap();
    assert_int_equal(atomic_load(&running), count);
}

static void close_pool(struct auth_worker_pool *pool)
{
    atomic_store(&gate, true);
    auth_worker_pool_free(&pool);
    assert_null(pool);
    assert_int_equal(atomic_load(&released), atomic_load(&made));
}

static void test_all_are_answered(void **state)
{
    (void)state;
    struct auth_worker_pool *pool = pool_of(3, 1000);
    bool seen[1000] = {false};
    for (uint64_t id = 0; id < 1000; id++)
        assert_int_equal(submit(pool, id, id + 7, false), GUARD_OK);
    for (int i = 0; i < 1000; i++) {
        struct auth_worker_answer answer = answer_of(pool);
        assert_int_equal(answer.outcome, AUTH_WORKER_DONE);
        assert_true(answer.id < 1000 && answer.generation == answer.id + 7 && !seen[answer.id]);
        seen[answer.id] = true;
        answer.release(answer.argument);
    }
    expect_nothing(pool);
    close_pool(pool); /* an answer is there before the worker wakes whoever waits: only after its end all have */
    assert_int_equal(atomic_load(&woken), 1000);
}

static void test_full_queue(void **state)
{
    (void)state;
    struct auth_worker_pool *pool = pool_of(1, 3);
    for (uint64_t id = 0; id < 3; id++)
        assert_int_equal(submit(pool, id, 1, true), GUARD_OK);
    assert_int_equal(submit(pool, 3, 1, true), GUARD_ERR_LIMIT);
    assert_int_equal(submit(pool, 4, 1, true), GUARD_ERR_LIMIT);
    wait_running(1);
    struct auth_worker_load load = auth_worker_load(pool);
    assert_int_equal(load.waiting, 2);
    assert_int_equal(load.running, 1);
    atomic_store(&gate, true);
    for (uint64_t id = 0; id < 3; id++)
        expect_done(pool, id, 1);
    assert_int_equal(submit(pool, 3, 1, true), GUARD_OK);
    expect_done(pool, 3, 1);
    close_pool(pool);
}

static void test_cancel(void **state)
{
    (void)state;
    struct auth_worker_pool *pool = pool_of(1, 8);
    submit(pool, 1, 1, true);
    wait_running(1);
    submit(pool, 2, 1, false);
    submit(pool, 3, 1, false);
    auth_worker_cancel(pool, 2, 9); /* another generation: not meant */
    auth_worker_cancel(pool, 77, 1);
    auth_worker_cancel(pool, 3, 1); /* waiting */
    assert_int_equal(atomic_load(&released), 1);
    auth_worker_cancel(pool, 1, 1); /* running: released when it ends */
    assert_int_equal(atomic_load(&released), 1);
    atomic_store(&gate, true);
    expect_done(pool, 2, 1);
    expect_nothing(pool);
    submit(pool, 4, 1, false);
    while (atomic_load(&woken) < 2) /* done, not polled: the cancelled ones woke nobody */
        nap();
    auth_worker_cancel(pool, 4, 1);
    expect_nothing(pool);
    assert_int_equal(atomic_load(&released), 4);
    close_pool(pool);
}

/* A client reconnects with other credentials while the first ones are being verified: only the last attempt counts. */
static void test_superseded(void **state)
{
    (void)state;
    struct auth_worker_pool *pool = pool_of(1, 8);
    submit(pool, 5, 1, true);
    wait_running(1);
    submit(pool, 5, 2, false);
    submit(pool, 5, 3, false);
    assert_int_equal(atomic_load(&released), 1); /* the second never ran */
    atomic_store(&gate, true);
    expect_done(pool, 5, 3);
    expect_nothing(pool);
    auth_worker_cancel(pool, 5, 3);
    expect_nothing(pool);
    close_pool(pool);
}

static void expect_without_argument(struct auth_worker_pool *pool, uint64_t id, enum auth_worker_outcome outcome)
{
    struct auth_worker_answer answer = answer_of(pool);
    assert_true(answer.id == id);
    assert_int_equal(answer.outcome, outcome);
    assert_null(answer.argument);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct auth_worker_pool *pool = pool_of(1, 8);
    submit_until(pool, 1, 1, true, now_ms() + 30);
    wait_running(1);
    submit_until(pool, 2, 1, false, now_ms() + 10);
    submit(pool, 3, 1, false);
    expect_nothing(pool);
    expect_without_argument(pool, 2, AUTH_WORKER_TIMED_OUT); /* waiting */
    expect_without_argument(pool, 1, AUTH_WORKER_TIMED_OUT); /* running */
    assert_int_equal(auth_worker_load(pool).running, 1);
    assert_int_equal(atomic_load(&released), 1);
    atomic_store(&gate, true);
    expect_done(pool, 3, 1); /* the late result of 1 is dropped */
    expect_nothing(pool);
    assert_int_equal(atomic_load(&released), 3);

    atomic_store(&gate, false); /* ends between its deadline and the next poll: a result all the same */
    submit_until(pool, 4, 1, true, now_ms() + 5);
    wait_running(1);
    for (int64_t late = now_ms() + 10; now_ms() < late;)
        nap();
    atomic_store(&gate, true);
    while (auth_worker_load(pool).running)
        nap();
    expect_done(pool, 4, 1);
    /* too late for the worker already: never run */
    submit_until(pool, 6, 1, false, now_ms() - 1);
    expect_without_argument(pool, 6, AUTH_WORKER_TIMED_OUT);
    close_pool(pool);
}

/* The deadline passes while the job runs; it ends before the answer is fetched. */
static void test_overdue_then_finished(void **state)
{
    (void)state;
    struct auth_worker_pool *pool = pool_of(1, 8);
    struct auth_worker_answer answer;
    submit_until(pool, 1, 1, true, 100);
    submit_until(pool, 2, 1, true, INT64_MAX - 1);
    submit_until(pool, 3, 1, true, 100);
    /* the workers skip what is past its deadline; poll with a clock of our own sees the rest expire */
    while (!auth_worker_poll(pool, 50, &answer))
        nap();
    wait_running(1);
    assert_true(auth_worker_poll(pool, INT64_MAX - 1, &answer)); /* expires 2 (running) and 3, fetches one of them */
    atomic_store(&gate, true);
    while (auth_worker_load(pool).running)
        nap();
    assert_true(auth_worker_poll(pool, INT64_MAX - 1, &answer));
    assert_int_equal(answer.outcome, AUTH_WORKER_TIMED_OUT);
    assert_false(auth_worker_poll(pool, INT64_MAX - 1, &answer));
    close_pool(pool);
}

static void test_drop_group(void **state)
{
    (void)state;
    struct auth_worker_pool *pool = pool_of(1, 64);
    submit(pool, 1, 1, true);
    wait_running(1);
    for (uint64_t id = 2; id < 31; id++)
        submit(pool, id, 1, false);
    assert_int_equal(auth_worker_drop_group(pool, 0), 0); /* no group */
    assert_int_equal(auth_worker_drop_group(pool, 1), 2); /* 11 and 21; 1 is running */
    expect_without_argument(pool, 11, AUTH_WORKER_DROPPED);
    expect_without_argument(pool, 21, AUTH_WORKER_DROPPED);
    atomic_store(&gate, true);
    expect_done(pool, 1, 1);
    close_pool(pool);
}

static void test_stop_with_work_left(void **state)
{
    (void)state;
    struct auth_worker_pool *pool = pool_of(2, 64);
    for (uint64_t id = 0; id < 10; id++)
        submit(pool, id, 1, false);
    for (uint64_t id = 10; id < 64; id++)
        submit(pool, id, 1, true);
    wait_running(2);
    auth_worker_drop_group(pool, 3);
    close_pool(pool);
    auth_worker_pool_free(&(struct auth_worker_pool *){NULL});
}

static void check_thread(void *argument)
{
    sigset_t mask;
    char name[16] = "";
    bool *good = argument;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    pthread_getname_np(pthread_self(), name, sizeof name);
    *good = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGHUP) && sigismember(&mask, SIGURG) &&
            sigismember(&mask, SIGINT) && strncmp(name, "guard-verify-", 13) == 0;
}

static void nothing(void *argument)
{
    (void)argument;
}

static void test_threads_take_no_signals(void **state)
{
    (void)state;
    bool good = false;
    sigset_t mask;
    struct auth_worker_pool *pool = pool_of(1, 1);
    nap(); /* a thread names itself, or is named, a moment after it began */
    struct auth_worker_job job = {1, 1, 0, INT64_MAX, check_thread, nothing, &good};
    auth_worker_submit(pool, &job);
    assert_int_equal(answer_of(pool).outcome, AUTH_WORKER_DONE);
    assert_true(good);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_false(sigismember(&mask, SIGTERM)); /* the caller's mask is as it was */
    close_pool(pool);
}

static void test_settings(void **state)
{
    (void)state;
    static const struct auth_worker_settings bad[] = {{.threads = 65}, {.nice = -1}, {.nice = 20}};
    struct auth_worker_pool *pool;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct guard_error err = {0};
        assert_int_equal(auth_worker_pool_new(&bad[i], &pool, &err), GUARD_ERR_INVALID);
        assert_null(pool);
        assert_true(err.text[0]);
    }
    assert_int_equal(auth_worker_pool_new(&(struct auth_worker_settings){0}, &pool, NULL), GUARD_OK);
    auth_worker_pool_free(&pool);
}

/* All calls at random, many threads, tiny queue: no answer is for a superseded or cancelled attempt, none comes twice.
 */
static void test_storm(void **state)
{
    (void)state;
    enum { IDS = 24 };
    uint64_t expected[IDS] = {0}; /* the generation that may be answered; 0 = none */
    uint64_t generation = 1;
    struct auth_worker_answer answer;
    struct auth_worker_pool *pool = pool_of(4, 16);
    atomic_store(&gate, true);
    srand(11);
    for (int i = 0; i < 20000; i++) {
        uint64_t id = (uint64_t)(rand() % IDS);
        int64_t deadline = rand() % 4 ? INT64_MAX : now_ms() + rand() % 3 - 1;
        switch (rand() % 8) {
        case 0:
            auth_worker_cancel(pool, id, expected[id]);
            expected[id] = 0;
            break;
        case 1:
            auth_worker_drop_group(pool, id % 10);
            break;
        case 2:
        case 3:
        case 4:
            /* an unfinished attempt is superseded even if the new one finds no room */
            expected[id] = submit_until(pool, id, generation, false, deadline) == GUARD_OK ? generation : 0;
            generation++;
            break;
        default:
            if (!auth_worker_poll(pool, now_ms(), &answer))
                break;
            assert_true(expected[answer.id] == answer.generation);
            expected[answer.id] = 0;
            if (answer.outcome == AUTH_WORKER_DONE)
                answer.release(answer.argument);
        }
    }
    close_pool(pool);
}

static void test_password_jobs(void **state)
{
    (void)state;
    static const char stored[] = "$2b$04$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pfm";
    static const struct {
        const char *stored, *password;
        bool decoy;
        enum auth_password_result result;
    } rows[] = {
        {stored, "secret", false, AUTH_PASSWORD_MATCH},
        {stored, "Secret", false, AUTH_PASSWORD_MISMATCH},
        {stored, "secret", true, AUTH_PASSWORD_MISMATCH},
        {"$7$broken", "secret", false, AUTH_PASSWORD_ERROR},
    };
    struct auth_worker_pool *pool = pool_of(1, 8);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct auth_password_job *argument =
            auth_password_job_new(rows[i].stored, rows[i].password, strlen(rows[i].password), rows[i].decoy);
        assert_non_null(argument);
        struct auth_worker_job job = {i, 1, 0, INT64_MAX, auth_password_job_run, auth_password_job_release, argument};
        assert_int_equal(auth_worker_submit(pool, &job), GUARD_OK);
        struct auth_worker_answer answer = answer_of(pool);
        assert_ptr_equal(answer.argument, argument);
        assert_int_equal(argument->result, rows[i].result);
        assert_null(argument->password); /* wiped already */
        assert_true((argument->error.text[0] != '\0') == (rows[i].result == AUTH_PASSWORD_ERROR));
        assert_true(argument->cost_us > 100 || rows[i].result == AUTH_PASSWORD_ERROR);
        answer.release(answer.argument);
    }
    struct auth_password_job *unused = auth_password_job_new(stored, "secret", 6, false);
    auth_password_job_release(unused);
    close_pool(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_answered),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_superseded),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_overdue_then_finished),
        cmocka_unit_test(test_drop_group),
        cmocka_unit_test(test_stop_with_work_left),
        cmocka_unit_test(test_threads_take_no_signals),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_storm),
        cmocka_unit_test(test_password_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
