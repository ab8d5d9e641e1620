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

void guard_translation_free(struct guard_translation *translation)
{
    guard_policy_text_free(&translation->text);
    for (size_t i = 0; i < translation->note_count; i++) {
        free(translation->notes[i].place);
        free(translation->notes[i].text);
    }
    free(translation->notes);
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
