#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>

void guard_log(const struct guard_log *log, enum guard_log_level level, const char *format, ...)
{
    if (!log || !log->write)
        return;
    char line[900];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->write(log->context, level, line);
}
