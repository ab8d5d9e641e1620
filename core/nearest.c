#include "core/nearest.h"

#include <ctype.h>
#include <string.h>

#define NAME_MAX_COMPARED 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int lower(char c)
{
    return tolower((unsigned char)c);
}

/* strnlen with a bound beyond some callers' arrays is a warning of link-time optimisation. */
static size_t compared_length(const char *text)
{
    size_t length = 0;
    while (length < NAME_MAX_COMPARED && text[length])
        length++;
    return length;
}

/* Optimal string alignment distance; only the first NAME_MAX_COMPARED bytes count. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NAME_MAX_COMPARED + 1];
    size_t la = compared_length(a), lb = compared_length(b);
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= lb; j++)
        above[j] = j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t swap = above[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            row[j] = least(swap, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[lb];
}

const char *guard_nearest(const char *name, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t best_distance = 0;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(name, names[i]);
        if (!best || d < best_distance) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
