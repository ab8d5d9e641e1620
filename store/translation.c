#include "store/translation.h"

#include "core/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *guard_note_kind_name(enum guard_note_kind kind)
{
    static const char *const names[] = {"remark", "stricter", "left out", "wider", "error"};
    return names[kind];
}

void guard_translation_add(struct guard_translation *translation, const struct guard_policy_line *line)
{
    struct guard_policy_line copy = *line;
    copy.column = 1;
    if (!translation->failed && guard_policy_text_add(&translation->text, &copy) != GUARD_OK)
        translation->failed = true;
}

static struct guard_note *next_note(struct guard_translation *translation)
{
    if (translation->note_count == translation->note_capacity) {
        size_t capacity = translation->note_capacity ? 2 * translation->note_capacity : 16;
        struct guard_note *notes = reallocarray(translation->notes, capacity, sizeof *notes);
        if (!notes)
            return NULL;
        translation->notes = notes;
        translation->note_capacity = capacity;
    }
    return &translation->notes[translation->note_count];
}

void guard_translation_note(struct guard_translation *translation, enum guard_note_kind kind, const char *place,
                            unsigned line, const char *format, ...)
{
    struct guard_note *note = next_note(translation);
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    char *where = strdup(place);
    translation->counts[kind]++;
    if (!note || length < 0 || !where) {
        translation->failed = true;
        if (length >= 0)
            free(text);
        free(where);
        return;
    }
    *note = (struct guard_note){.kind = kind, .place = where, .line = line, .text = text};
    translation->note_count++;
}

static struct guard_stricter *next_stricter(struct guard_translation *translation)
{
    if (translation->stricter_count == translation->stricter_capacity) {
        size_t capacity = translation->stricter_capacity ? 2 * translation->stricter_capacity : 16;
        struct guard_stricter *stricter = reallocarray(translation->stricter, capacity, sizeof *stricter);
        if (!stricter)
            return NULL;
        translation->stricter = stricter;
        translation->stricter_capacity = capacity;
    }
    return &translation->stricter[translation->stricter_count];
}

void guard_translation_stricter(struct guard_translation *translation, const char *filter, const char *user)
{
    struct guard_stricter *stricter = next_stricter(translation);
    if (!stricter) {
        translation->failed = true;
        return;
    }
    *stricter = (struct guard_stricter){filter ? strdup(filter) : NULL, user ? strdup(user) : NULL};
    translation->stricter_count++;
    if ((filter && !stricter->filter) || (user && !stricter->user))
        translation->failed = true;
}

static const char *behind_group(const char *filter)
{
    const char *group = strncmp(filter, "$share/", 7) == 0 ? strchr(filter + 7, '/') : NULL;
    return group ? group + 1 : filter;
}

static bool is_wild(const char *level, size_t length)
{
    return memchr(level, '%', length) || memmem(level, length, "${", 2) || (length == 1 && *level == '+');
}

/* "/#"; other products take it for that also where more comes behind it. */
static bool goes_on_with_all(const char *rest)
{
    return strncmp(rest, "/#", 2) == 0 && (!rest[2] || rest[2] == '/');
}

/* Whether there may be a topic that both are about; a level with a placeholder may be any. */
static bool may_meet(const char *a, const char *b)
{
    a = behind_group(a);
    b = behind_group(b);
    for (;;) {
        size_t m = strcspn(a, "/"), n = strcspn(b, "/");
        if ((m == 1 && *a == '#') || (n == 1 && *b == '#'))
            return true;
        if (!is_wild(a, m) && !is_wild(b, n) && (m != n || memcmp(a, b, m) != 0))
            return false;
        if (!a[m] || !b[n])
            return a[m] == b[n] || goes_on_with_all(a + m) || goes_on_with_all(b + n);
        a += m + 1;
        b += n + 1;
    }
}

bool guard_translation_announces(const struct guard_translation *translation, const char *user, const char *topic)
{
    for (size_t i = 0; i < translation->stricter_count; i++) {
        const struct guard_stricter *it = &translation->stricter[i];
        if ((!it->user || strcmp(it->user, user ? user : "") == 0) && (!it->filter || may_meet(it->filter, topic)))
            return true;
    }
    return false;
}

void guard_translation_free(struct guard_translation *translation)
{
    guard_policy_text_free(&translation->text);
    for (size_t i = 0; i < translation->note_count; i++) {
        free(translation->notes[i].place);
        free(translation->notes[i].text);
    }
    for (size_t i = 0; i < translation->stricter_count; i++) {
        free(translation->stricter[i].filter);
        free(translation->stricter[i].user);
    }
    free(translation->notes);
    free(translation->stricter);
    *translation = (struct guard_translation){0};
}

bool guard_template_level(struct guard_buffer *out, const char *level, size_t length)
{
    if (length == 2 && memcmp(level, "**", 2) == 0)
        return false;
    for (size_t i = 0; i < length; i++)
        if (level[i] == '$' && i + 1 < length && level[i + 1] == '{')
            guard_buffer_text(out, "${$}");
        else
            guard_buffer_byte(out, level[i]);
    return true;
}

void guard_template_write(struct guard_buffer *out, const char *template_text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)template_text[i];
        if (c <= ' ' || c == 0x7f || strchr("\"\\;", c)) {
            guard_buffer_json_string(out, template_text, length);
            return;
        }
    }
    guard_buffer_append(out, template_text, length);
}

bool guard_topic_impossible(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return true;
    return !guard_utf8_valid(text, length);
}
