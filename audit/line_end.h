/*
 * Reading the end of a line without parsing the rest: sequence, chain and hash always stand there (docs/audit.md,
 * "Integrity"). No text of a client can look like it: a quote inside a JSON string is escaped.
 */
#ifndef GUARD_AUDIT_LINE_END_H
#define GUARD_AUDIT_LINE_END_H

#include "audit/chain.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_line_end {
    uint64_t sequence;
    char chain[AUDIT_CHAIN_LENGTH + 1];
    unsigned char hash[AUDIT_HASH_SIZE];
    size_t body;        /* bytes before ,"hash":" */
    const char *action; /* the event's action, up to the end of body; NULL = none found */
};

/* Takes a line without its line end. False: it does not end like a line of the trail. */
bool audit_line_end_parse(const char *line, size_t length, struct audit_line_end *end);

/* Whether the event's action begins with prefix, e.g. "audit-stop\"" or "audit-". line must be the one end is of. */
bool audit_line_has_action(const char *line, const struct audit_line_end *end, const char *prefix);

#endif
