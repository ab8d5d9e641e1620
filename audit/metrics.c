#include "audit/sink.h"
#include "audit/writer.h"

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void read_producers(const struct audit *audit, struct audit_metrics *out)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < AUDIT_ACTION_COUNT; i++)
        for (size_t j = 0; j < 2; j++)
            out->events[i][j] = read_counter(&audit->count[i][j]) + read_counter(&audit->side.count[i][j]);
    for (size_t i = 0; i < AUDIT_LOSS_COUNT; i++) {
        out->lost[i] = read_counter(&audit->lost[i]) + read_counter(&audit->side.lost[i]);
        lost += i == AUDIT_LOSS_SINK_TRIMMED ? 0 : out->lost[i]; /* those are in the files */
    }
    uint64_t numbered = read_counter(&audit->numbered_lost);
    out->lost[AUDIT_LOSS_DISK_FULL] += read_counter(&audit->writer->lost_at_stop);
    out->not_written = read_counter(&audit->not_written);
    out->offered = read_counter(&audit->sequence) + (lost > numbered ? lost - numbered : 0);
}

static void read_file_sink(const struct audit_writer *writer, struct audit_sink_metrics *out)
{
    uint64_t given = read_counter(&writer->audit->sequence), written = read_counter(&writer->audit->written);
    *out = (struct audit_sink_metrics){.name = "file",
                                       .up = atomic_load_explicit(&writer->up, memory_order_relaxed),
                                       .written_bytes = read_counter(&writer->written_bytes),
                                       .errors = read_counter(&writer->write_errors),
                                       .lag_events = given > written ? given - written : 0};
}

void audit_metrics_read(const struct audit *audit, struct audit_metrics *out)
{
    const struct audit_writer *writer = audit->writer;
    memset(out, 0, sizeof *out);
    read_producers(audit, out);
    out->written = read_counter(&writer->written_lines);
    out->damage = read_counter(&audit->damage);
    out->ring_size = audit->ring.size;
    size_t used = audit_ring_used(&audit->ring);
    out->ring_used = used < out->ring_size ? used : out->ring_size;
    out->ring_peak = (size_t)read_counter(&writer->peak);
    for (size_t i = 0; i < AUDIT_SYNC_BUCKETS; i++)
        out->sync_bucket[i] = read_counter(&writer->sync_bucket[i]);
    out->sync_ns = read_counter(&writer->sync_total_ns);
    out->checkpoint_time_ns = atomic_load_explicit(&writer->checkpoint_time_ns, memory_order_relaxed);
    out->disk_free = read_counter(&writer->disk_free);
    read_file_sink(writer, &out->sinks[0]);
    for (size_t i = 0; i < audit->sink_count; i++)
        audit_sink_read(audit->sink[i], &out->sinks[i + 1]);
    out->sink_count = audit->sink_count + 1;
    for (unsigned i = 0; audit->detect && i < DETECT_RULE_COUNT; i++)
        out->rules[out->rule_count++] = (struct audit_rule_metrics){detect_rule_id((enum detect_rule)i),
                                                                    detect_count(audit->detect, (enum detect_rule)i)};
}
