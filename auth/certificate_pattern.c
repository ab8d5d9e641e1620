#include "auth/certificate_pattern.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MAX     64U
#define PARTS_MAX        32U
#define CAPTURE_NAME_MAX 32U
#define NO_CAPTURE       SIZE_MAX

/* Fixed text, or fixed text around a capture; then the separator that ends it (NUL at the end of the pattern). */
struct segment {
    char *before, *behind; /* behind only with a capture */
    size_t capture;        /* its index, or NO_CAPTURE */
    char separator;
};

/* A piece of the template: text, or a capture. */
struct part {
    char *text;
    size_t capture;
};

struct certificate_pattern {
    const char *separators;
    struct segment segment[SEGMENTS_MAX];
    size_t segments;
    char *name[CERTIFICATE_CAPTURES_MAX + 1];
    size_t captures;
    struct part part[PARTS_MAX];
    size_t parts; /* 0 = the user name is the whole value */
};

/* Where the compiler stands. */
struct reader {
    const char *text, *at;
    struct guard_error *err;
};

static int complain(const struct reader *reader, enum guard_code code, const char *what)
{
    return guard_fail_at(reader->err, code, NULL, 0, (unsigned)(reader->at - reader->text) + 1, "%s", what);
}

static bool is_name_character(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* Reads `{name}`; *name is a copy. */
static int read_capture_name(struct reader *reader, char **name)
{
    const char *begin = reader->at + 1, *end = begin;
    while (is_name_character(*end, end == begin))
        end++;
    if (*end != '}' || end == begin || (size_t)(end - begin) > CAPTURE_NAME_MAX)
        return complain(reader, GUARD_ERR_SYNTAX, "expected {name}: a letter or _, then letters, digits or _, then }");
    *name = strndup(begin, (size_t)(end - begin));
    if (!*name)
        return complain(reader, GUARD_ERR_NOMEM, "out of memory");
    reader->at = end + 1;
    return GUARD_OK;
}

static size_t find_capture(const struct certificate_pattern *pattern, const char *name)
{
    for (size_t i = 0; i < pattern->captures; i++)
        if (strcmp(pattern->name[i], name) == 0)
            return i;
    return NO_CAPTURE;
}

static int add_capture(struct certificate_pattern *pattern, struct reader *reader, struct segment *segment)
{
    char *name = NULL;
    struct reader start = *reader;
    if (segment->capture != NO_CAPTURE)
        return complain(reader, GUARD_ERR_INVALID,
                        "a second capture in one segment: what belongs to which is not clear");
    if (pattern->captures == CERTIFICATE_CAPTURES_MAX)
        return complain(reader, GUARD_ERR_LIMIT, "more than 16 captures");
    int rc = read_capture_name(reader, &name);
    if (rc)
        return rc;
    if (find_capture(pattern, name) != NO_CAPTURE) {
        free(name);
        return complain(&start, GUARD_ERR_INVALID, "this capture is there twice");
    }
    segment->capture = pattern->captures;
    pattern->name[pattern->captures++] = name;
    return GUARD_OK;
}

/* Takes the text read so far as the segment's part before or behind its capture. */
static int take_text(struct reader *reader, struct guard_buffer *text, char **to)
{
    *to = guard_buffer_take(text);
    return *to ? GUARD_OK : complain(reader, GUARD_ERR_NOMEM, "out of memory");
}

/* One segment up to its separator, which is taken too. */
static int read_segment(struct certificate_pattern *pattern, struct reader *reader)
{
    struct guard_buffer text = {0};
    if (pattern->segments == SEGMENTS_MAX)
        return complain(reader, GUARD_ERR_LIMIT, "more than 64 segments");
    struct segment *segment = &pattern->segment[pattern->segments++];
    *segment = (struct segment){.capture = NO_CAPTURE};
    int rc = GUARD_OK;
    while (!rc && *reader->at && *reader->at != '=' && !strchr(pattern->separators, *reader->at)) {
        if (*reader->at == '{') {
            rc = add_capture(pattern, reader, segment);
            if (!rc)
                rc = take_text(reader, &text, &segment->before);
        } else if (*reader->at == '\\' && reader->at[1] && strchr("{=\\", reader->at[1])) {
            guard_buffer_byte(&text, reader->at[1]);
            reader->at += 2;
        } else {
            guard_buffer_byte(&text, *reader->at++);
        }
    }
    if (!rc)
        rc = take_text(reader, &text, segment->capture == NO_CAPTURE ? &segment->before : &segment->behind);
    guard_buffer_free(&text);
    if (!rc && *reader->at && *reader->at != '=')
        segment->separator = *reader->at++;
    return rc;
}

static int add_part(struct certificate_pattern *pattern, struct reader *reader, char *text, size_t capture)
{
    if (pattern->parts == PARTS_MAX) {
        free(text);
        return complain(reader, GUARD_ERR_LIMIT, "the template has more than 32 pieces");
    }
    pattern->part[pattern->parts++] = (struct part){text, capture};
    return GUARD_OK;
}

static int read_template(struct certificate_pattern *pattern, struct reader *reader)
{
    int rc = GUARD_OK;
    if (!*reader->at)
        return complain(reader, GUARD_ERR_SYNTAX, "expected the user name's template behind =");
    while (!rc && *reader->at) {
        char *name = NULL;
        if (*reader->at == '{') {
            struct reader start = *reader;
            rc = read_capture_name(reader, &name);
            size_t capture = rc ? NO_CAPTURE : find_capture(pattern, name);
            free(name);
            if (!rc && capture == NO_CAPTURE)
                rc = complain(&start, GUARD_ERR_INVALID, "the pattern has no such capture");
            if (!rc)
                rc = add_part(pattern, reader, NULL, capture);
        } else {
            size_t length = strcspn(reader->at, "{");
            name = strndup(reader->at, length);
            rc =
                name ? add_part(pattern, reader, name, NO_CAPTURE) : complain(reader, GUARD_ERR_NOMEM, "out of memory");
            reader->at += length;
        }
    }
    return rc;
}

/* Without a template: the capture named username, or the only one, or (no captures) the whole value. */
static int default_template(struct certificate_pattern *pattern, struct reader *reader)
{
    size_t capture = find_capture(pattern, "username");
    if (capture == NO_CAPTURE && pattern->captures == 1)
        capture = 0;
    if (capture != NO_CAPTURE)
        return add_part(pattern, reader, NULL, capture);
    if (pattern->captures)
        return complain(reader, GUARD_ERR_INVALID,
                        "several captures: say behind = which is the user name, for example ={device}, or name one "
                        "{username}");
    return GUARD_OK;
}

static int compile(struct certificate_pattern *pattern, struct reader *reader)
{
    int rc;
    if (!*reader->at || *reader->at == '=')
        return complain(reader, GUARD_ERR_SYNTAX, "expected a pattern behind :");
    do
        rc = read_segment(pattern, reader);
    while (!rc && pattern->segment[pattern->segments - 1].separator);
    if (rc)
        return rc;
    if (*reader->at != '=')
        return default_template(pattern, reader);
    reader->at++;
    return read_template(pattern, reader);
}

int certificate_pattern_compile(const char *text, const char *separators, struct certificate_pattern **out,
                                struct guard_error *err)
{
    struct reader reader = {text, text, err};
    *out = calloc(1, sizeof **out);
    if (!*out)
        return complain(&reader, GUARD_ERR_NOMEM, "out of memory");
    (*out)->separators = separators;
    int rc = compile(*out, &reader);
    if (rc)
        certificate_pattern_free(out);
    return rc;
}

void certificate_pattern_free(struct certificate_pattern **pattern)
{
    struct certificate_pattern *it = *pattern;
    if (!it)
        return;
    for (size_t i = 0; i < it->segments; i++) {
        free(it->segment[i].before);
        free(it->segment[i].behind);
    }
    for (size_t i = 0; i < it->captures; i++)
        free(it->name[i]);
    for (size_t i = 0; i < it->parts; i++)
        free(it->part[i].text);
    free(it);
    *pattern = NULL;
}

static bool match_segment(const struct segment *segment, const char *at, size_t length, struct certificate_match *match)
{
    size_t before = strlen(segment->before);
    if (segment->capture == NO_CAPTURE)
        return length == before && memcmp(at, segment->before, length) == 0;
    size_t behind = strlen(segment->behind);
    if (length <= before + behind || memcmp(at, segment->before, before) != 0 ||
        memcmp(at + length - behind, segment->behind, behind) != 0)
        return false;
    match->capture[segment->capture].at = at + before;
    match->capture[segment->capture].length = length - before - behind;
    return true;
}

bool certificate_pattern_match(const struct certificate_pattern *pattern, const char *value,
                               struct certificate_match *match)
{
    for (size_t i = 0; i < pattern->segments; i++) {
        size_t length = strcspn(value, pattern->separators);
        if (value[length] != pattern->segment[i].separator ||
            !match_segment(&pattern->segment[i], value, length, match))
            return false;
        value += length + (value[length] ? 1 : 0);
    }
    return true; /* the last separator is NUL: nothing is left of the value */
}

const char *certificate_pattern_capture(const struct certificate_pattern *pattern, size_t index)
{
    return pattern->name[index];
}

void certificate_pattern_username(const struct certificate_pattern *pattern, const char *value,
                                  const struct certificate_match *match, struct guard_buffer *out)
{
    if (!pattern->parts)
        guard_buffer_text(out, value);
    for (size_t i = 0; i < pattern->parts; i++) {
        const struct part *part = &pattern->part[i];
        if (part->text)
            guard_buffer_text(out, part->text);
        else
            guard_buffer_append(out, match->capture[part->capture].at, match->capture[part->capture].length);
    }
}
