/* Lines of a text file as C's fgets and isspace see them. Included by store/mosquitto_*.c only. */
#ifndef GUARD_STORE_MOSQUITTO_LINES_H
#define GUARD_STORE_MOSQUITTO_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct guard_text_lines {
    char *at, *end;
    char *line; /* the current one, NUL-terminated, without its '\n' */
    bool ended; /* it had one */
    bool nul;   /* it holds a NUL, which the broker would take for its end */
    unsigned number;
};

/* content[length] must be writable too (guard_file_read leaves a NUL there). */
void guard_text_lines_begin(struct guard_text_lines *lines, char *content, size_t length);
bool guard_text_lines_next(struct guard_text_lines *lines);

/* Cuts white space off both ends and returns the beginning. */
char *guard_text_trim(char *text);

/* strtok_r for one separator: the next word at *rest, or NULL; *rest goes behind it. */
char *guard_text_word(char **rest, char separator);

#endif
