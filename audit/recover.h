/* What the last run left: where its chain ended, whether it ended well, and what a crash tore. */
#ifndef GUARD_AUDIT_RECOVER_H
#define GUARD_AUDIT_RECOVER_H

#include "audit/chain.h"
#include "audit/segment.h"

struct audit_remains {
    bool found; /* there was a good line; the next three then tell of the last one */
    char chain[AUDIT_CHAIN_LENGTH + 1];
    uint64_t sequence;
    char head[2 * AUDIT_HASH_SIZE + 1];
    bool clean; /* it ends with audit-stop and a checkpoint, nothing is torn; true when there is no trail at all */
    uint64_t torn_bytes; /* behind the last good line; they stay where they are, with a line end behind them */
    char file[AUDIT_FILE_NAME_SIZE]; /* where they lie */
};

/* Looks at the end of the trail in the folder and terminates a torn line. GUARD_OK, GUARD_ERR_IO or GUARD_ERR_NOMEM. */
int audit_recover(const struct audit_segments *segments, struct audit_remains *remains);

#endif
