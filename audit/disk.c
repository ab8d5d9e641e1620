/* Writing to a disk that may be full or broken: nothing is lost that was encoded, and nothing is waited for. */
#include "audit/writer.h"

#include <errno.h>
#include <unistd.h>

#define RETRY_NS    1000000000LL
#define LEAST_FREED ((uint64_t)1 << 20)
#define STOP_KEPT   ((uint64_t)64 * 1024) /* of the reserve, for the last records */

static void set_stalled(struct audit_writer *writer, int error)
{
    enum audit_loss cause = error == ENOSPC || error == EDQUOT ? AUDIT_LOSS_DISK_FULL : AUDIT_LOSS_WRITE_ERROR;
    atomic_store_explicit(&writer->audit->stalled, (int)cause + 1, memory_order_relaxed);
    atomic_store_explicit(&writer->up, false, memory_order_relaxed);
    audit_bump(&writer->write_errors, 1);
    writer->retry_ns = guard_clock_monotonic_ns();
}

static void clear_stalled(struct audit_writer *writer)
{
    atomic_store_explicit(&writer->audit->stalled, 0, memory_order_relaxed);
    atomic_store_explicit(&writer->up, true, memory_order_relaxed);
}

/* The batch as far as the disk takes it. Returns 0 or errno. */
static int write_out(struct audit_writer *writer)
{
    while (writer->batch_written < writer->batch_length) {
        ssize_t wrote = write(writer->segments.file, writer->batch + writer->batch_written,
                              writer->batch_length - writer->batch_written);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return errno;
        writer->batch_written += (size_t)wrote;
        writer->segments.size += (uint64_t)wrote;
        writer->dirty = true;
        audit_bump(&writer->written_bytes, (uint64_t)wrote);
    }
    return 0;
}

bool audit_disk_write(struct audit_writer *writer)
{
    int error = write_out(writer);
    if (error == ENOSPC && writer->segments.reserve) {
        /* what is in the batch still gets its place; then the trail rests until somebody frees some */
        audit_segments_give_back(&writer->segments);
        error = write_out(writer);
        writer->free_at_stall = audit_segments_free(&writer->segments);
        set_stalled(writer, ENOSPC);
    }
    if (error) {
        set_stalled(writer, error);
        return false;
    }
    if (!writer->free_at_stall)
        clear_stalled(writer);
    writer->batch_length = writer->batch_written = 0;
    atomic_store_explicit(&writer->audit->written, writer->batch_last, memory_order_release);
    return true;
}

void audit_disk_sync(struct audit_writer *writer, int64_t now)
{
    static const int64_t bounds[AUDIT_SYNC_BUCKETS] = {1000000, 10000000, 100000000, INT64_MAX};
    if (!writer->dirty || writer->audit->set.is.fsync == AUDIT_FSYNC_OFF)
        return;
    int64_t start = guard_clock_monotonic_ns();
    if (fdatasync(writer->segments.file) != 0)
        audit_bump(&writer->write_errors, 1);
    int64_t took = guard_clock_monotonic_ns() - start;
    size_t bucket = 0;
    while (took > bounds[bucket])
        bucket++;
    audit_bump(&writer->sync_bucket[bucket], 1);
    audit_bump(&writer->sync_total_ns, (uint64_t)took);
    writer->dirty = false;
    writer->sync_ns = now;
    audit_damage_note(writer, now); /* what it tells of must not be younger than what the disk has */
}

bool audit_disk_usable(struct audit_writer *writer, int64_t now, bool stopping)
{
    if (!audit_damage_probe(writer, now)) {
        if (now - writer->retry_ns >= RETRY_NS)
            set_stalled(writer, ENOENT);
        writer->failed = stopping;
        return false;
    }
    if (!atomic_load_explicit(&writer->audit->stalled, memory_order_relaxed))
        return true;
    if (stopping && writer->free_at_stall) {
        if (!writer->stop_budget)
            writer->stop_budget = writer->free_at_stall > STOP_KEPT ? writer->free_at_stall - STOP_KEPT : 1;
        return true;
    }
    if (now - writer->retry_ns < RETRY_NS && !stopping)
        return false;
    writer->retry_ns = now;
    if (!writer->free_at_stall)
        return true; /* no reserve was held: the write itself tells */
    uint64_t reserve = writer->audit->set.is.reserve_bytes;
    uint64_t wanted = reserve / 4 < LEAST_FREED ? reserve / 4 : LEAST_FREED;
    uint64_t before = writer->free_at_stall, free_now = audit_segments_free(&writer->segments);
    if (free_now < before + wanted)
        return false;
    audit_segments_reserve(&writer->segments, reserve);
    writer->free_at_stall = 0;
    clear_stalled(writer);
    return true;
}
