/* From a folder as the last run left it to a writer that can run: repair, key, chain, first line. */
#include "audit/writer.h"

#include <stdio.h>
#include <stdlib.h>

int audit_writer_new(struct audit *audit, struct audit_writer **out, struct guard_error *err)
{
    struct audit_writer *writer = calloc(1, sizeof *writer);
    *out = NULL;
    if (!writer)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    writer->audit = audit;
    writer->segments = (struct audit_segments){.dir = -1, .lock = -1, .file = -1};
    writer->expected = 1;
    writer->average = 600;
    memset(writer->checkpoint_digest, '0', sizeof writer->checkpoint_digest - 1);
    writer->batch = malloc(AUDIT_BATCH_ROOM);
    if (audit->set.is.format == AUDIT_FORMAT_OCSF)
        writer->scratch = malloc(2 * AUDIT_LINE_MAX);
    sem_init(&writer->leave, 0, 0);
    *out = writer;
    if (writer->batch && (audit->set.is.format != AUDIT_FORMAT_OCSF || writer->scratch))
        return GUARD_OK;
    audit_writer_free(out);
    return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

/* The settings that decide what can be missing from the trail, for whoever reads it later. */
static void describe(const struct audit_config *config, char *text, size_t size)
{
    static const char *const publish[] = {"all", "denied", "summary"}, *const deliver[] = {"denied", "none", "all"};
    static const char *const full[] = {"drop", "block", "deny"}, *const format[] = {"ecs", "ocsf"};
    static const char *const sync[] = {"interval", "off", "batch", "event"}, *const privacy[] = {"none", "hmac",
                                                                                                 "truncate"};
    static const char *const failed_user[] = {"full", "hash", "none"};
    snprintf(text, size,
             "audit trail started: publish=%s deliver=%s on_full=%s fsync=%s format=%s failed_user=%s privacy=%s "
             "ring_bytes=%zu rotate_bytes=%llu rotate_seconds=%u",
             publish[config->publish], deliver[config->deliver], full[config->on_full], sync[config->fsync],
             format[config->format], failed_user[config->failed_user], privacy[config->privacy], config->ring_size,
             (unsigned long long)config->rotate_size, config->rotate_seconds);
}

uint64_t audit_next_number(struct audit *audit)
{
    return atomic_fetch_add_explicit(&audit->sequence, 1, memory_order_relaxed) + 1;
}

static void fill_previous(struct audit_own *own, const struct audit_remains *remains)
{
    if (!remains->found)
        return;
    memcpy(own->previous_chain, remains->chain, sizeof own->previous_chain);
    memcpy(own->previous_head, remains->head, sizeof own->previous_head);
    own->previous_sequence = remains->sequence;
}

static void emit_start(struct audit_writer *writer, const struct audit_remains *remains)
{
    char message[AUDIT_MESSAGE_MAX];
    describe(&writer->audit->set.is, message, sizeof message);
    struct audit_own start = {.action = AUDIT_ACTION_AUDIT_START,
                              .sequence = audit_next_number(writer->audit),
                              .time_ns = guard_clock_real_ns(),
                              .message = message,
                              .clean_shutdown = remains->clean,
                              .file = writer->segments.previous,
                              .key_id = writer->key.key ? writer->key.id : NULL};
    fill_previous(&start, remains);
    audit_emit_own(writer, &start);
    if (remains->clean)
        return;
    struct audit_own recovered = {
        .action = AUDIT_ACTION_AUDIT_RECOVERED,
        .sequence = audit_next_number(writer->audit),
        .time_ns = guard_clock_real_ns(),
        .message = "the previous run did not end properly; events that were in memory are lost",
        .reason = remains->torn_bytes ? GUARD_REASON_CRASH_TORN_TAIL : GUARD_REASON_CRASH_UNKNOWN,
        .torn_bytes = remains->torn_bytes,
        .file = remains->file};
    fill_previous(&recovered, remains);
    audit_emit_own(writer, &recovered);
}

static int begin_trail(struct audit_writer *writer, struct guard_error *err)
{
    struct audit_remains remains;
    const char *dir = writer->audit->set.is.dir;
    int rc = audit_recover(&writer->segments, &remains);
    if (rc != GUARD_OK)
        return guard_fail_at(err, (enum guard_code)rc, dir, 0, 0, "the files of the last run cannot be read");
    if (!audit_segments_next(&writer->segments, writer->audit->chain))
        return guard_fail_at(err, GUARD_ERR_IO, dir, 0, 0, "no file can be made here (full, or not this user's)");
    emit_start(writer, &remains);
    audit_damage_at_start(writer, &remains);
    audit_emit_checkpoint(writer, &(struct audit_turn){.sequence = audit_next_number(writer->audit)});
    writer->lines_since_request = 0;
    if (!audit_disk_write(writer))
        return guard_fail_at(err, GUARD_ERR_IO, dir, 0, 0, "the first record cannot be written; is the disk full?");
    audit_disk_sync(writer, guard_clock_monotonic_ns());
    audit_damage_note(writer, 0);
    audit_segments_reserve(&writer->segments, writer->audit->set.is.reserve_bytes);
    return GUARD_OK;
}

static int open_parts(struct audit_writer *writer, struct guard_error *err)
{
    const struct audit_config *config = &writer->audit->set.is;
    int rc = GUARD_OK;
    if (config->signing_key_file)
        rc = audit_key_load_private(&writer->key, config->signing_key_file, err);
    if (rc == GUARD_OK && audit_chain_init(&writer->chain, writer->audit->chain) != GUARD_OK)
        rc = guard_fail(err, GUARD_ERR_CRYPTO, "SHA-256 is not available");
    if (rc == GUARD_OK)
        rc = audit_segments_open(&writer->segments, config->dir, err);
    if (rc != GUARD_OK)
        return rc;
    audit_encoder_init(&writer->encoder, writer->audit);
    writer->checkpoint_ns = writer->segment_ns = writer->sync_ns = guard_clock_monotonic_ns();
    atomic_store(&writer->up, true);
    atomic_store(&writer->disk_free, audit_segments_free(&writer->segments));
    return begin_trail(writer, err);
}

int audit_writer_open(void *context, struct guard_error *err)
{
    struct audit_writer *writer = context;
    int rc = open_parts(writer, err);
    if (rc != GUARD_OK)
        audit_segments_close(&writer->segments);
    return rc;
}

void audit_writer_free(struct audit_writer **pointer)
{
    struct audit_writer *writer = *pointer;
    *pointer = NULL;
    if (!writer)
        return;
    while (writer->side) {
        struct audit_side_record *next = writer->side->next;
        if (writer->side->record.kind == AUDIT_RECORD_RELEASE)
            audit_peer_destroy(writer->side->record.peer);
        free(writer->side);
        writer->side = next;
    }
    sem_destroy(&writer->leave);
    audit_chain_destroy(&writer->chain);
    audit_key_destroy(&writer->key);
    free(writer->batch);
    free(writer->scratch);
    free(writer);
}
