/* The store thread: connect, read, follow; on any fault start over. */
#include "core/clock.h"
#include "core/file.h"
#include "core/memory.h"
#include "store/store_internal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NS_PER_MS         INT64_C(1000000)
#define CHECK_MS          1000 /* between two checks of a quiet connection */
#define STATUS_NS         (INT64_C(10000) * NS_PER_MS)
#define BACKOFF_MIN_MS    100u
#define BACKOFF_MAX_MS    5000u
#define STEADY_NS         (INT64_C(10000) * NS_PER_MS) /* a connection that lasted so long starts the back-off anew */
#define NICENESS          5                            /* a first sync must not take the broker's turn */
#define PASSWORD_FILE_MAX 4096

static bool stopping(struct guard_store *store)
{
    return atomic_load(&store->stop);
}

/* Empties the wake descriptor; true if the thread should go on. */
static bool woken(struct guard_store *store)
{
    uint64_t count;
    while (read(store->wake_fd, &count, sizeof count) > 0)
        ;
    return !stopping(store);
}

static int fault_of(struct guard_store *store, const struct guard_error *err, enum guard_reason reason)
{
    return guard_redis_fail(&store->fault, reason, "%.60s: %.180s", err->place, err->text);
}

/* The password as the file has it now, without the line end. */
static int read_password(struct guard_store *store)
{
    struct guard_error err = {0};
    guard_free_secret(&store->password, store->password_length);
    store->password_length = 0;
    if (!store->config.password_file)
        return 0;
    if (guard_file_read(store->config.password_file, GUARD_FILE_SECRET, PASSWORD_FILE_MAX, &store->password,
                        &store->password_length, &err) != GUARD_OK)
        return fault_of(store, &err, GUARD_REASON_STORE_AUTH_FAILED);
    store->password[strcspn(store->password, "\r\n")] = '\0';
    return 0;
}

/* What connections need, read anew each time: passwords and certificates change without a restart. */
static int prepare(struct guard_store *store)
{
    struct guard_error err = {0};
    if (read_password(store) != 0)
        return -1;
    guard_redis_tls_free(&store->tls);
    if (store->url.tls && guard_redis_tls_new(store->config.tls_ca, store->config.tls_cert, store->config.tls_key,
                                              &store->tls, &err) != GUARD_OK)
        return fault_of(store, &err, GUARD_REASON_STORE_TLS_FAILED);
    store->settings = (struct guard_redis_settings){.requests = &store->state.requests,
                                                    .username = store->config.username,
                                                    .password = store->password,
                                                    .client_name = store->client_name,
                                                    .tls = store->tls,
                                                    .database = store->url.database,
                                                    .connect_timeout_ms = store->config.connect_timeout_ms,
                                                    .command_timeout_ms = store->config.command_timeout_ms,
                                                    .wake_fd = store->wake_fd};
    return 0;
}

static void note_server(struct guard_store *store)
{
    guard_redis_endpoint_text(&store->link.server.endpoint, store->state.server, sizeof store->state.server);
}

static struct guard_sync make_sync(struct guard_store *store)
{
    return (struct guard_sync){
        .link = &store->link, .checks = &store->checks, .good = &store->held, .use_index = store->config.use_index};
}

/* Takes a content just read and puts it in force if it may be. */
static void take_seen(struct guard_store *store, const struct guard_content *next, int64_t noticed_ns)
{
    guard_content_free(&store->seen);
    store->seen = *next;
    guard_store_deliver(store, noticed_ns);
}

static int read_all(struct guard_store *store)
{
    struct guard_sync sync = make_sync(store);
    struct guard_content next = {0};
    int64_t noticed_ns = guard_clock_real_ns();
    if (guard_sync_all(&sync, &next, &store->fault) != 0)
        return -1;
    store->state.syncs++;
    take_seen(store, &next, noticed_ns);
    return 0;
}

