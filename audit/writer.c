#include "audit/writer.h"

#include "audit/watch.h"
#include "core/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POLL_MS            5
#define CHECKPOINT_EVENTS  1000
#define CHECKPOINT_NS      1000000000LL
#define CHECKPOINT_IDLE_NS 60000000000LL
#define VOLUME_NS          5000000000LL
#define NS_PER_MS          1000000LL

/* ---- records of our own ---- */

void audit_take_turns(struct audit_writer *writer, size_t count, const enum audit_action *actions)
{
    uint64_t first = atomic_fetch_add_explicit(&writer->audit->sequence, count, memory_order_relaxed) + 1;
    for (size_t i = 0; i < count; i++) {
        size_t slot = (writer->first_turn + writer->turn_count++) % AUDIT_TURNS;
        writer->turn[slot] =
            (struct audit_turn){.action = actions[i], .sequence = first + i, .time_ns = guard_clock_real_ns()};
    }
}

bool audit_room_for_turns(const struct audit_writer *writer, size_t count)
{
    return writer->turn_count + count + 4 <= AUDIT_TURNS; /* four stay free for rotation and stop */
}

static void ask_checkpoint(struct audit_writer *writer, int64_t now)
{
    static const enum audit_action one[] = {AUDIT_ACTION_AUDIT_CHECKPOINT};
    audit_take_turns(writer, 1, one);
    writer->lines_since_request = 0;
    writer->checkpoint_ns = now;
}

static void emit_gap(struct audit_writer *writer, const struct audit_turn *turn)
{
    char message[64];
    const struct audit_ledger *ledger = &writer->discarded;
    snprintf(message, sizeof message, "%llu audit events were dropped", (unsigned long long)ledger->count);
    writer->lost_total += ledger->count;
    struct audit_own own = {.action = AUDIT_ACTION_AUDIT_GAP,
                            .sequence = turn->sequence,
                            .time_ns = turn->time_ns,
                            .message = message,
                            .reason = audit_loss_reason(ledger->cause),
                            .lost = ledger->count,
                            .first_sequence = turn->sequence - ledger->count,
                            .last_sequence = turn->sequence - 1,
                            .by_action = ledger->by_action,
                            .start_ns = ledger->first_ns,
                            .end_ns = ledger->last_ns};
    audit_emit_own(writer, &own);
    memset(&writer->discarded, 0, sizeof writer->discarded);
}

/* Turns to the next file. The checkpoint before it was the old one's last line and is already in the batch's past. */
static bool rotate(struct audit_writer *writer, const struct audit_turn *turn)
{
    if (writer->batch_length && !audit_disk_write(writer))
        return false;
    audit_disk_sync(writer, guard_clock_monotonic_ns());
    if (!audit_segments_next(&writer->segments, writer->audit->chain)) {
        audit_bump(&writer->write_errors, 1);
        int cause = errno == ENOSPC || errno == EDQUOT ? AUDIT_LOSS_DISK_FULL : AUDIT_LOSS_WRITE_ERROR;
        atomic_store_explicit(&writer->audit->stalled, cause + 1, memory_order_relaxed);
        writer->retry_ns = guard_clock_monotonic_ns();
        return false;
    }
    audit_damage_mark(writer);
    struct audit_own own = {.action = AUDIT_ACTION_AUDIT_ROTATE,
                            .sequence = turn->sequence,
                            .time_ns = turn->time_ns,
                            .message = "audit file rotated",
                            .file = writer->segments.previous,
                            .next_file = writer->segments.name};
    audit_emit_own(writer, &own);
    writer->segment_ns = guard_clock_monotonic_ns();
    writer->rotating = false;
    return true;
}

static void end_turn(struct audit_writer *writer)
{
    writer->first_turn = (writer->first_turn + 1) % AUDIT_TURNS;
    writer->turn_count--;
}

/* One number more in the gap that a stop on a full disk leaves. */
static void add_discarded(struct audit_writer *writer, enum audit_action action, uint64_t sequence, int64_t time_ns)
{
    audit_ledger_add(&writer->discarded, action, time_ns, AUDIT_LOSS_DISK_FULL);
    writer->expected = sequence + 1;
    audit_bump(&writer->lost_at_stop, 1);
}

