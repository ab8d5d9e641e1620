/* Opening and closing the trail. */
#include "audit/audit.h"

#include "audit/sink.h"
#include "audit/watch.h"
#include "audit/writer.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static struct audit *allocate(void)
{
    struct audit *audit = aligned_alloc(AUDIT_CACHE_LINE, sizeof *audit);
    if (!audit)
        return NULL;
    memset(audit, 0, sizeof *audit);
    audit->broker_thread = audit_this_thread();
    audit->wake_fd = -1;
    atomic_store(&audit->accepting, true);
    pthread_mutex_init(&audit->side.lock, NULL);
    audit_state_init(&audit->state);
    return audit;
}

static void release_ring(struct audit *audit)
{
    struct record *record;
    while (audit->ring.memory && (record = audit_ring_peek(&audit->ring))) {
        if (record->kind == AUDIT_RECORD_RELEASE)
            audit_peer_destroy(record->peer);
        audit_ring_release(&audit->ring, record->size);
    }
    audit_ring_destroy(&audit->ring);
}

static void release_side(struct audit *audit)
{
    while (audit->side.first) {
        struct audit_side_record *next = audit->side.first->next;
        if (audit->side.first->record.kind == AUDIT_RECORD_RELEASE)
            audit_peer_destroy(audit->side.first->record.peer);
        free(audit->side.first);
        audit->side.first = next;
    }
    pthread_mutex_destroy(&audit->side.lock);
}

/* No thread uses it any more. */
static void destroy(struct audit *audit)
{
    for (size_t i = 0; i < audit->sink_count; i++)
        audit_sink_free(&audit->sink[i]);
    audit_writer_free(&audit->writer);
    release_ring(audit);
    release_side(audit);
    audit_peer_destroy(audit->released);
    audit_state_destroy(&audit->state);
    audit_privacy_wipe(&audit->privacy);
    detect_free(&audit->detect);
    audit_country_close(&audit->country);
    EVP_MD_free(audit->sha256);
    if (audit->wake_fd >= 0)
        close(audit->wake_fd);
    free(atomic_load(&audit->damage_text));
    free(audit->policy_ruleset);
    free(audit->policy_version);
    audit_settings_free(&audit->set);
    free(audit);
}

static int make_parts(struct audit *audit, struct guard_error *err)
{
    unsigned char octets[AUDIT_CHAIN_LENGTH / 2];
    size_t size = audit->set.is.ring_size;
    if (RAND_bytes(octets, sizeof octets) != 1 || !(audit->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL)))
        return guard_fail(err, GUARD_ERR_CRYPTO, "OpenSSL gives no random bytes or no SHA-256");
    audit_hex(octets, sizeof octets, audit->chain);
    audit->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (audit->wake_fd < 0 || !audit_ring_init(&audit->ring, size))
        return guard_fail(err, GUARD_ERR_NOMEM, "no memory for an audit ring of %zu bytes", size);
    audit->low_limit = size / 4 * 3;
    audit->check_at = size / 2;
    int rc = audit_privacy_load(&audit->privacy, audit->set.is.privacy_key_file, err);
    return rc == GUARD_OK ? audit_watch_init(audit, err) : rc;
}

static int start_sinks(struct audit *audit, struct guard_error *err)
{
    int rc = GUARD_OK;
    for (size_t i = 0; i < audit->set.is.sink_count && rc == GUARD_OK; i++) {
        rc = audit_sink_start(audit, &audit->set.sinks[i], &audit->sink[i], err);
        if (rc == GUARD_OK)
            audit->sink_count++;
    }
    return rc;
}

int audit_open(const struct audit_config *config, struct audit **out, struct guard_error *err)
{
    *out = NULL;
    struct audit *audit = allocate();
    if (!audit)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    int rc = audit_settings_copy(&audit->set, config, err);
    if (rc == GUARD_OK)
        rc = make_parts(audit, err);
    if (rc == GUARD_OK)
        rc = audit_writer_new(audit, &audit->writer, err);
    if (rc == GUARD_OK)
        rc = audit_writer_start(audit->writer, err);
    if (rc != GUARD_OK) {
        destroy(audit);
        return rc;
    }
    rc = start_sinks(audit, err);
    if (rc != GUARD_OK)
        audit_close(&audit);
    *out = audit;
    return rc;
}

static bool wait_for(const atomic_bool *done, unsigned timeout_ms)
{
    const struct timespec nap = {0, 1000000};
    for (unsigned i = 0; i < timeout_ms && !atomic_load_explicit(done, memory_order_acquire); i++)
        nanosleep(&nap, NULL);
    return atomic_load_explicit(done, memory_order_acquire);
}

int audit_close(struct audit **pointer)
{
    struct audit *audit = *pointer;
    *pointer = NULL;
    if (!audit)
        return GUARD_OK;
    while (audit->first_dirty)
        audit_summary_flush(audit, audit->first_dirty);
    audit_settle(audit);
    atomic_store_explicit(&audit->stop, true, memory_order_release);
    audit_wake(audit);
    if (!wait_for(&audit->writer->done, audit->set.is.close_timeout_ms))
        return GUARD_ERR_IO; /* the disk hangs: the writer still uses all of it */
    bool complete = !audit->writer->failed;
    for (size_t i = 0; i < audit->sink_count; i++)
        audit_sink_stop(audit->sink[i]);
    audit_writer_end(audit->writer);
    destroy(audit);
    return complete ? GUARD_OK : GUARD_ERR_IO;
}

void audit_reload(struct audit *audit)
{
    if (audit->country)
        audit_country_refresh(audit->country);
    atomic_store_explicit(&audit->rotate_now, true, memory_order_relaxed);
}
