#include "tests/unit/password/vectors.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

size_t vectors_each(const char *name, size_t columns, void (*row)(char *const column[VECTOR_COLUMNS]))
{
    char path[512], line[4096];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/passwords/%s", GUARD_TEST_DATA, name);
    FILE *file = fopen(path, "r");
    assert(file);
    while (fgets(line, sizeof line, file)) {
        char *column[VECTOR_COLUMNS] = {0}, *at = line;
        if (line[0] == '#')
            continue;
        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 0; i < columns; i++) {
            column[i] = strsep(&at, "\t");
            assert(column[i]);
        }
        assert(!at);
        row(column);
        count++;
    }
    fclose(file);
    return count;
}
