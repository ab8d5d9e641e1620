#include "plugin/metrics_request.h"

#include <stdbool.h>
#include <string.h>

#define PATH "/metrics"

struct line {
    const char *from, *end;
};

/* The next line, without its CR LF (a LF alone is taken, too). False: it is not complete. */
static bool next_line(const char **at, const char *end, struct line *line)
{
    const char *feed = memchr(*at, '\n', (size_t)(end - *at));
    if (!feed)
        return false;
    *line = (struct line){*at, feed > *at && feed[-1] == '\r' ? feed - 1 : feed};
    *at = feed + 1;
    return true;
}

static bool is_printable(struct line line)
{
    for (const char *at = line.from; at < line.end; at++)
        if ((unsigned char)*at < 0x20 ? *at != '\t' : *at == 0x7f)
            return false;
    return true;
}

static bool starts(struct line line, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(line.end - line.from) >= length && memcmp(line.from, text, length) == 0;
}

/* METHOD SP target SP HTTP/1.x */
static int judge_first(struct line line)
{
    const char *space = memchr(line.from, ' ', (size_t)(line.end - line.from));
    if (!is_printable(line) || !space || space == line.from || space - line.from > 16)
        return 400;
    for (const char *at = line.from; at < space; at++)
        if (*at < 'A' || *at > 'Z')
            return 400;
    bool get = space - line.from == 3 && memcmp(line.from, "GET", 3) == 0;
    struct line target = {space + 1, memchr(space + 1, ' ', (size_t)(line.end - space - 1))};
    if (!target.end || target.end == target.from || *target.from != '/')
        return 400;
    struct line version = {target.end + 1, line.end};
    if (!starts(version, "HTTP/") || version.end - version.from != 8)
        return 400;
    if (!starts(version, "HTTP/1."))
        return 505;
    const char *query = memchr(target.from, '?', (size_t)(target.end - target.from));
    size_t path = (size_t)((query ? query : target.end) - target.from);
    if (path != sizeof PATH - 1 || memcmp(target.from, PATH, path) != 0)
        return 404;
    return get ? 200 : 405;
}

int guard_metrics_request(const char *octets, size_t length)
{
    const char *at = octets, *end = octets + length;
    struct line line;
    int status = 0;
    while (next_line(&at, end, &line)) {
        if (line.from == line.end)
            return status ? status : 400; /* the end of the head; before its first line there is nothing */
        if (!status)
            status = judge_first(line);
        else if (!is_printable(line) || !memchr(line.from, ':', (size_t)(line.end - line.from)))
            status = 400;
        if (status == 400)
            return 400;
    }
    return length >= GUARD_REQUEST_MAX ? 431 : 0;
}
