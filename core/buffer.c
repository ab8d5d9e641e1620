#include "core/buffer.h"

#include "core/memory.h"
#include "core/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *guard_buffer_reserve(struct guard_buffer *buffer, size_t more)
{
    if (buffer->failed)
        return NULL;
    if (more > SIZE_MAX / 2 - buffer->length - 1) {
        buffer->failed = true;
        return NULL;
    }
    size_t need = buffer->length + more + 1;
    if (need > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : 64;
        while (capacity < need)
            capacity *= 2;
        char *data = guard_regrow(buffer->data, buffer->data ? buffer->length + 1 : 0, capacity);
        if (!data) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

void guard_buffer_append(struct guard_buffer *buffer, const void *bytes, size_t length)
{
    char *to = guard_buffer_reserve(buffer, length);
    if (!to)
        return;
    if (length)
        memcpy(to, bytes, length);
    to[length] = '\0';
    buffer->length += length;
}

void guard_buffer_text(struct guard_buffer *buffer, const char *text)
{
    guard_buffer_append(buffer, text, strlen(text));
}

void guard_buffer_byte(struct guard_buffer *buffer, char byte)
{
    guard_buffer_append(buffer, &byte, 1);
}

void guard_buffer_printf(struct guard_buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *to = length < 0 ? NULL : guard_buffer_reserve(buffer, (size_t)length);
    if (to) {
        vsnprintf(to, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    } else {
        buffer->failed = true;
    }
    va_end(again);
}

static void append_escape(struct guard_buffer *buffer, unsigned char byte)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *s = short_forms; *s; s += 2)
        if ((unsigned char)s[0] == byte) {
            guard_buffer_byte(buffer, '\\');
            guard_buffer_byte(buffer, s[1]);
            return;
        }
    guard_buffer_printf(buffer, "\\u%04x", byte);
}

void guard_buffer_json_string(struct guard_buffer *buffer, const char *text, size_t length)
{
    guard_buffer_byte(buffer, '"');
    size_t start = 0, i = 0;
    while (i < length) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte < 0x7f) {
            i++;
            continue;
        }
        size_t width = byte < 0x80 ? 0 : guard_utf8_sequence(text + i, length - i);
        if (width) {
            i += width;
            continue;
        }
        guard_buffer_append(buffer, text + start, i - start);
        if (byte < 0x80)
            append_escape(buffer, byte);
        else
            guard_buffer_text(buffer, "\xef\xbf\xbd");
        start = ++i;
    }
    guard_buffer_append(buffer, text + start, length - start);
    guard_buffer_byte(buffer, '"');
}

void guard_buffer_clear(struct guard_buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
    if (buffer->data)
        buffer->data[0] = '\0';
}

char *guard_buffer_take(struct guard_buffer *buffer)
{
    if (!buffer->failed && !buffer->data)
        guard_buffer_append(buffer, "", 0);
    char *data = buffer->data;
    if (buffer->failed) {
        guard_buffer_free(buffer);
        return NULL;
    }
    *buffer = (struct guard_buffer){0};
    return data;
}

void guard_buffer_free(struct guard_buffer *buffer)
{
    if (buffer->data)
        guard_wipe(buffer->data, buffer->capacity);
    free(buffer->data);
    *buffer = (struct guard_buffer){0};
}
