#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct guard_error *err, enum guard_code code, const char *place, unsigned line, unsigned column)
{
    err->code = code;
    err->line = line;
    err->column = column;
    snprintf(err->place, sizeof err->place, "%s", place ? place : "");
}

int guard_fail(struct guard_error *err, enum guard_code code, const char *format, ...)
{
    if (err) {
        va_list args;
        fill(err, code, NULL, 0, 0);
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

int guard_fail_at(struct guard_error *err, enum guard_code code, const char *place, unsigned line, unsigned column,
                  const char *format, ...)
{
    if (err) {
        va_list args;
        fill(err, code, place, line, column);
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

const char *guard_error_format(const struct guard_error *err, char *buffer, unsigned long size)
{
    char position[32] = "";
    if (err->line && err->column)
        snprintf(position, sizeof position, "%u:%u: ", err->line, err->column);
    else if (err->line)
        snprintf(position, sizeof position, "%u: ", err->line);
    if (err->place[0])
        snprintf(buffer, size, "%s:%s%s%s", err->place, position[0] ? "" : " ", position, err->text);
    else
        snprintf(buffer, size, "%s%s", position, err->text);
    return buffer;
}

const char *guard_code_name(enum guard_code code)
{
    switch (code) {
    case GUARD_OK:
        return "ok";
    case GUARD_ERR_NOMEM:
        return "out of memory";
    case GUARD_ERR_SYNTAX:
        return "syntax error";
    case GUARD_ERR_INVALID:
        return "invalid value";
    case GUARD_ERR_LIMIT:
        return "limit exceeded";
    case GUARD_ERR_NOT_FOUND:
        return "not found";
    case GUARD_ERR_PERMISSION:
        return "permission";
    case GUARD_ERR_IO:
        return "input/output error";
    case GUARD_ERR_CRYPTO:
        return "cryptography error";
    case GUARD_ERR_UNSUPPORTED:
        return "not supported";
    case GUARD_ERR_INTERNAL:
        return "internal error";
    }
    return "unknown error";
}
