#include "store/mosquitto_lines.h"

#include <string.h>

void guard_text_lines_begin(struct guard_text_lines *lines, char *content, size_t length)
{
    *lines = (struct guard_text_lines){.at = content, .end = content + length};
}

bool guard_text_lines_next(struct guard_text_lines *lines)
{
    if (lines->at >= lines->end)
        return false;
    char *end = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    lines->ended = end != NULL;
    if (!end)
        end = lines->end;
    lines->line = lines->at;
    lines->nul = memchr(lines->at, '\0', (size_t)(end - lines->at)) != NULL;
    lines->at = end + 1;
    lines->number++;
    *end = '\0';
    return true;
}

/* isspace of the C locale, whatever locale the process is in */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char *guard_text_trim(char *text)
{
    while (is_space(*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && is_space(end[-1]))
        end--;
    *end = '\0';
    return text;
}

char *guard_text_word(char **rest, char separator)
{
    char *word = *rest;
    while (*word == separator)
        word++;
    if (!*word) {
        *rest = word;
        return NULL;
    }
    char *end = strchr(word, separator);
    if (end)
        *end = '\0';
    *rest = end ? end + 1 : word + strlen(word);
    return word;
}
