/* Lines of the trail as people read them. */
#ifndef GUARD_CTL_AUDIT_VIEW_H
#define GUARD_CTL_AUDIT_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is to be seen. */
struct audit_filter {
    bool denied;        /* only refusals, failures and alerts */
    bool checkpoints;   /* checkpoints too */
    const char *client; /* only this client id; NULL = all */
    const char *user;   /* only this user name; NULL = all */
    int64_t since;      /* Unix seconds; 0 = all */
    bool colour;
    bool raw; /* the JSON line itself */
};

/*
 * One line of text for a line of the trail, without a line end, to be freed; or NULL when the filter leaves it out. A
 * line that is no JSON is shown as such. Nothing in it can disturb a terminal.
 */
char *audit_view(const char *line, size_t length, const struct audit_filter *filter);

#endif
