/* Options of a command line by a table: --name value, --name=value, --flag; "--" ends them. */
#ifndef GUARD_CTL_ARGS_H
#define GUARD_CTL_ARGS_H

#include "ctl/command.h"

#include <stdbool.h>
#include <stddef.h>

#define CTL_LIST_MAX 64

struct ctl_list {
    const char *items[CTL_LIST_MAX];
    size_t count;
};

enum ctl_option_kind {
    CTL_FLAG, /* target: bool * */
    CTL_TEXT, /* target: const char ** */
    CTL_LIST  /* target: struct ctl_list *, may be given again and again */
};

struct ctl_option {
    const char *name; /* without the dashes */
    enum ctl_option_kind kind;
    void *target;
};

/* Where the words that are no options go. */
struct ctl_words {
    const char *items[CTL_LIST_MAX];
    size_t count;
    size_t least, most; /* how many there should be */
};

/* Sets how many words there should be; returns words. */
struct ctl_words *ctl_words_expect(struct ctl_words *words, size_t least, size_t most);

/*
 * Parses argv behind argv[0]. tables: arrays of options, each ended by a NULL name, the list of them ended by NULL.
 * Texts point into argv. CTL_OK, or CTL_USAGE after telling what is wrong (an unknown option with the nearest name).
 */
int ctl_args_parse(const struct ctl_command *command, int argc, char **argv, const struct ctl_option *const *tables,
                   struct ctl_words *words);

/*
 * "30s", "15m", "8h", "30d", "2w" or a bare number of seconds (1..10 years) to seconds; false if it is none.
 */
bool ctl_parse_duration(const char *text, long long *seconds);

#endif
