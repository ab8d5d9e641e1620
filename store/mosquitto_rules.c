#include "store/mosquitto_files.h"
#include "store/mosquitto_lines.h"

#include <stdlib.h>
#include <string.h>

#define TOPIC_MAX_OCTETS 65535
#define SLASHES_MAX      200 /* TOPIC_HIERARCHY_LIMIT of the broker */

struct reading {
    struct guard_mosquitto_rules *out;
    struct guard_translation *notes;
    const char *place;
    const char *user; /* the last `user` line's, NULL before it */
    unsigned line;
};

#define FAULT(r, ...) guard_translation_note((r)->notes, GUARD_NOTE_ERROR, (r)->place, (r)->line, __VA_ARGS__)

static void add(struct reading *r, const struct guard_mosquitto_rule *rule)
{
    struct guard_mosquitto_rules *out = r->out;
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 64;
        struct guard_mosquitto_rule *items = reallocarray(out->items, capacity, sizeof *items);
        if (!items) {
            r->notes->failed = true;
            return;
        }
        out->items = items;
        out->capacity = capacity;
    }
    out->items[out->count++] = *rule;
}

/* A wildcard fills a level, `#` is the last: mosquitto_sub_topic_check. */
static bool is_filter(const char *topic)
{
    size_t length = strlen(topic), slashes = 0;
    for (size_t i = 0; i < length; i++) {
        bool begins = i == 0 || topic[i - 1] == '/', ends = i + 1 == length;
        if (topic[i] == '+' && !(begins && (ends || topic[i + 1] == '/')))
            return false;
        if (topic[i] == '#' && !(begins && ends))
            return false;
        slashes += topic[i] == '/';
    }
    return length && length <= TOPIC_MAX_OCTETS && slashes <= SLASHES_MAX;
}

static bool parse_access(const char *word, enum guard_mosquitto_access *access)
{
    static const char *const names[] = {"deny", "read", "write", "readwrite"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(word, names[i]) == 0) {
            *access = (enum guard_mosquitto_access)i;
            return true;
        }
    return false;
}

/* Behind `topic` or `pattern`: [read|write|readwrite|deny] FILTER. One word alone is a filter, whatever it says. */
static void take_topic(struct reading *r, char *rest, bool pattern)
{
    struct guard_mosquitto_rule rule = {.pattern = pattern, .access = GUARD_MOSQUITTO_READWRITE, .line = r->line};
    char *word = guard_text_word(&rest, ' ');
    rule.user = pattern ? NULL : r->user;
    rule.topic = word;
    if (!word) {
        FAULT(r, "expected a topic");
        return;
    }
    if (*rest) {
        rule.topic = guard_text_trim(rest);
        if (!parse_access(word, &rule.access)) {
            FAULT(r, "expected read, write, readwrite or deny before the topic, found '%.64s'", word);
            return;
        }
    } else if (parse_access(word, &rule.access)) {
        rule.access = GUARD_MOSQUITTO_READWRITE;
        guard_translation_note(r->notes, GUARD_NOTE_REMARK, r->place, r->line,
                               "there is no topic behind '%s', so it is one: the topic '%s', to read and write", word,
                               word);
    }
    if (!is_filter(rule.topic))
        FAULT(r, "'%.128s' is not a topic filter", rule.topic);
    else
        add(r, &rule);
}

static void take_line(struct reading *r, char *line)
{
    char *end = line + strlen(line);
    while (end > line && (end[-1] == ' ' || (end[-1] >= '\t' && end[-1] <= '\r')))
        *--end = '\0';
    if (*line == '#')
        return;
    char *rest = line, *word = guard_text_word(&rest, ' ');
    if (!word)
        return;
    if (strcmp(word, "topic") == 0 || strcmp(word, "pattern") == 0)
        take_topic(r, rest, word[0] == 'p');
    else if (strcmp(word, "user") != 0)
        FAULT(r, "expected user, topic, pattern or a comment (# in the first column), found '%.64s'", word);
    else if (!*rest)
        FAULT(r, "expected a user name");
    else
        r->user = guard_text_trim(rest);
}

void guard_mosquitto_parse_rules(char *content, size_t length, const char *place, struct guard_mosquitto_rules *out,
                                 struct guard_translation *notes)
{
    struct guard_text_lines lines;
    struct reading r = {.out = out, .notes = notes, .place = place};
    guard_text_lines_begin(&lines, content, length);
    while (guard_text_lines_next(&lines)) {
        r.line = lines.number;
        if (lines.nul)
            FAULT(&r, "this line holds a NUL");
        else
            take_line(&r, lines.line);
    }
}
