/* Tab-separated test data, a row a line. */
#ifndef GUARD_TESTS_PASSWORD_VECTORS_H
#define GUARD_TESTS_PASSWORD_VECTORS_H

#include <stddef.h>

#define VECTOR_COLUMNS 8

/* Calls row for every line of GUARD_TEST_DATA/passwords/name but comments; returns how many there were. */
size_t vectors_each(const char *name, size_t columns, void (*row)(char *const column[VECTOR_COLUMNS]));

#endif
