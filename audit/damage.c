/* What somebody else did to the trail: found at the start by the note, and each second on what is being written. */
#include "audit/note.h"
#include "audit/writer.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBE_NS 1000000000LL
#define NOTE_NS  (PROBE_NS / 5) /* a signature costs as much as some fifty lines */

void audit_damage_note(struct audit_writer *writer, int64_t now)
{
    if (writer->batch_length || (now && now - writer->note_ns < NOTE_NS))
        return; /* the chain is ahead of the file; or the last note is young enough */
    writer->note_ns = now;
    struct audit_note note = {.sequence = writer->batch_last, .offset = writer->segments.size};
    memcpy(note.chain, writer->audit->chain, sizeof note.chain);
    memcpy(note.file, writer->segments.name, sizeof note.file);
    audit_hex(writer->chain.head, sizeof writer->chain.head, note.head);
    if (!audit_note_write(&writer->segments, &note, &writer->key))
        audit_bump(&writer->write_errors, 1);
}

void audit_damage_report(struct audit *audit, const char *text)
{
    atomic_fetch_add_explicit(&audit->damage, 1, memory_order_relaxed);
    free(atomic_exchange_explicit(&audit->damage_text, strdup(text), memory_order_acq_rel));
}

char *audit_take_damage(struct audit *audit)
{
    if (!atomic_load_explicit(&audit->damage_text, memory_order_relaxed))
        return NULL;
    return atomic_exchange_explicit(&audit->damage_text, NULL, memory_order_acq_rel);
}

/* ---- at the start ---- */

/* A sentence about what the note says and the files do not, or NULL. *damaged: it is more than a doubt. */
static const char *judge(const struct audit_segments *segments, enum audit_note_state state,
                         const struct audit_note *note, const struct audit_remains *remains, bool *damaged)
{
    *damaged = true;
    if (state == AUDIT_NOTE_BAD)
        return "the note of where the trail ended (.head) is not what the last run wrote";
    if (state == AUDIT_NOTE_GOOD || state == AUDIT_NOTE_OTHER_KEY) {
        if (!audit_note_holds(segments, note))
            return "lines that the last run had written are missing: the trail was cut, changed or removed";
        if (strcmp(note->chain, remains->chain) != 0 && strcmp(note->next, remains->chain) != 0)
            return "the last run in the trail is not noted: it was added, or it ended in its first moment";
    }
    *damaged = false;
    if (state == AUDIT_NOTE_OTHER_KEY)
        return "the note of where the trail ended (.head) is signed with another key, as after a change of keys: it "
               "proves nothing";
    if (state == AUDIT_NOTE_NONE && remains->found)
        return "the note of where the trail ended (.head) is missing: whether lines are missing is not known";
    return NULL;
}

/*
 * Before the first line of this run, so that a crash in its first moment is not taken for a run that somebody added.
 * The run that did crash so becomes the one noted: the last of the trail, should this one crash before its first line.
 * A note that does not fit stays as it is until the finding is on the disk.
 */
static void announce(struct audit_writer *writer, enum audit_note_state state, const struct audit_remains *remains,
                     struct audit_note *note)
{
    if (state == AUDIT_NOTE_NONE) {
        memcpy(note->chain, writer->audit->chain, sizeof note->chain);
        memset(note->head, '0', sizeof note->head - 1);
        memcpy(note->file, writer->segments.name, sizeof note->file);
    }
    if (remains->found)
        memcpy(note->chain, remains->chain, sizeof note->chain);
    memcpy(note->next, writer->audit->chain, sizeof note->next);
    audit_note_write(&writer->segments, note, &writer->key);
}

void audit_damage_at_start(struct audit_writer *writer, const struct audit_remains *remains)
{
    struct audit_note note;
    bool damaged;
    enum audit_note_state state = audit_note_read(&writer->segments, &writer->key, &note);
    const char *text = judge(&writer->segments, state, &note, remains, &damaged);
    if (!damaged && (state != AUDIT_NOTE_NONE || !remains->found))
        announce(writer, state, remains, &note);
    if (!text)
        return;
    bool known = damaged && state != AUDIT_NOTE_BAD;
    struct audit_own own = {.action = AUDIT_ACTION_AUDIT_RECOVERED,
                            .sequence = audit_next_number(writer->audit),
                            .time_ns = guard_clock_real_ns(),
                            .message = text,
                            .reason = GUARD_REASON_UNKNOWN,
                            .damaged = damaged,
                            .file = known ? note.file : NULL,
                            .last_sequence = note.sequence,
                            .head = known ? note.head : NULL};
    if (known) {
        memcpy(own.previous_chain, note.chain, sizeof own.previous_chain);
        memcpy(own.previous_head, note.head, sizeof own.previous_head);
        own.previous_sequence = note.sequence;
    }
    audit_emit_own(writer, &own);
    audit_damage_report(writer->audit, text);
}

/* ---- while it runs ---- */

/* Turns to a new file, and declares there what happened to the last one. */
static void declare(struct audit_writer *writer, const char *fault)
{
    static const enum audit_action turns[] = {AUDIT_ACTION_AUDIT_CHECKPOINT, AUDIT_ACTION_AUDIT_ROTATE,
                                              AUDIT_ACTION_AUDIT_RECOVERED, AUDIT_ACTION_AUDIT_CHECKPOINT};
    snprintf(writer->fault, sizeof writer->fault, "%s was being written: %s", writer->segments.name, fault);
    memcpy(writer->fault_file, writer->segments.name, sizeof writer->fault_file);
    audit_take_turns(writer, sizeof turns / sizeof *turns, turns);
    writer->rotating = true;
    audit_damage_report(writer->audit, writer->fault);
}

bool audit_damage_probe(struct audit_writer *writer, int64_t now)
{
    const char *path = writer->audit->set.is.dir;
    bool busy = writer->rotating || writer->stop_asked || writer->batch_length || !audit_room_for_turns(writer, 4);
    if (now - writer->probe_ns < PROBE_NS || (busy && !writer->homeless))
        return !writer->homeless;
    writer->probe_ns = now;
    if (!writer->homeless) {
        const char *fault = audit_segments_fault(&writer->segments, path, &writer->homeless);
        if (fault)
            declare(writer, fault);
    }
    if (writer->homeless && audit_segments_move(&writer->segments, path))
        writer->homeless = false;
    return !writer->homeless;
}

void audit_damage_mark(struct audit_writer *writer)
{
    audit_hex(writer->chain.head, sizeof writer->chain.head, writer->fault_head);
    writer->fault_sequence = writer->batch_last;
}

void audit_damage_emit(struct audit_writer *writer, uint64_t sequence, int64_t time_ns)
{
    struct audit_own own = {.action = AUDIT_ACTION_AUDIT_RECOVERED,
                            .sequence = sequence,
                            .time_ns = time_ns,
                            .message = writer->fault,
                            .reason = GUARD_REASON_WRITE_ERROR,
                            .damaged = true,
                            .file = writer->fault_file,
                            .last_sequence = writer->fault_sequence,
                            .head = writer->fault_head};
    audit_emit_own(writer, &own);
}
