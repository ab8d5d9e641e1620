/*
 * A policy made from another product's data: the lines of our own, and a note for everything that could not be carried
 * over exactly. Readers of foreign formats fill it; the plugin uses its text as it is, `guardctl import` writes it,
 * publishes it and reports the notes.
 *
 * Nothing half: a reader that cannot express something makes it stricter and says so (GUARD_NOTE_STRICTER), or leaves a
 * permission out (GUARD_NOTE_LEFT_OUT). What would become wider than it was is GUARD_NOTE_WIDER, and has to be rare.
 */
#ifndef GUARD_STORE_TRANSLATION_H
#define GUARD_STORE_TRANSLATION_H

#include "core/buffer.h"
#include "core/policy_text.h"

#include <stdbool.h>
#include <stddef.h>

enum guard_note_kind {
    GUARD_NOTE_REMARK,   /* carried over exactly; worth a look all the same */
    GUARD_NOTE_STRICTER, /* refuses more than before */
    GUARD_NOTE_LEFT_OUT, /* a client or a permission that is not there any more */
    GUARD_NOTE_WIDER,    /* allows more than before */
    GUARD_NOTE_ERROR,    /* the source cannot be used as it stands */
    GUARD_NOTE_KINDS
};

/* "remark", "stricter", "left out", "wider", "error" */
const char *guard_note_kind_name(enum guard_note_kind kind);

struct guard_note {
    enum guard_note_kind kind;
    char *place;   /* the file, or the Redis key */
    unsigned line; /* 1-based; 0 = it has none */
    char *text;
};

/* Decisions that a note says are stricter, or may be: on what this filter touches, of this user. NULL: on all, of all.
 */
struct guard_stricter {
    char *filter; /* of the source, with its placeholders */
    char *user;
};

/* Zero-initialise. Adding never returns an error: look at failed once, at the end. */
struct guard_translation {
    struct guard_policy_text
        text; /* roles, clients, [assign], [default]; rules of a role in the order they were added */
    struct guard_note *notes;
    size_t note_count, note_capacity;
    size_t counts[GUARD_NOTE_KINDS];
    struct guard_stricter *stricter;
    size_t stricter_count, stricter_capacity;
    bool failed; /* out of memory: nothing of it may be used */
};

/* Appends one line of the policy (strings are copied). column is set to 1: what is wrong in it is our doing. */
void guard_translation_add(struct guard_translation *translation, const struct guard_policy_line *line);

void guard_translation_note(struct guard_translation *translation, enum guard_note_kind kind, const char *place,
                            unsigned line, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Beside a note: what it is about (struct guard_stricter). Strings are copied. */
void guard_translation_stricter(struct guard_translation *translation, const char *filter, const char *user);

/* Whether a decision was announced to be stricter, or to be so perhaps. topic: also a filter; user may be NULL. */
bool guard_translation_announces(const struct guard_translation *translation, const char *user, const char *topic);

void guard_translation_free(struct guard_translation *translation);

/*
 * Appends one level of a topic filter, literal text of length octets without '/', as our template language writes it
 * (`${` becomes `${$}{`). False if the language cannot: `**`, which there means every topic.
 */
bool guard_template_level(struct guard_buffer *out, const char *level, size_t length);

/* Appends a whole template as it stands in a rule: in quotes, with JSON's escapes, where it needs them. */
void guard_template_write(struct guard_buffer *out, const char *template_text, size_t length);

/* Whether no MQTT topic can hold this text: it is not well-formed UTF-8, or holds a control character. */
bool guard_topic_impossible(const char *text, size_t length);

#endif