/* Writes the record whose turn it is. False: it cannot be written now. */
static bool take_own_turn(struct audit_writer *writer)
{
    const struct audit_turn turn = writer->turn[writer->first_turn];
    struct audit_own stop = {.action = AUDIT_ACTION_AUDIT_STOP,
                             .sequence = turn.sequence,
                             .time_ns = turn.time_ns,
                             .message = "audit trail stopped"};
    if (writer->discarded.count && turn.action != AUDIT_ACTION_AUDIT_GAP) {
        add_discarded(writer, turn.action, turn.sequence, turn.time_ns); /* a gap is one range */
        end_turn(writer);
        return true;
    }
    switch (turn.action) {
    case AUDIT_ACTION_AUDIT_ROTATE:
        if (!rotate(writer, &turn))
            return false;
        break;
    case AUDIT_ACTION_AUDIT_STOP:
        audit_emit_own(writer, &stop);
        break;
    case AUDIT_ACTION_AUDIT_GAP:
        emit_gap(writer, &turn);
        break;
    case AUDIT_ACTION_AUDIT_RECOVERED:
        audit_damage_emit(writer, turn.sequence, turn.time_ns);
        break;
    default:
        audit_emit_checkpoint(writer, &turn);
        writer->finished = writer->stop_asked && writer->turn_count == 1;
    }
    end_turn(writer);
    return true;
}

/* ---- the events, in the order of their numbers ---- */

/* The first number that a record accounts for. */
static uint64_t first_number(const struct record *record)
{
    uint64_t before =
        record->kind == AUDIT_ACTION_AUDIT_GAP ? ((const struct record_gap *)(const void *)record)->count : 0;
    return record->sequence - before;
}

static void release(struct audit_writer *writer, struct audit_peer *peers)
{
    if (writer->audit->detect)
        audit_watch_gone(writer->audit, peers);
    audit_peer_destroy(peers);
}

/* Carries out what is not an event. */
static bool is_control(struct audit_writer *writer, const struct record *record)
{
    if (record->kind == AUDIT_RECORD_POLICY)
        audit_encoder_policy(&writer->encoder, (const struct record_facts *)(const void *)record);
    else if (record->kind == AUDIT_RECORD_RELEASE)
        release(writer, record->peer);
    else
        return false;
    return true;
}

static struct record *ring_head(struct audit_writer *writer)
{
    struct record *record;
    while ((record = audit_ring_peek(&writer->audit->ring)) && is_control(writer, record))
        audit_ring_release(&writer->audit->ring, record->size);
    return record;
}

static void take_side_queue(struct audit_writer *writer)
{
    struct audit_side *side = &writer->audit->side;
    if (!atomic_load_explicit(&side->waiting, memory_order_acquire))
        return;
    pthread_mutex_lock(&side->lock);
    writer->side = side->first;
    side->first = side->last = NULL;
    side->bytes = 0;
    atomic_store_explicit(&side->waiting, false, memory_order_relaxed);
    pthread_mutex_unlock(&side->lock);
}

static void drop_side_head(struct audit_writer *writer)
{
    struct audit_side_record *head = writer->side;
    writer->side = head->next;
    free(head);
}

static struct record *side_head(struct audit_writer *writer)
{
    if (!writer->side)
        take_side_queue(writer);
    while (writer->side && is_control(writer, &writer->side->record))
        drop_side_head(writer);
    return writer->side ? &writer->side->record : NULL;
}

static void merge(struct audit_ledger *ledger, const struct record_gap *gap)
{
    if (!ledger->count || gap->first_ns < ledger->first_ns)
        ledger->first_ns = gap->first_ns;
    if (gap->last_ns > ledger->last_ns)
        ledger->last_ns = gap->last_ns;
    for (size_t i = 0; i < AUDIT_ACTION_COUNT; i++)
        ledger->by_action[i] += gap->by_action[i];
    if (!ledger->count)
        ledger->cause = (enum audit_loss)gap->head.reason;
    ledger->count += gap->count;
}

/* On a full disk while stopping: an event more in the gap, or a gap more, with all it declares. */
static void discard(struct audit_writer *writer, const struct record *record)
{
    if (record->kind == AUDIT_ACTION_AUDIT_GAP)
        merge(&writer->discarded, ((const struct record_gap *)(const void *)record));
    add_discarded(writer, record_action(record), record->sequence, record->time_ns);
}

static void take_record(struct audit_writer *writer, const struct record *record)
{
    bool spent = writer->stop_budget && (writer->discarded.count || writer->batch_length >= writer->stop_budget);
    if (spent) {
        discard(writer, record);
        return;
    }
    if (writer->audit->detect)
        audit_watch_record(writer->audit, record);
    audit_emit_record(writer, record);
}

