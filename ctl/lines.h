/*
 * Lines of a file descriptor for batch commands: read in large pieces, handed out in place. A command that answers line
 * by line flushes when the next line has to be waited for, so that it can be asked by a program that waits for each
 * answer.
 */
#ifndef GUARD_CTL_LINES_H
#define GUARD_CTL_LINES_H

#include <stdbool.h>
#include <stddef.h>

#define CTL_LINE_MAX ((size_t)16 << 20) /* octets of a line */

struct ctl_lines {
    int fd;
    char *data;
    size_t start, end, capacity; /* data[start..end) was read and not handed out */
    size_t number;               /* of the line handed out last, from 1 */
    bool eof, failed;            /* failed: a read or an allocation failed, or a line is longer than CTL_LINE_MAX */
};

void ctl_lines_open(struct ctl_lines *lines, int fd);
void ctl_lines_close(struct ctl_lines *lines);

/* Whether a whole line is there already. */
bool ctl_lines_ready(const struct ctl_lines *lines);

/* The next line without its LF, NUL-terminated, writable, valid until the next call; NULL at the end or on failure. */
char *ctl_lines_next(struct ctl_lines *lines, size_t *length);

#endif
