#include "audit/resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 4
#define ITEMS_MAX 4096
#define BULK_MAX  65536

void resp_stream_begin(struct resp_stream *stream, struct audit_connection *connection, int timeout_ms)
{
    stream->connection = connection;
    stream->timeout_ms = timeout_ms;
    stream->start = stream->end = 0;
}

static bool fill(struct resp_stream *stream)
{
    if (stream->start == stream->end)
        stream->start = stream->end = 0;
    if (stream->end == sizeof stream->buffer) {
        memmove(stream->buffer, stream->buffer + stream->start, stream->end - stream->start);
        stream->end -= stream->start;
        stream->start = 0;
    }
    if (stream->end == sizeof stream->buffer)
        return false; /* a line of this length is no reply */
    ssize_t got = audit_connection_receive(stream->connection, stream->buffer + stream->end,
                                           sizeof stream->buffer - stream->end, stream->timeout_ms);
    if (got <= 0)
        return false;
    stream->end += (size_t)got;
    return true;
}

/* A line without its CRLF, NUL-terminated in the buffer; valid until the next call. */
static char *read_line(struct resp_stream *stream)
{
    size_t looked = 0;
    for (;;) {
        char *start = stream->buffer + stream->start;
        size_t length = stream->end - stream->start;
        char *stop = length > looked ? memchr(start + looked, '\n', length - looked) : NULL;
        if (stop) {
            stream->start += (size_t)(stop - start) + 1;
            if (stop > start && stop[-1] == '\r')
                stop--;
            *stop = '\0';
            return start;
        }
        looked = length;
        if (!fill(stream))
            return NULL;
    }
}

static bool read_bulk(struct resp_stream *stream, size_t length, struct resp_value *value)
{
    value->text = malloc(length + 3);
    if (!value->text)
        return false;
    for (size_t got = 0; got < length + 2;) {
        size_t have = stream->end - stream->start;
        if (!have && !fill(stream))
            return false;
        have = stream->end - stream->start;
        have = have < length + 2 - got ? have : length + 2 - got;
        memcpy(value->text + got, stream->buffer + stream->start, have);
        stream->start += have;
        got += have;
    }
    value->text[length] = '\0';
    value->type = RESP_BULK;
    return true;
}

static bool parse_length(const char *text, long limit, long *length)
{
    char *end;
    *length = strtol(text, &end, 10);
    return end != text && !*end && *length >= -1 && *length <= limit;
}

static bool read_value(struct resp_stream *stream, struct resp_value *value, int depth);

static bool read_array(struct resp_stream *stream, size_t count, struct resp_value *value, int depth)
{
    value->type = RESP_ARRAY;
    value->items = count ? calloc(count, sizeof *value->items) : NULL;
    if (depth >= DEPTH_MAX || (count && !value->items))
        return false;
    while (value->count < count)
        if (!read_value(stream, &value->items[value->count++], depth + 1))
            return false;
    return true;
}

static bool read_value(struct resp_stream *stream, struct resp_value *value, int depth)
{
    char *line = read_line(stream), *end;
    long length;
    if (!line)
        return false;
    switch (*line) {
    case '+':
    case '-':
        value->type = *line == '+' ? RESP_SIMPLE : RESP_ERROR;
        value->text = strdup(line + 1);
        return value->text != NULL;
    case ':':
        value->type = RESP_INTEGER;
        value->integer = strtoll(line + 1, &end, 10);
        return end != line + 1 && !*end;
    case '$':
    case '*':
        if (!parse_length(line + 1, *line == '$' ? BULK_MAX : ITEMS_MAX, &length))
            return false;
        if (length >= 0)
            return *line == '$' ? read_bulk(stream, (size_t)length, value)
                                : read_array(stream, (size_t)length, value, depth);
        value->type = RESP_NIL;
        return true;
    default:
        return false;
    }
}

bool resp_read(struct resp_stream *stream, struct resp_value *value)
{
    memset(value, 0, sizeof *value);
    return read_value(stream, value, 0);
}

void resp_free(struct resp_value *value)
{
    for (size_t i = 0; i < value->count; i++)
        resp_free(&value->items[i]);
    free(value->items);
    free(value->text);
    memset(value, 0, sizeof *value);
}

const struct resp_value *resp_get(const struct resp_value *map, const char *name)
{
    for (size_t i = 0; map && map->type == RESP_ARRAY && i + 1 < map->count; i += 2)
        if (map->items[i].text && strcmp(map->items[i].text, name) == 0)
            return &map->items[i + 1];
    return NULL;
}

size_t resp_command(char *out, size_t size, const char *const *parts, const size_t *lengths, size_t count)
{
    int used = snprintf(out, size, "*%zu\r\n", count);
    size_t at = (size_t)used;
    for (size_t i = 0; i < count; i++) {
        char header[32];
        size_t length = lengths ? lengths[i] : strlen(parts[i]);
        int header_length = snprintf(header, sizeof header, "$%zu\r\n", length);
        if (at + (size_t)header_length + length + 2 > size)
            return 0;
        memcpy(out + at, header, (size_t)header_length);
        at += (size_t)header_length;
        memcpy(out + at, parts[i], length);
        at += length;
        memcpy(out + at, "\r\n", 2);
        at += 2;
    }
    return at;
}