/* The record with the next number. False: it is not there yet, or cannot be written now. */
static bool take_next(struct audit_writer *writer)
{
    struct record *record = ring_head(writer);
    if (record && first_number(record) == writer->expected) {
        take_record(writer, record);
        audit_ring_release(&writer->audit->ring, record->size);
        return true;
    }
    if (writer->turn_count && writer->turn[writer->first_turn].sequence == writer->expected)
        return take_own_turn(writer);
    record = side_head(writer);
    if (!record || first_number(record) != writer->expected)
        return false;
    take_record(writer, record);
    drop_side_head(writer);
    return true;
}

/* ---- what is due ---- */

static void maybe_checkpoint(struct audit_writer *writer, int64_t now)
{
    int64_t age = now - writer->checkpoint_ns;
    if (!audit_room_for_turns(writer, 1) || writer->stop_asked)
        return;
    if (writer->lines_since_request >= CHECKPOINT_EVENTS || (writer->lines_since_request && age >= CHECKPOINT_NS) ||
        age >= CHECKPOINT_IDLE_NS)
        ask_checkpoint(writer, now);
}

/* The file's size once everything that has a number by now is in it. */
static uint64_t foreseen_size(const struct audit_writer *writer)
{
    uint64_t given = atomic_load_explicit(&writer->audit->sequence, memory_order_relaxed);
    uint64_t waiting = given >= writer->expected ? given + 1 - writer->expected : 0;
    uint64_t most = audit_ring_used(&writer->audit->ring) / sizeof(struct record_access); /* lost ones take no room */
    return writer->segments.size + writer->batch_length + (waiting < most ? waiting : most) * writer->average;
}

static void maybe_rotate(struct audit_writer *writer, int64_t now)
{
    static const enum audit_action two[] = {AUDIT_ACTION_AUDIT_CHECKPOINT, AUDIT_ACTION_AUDIT_ROTATE};
    const struct audit_config *config = &writer->audit->set.is;
    if (writer->rotating || writer->stop_asked || !audit_room_for_turns(writer, 2))
        return;
    bool due = atomic_exchange_explicit(&writer->audit->rotate_now, false, memory_order_relaxed) ||
               foreseen_size(writer) >= config->rotate_size ||
               now - writer->segment_ns >= (int64_t)config->rotate_seconds * 1000 * NS_PER_MS;
    if (!due)
        return;
    audit_take_turns(writer, 2, two);
    writer->rotating = true;
    writer->lines_since_request = 0;
    writer->checkpoint_ns = now;
}

static void maybe_sync(struct audit_writer *writer, int64_t now)
{
    const struct audit_config *config = &writer->audit->set.is;
    if (config->fsync == AUDIT_FSYNC_BATCH || config->fsync == AUDIT_FSYNC_EVENT ||
        (config->fsync == AUDIT_FSYNC_INTERVAL && now - writer->sync_ns >= (int64_t)config->fsync_ms * NS_PER_MS))
        audit_disk_sync(writer, now);
    if (config->fsync == AUDIT_FSYNC_OFF)
        audit_damage_note(writer, now);
}

/* The producers have ended: what they lost and could not declare any more gets its numbers here. */
static void take_over_ledger(struct audit_writer *writer, struct audit_ledger *ledger)
{
    struct record_gap gap = {.head = {.reason = (uint8_t)ledger->cause},
                             .count = ledger->count,
                             .first_ns = ledger->first_ns,
                             .last_ns = ledger->last_ns};
    if (!ledger->count)
        return;
    memcpy(gap.by_action, ledger->by_action, sizeof gap.by_action);
    merge(&writer->discarded, &gap);
    writer->expected =
        atomic_fetch_add_explicit(&writer->audit->sequence, gap.count, memory_order_relaxed) + gap.count + 1;
    atomic_fetch_add_explicit(&writer->audit->numbered_lost, gap.count, memory_order_relaxed);
    memset(ledger, 0, sizeof *ledger);
}

