/* OCSF 1.8 (docs/audit.md, "OCSF"): a pure mapping of one finished ECS line. */
#ifndef GUARD_AUDIT_OCSF_H
#define GUARD_AUDIT_OCSF_H

#include "audit/out.h"

/*
 * Takes a line without its tail (as audit_encode_* makes it) and appends the same event as OCSF, also without its tail:
 * it ends inside "unmapped":{… so that ,"hash":"…"}} closes it. False: not a line of ours, or it did not fit.
 */
bool audit_ocsf_map(const char *line, size_t length, struct audit_out *out);

#endif