static int read_changes(struct guard_store *store)
{
    struct guard_sync sync = make_sync(store);
    struct guard_content next = {0};
    int64_t noticed_ns = guard_clock_real_ns();
    int rc = guard_sync_changes(&sync, &store->seen, &next, &store->fault);
    if (rc == 1)
        return read_all(store);
    if (rc == 0)
        take_seen(store, &next, noticed_ns);
    return rc;
}

static void report_saver(struct guard_store *store)
{
    struct guard_error err;
    if (store->saver && guard_saver_failure(store->saver, &err))
        guard_store_problem(store, GUARD_PROBLEM_ERROR, store->config.snapshot_file, "cannot be written: %s", err.text);
}

/* Once a second: whether all is as it should be. While it is, the policy in force is fresh. */
static int check(struct guard_store *store, int64_t *status_due)
{
    if (guard_link_check(&store->link, &store->fault) != 0)
        return -1;
    if (store->state.up)
        store->state.fresh_at = guard_clock_now();
    report_saver(store);
    guard_store_tell(store);
    if (guard_clock_monotonic_ns() < *status_due)
        return 0;
    *status_due = guard_clock_monotonic_ns() + STATUS_NS;
    if (store->saver && store->state.up)
        guard_saver_confirm(store->saver);
    return guard_store_write_status(store);
}

/* Follows changes until something fails or somebody wants the thread. */
static int follow(struct guard_store *store)
{
    int64_t status_due = 0, check_due = 0;
    while (!stopping(store) && !atomic_load(&store->resync)) {
        if (store->link.pending.changed) {
            if (read_changes(store) != 0)
                return -1;
            status_due = 0; /* the new version is shown at the next check */
            continue;
        }
        int64_t left = check_due - guard_clock_monotonic_ns();
        if (left <= 0) {
            if (check(store, &status_due) != 0)
                return -1;
            check_due = guard_clock_monotonic_ns() + CHECK_MS * NS_PER_MS;
            continue;
        }
        if (guard_link_wait(&store->link, (int)(left / NS_PER_MS) + 1, &store->fault) != 0)
            return -1;
    }
    store->fault.interrupted = true;
    return -1;
}

/* One life of a connection. */
static void live(struct guard_store *store)
{
    store->fault = (struct guard_redis_fault){0};
    atomic_store(&store->resync, false);
    if (prepare(store) != 0)
        return;
    int rc = guard_link_open(&store->link, &store->fault);
    note_server(store);
    if (rc == 0 && read_all(store) == 0)
        follow(store);
    guard_link_close(&store->link);
}

static unsigned jitter(unsigned ms)
{
    unsigned random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = 0;
    return ms / 2 + random % (ms + 1); /* half to one and a half: brokers do not come back in step */
}

/* Waits before the next try; the state is told meanwhile, since its age grows. */
static void back_off(struct guard_store *store, unsigned ms)
{
    int64_t end = guard_clock_monotonic_ns() + (int64_t)jitter(ms) * NS_PER_MS;
    while (!stopping(store) && !atomic_load(&store->resync)) {
        int64_t left = (end - guard_clock_monotonic_ns()) / NS_PER_MS;
        struct pollfd wake = {.fd = store->wake_fd, .events = POLLIN};
        if (left <= 0)
            return;
        if (poll(&wake, 1, left > CHECK_MS ? CHECK_MS : (int)left) > 0)
            woken(store);
        guard_store_tell(store);
    }
}

void guard_store_thread(void *argument)
{
    struct guard_store *store = argument;
    unsigned wait_ms = BACKOFF_MIN_MS;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS); /* Linux: of this thread alone */
    while (!stopping(store)) {
        int64_t start = guard_clock_monotonic_ns();
        live(store);
        if (!woken(store))
            break;
        if (store->fault.interrupted) /* asked to connect anew */
            continue;
        store->state.reconnects++;
        guard_store_set_down(store, store->fault.reason, store->fault.text);
        guard_store_tell(store);
        if (guard_clock_monotonic_ns() - start > STEADY_NS)
            wait_ms = BACKOFF_MIN_MS;
        back_off(store, wait_ms);
        wait_ms = wait_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : wait_ms * 2;
    }
}
