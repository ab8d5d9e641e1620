/* Where C tests put what they write: below TMPDIR, else in the system's folder for temporary files. */
#ifndef GUARD_TESTS_TEMPORARY_H
#define GUARD_TESTS_TEMPORARY_H

#include <stdio.h>
#include <stdlib.h>

#define TEMPORARY_MAX 200

/* Makes a new folder whose name begins with name, and writes its path to path[TEMPORARY_MAX]. NULL, with errno, if it
 * cannot. */
static inline char *temporary_folder(char path[static TEMPORARY_MAX], const char *name)
{
    const char *parent = getenv("TMPDIR");
    snprintf(path, TEMPORARY_MAX, "%s/guard-%s-XXXXXX", parent ? parent : P_tmpdir, name);
    return mkdtemp(path);
}

#endif
