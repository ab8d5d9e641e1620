#include "ctl/terminal_password.h"

#include "auth/password.h"
#include "core/memory.h"

#include <errno.h>
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

/* Byte by byte, so that nothing of it stays behind in a buffer of stdio. */
static int read_line(struct guard_buffer *line, struct guard_error *err)
{
    char c;
    for (;;) {
        ssize_t count = read(STDIN_FILENO, &c, 1);
        if (count < 0 && errno == EINTR && !caught)
            continue;
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
    return read_line(password, err);
}

static int prompt(const char *text, struct guard_buffer *answer, struct guard_error *err)
{
    fputs(text, stderr);
    int rc = read_line(answer, err);
    fputc('\n', stderr);
    return rc;
}

static int ask_silently(bool twice, struct guard_buffer *password, struct guard_error *err)
{
    struct guard_buffer again = {0};
    int rc = prompt("Password: ", password, err);
    if (!rc && twice)
        rc = prompt("Again: ", &again, err);
    if (!rc && twice && (again.length != password->length || memcmp(again.data, password->data, again.length) != 0))
        rc = guard_fail(err, GUARD_ERR_INVALID, "the two passwords differ");
    guard_buffer_free(&again);
    return rc;
}

int ctl_password_ask(bool twice, struct guard_buffer *password, struct guard_error *err)
{
    struct termios before;
    struct sigaction old[WATCHED], action = {.sa_handler = note_signal}; /* no SA_RESTART: read() has to return */
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return guard_fail(err, GUARD_ERR_IO, "the terminal cannot be asked: %s", strerror(errno));
    caught = 0;
    for (size_t i = 0; i < WATCHED; i++)
        sigaction(watched[i], &action, &old[i]);
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    int rc = GUARD_ERR_IO;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0)
        rc = ask_silently(twice, password, err);
    else
        guard_fail(err, GUARD_ERR_IO, "the terminal would show the password: %s", strerror(errno));
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    for (size_t i = 0; i < WATCHED; i++)
        sigaction(watched[i], &old[i], NULL);
    if (caught) {
        guard_buffer_free(password);
        raise(caught);
    }
    return rc;
}
