#include "ctl/terminal_password.h"

#include "auth/password.h"
#include "core/memory.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
#define WATCHED (sizeof watched / sizeof *watched)

static volatile sig_atomic_t caught;

static void note_signal(int number)
{
    caught = number;
}

/*
 * Waits until there is something to read. With a mask: the watched signals, blocked otherwise, get through here and
 * only here; so none can slip in between a look at `caught` and a read that never ends.
 */
static int wait_readable(const sigset_t *mask)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (ppoll(&input, 1, NULL, mask) < 0)
        if (errno != EINTR || caught)
            return -1;
    return 0;
}

/* Byte by byte, so that nothing of it stays behind in a buffer of stdio. */
static int read_line(const sigset_t *mask, struct guard_buffer *line, struct guard_error *err)
{
    char c;
    for (;;) {
        ssize_t count = wait_readable(mask) == 0 ? read(STDIN_FILENO, &c, 1) : -1;
        if (count < 0)
            return guard_fail(err, GUARD_ERR_IO, "the password could not be read: %s", strerror(errno));
        if (count == 0 || c == '\n')
            break;
        guard_buffer_byte(line, c);
        if (line->length > AUTH_PASSWORD_MAX_LENGTH)
            return guard_fail(err, GUARD_ERR_LIMIT, "the password is longer than %u octets", AUTH_PASSWORD_MAX_LENGTH);
    }
    if (line->length && line->data[line->length - 1] == '\r')
        line->data[--line->length] = '\0';
    if (line->failed)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    if (!line->length)
        return guard_fail(err, GUARD_ERR_INVALID, "the password is empty");
    if (memchr(line->data, '\0', line->length))
        return guard_fail(err, GUARD_ERR_INVALID, "the password holds a NUL, at which the broker would cut it");
    return GUARD_OK;
}

int ctl_password_from_stdin(struct guard_buffer *password, struct guard_error *err)
{
    caught = 0;
    return read_line(NULL, password, err);
}

static int prompt(const char *text, const sigset_t *mask, struct guard_buffer *answer, struct guard_error *err)
{
    fputs(text, stderr);
    int rc = read_line(mask, answer, err);
    fputc('\n', stderr);
    return rc;
}

static int ask_silently(bool twice, const sigset_t *mask, struct guard_buffer *password, struct guard_error *err)
{
    struct guard_buffer again = {0};
    int rc = prompt("Password: ", mask, password, err);
    if (!rc && twice)
        rc = prompt("Again: ", mask, &again, err);
    if (!rc && twice && (again.length != password->length || memcmp(again.data, password->data, again.length) != 0))
        rc = guard_fail(err, GUARD_ERR_INVALID, "the two passwords differ");
    guard_buffer_free(&again);
    return rc;
}

/* From here on the watched signals are noted, and only while waiting for input. */
static void watch_signals(struct sigaction old[WATCHED], sigset_t *mask)
{
    struct sigaction action = {.sa_handler = note_signal}; /* no SA_RESTART: waiting has to end */
    sigset_t blocked;
    caught = 0;
    sigemptyset(&blocked);
    for (size_t i = 0; i < WATCHED; i++) {
        sigaddset(&blocked, watched[i]);
        sigaction(watched[i], &action, &old[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, mask);
}

static void unwatch_signals(const struct sigaction old[WATCHED], const sigset_t *mask)
{
    for (size_t i = 0; i < WATCHED; i++)
        sigaction(watched[i], &old[i], NULL);
    sigprocmask(SIG_SETMASK, mask, NULL);
}

int ctl_password_ask(bool twice, struct guard_buffer *password, struct guard_error *err)
{
    struct termios before, silent;
    struct sigaction old[WATCHED];
    sigset_t mask;
    int rc = GUARD_ERR_IO;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return guard_fail(err, GUARD_ERR_IO, "the terminal cannot be asked: %s", strerror(errno));
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    watch_signals(old, &mask);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0)
        rc = ask_silently(twice, &mask, password, err);
    else
        guard_fail(err, GUARD_ERR_IO, "the terminal would show the password: %s", strerror(errno));
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    unwatch_signals(old, &mask);
    if (caught) {
        guard_buffer_free(password);
        raise(caught);
    }
    return rc;
}
