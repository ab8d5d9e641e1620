/*
 * Where lines for the operator go. The composition passes a struct guard_log; in the broker it writes to the broker's
 * log (broker thread only), in guardctl to stderr. Lines name the peer and never hold a secret.
 */
#ifndef GUARD_CORE_LOG_H
#define GUARD_CORE_LOG_H

enum guard_log_level { GUARD_LOG_DEBUG, GUARD_LOG_INFO, GUARD_LOG_NOTICE, GUARD_LOG_WARNING, GUARD_LOG_ERROR };

struct guard_log {
    void (*write)(void *context, enum guard_log_level level, const char *line);
    void *context;
};

/* Formats one line (at most 900 bytes; the broker cuts at 1,000) and writes it. log may be NULL. */
void guard_log(const struct guard_log *log, enum guard_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
