/* From a push to the ring or the side queue: room, priorities, sequence numbers, and the account of what was lost. */
#include "audit/internal.h"

#include "core/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_NAP_NS 100000

void audit_wake(struct audit *audit)
{
    if (audit_this_thread() != audit->broker_thread) /* the writer wakes by itself, a little later */
        return;
    if (!atomic_exchange_explicit(&audit->writer_sleeps, false, memory_order_acq_rel))
        return;
    const uint64_t one = 1;
    while (write(audit->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void audit_ledger_add(struct audit_ledger *ledger, enum audit_action action, int64_t time_ns, enum audit_loss cause)
{
    if (!ledger->count++) {
        ledger->first_ns = time_ns;
        ledger->cause = cause;
    } else if (cause != AUDIT_LOSS_RING_FULL) {
        ledger->cause = cause; /* a full ring behind a full disk: the disk is what the operator must hear of */
    }
    ledger->last_ns = time_ns;
    ledger->by_action[action]++;
}

static enum audit_loss cause_now(const struct audit *audit)
{
    int stalled = atomic_load_explicit(&audit->stalled, memory_order_relaxed);
    return stalled ? (enum audit_loss)(stalled - 1) : AUDIT_LOSS_RING_FULL;
}

static bool on_broker_thread(const struct audit *audit)
{
    return audit_this_thread() == audit->broker_thread;
}

/* Whether any of the reasons for the slow path remains. */
static void set_attention(struct audit *audit)
{
    audit->attention = audit->low_refused || audit->policy_ruleset || audit->released || audit->ledger.count;
}

static void lose(struct audit *audit, enum audit_action action, int64_t time_ns)
{
    enum audit_loss cause = cause_now(audit);
    audit_ledger_add(&audit->ledger, action, time_ns ? time_ns : guard_clock_real_ns(), cause);
    audit_bump(&audit->lost[cause], 1);
    audit->attention = true;
}

static void fill_gap(struct record_gap *gap, const struct audit_ledger *ledger, uint64_t sequence)
{
    gap->head.kind = AUDIT_ACTION_AUDIT_GAP;
    gap->head.flags = 0;
    gap->head.reason = (uint8_t)ledger->cause; /* enum audit_loss here */
    gap->head.qos = 0;
    gap->head.sequence = sequence;
    gap->head.time_ns = guard_clock_real_ns();
    gap->head.peer = NULL;
    gap->count = ledger->count;
    gap->first_ns = ledger->first_ns;
    gap->last_ns = ledger->last_ns;
    memcpy(gap->by_action, ledger->by_action, sizeof gap->by_action);
}

/*
 * The numbers of lost events are taken here, all at once and with the gap record's own behind them: whatever other
 * threads do, a gap is one range and stands directly behind it.
 */
static uint64_t take_numbers(struct audit *audit, uint64_t lost)
{
    atomic_fetch_add_explicit(&audit->numbered_lost, lost, memory_order_relaxed);
    return atomic_fetch_add_explicit(&audit->sequence, lost + 1, memory_order_relaxed) + lost + 1;
}

static bool place_gap(struct audit *audit)
{
    struct record_gap *gap = audit_ring_reserve(&audit->ring, sizeof *gap, audit->ring.size);
    if (!gap)
        return false;
    gap->head.size = sizeof *gap;
    fill_gap(gap, &audit->ledger, take_numbers(audit, audit->ledger.count));
    audit_ring_commit(&audit->ring);
    audit_bump(&audit->count[AUDIT_ACTION_AUDIT_GAP][1], 1);
    memset(&audit->ledger, 0, sizeof audit->ledger);
    return true;
}

static bool place_released(struct audit *audit)
{
    struct record *record = audit_ring_reserve(&audit->ring, sizeof *record, audit->ring.size);
    if (!record)
        return false;
    *record = (struct record){.size = sizeof *record, .kind = AUDIT_RECORD_RELEASE, .peer = audit->released};
    audit_ring_commit(&audit->ring);
    audit->released = NULL;
    return true;
}

static size_t round_up(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

static char *put_slot(char *at, struct record_string *slot, const char *text, size_t max)
{
    size_t length = text ? strlen(text) : 0;
    length = length < max ? length : max;
    *slot = (struct record_string){text ? (uint32_t)length : AUDIT_ABSENT, (uint16_t)length, 0};
    if (text)
        memcpy(at, text, length);
    return at + length;
}

static bool place_policy(struct audit *audit)
{
    const size_t max = AUDIT_CARRIED;
    size_t size = round_up(sizeof(struct record_facts) + 2 * max);
    struct record_facts *facts = audit_ring_reserve(&audit->ring, size, audit->ring.size);
    if (!facts)
        return false;
    facts->head = (struct record){.size = (uint32_t)size, .kind = AUDIT_RECORD_POLICY};
    char *at = put_slot((char *)(facts + 1), &facts->string[POLICY_RULESET], audit->policy_ruleset, max);
    put_slot(at, &facts->string[POLICY_VERSION], audit->policy_version, max);
    audit_ring_commit(&audit->ring);
    free(audit->policy_ruleset);
    free(audit->policy_version);
    audit->policy_ruleset = audit->policy_version = NULL;
    return true;
}

bool audit_settle(struct audit *audit)
{
    if (!audit->attention)
        return true;
    audit->staged = NULL; /* its place is about to be used */
    if (audit_ring_refresh(&audit->ring) < audit->ring.size / 2)
        audit->low_refused = false;
    bool done = (!audit->ledger.count || place_gap(audit)) && (!audit->policy_ruleset || place_policy(audit)) &&
                (!audit->released || place_released(audit));
    set_attention(audit);
    return done;
}

/* Room for one event, after everything that must stand before it. */
static struct record *find_room(struct audit *audit, size_t size, bool low)
{
    const size_t before = sizeof(struct record_gap) + sizeof(struct record_facts) + 4096;
    size_t limit = low ? audit->low_limit : audit->ring.size;
    if (audit->attention) {
        if (audit_ring_refresh(&audit->ring) < audit->ring.size / 2)
            audit->low_refused = false;
        bool first = audit->ledger.count || audit->policy_ruleset;
        if ((low && audit->low_refused) ||
            (first && !audit_ring_reserve(&audit->ring, round_up(size + before), limit)) || !audit_settle(audit))
            return NULL;
    }
    struct record *record = audit_ring_reserve(&audit->ring, size, limit);
    if (!record && low) {
        audit->low_refused = audit->attention = true;
        atomic_store_explicit(&audit->accepting, false, memory_order_relaxed);
    }
    return record;
}

/* AUDIT_FULL_BLOCK: a writer that is only behind gets some time; one that cannot write at all does not. */
static struct record *wait_for_room(struct audit *audit, size_t size, bool low)
{
    int64_t until = guard_clock_monotonic_ns() + (int64_t)audit->set.is.block_ms * 1000000;
    const struct timespec nap = {0, BLOCK_NAP_NS};
    struct record *record = NULL;
    while (!record && !atomic_load_explicit(&audit->stalled, memory_order_relaxed) &&
           guard_clock_monotonic_ns() < until) {
        audit_wake(audit);
        nanosleep(&nap, NULL);
        record = find_room(audit, size, low);
    }
    return record;
}

void audit_look_at_fill(struct audit *audit)
{
    size_t size = audit->ring.size, used = audit_ring_refresh(&audit->ring);
    if (used > size / 2)
        audit_wake(audit);
    if (used > size / 4 * 3)
        atomic_store_explicit(&audit->accepting, false, memory_order_relaxed);
    audit->check_at = audit->ring.reserved + (used >= size / 2 ? size / 64 : size / 2 - used);
}

static struct record *__attribute__((noinline))
begin_slow(struct audit *audit, size_t size, enum audit_action action, bool low, int64_t time_ns)
{
    struct record *record = find_room(audit, size, low);
    if (!record && audit->set.is.on_full == AUDIT_FULL_BLOCK)
        record = wait_for_room(audit, size, low);
    if (!record) {
        if (!low)
            atomic_store_explicit(&audit->accepting, false, memory_order_relaxed);
        audit_wake(audit);
        lose(audit, action, time_ns);
    }
    return record;
}

/* Another thread's record is made outside of the ring; its number is taken when it is queued. */
static struct record *__attribute__((noinline))
begin_aside(struct audit *audit, size_t size, enum audit_action action, unsigned flags, int64_t time_ns)
{
    struct audit_side_record *side = calloc(1, offsetof(struct audit_side_record, record) + size);
    if (side)
        return &side->record;
    audit_lost(audit, action, time_ns, flags & AUDIT_FLAG_FAILED);
    return NULL;
}

struct record *audit_begin(struct audit *audit, size_t size, enum audit_action action, unsigned flags, int64_t time_ns)
{
    bool low = flags & AUDIT_FLAG_LOW;
    struct record *record = NULL;
    size = round_up(size);
    if (__builtin_expect(!on_broker_thread(audit), 0)) {
        record = begin_aside(audit, size, action, flags, time_ns);
    } else {
        audit->staged = NULL;
        audit_bump(&audit->count[action][flags & AUDIT_FLAG_FAILED ? 1 : 0], 1);
        if (!audit->attention)
            record = audit_ring_reserve(&audit->ring, size, low ? audit->low_limit : audit->ring.size);
        if (__builtin_expect(!record, 0))
            record = begin_slow(audit, size, action, low, time_ns);
        if (record)
            record->sequence = atomic_fetch_add_explicit(&audit->sequence, 1, memory_order_relaxed) + 1;
    }
    if (!record)
        return NULL;
    record->size = (uint32_t)size;
    record->kind = (uint8_t)action;
    record->flags = (uint8_t)flags;
    record->time_ns = time_ns ? time_ns : guard_clock_real_ns();
    return record;
}

static void append_aside(struct audit_side *side, struct audit_side_record *record)
{
    record->next = NULL;
    if (side->last)
        side->last->next = record;
    else
        side->first = record;
    side->last = record;
    side->bytes += record->record.size;
}

/* In the lock. */
static void gap_aside(struct audit *audit)
{
    struct audit_side *side = &audit->side;
    struct audit_side_record *record =
        calloc(1, offsetof(struct audit_side_record, record) + sizeof(struct record_gap));
    if (!record)
        return; /* it stays in the ledger and is tried again */
    struct record_gap *gap = (struct record_gap *)&record->record;
    fill_gap(gap, &side->ledger, take_numbers(audit, side->ledger.count));
    gap->head.size = sizeof *gap;
    append_aside(side, record);
    audit_bump(&side->count[AUDIT_ACTION_AUDIT_GAP][1], 1);
    memset(&side->ledger, 0, sizeof side->ledger);
}

static void commit_aside(struct audit *audit, struct record *record)
{
    struct audit_side *side = &audit->side;
    struct audit_side_record *node =
        (struct audit_side_record *)(void *)((char *)record - offsetof(struct audit_side_record, record));
    bool event = record_is_event(record), kept = true;
    enum audit_action action = record_action(record);
    pthread_mutex_lock(&side->lock);
    if (event)
        audit_bump(&side->count[action][record->flags & AUDIT_FLAG_FAILED ? 1 : 0], 1);
    if (event && side->bytes + record->size > AUDIT_SIDE_BYTES) {
        enum audit_loss cause = cause_now(audit);
        audit_ledger_add(&side->ledger, action, record->time_ns, cause);
        audit_bump(&side->lost[cause], 1);
        kept = false;
    } else {
        if (event && side->ledger.count)
            gap_aside(audit);
        if (event)
            record->sequence = atomic_fetch_add_explicit(&audit->sequence, 1, memory_order_relaxed) + 1;
        append_aside(side, node);
        atomic_store_explicit(&side->waiting, true, memory_order_release);
    }
    pthread_mutex_unlock(&side->lock);
    if (!kept)
        free(node);
}

void audit_commit(struct audit *audit, struct record *record)
{
    if (__builtin_expect(!on_broker_thread(audit), 0)) {
        commit_aside(audit, record);
        return;
    }
    audit_show(audit);
}

void audit_lost(struct audit *audit, enum audit_action action, int64_t time_ns, bool failed)
{
    if (on_broker_thread(audit)) {
        audit_bump(&audit->count[action][failed], 1);
        lose(audit, action, time_ns);
        return;
    }
    struct audit_side *side = &audit->side;
    enum audit_loss cause = cause_now(audit);
    pthread_mutex_lock(&side->lock);
    audit_bump(&side->count[action][failed], 1);
    audit_ledger_add(&side->ledger, action, time_ns ? time_ns : guard_clock_real_ns(), cause);
    audit_bump(&side->lost[cause], 1);
    pthread_mutex_unlock(&side->lock);
}

/* Hands a peer to the writer, in order behind its events. */
void audit_peer_release(struct audit *audit, struct audit_peer *peer)
{
    if (on_broker_thread(audit)) {
        peer->next = audit->released;
        audit->released = peer;
        audit->attention = true;
        audit_settle(audit);
        return;
    }
    struct audit_side_record *side = calloc(1, sizeof *side);
    if (!side)
        return; /* out of memory: the peer is given up rather than freed under the writer's hands */
    side->record.size = sizeof side->record;
    side->record.kind = AUDIT_RECORD_RELEASE;
    side->record.peer = peer;
    commit_aside(audit, &side->record);
}

void audit_set_policy(struct audit *audit, const char *ruleset, const char *version)
{
    free(audit->policy_ruleset);
    free(audit->policy_version);
    audit->policy_ruleset = strdup(ruleset ? ruleset : "default");
    audit->policy_version = version ? strdup(version) : NULL;
    audit->attention = true;
    audit_settle(audit);
}

void audit_push_sink_gap(struct audit *audit, uint64_t first, uint64_t last)
{
    struct audit_side_record *side =
        calloc(1, offsetof(struct audit_side_record, record) + sizeof(struct record_facts));
    if (!side)
        return; /* it is looked for again in a second */
    struct record_facts *facts = (struct record_facts *)(void *)&side->record;
    facts->head.size = sizeof *facts;
    facts->head.kind = AUDIT_RECORD_SINK_GAP;
    facts->head.flags = AUDIT_FLAG_FAILED;
    facts->head.time_ns = guard_clock_real_ns();
    facts->number[SINK_GAP_FIRST] = (int64_t)first;
    facts->number[SINK_GAP_LAST] = (int64_t)last;
    commit_aside(audit, &side->record);
    pthread_mutex_lock(&audit->side.lock);
    audit_bump(&audit->side.lost[AUDIT_LOSS_SINK_TRIMMED], last - first + 1);
    pthread_mutex_unlock(&audit->side.lock);
}
