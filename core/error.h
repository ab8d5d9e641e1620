/*
 * The one error space of the project.
 *
 * Functions that can fail return GUARD_OK (0) or a negative enum guard_code and, where the caller passed a
 * struct guard_error, fill it with the place and a sentence an operator can act on. err may always be NULL.
 */
#ifndef GUARD_CORE_ERROR_H
#define GUARD_CORE_ERROR_H

enum guard_code {
    GUARD_OK = 0,
    GUARD_ERR_NOMEM = -1,       /* an allocation failed */
    GUARD_ERR_SYNTAX = -2,      /* text that does not follow its grammar; line and column are set where known */
    GUARD_ERR_INVALID = -3,     /* well-formed, but not acceptable (a range, a duplicate, a weak key …) */
    GUARD_ERR_LIMIT = -4,       /* larger than a fixed limit */
    GUARD_ERR_NOT_FOUND = -5,   /* a file, key, role or record that is not there */
    GUARD_ERR_PERMISSION = -6,  /* owner or mode of a file, or the system said no */
    GUARD_ERR_IO = -7,          /* a read, write or connection failed */
    GUARD_ERR_CRYPTO = -8,      /* OpenSSL or a hash library failed */
    GUARD_ERR_UNSUPPORTED = -9, /* not in this build, or not on this broker */
    GUARD_ERR_INTERNAL = -10    /* a state that must not happen */
};

struct guard_error {
    enum guard_code code;
    unsigned line;   /* 1-based; 0 = not known */
    unsigned column; /* 1-based, in bytes; 0 = not known */
    char place[256]; /* file, Redis key or option the error stands in; "" = not known */
    char text[512];  /* what is wrong and what was expected; no line end, no secret */
};

/*
 * Fills err (if not NULL; place, line and column become empty) and returns code, so that one can
 * `return guard_fail(…)`.
 */
int guard_fail(struct guard_error *err, enum guard_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with a place. place may be NULL. */
int guard_fail_at(struct guard_error *err, enum guard_code code, const char *place, unsigned line, unsigned column,
                  const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Writes "place:line:column: text", leaving out what is not known. Always terminates; returns buffer. */
const char *guard_error_format(const struct guard_error *err, char *buffer, unsigned long size);

/* A short English name of the code, never NULL. */
const char *guard_code_name(enum guard_code code);

#endif
