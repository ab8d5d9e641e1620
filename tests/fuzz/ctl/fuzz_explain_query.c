/*
 * The questions of `guardctl explain --batch`. What the scanner takes must be JSON to core's strict checker too, but
 * for the two things it lets through on purpose (ctl/json_line.h): octets that are not UTF-8, and \u0000 or lone
 * surrogates.
 */
#include "core/json.h"
#include "ctl/explain_query.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t read_sum; /* so that reading is not left out */

static bool has_what_passes(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p >= 0x80)
            return true;
    return strstr(text, "\\u") != NULL;
}

/* Touches every octet the query points to, so that a sanitizer sees what is not its own. */
static size_t read_all(const struct explain_query *query)
{
    const char *const texts[] = {query->username, query->client_id, query->address};
    size_t sum = query->topic ? strlen(query->topic) + query->topic_length : 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        sum += texts[i] ? strlen(texts[i]) : 0;
    for (size_t i = 0; i < query->role_count; i++)
        sum += strlen(query->roles[i].name);
    for (size_t i = 0; i < query->attribute_count; i++)
        sum +=
            strlen(query->attributes[i].name) + (query->attributes[i].value ? strlen(query->attributes[i].value) : 0);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct explain_query query; /* used again, as a batch does */
    char *text = malloc(size + 1), *line = malloc(size + 1);
    const char *error = NULL;
    if (!text || !line)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    memcpy(line, text, size + 1);
    bool taken = explain_query_read(&query, line, &error);
    if (taken == (error != NULL))
        abort();
    if (taken) {
        read_sum = read_all(&query);
        if (!has_what_passes(text) && guard_json_check(text, strlen(text), 8, NULL) != GUARD_OK)
            abort();
    }
    free(line);
    free(text);
    return 0;
}
