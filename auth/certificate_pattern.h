/*
 * Inside the certificate unit: anchored patterns with named captures, and templates made of them.
 *
 * Pattern and value are cut into segments at the same separators; each segment of the pattern is fixed text, or fixed
 * text around one capture. So there is at most one way to match, and a capture never reaches beyond its segment.
 */
#ifndef GUARD_AUTH_CERTIFICATE_PATTERN_H
#define GUARD_AUTH_CERTIFICATE_PATTERN_H

#include "core/buffer.h"
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

#define CERTIFICATE_CAPTURES_MAX 16U

struct certificate_pattern;

/* What the captures of a pattern hold after a match; borrowed from the value. */
struct certificate_match {
    struct {
        const char *at;
        size_t length;
    } capture[CERTIFICATE_CAPTURES_MAX];
};

/*
 * Compiles `PATTERN[=TEMPLATE]`. separators: the characters at which segments end; must
 * outlive the pattern. *out is freed by certificate_pattern_free.
 * GUARD_ERR_SYNTAX, GUARD_ERR_INVALID (err->column counts from text, 1-based) or GUARD_ERR_NOMEM.
 */
int certificate_pattern_compile(const char *text, const char *separators, struct certificate_pattern **out,
                                struct guard_error *err);
void certificate_pattern_free(struct certificate_pattern **pattern);

/* Whether the whole value fits; then match is filled. */
bool certificate_pattern_match(const struct certificate_pattern *pattern, const char *value,
                               struct certificate_match *match);

/* Names of the captures, in the order of certificate_match.capture; NULL behind the last. */
const char *certificate_pattern_capture(const struct certificate_pattern *pattern, size_t index);

/* Appends the user name that a match of value stands for. */
void certificate_pattern_username(const struct certificate_pattern *pattern, const char *value,
                                  const struct certificate_match *match, struct guard_buffer *out);

#endif
