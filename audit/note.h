/*
 * The writer's own note of where the trail ends: ".head" in the folder, signed with the trail's key, written anew
 * behind every fdatasync. The next start holds it against the files: what was cut, changed or removed meanwhile does
 * not pass for a crash. Whoever puts an older note back together with the files of its time is not found by it; an
 * anchor is for that (docs/audit.md, "Integrity").
 */
#ifndef GUARD_AUDIT_NOTE_H
#define GUARD_AUDIT_NOTE_H

#include "audit/chain.h"
#include "audit/segment.h"

struct audit_note {
    char chain[AUDIT_CHAIN_LENGTH + 1]; /* the last run in the trail; one that crashed before its own note keeps */
    uint64_t sequence;                  /* the position noted before it. Of the last line */
    char head[2 * AUDIT_HASH_SIZE + 1]; /* its hash */
    char file[AUDIT_FILE_NAME_SIZE];    /* where it stands */
    uint64_t offset;                    /* and where it ends there, its line end included; 0: there is none yet */
    char next[AUDIT_CHAIN_LENGTH + 1];  /* the run that is about to write its first lines; "" = none */
};

/* Puts it in the place of the last one; unsigned when key->key is NULL. False: errno; the last one may be damaged. */
bool audit_note_write(const struct audit_segments *segments, const struct audit_note *note, struct audit_key *key);

enum audit_note_state {
    AUDIT_NOTE_NONE,      /* or an empty one */
    AUDIT_NOTE_BAD,       /* unreadable, not signed although there is a key, or with a wrong signature */
    AUDIT_NOTE_OTHER_KEY, /* signed with a key that is not at hand: it is read, but anybody may have written it */
    AUDIT_NOTE_GOOD
};

/* Fills *note unless the state is NONE or BAD. */
enum audit_note_state audit_note_read(const struct audit_segments *segments, struct audit_key *key,
                                      struct audit_note *note);

/* Whether its file is there and the line that ends at its offset, if there is one, has its hash. */
bool audit_note_holds(const struct audit_segments *segments, const struct audit_note *note);

#endif
