/* The commands of guardctl: one row each in main.c's table, one file each in ctl/. */
#ifndef GUARD_CTL_COMMAND_H
#define GUARD_CTL_COMMAND_H

/* Exit codes every command keeps to, unless its help says more. */
enum ctl_exit {
    CTL_OK = 0,   /* done; allowed; valid */
    CTL_NO = 1,   /* the answer is no: denied, invalid, errors found */
    CTL_USAGE = 2 /* the command line, or a file it names, cannot be used */
};

struct ctl_command {
    const char *name;    /* one word, or two: "token verify" */
    const char *summary; /* one line for `guardctl help` */
    const char *usage;   /* the whole help text of the command */

    /* argv[0] = the last word of the name */
    int (*run)(const struct ctl_command *command, int argc, char **argv);
};

/* Prints "guardctl NAME: text" and a pointer to the help to stderr; returns CTL_USAGE. */
int ctl_usage_error(const struct ctl_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
