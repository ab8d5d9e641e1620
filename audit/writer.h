/* The writer thread: drains ring and side queue in the order of the sequence, chains, seals, writes, rotates. */
#ifndef GUARD_AUDIT_WRITER_H
#define GUARD_AUDIT_WRITER_H

#include "audit/encode.h"
#include "audit/recover.h"
#include "audit/segment.h"

#include <semaphore.h>

#define AUDIT_BATCH_SIZE ((size_t)64 * 1024)
/* A batch takes another line as long as it is below AUDIT_BATCH_SIZE; no line can reach beyond the room behind. */
#define AUDIT_BATCH_ROOM (AUDIT_BATCH_SIZE + 2 * AUDIT_LINE_MAX)

/* A number the writer took for a record of its own, which is written when its turn comes. */
struct audit_turn {
    enum audit_action action; /* audit-checkpoint, audit-rotate, audit-stop, audit-gap */
    uint64_t sequence;
    int64_t time_ns; /* when the number was taken */
};
#define AUDIT_TURNS 64

struct audit_writer {
    struct audit *audit;
    pthread_t thread;
    struct audit_encoder encoder;
    struct audit_chain chain;
    struct audit_key key; /* key.key NULL = unsigned */
    struct audit_segments segments;

    char *batch; /* AUDIT_BATCH_ROOM bytes */
    size_t batch_length, batch_written;
    char *scratch;       /* OCSF: the ECS line */
    uint64_t batch_last; /* the number of the batch's last line */

    uint64_t expected;                   /* the next number to write */
    struct audit_side_record *side;      /* taken over from the side queue */
    struct audit_turn turn[AUDIT_TURNS]; /* a ring: first, count */
    size_t first_turn, turn_count;

    uint64_t checkpoint;          /* number of the last one */
    uint64_t checkpoint_sequence; /* its sequence number */
    char checkpoint_digest[2 * AUDIT_HASH_SIZE + 1];
    uint64_t lines_since_request;                                    /* events since a checkpoint was last asked for */
    int64_t checkpoint_ns, segment_ns, sync_ns, retry_ns, volume_ns; /* monotonic: the last time of each */
    bool dirty;                                                      /* written since the last fdatasync */
    bool rotating;                                                   /* a rotation waits for its turn */
    uint64_t average; /* bytes of a line, to foresee the size of what waits */

    uint64_t free_at_stall;        /* free bytes when the reserve had to be given back; 0 = it is held */
    uint64_t stop_budget;          /* bytes that may still be written while stopping on a full disk */
    struct audit_ledger discarded; /* what a stop on a full disk could not write */
    uint64_t lost_total;
    bool stop_asked; /* the stop's numbers are taken */
    bool finished;   /* audit-stop and its checkpoint are in the batch */
    bool failed;     /* the last records could not be written */

    int64_t probe_ns, note_ns;                /* monotonic: when the files were looked at last, and noted */
    bool homeless;                            /* the folder is gone, and no new one could be made */
    char fault[160];                          /* what was done to a file, until it is declared in the next one */
    char fault_file[AUDIT_FILE_NAME_SIZE];    /* which */
    char fault_head[2 * AUDIT_HASH_SIZE + 1]; /* of the last line that was written to it */
    uint64_t fault_sequence;                  /* its number */

    /* read by anybody */
    _Atomic uint64_t written_bytes, written_lines, write_errors, sync_total_ns, disk_free, peak, lost_at_stop;
    _Atomic uint64_t sync_bucket[AUDIT_SYNC_BUCKETS];
    _Atomic int64_t checkpoint_time_ns;
    atomic_bool up;
    atomic_bool done; /* all is written: the thread waits for leave */
    sem_t leave;
};

int audit_writer_new(struct audit *audit, struct audit_writer **out, struct guard_error *err);
/* How its thread begins (context is the writer): opens folder, key and chain, repairs, writes audit-start. */
int audit_writer_open(void *context, struct guard_error *err);
/* Starts the thread; what audit_writer_open says. */
int audit_writer_start(struct audit_writer *writer, struct guard_error *err);
/* When it is done and nobody reads the folder any more: unlocks that, joins the thread. */
void audit_writer_end(struct audit_writer *writer);
/* After audit_writer_end, or when it was never started. */
void audit_writer_free(struct audit_writer **writer);

/* For records of our own: takes count numbers in a row. audit_room_for_turns first. */
void audit_take_turns(struct audit_writer *writer, size_t count, const enum audit_action *actions);
bool audit_room_for_turns(const struct audit_writer *writer, size_t count);
/* Before the thread runs: the next number, for a record that is written at once. */
uint64_t audit_next_number(struct audit *audit);

/* ---- emit.c ---- */

/* Append to the batch and move expected on. A line that cannot be made is missing, and the hole shows it. */
void audit_emit_record(struct audit_writer *writer, const struct record *record);
void audit_emit_own(struct audit_writer *writer, struct audit_own *own);
void audit_emit_checkpoint(struct audit_writer *writer, const struct audit_turn *turn);

/* ---- disk.c ---- */

/* Writes the batch. False: the disk does not take it now; the rest stays in the batch. */
bool audit_disk_write(struct audit_writer *writer);
void audit_disk_sync(struct audit_writer *writer, int64_t now);
/* While stalled: whether writing may be tried again. Otherwise true. */
bool audit_disk_usable(struct audit_writer *writer, int64_t now, bool stopping);

/* ---- damage.c ---- */

/* Notes where the trail ends, if all of it is in the file and, unless now is 0, the last note is old enough. */
void audit_damage_note(struct audit_writer *writer, int64_t now);
/* Holds what is there against the last run's note, and writes what does not fit. */
void audit_damage_at_start(struct audit_writer *writer, const struct audit_remains *remains);
/* Each second: whether file and folder are as they were left; what is not is declared. False: there is no folder. */
bool audit_damage_probe(struct audit_writer *writer, int64_t now);
/* A rotation: the last line of the old file. */
void audit_damage_mark(struct audit_writer *writer);
/* The declaration, behind that rotation. */
void audit_damage_emit(struct audit_writer *writer, uint64_t sequence, int64_t time_ns);
/* Counts it, and leaves a sentence for audit_take_damage. */
void audit_damage_report(struct audit *audit, const char *text);

#endif