/* Everything was drained and nothing more comes: takes the last numbers. */
static void maybe_stop(struct audit_writer *writer)
{
    static const enum audit_action last[] = {AUDIT_ACTION_AUDIT_STOP, AUDIT_ACTION_AUDIT_CHECKPOINT};
    static const enum audit_action gap[] = {AUDIT_ACTION_AUDIT_GAP};
    uint64_t given = atomic_load_explicit(&writer->audit->sequence, memory_order_relaxed);
    if (writer->stop_asked || writer->expected != given + 1)
        return;
    take_over_ledger(writer, &writer->audit->ledger);
    take_over_ledger(writer, &writer->audit->side.ledger);
    if (writer->discarded.count)
        audit_take_turns(writer, 1, gap);
    audit_take_turns(writer, 2, last);
    writer->stop_asked = true;
}

static void look_around(struct audit_writer *writer, int64_t now)
{
    struct audit *audit = writer->audit;
    size_t used = audit_ring_used(&audit->ring);
    if (used > atomic_load_explicit(&writer->peak, memory_order_relaxed))
        atomic_store_explicit(&writer->peak, used < audit->ring.size ? used : audit->ring.size, memory_order_relaxed);
    if (used < audit->ring.size / 2 && !atomic_load_explicit(&audit->accepting, memory_order_relaxed))
        atomic_store_explicit(&audit->accepting, true, memory_order_relaxed);
    if (now - writer->volume_ns >= VOLUME_NS) {
        atomic_store_explicit(&writer->disk_free, audit_segments_free(&writer->segments), memory_order_relaxed);
        writer->volume_ns = now;
    }
}

/* ---- the thread ---- */

static void fill_batch(struct audit_writer *writer)
{
    size_t limit = writer->audit->set.is.fsync == AUDIT_FSYNC_EVENT ? 1 : AUDIT_BATCH_SIZE;
    while (writer->batch_length < limit && take_next(writer))
        ;
}

static void sleep_a_little(struct audit_writer *writer)
{
    struct audit *audit = writer->audit;
    struct pollfd wake = {.fd = audit->wake_fd, .events = POLLIN};
    atomic_store_explicit(&audit->writer_sleeps, true, memory_order_release);
    if (poll(&wake, 1, POLL_MS) > 0) {
        uint64_t count;
        ssize_t ignored = read(audit->wake_fd, &count, sizeof count);
        (void)ignored;
    }
    atomic_store_explicit(&audit->writer_sleeps, false, memory_order_relaxed);
}

/* One round. Returns whether something was written. */
static bool work(struct audit_writer *writer, bool stopping)
{
    int64_t now = guard_clock_monotonic_ns();
    look_around(writer, now);
    if (!audit_disk_usable(writer, now, stopping))
        return false;
    maybe_rotate(writer, now);
    maybe_checkpoint(writer, now);
    if (writer->audit->detect)
        audit_watch_keep(writer->audit, now, false);
    if (!writer->batch_written) /* else the rest of a batch goes first */
        fill_batch(writer);
    if (stopping)
        maybe_stop(writer);
    bool some = writer->batch_length > 0;
    uint64_t length = writer->batch_length;
    if (some && !audit_disk_write(writer)) {
        writer->failed = stopping;
        return false;
    }
    if (writer->stop_budget)
        writer->stop_budget = writer->stop_budget > length ? writer->stop_budget - length : 1;
    maybe_sync(writer, now);
    return some;
}

static void run(void *context)
{
    struct audit_writer *writer = context;
    bool stopping = false;
    while (!(writer->finished && !writer->batch_length) && !writer->failed) {
        if (!work(writer, stopping) && !stopping)
            sleep_a_little(writer);
        stopping = atomic_load_explicit(&writer->audit->stop, memory_order_acquire);
    }
    audit_disk_sync(writer, guard_clock_monotonic_ns());
    audit_damage_note(writer, 0);
    if (writer->audit->detect)
        audit_watch_keep(writer->audit, 0, true);
    atomic_store_explicit(&writer->done, true, memory_order_release);
    while (sem_wait(&writer->leave) != 0)
        ; /* the folder stays locked while sinks read the last lines */
    audit_segments_close(&writer->segments);
}

int audit_writer_start(struct audit_writer *writer, struct guard_error *err)
{
    struct guard_thread thread = {.name = "guard-audit",
                                  .begin = audit_writer_open,
                                  .run = run,
                                  .context = writer,
                                  .wake_fd = writer->audit->wake_fd};
    return guard_thread_start(&thread, &writer->thread, err);
}

void audit_writer_end(struct audit_writer *writer)
{
    sem_post(&writer->leave);
    pthread_join(writer->thread, NULL);
}
