/* Threads of core/thread.h: how they begin, and that no descriptor of theirs is the starter's. */
#include "core/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What a thread is given, and what it saw. */
struct scene {
    int wake_fd, low_fd, high_fd; /* the last two are the starter's own, below and above wake_fd */
    int own_fd;                   /* opened by begin */
    bool refuse;
    bool began, ran;
    bool has_low, has_high, has_error_output;
    uint64_t woken;
    char name[16];
    sigset_t blocked;
};

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int begin(void *context, struct guard_error *err)
{
    struct scene *scene = context;
    scene->began = true;
    if (scene->refuse)
        return guard_fail(err, GUARD_ERR_NOT_FOUND, "begin says no");
    scene->own_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return GUARD_OK;
}

static void run(void *context)
{
    struct scene *scene = context;
    scene->ran = true;
    scene->has_low = is_open(scene->low_fd);
    scene->has_high = is_open(scene->high_fd);
    scene->has_error_output = is_open(STDERR_FILENO);
    pthread_getname_np(pthread_self(), scene->name, sizeof scene->name);
    pthread_sigmask(SIG_SETMASK, NULL, &scene->blocked);
    if (scene->wake_fd >= 0 && read(scene->wake_fd, &scene->woken, sizeof scene->woken) < 0)
        scene->woken = 0;
    if (scene->own_fd > 0)
        close(scene->own_fd);
}

static struct guard_thread thread_of(struct scene *scene)
{
    return (struct guard_thread){
        .name = "test-thread", .begin = begin, .run = run, .context = scene, .wake_fd = scene->wake_fd};
}

static bool is_shared(void) /* ThreadSanitizer's builds */
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct scene scene = {.wake_fd = GUARD_NO_WAKE_FD, .low_fd = fd, .high_fd = fd};
    struct guard_thread thread = thread_of(&scene);
    struct guard_error err;
    pthread_t id;
    assert_int_equal(guard_thread_start(&thread, &id, &err), GUARD_OK);
    pthread_join(id, NULL);
    close(fd);
    return scene.has_low;
}

static void only_the_wake_descriptor_is_known_to_both(void **state)
{
    (void)state;
    const uint64_t three = 3;
    struct scene scene = {.low_fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
    struct guard_error err;
    pthread_t id;
    scene.wake_fd = eventfd(0, EFD_CLOEXEC);
    scene.high_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(scene.low_fd > 2 && scene.wake_fd > scene.low_fd && scene.high_fd > scene.wake_fd);
    struct guard_thread thread = thread_of(&scene);
    assert_int_equal(guard_thread_start(&thread, &id, &err), GUARD_OK);
    assert_true(scene.began);
    assert_int_equal(write(scene.wake_fd, &three, sizeof three), sizeof three);
    pthread_join(id, NULL);
    assert_true(scene.ran);
    assert_int_equal(scene.woken, 3);
    assert_true(scene.has_error_output);
    if (!is_shared()) {
        assert_false(scene.has_low);
        assert_false(scene.has_high);
    }
    assert_true(is_open(scene.low_fd) && is_open(scene.wake_fd) && is_open(scene.high_fd));
    close(scene.low_fd);
    close(scene.wake_fd);
    close(scene.high_fd);
}

/* A client whose connection the broker closes while threads run has to see that. */
static void no_copy_keeps_a_connection_open(void **state)
{
    (void)state;
    int ends[2];
    char byte;
    struct scene scene = {.low_fd = -1, .high_fd = -1};
    struct guard_error err;
    pthread_t id;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    scene.wake_fd = eventfd(0, EFD_CLOEXEC);
    struct guard_thread thread = thread_of(&scene);
    assert_int_equal(guard_thread_start(&thread, &id, &err), GUARD_OK);
    close(ends[0]);
    assert_int_equal(recv(ends[1], &byte, 1, MSG_DONTWAIT), 0);
    const uint64_t one = 1;
    assert_int_equal(write(scene.wake_fd, &one, sizeof one), sizeof one);
    pthread_join(id, NULL);
    close(ends[1]);
    close(scene.wake_fd);
}

static void what_begin_says_is_what_the_starter_hears(void **state)
{
    (void)state;
    struct scene scene = {.wake_fd = GUARD_NO_WAKE_FD, .low_fd = -1, .high_fd = -1, .refuse = true};
    struct guard_thread thread = thread_of(&scene);
    struct guard_error err = {0};
    pthread_t id;
    assert_int_equal(guard_thread_start(&thread, &id, &err), GUARD_ERR_NOT_FOUND);
    assert_string_equal(err.text, "begin says no");
    assert_true(scene.began);
    assert_false(scene.ran);
}

static void it_has_its_name_and_no_signal(void **state)
{
    (void)state;
    struct scene scene = {.wake_fd = GUARD_NO_WAKE_FD, .low_fd = -1, .high_fd = -1};
    struct guard_thread thread = thread_of(&scene);
    struct guard_error err;
    pthread_t id;
    thread.begin = NULL;
    thread.name = "a-name-that-is-too-long";
    assert_int_equal(guard_thread_start(&thread, &id, &err), GUARD_OK);
    pthread_join(id, NULL);
    assert_false(scene.began);
    assert_true(scene.ran);
    assert_string_equal(scene.name, "a-name-that-is-");
    assert_int_equal(sigismember(&scene.blocked, SIGHUP), 1);
    assert_int_equal(sigismember(&scene.blocked, SIGTERM), 1);
    sigset_t own;
    pthread_sigmask(SIG_SETMASK, NULL, &own);
    assert_int_equal(sigismember(&own, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_wake_descriptor_is_known_to_both),
        cmocka_unit_test(no_copy_keeps_a_connection_open),
        cmocka_unit_test(what_begin_says_is_what_the_starter_hears),
        cmocka_unit_test(it_has_its_name_and_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
