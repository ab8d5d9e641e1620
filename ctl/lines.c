#include "ctl/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (256 * 1024)

void ctl_lines_open(struct ctl_lines *lines, int fd)
{
    *lines = (struct ctl_lines){.fd = fd};
}

void ctl_lines_close(struct ctl_lines *lines)
{
    free(lines->data);
    *lines = (struct ctl_lines){.fd = -1, .eof = true};
}

bool ctl_lines_ready(const struct ctl_lines *lines)
{
    return lines->end > lines->start && memchr(lines->data + lines->start, '\n', lines->end - lines->start);
}

/* Reads more behind end; false at the end of the file or on failure. */
static bool fill(struct ctl_lines *lines)
{
    if (lines->start) {
        memmove(lines->data, lines->data + lines->start, lines->end - lines->start);
        lines->end -= lines->start;
        lines->start = 0;
    }
    if (lines->capacity - lines->end < PIECE / 2) {
        size_t capacity = lines->capacity ? lines->capacity * 2 : PIECE;
        char *grown = capacity > 2 * CTL_LINE_MAX ? NULL : realloc(lines->data, capacity);
        if (!grown) {
            lines->failed = true;
            return false;
        }
        lines->data = grown;
        lines->capacity = capacity;
    }
    ssize_t got;
    do {
        got =
            read(lines->fd, lines->data + lines->end, lines->capacity - lines->end - 1); /* 1: the NUL of a last line */
    } while (got < 0 && errno == EINTR);
    lines->failed = got < 0;
    lines->eof = got <= 0;
    lines->end += got > 0 ? (size_t)got : 0;
    return got > 0;
}

char *ctl_lines_next(struct ctl_lines *lines, size_t *length)
{
    size_t searched = 0;
    char *newline = NULL;
    for (;;) {
        size_t held = lines->end - lines->start;
        if (held > searched)
            newline = memchr(lines->data + lines->start + searched, '\n', held - searched);
        if (newline || lines->eof)
            break;
        searched = held;
        if (!fill(lines) && lines->failed)
            return NULL;
    }
    if (lines->start == lines->end)
        return NULL;
    char *line = lines->data + lines->start;
    size_t size = newline ? (size_t)(newline - line) : lines->end - lines->start;
    line[size] = '\0';
    lines->start += size + (newline != NULL);
    lines->number++;
    *length = size;
    return line;
}
