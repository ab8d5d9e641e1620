#include "store/mosquitto_files.h"
#include "store/mosquitto_lines.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_OCTETS 65535

struct reading {
    struct guard_mosquitto_passwords *out;
    struct guard_translation *notes;
    const char *place;
    enum guard_mosquitto version;
    unsigned line;
};

/* 2.1 refuses a file with such a line, 2.0 goes on without it. */
static void fault(struct reading *r, const char *what)
{
    bool fatal = r->version == GUARD_MOSQUITTO_2_1;
    guard_translation_note(r->notes, fatal ? GUARD_NOTE_ERROR : GUARD_NOTE_LEFT_OUT, r->place, r->line, "%s", what);
}

static void add(struct reading *r, const char *name, const char *hash)
{
    struct guard_mosquitto_passwords *out = r->out;
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 64;
        struct guard_mosquitto_password *items = reallocarray(out->items, capacity, sizeof *items);
        if (!items) {
            r->notes->failed = true;
            return;
        }
        out->items = items;
        out->capacity = capacity;
    }
    out->items[out->count++] = (struct guard_mosquitto_password){.name = name, .hash = hash, .line = r->line};
}

/* name:hash, and whatever stands behind a second colon */
static void take_line(struct reading *r, char *line)
{
    if (*line == '#')
        return;
    if (!strchr(line, ':')) {
        if (*guard_text_trim(line))
            guard_translation_note(r->notes, GUARD_NOTE_REMARK, r->place, r->line,
                                   "this line has no ':' and says nothing, as for the broker");
        return;
    }
    char *rest = line, *name = guard_text_word(&rest, ':'), *hash = name ? guard_text_word(&rest, ':') : NULL;
    if (name)
        name = guard_text_trim(name);
    if (!name || !*name)
        fault(r, "expected a user name before the ':'");
    else if (strlen(name) > NAME_MAX_OCTETS)
        fault(r, "this user name is longer than the 65,535 octets of MQTT");
    else if (!hash || !*(hash = guard_text_trim(hash)))
        fault(r, "expected a password hash behind the ':', as mosquitto_passwd writes it");
    else if (guard_topic_impossible(name, strlen(name)))
        guard_translation_note(r->notes, GUARD_NOTE_REMARK, r->place, r->line,
                               "no client can have this user name: it is not UTF-8, or holds a control character");
    else
        add(r, name, hash);
}

void guard_mosquitto_parse_passwords(char *content, size_t length, const char *place, enum guard_mosquitto version,
                                     struct guard_mosquitto_passwords *out, struct guard_translation *notes)
{
    struct guard_text_lines lines;
    struct reading r = {.out = out, .notes = notes, .place = place, .version = version};
    guard_text_lines_begin(&lines, content, length);
    while (guard_text_lines_next(&lines)) {
        r.line = lines.number;
        if (lines.nul)
            guard_translation_note(notes, GUARD_NOTE_ERROR, place, lines.number, "this line holds a NUL");
        else
            take_line(&r, lines.line);
    }
}
