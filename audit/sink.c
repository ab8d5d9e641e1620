#include "audit/sink.h"

#include "audit/line_end.h"
#include "audit/out.h"
#include "audit/segment.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CHUNK          ((size_t)128 * 1024) /* read at once; more than the longest line */
#define BATCH          256                  /* lines sent at once */
#define IDLE_MS        100
#define BACKOFF_FIRST  500
#define BACKOFF_LAST   30000
#define SECOND_NS      1000000000LL
#define NO_CHAIN       "000000000000" /* nothing was sent yet */
#define LAST_CHANCE_NS SECOND_NS

/* A place in the trail. */
struct place {
    uint64_t number;   /* of the file */
    uint64_t offset;   /* of the next line */
    uint64_t sequence; /* of the last line before it */
    uint64_t base_ms;  /* of that line's run */
    char chain[AUDIT_CHAIN_LENGTH + 1];
};

struct audit_sink {
    struct audit *audit;
    const struct audit_sink_backend *backend;
    void *state;
    pthread_t thread;
    bool running;
    int stop_fd;
    atomic_bool stop;  /* deliver what is there, then end */
    atomic_bool abort; /* end at once; waits of the backend look at it */

    int dir, file;                   /* the thread's own */
    char path[AUDIT_FILE_NAME_SIZE]; /* of the file that remembers the place, in dir */
    struct place sent, settled, saved;
    char *buffer;
    bool connected;
    int backoff_ms;
    unsigned jitter;
    int64_t retry_ns, saved_ns, looked_ns;

    atomic_bool up;
    _Atomic uint64_t written_bytes, errors, delivered; /* delivered: the last number, in the current run */
};

/* ---- the place ---- */

static void save_place(struct audit_sink *sink)
{
    char text[160], path[4200];
    int length =
        snprintf(text, sizeof text, "%llu %llu %llu %llu %s\n", (unsigned long long)sink->settled.number,
                 (unsigned long long)sink->settled.offset, (unsigned long long)sink->settled.sequence,
                 (unsigned long long)sink->settled.base_ms, *sink->settled.chain ? sink->settled.chain : NO_CHAIN);
    if (memcmp(&sink->settled, &sink->saved, sizeof sink->saved) == 0 ||
        snprintf(path, sizeof path, "%s/%s", sink->audit->set.is.dir, sink->path) >= (int)sizeof path)
        return;
    if (guard_file_replace(path, text, (size_t)length, 0640, NULL) == GUARD_OK)
        sink->saved = sink->settled;
    sink->saved_ns = guard_clock_monotonic_ns();
}

static bool load_place(struct audit_sink *sink)
{
    char text[160] = "";
    int fd = openat(sink->dir, sink->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    unsigned long long number, offset, sequence, base;
    char chain[AUDIT_CHAIN_LENGTH + 1];
    if (got <= 0 || sscanf(text, "%llu %llu %llu %llu %12[0-9a-f]", &number, &offset, &sequence, &base, chain) != 5)
        return false;
    sink->sent = (struct place){.number = number, .offset = offset, .sequence = sequence, .base_ms = base};
    memcpy(sink->sent.chain, chain, sizeof chain);
    return true;
}

static bool open_number(struct audit_sink *sink, const char *name, uint64_t number, uint64_t offset)
{
    int fd = openat(sink->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (sink->file >= 0)
        close(sink->file);
    sink->file = fd;
    sink->sent.number = number;
    sink->sent.offset = offset;
    return true;
}

/* Opens the file of the place, or the first one behind it when that is gone. False: there is none. */
static bool open_file(struct audit_sink *sink, bool next)
{
    struct audit_file *files = NULL;
    size_t count = 0;
    bool opened = false;
    if (audit_files_list(sink->dir, &files, &count, NULL) != GUARD_OK)
        return false;
    for (size_t i = 0; i < count && !opened; i++) {
        bool same = files[i].number == sink->sent.number;
        if (files[i].number > sink->sent.number || (same && !next))
            opened = open_number(sink, files[i].name, files[i].number, same ? sink->sent.offset : 0);
    }
    free(files);
    return opened;
}

/* ---- lines ---- */

/*
 * A run's base is the time when the sink came to it, but always above the one before, whatever the clock did. It is
 * remembered before the first line is sent, so that lines that are sent again are the same ones to the receiver.
 */
static void begin_run(struct audit_sink *sink, const struct audit_line_end *end)
{
    uint64_t now_ms = (uint64_t)(guard_clock_real_ns() / 1000000);
    sink->sent.base_ms = now_ms > sink->sent.base_ms ? now_ms : sink->sent.base_ms + 1;
    memcpy(sink->sent.chain, end->chain, sizeof sink->sent.chain);
    sink->sent.sequence = 0;
    sink->settled = sink->sent;
    save_place(sink);
}

/* Splits a chunk into whole lines. Returns their number; *used: bytes they take with their line ends. */
static size_t split(struct audit_sink *sink, const char *chunk, size_t length, struct audit_sink_line *lines,
                    size_t *used)
{
    size_t count = 0;
    *used = 0;
    while (count < BATCH) {
        const char *start = chunk + *used, *stop = memchr(start, '\n', length - *used);
        struct audit_line_end end;
        if (!stop)
            break;
        size_t line = (size_t)(stop - start);
        if (audit_line_end_parse(start, line, &end)) { /* torn lines are not for sinks */
            bool other = strcmp(end.chain, sink->sent.chain) != 0;
            bool settled = sink->settled.number == sink->sent.number && sink->settled.offset == sink->sent.offset;
            if (other && (count || !settled))
                break; /* the next run begins with a batch of its own, and when the last one has arrived */
            if (other)
                begin_run(sink, &end);
            lines[count++] = (struct audit_sink_line){start, line, end.sequence, sink->sent.base_ms};
        }
        *used += line + 1;
    }
    return count;
}

static void broke(struct audit_sink *sink)
{
    sink->backend->close(sink->state);
    sink->connected = false;
    atomic_store_explicit(&sink->up, false, memory_order_relaxed);
    audit_bump(&sink->errors, 1);
    sink->backoff_ms = sink->backoff_ms ? sink->backoff_ms * 2 : BACKOFF_FIRST;
    if (sink->backoff_ms > BACKOFF_LAST)
        sink->backoff_ms = BACKOFF_LAST;
    int spread = rand_r(&sink->jitter) % (sink->backoff_ms / 4 + 1);
    sink->retry_ns = guard_clock_monotonic_ns() + (int64_t)(sink->backoff_ms - spread) * 1000000;
    sink->sent = sink->settled; /* what was on its way comes again */
    if (sink->file >= 0)
        close(sink->file);
    sink->file = -1;
}

static bool ensure_connected(struct audit_sink *sink)
{
    if (sink->connected)
        return true;
    if (guard_clock_monotonic_ns() < sink->retry_ns)
        return false;
    sink->connected = sink->backend->connect(sink->state);
    if (!sink->connected)
        broke(sink);
    else
        atomic_store_explicit(&sink->up, true, memory_order_relaxed);
    return sink->connected;
}

static void note_settled(struct audit_sink *sink)
{
    if (!sink->backend->settled(sink->state))
        return;
    sink->settled = sink->sent;
    sink->backoff_ms = 0;
    if (strcmp(sink->settled.chain, sink->audit->chain) == 0)
        atomic_store_explicit(&sink->delivered, sink->settled.sequence, memory_order_relaxed);
}

/* Sends the next lines. False: there are none, or they cannot be sent now. */
static bool deliver_some(struct audit_sink *sink)
{
    struct audit_sink_line lines[BATCH];
    size_t used;
    if (!ensure_connected(sink) || (sink->file < 0 && !open_file(sink, false)))
        return false;
    ssize_t got = pread(sink->file, sink->buffer, CHUNK, (off_t)sink->sent.offset);
    size_t count = got > 0 ? split(sink, sink->buffer, (size_t)got, lines, &used) : 0;
    if (got <= 0 || !used)
        return false;
    size_t taken = count ? sink->backend->send(sink->state, lines, count) : 0;
    if (taken < count) {
        broke(sink);
        return false;
    }
    sink->sent.offset += used;
    if (count)
        sink->sent.sequence = lines[count - 1].sequence;
    audit_bump(&sink->written_bytes, used);
    return true;
}

/* At the end of a file: whether there is a next one to go on with. */
static bool turn_page(struct audit_sink *sink)
{
    char byte;
    if (sink->file < 0 || !sink->connected)
        return false;
    int old = dup(sink->file);
    uint64_t offset = sink->sent.offset;
    struct place before = sink->sent;
    bool moved = open_file(sink, true);
    /* the next file was there before this look: if the old one has nothing more, it never will */
    if (moved && old >= 0 && pread(old, &byte, 1, (off_t)offset) > 0) {
        close(sink->file);
        sink->file = old;
        sink->sent = before;
        return true;
    }
    if (old >= 0)
        close(old);
    return moved;
}

static void look_for_trimming(struct audit_sink *sink, int64_t now)
{
    uint64_t first, last;
    if (!sink->backend->trimmed || !sink->connected || now - sink->looked_ns < SECOND_NS)
        return;
    sink->looked_ns = now;
    if (sink->backend->trimmed(sink->state, &first, &last))
        audit_push_sink_gap(sink->audit, first, last);
}

/* ---- the thread ---- */

static void nap(struct audit_sink *sink)
{
    struct pollfd wake = {.fd = sink->stop_fd, .events = POLLIN};
    poll(&wake, 1, IDLE_MS);
}

static void run(void *context)
{
    struct audit_sink *sink = context;
    int64_t end_ns = 0;
    for (;;) {
        int64_t now = guard_clock_monotonic_ns();
        bool some = deliver_some(sink) || turn_page(sink);
        if (sink->connected)
            note_settled(sink);
        if (now - sink->saved_ns >= SECOND_NS)
            save_place(sink);
        look_for_trimming(sink, now);
        bool stopping = atomic_load_explicit(&sink->stop, memory_order_relaxed);
        if (stopping && !end_ns)
            end_ns = now + LAST_CHANCE_NS;
        bool all = !some && sink->connected && sink->settled.offset == sink->sent.offset;
        if (stopping && (all || !sink->connected || now >= end_ns))
            break;
        if (!some)
            nap(sink);
    }
    save_place(sink);
    sink->backend->close(sink->state);
    if (sink->file >= 0)
        close(sink->file);
    close(sink->dir);
}

/* ---- life ---- */

/* A sink is known by what it sends to: another target begins with a place of its own. */
static void name_place(struct audit_sink *sink, const struct audit_sink_config *config)
{
    unsigned char digest[AUDIT_HASH_SIZE];
    char hex[17], key[1024];
    int length = snprintf(key, sizeof key, "%s %s %s %u", sink->backend->name, config->target,
                          config->stream ? config->stream : "", config->database);
    size_t used = (size_t)length < sizeof key ? (size_t)length : sizeof key - 1;
    if (EVP_Digest(key, used, digest, NULL, sink->audit->sha256, NULL) != 1)
        memset(digest, 0, sizeof digest);
    audit_hex(digest, 8, hex);
    snprintf(sink->path, sizeof sink->path, ".sink-%.8s-%.16s", sink->backend->name, hex);
}

/* A new sink begins with this run: its first file is the last one there is now, or one behind it. */
static void find_start(struct audit_sink *sink)
{
    struct audit_file *files = NULL;
    size_t count = 0;
    if (load_place(sink)) {
        sink->settled = sink->saved = sink->sent;
        return;
    }
    if (audit_files_list(sink->dir, &files, &count, NULL) == GUARD_OK)
        for (size_t i = 0; i < count && !sink->sent.number; i++)
            if (strncmp(files[i].name + sizeof "audit-" - 1, sink->audit->chain, AUDIT_CHAIN_LENGTH) == 0)
                sink->sent.number = files[i].number;
    free(files);
    sink->settled = sink->sent;
}

static int begin(void *context, struct guard_error *err)
{
    struct audit_sink *sink = context;
    const char *dir = sink->audit->set.is.dir;
    sink->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sink->dir < 0)
        return guard_fail_at(err, GUARD_ERR_IO, dir, 0, 0, "cannot be opened for an audit sink: %s", strerror(errno));
    find_start(sink);
    return GUARD_OK;
}

static int make(struct audit_sink *sink, const struct audit_sink_config *config, struct guard_error *err)
{
    sink->backend = config->kind == AUDIT_SINK_REDIS ? &audit_sink_redis : &audit_sink_syslog;
    int rc = sink->backend->create(sink->audit, config, &sink->abort, &sink->state, err);
    if (rc != GUARD_OK)
        return rc;
    sink->buffer = malloc(CHUNK);
    sink->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sink->jitter = (unsigned)guard_clock_monotonic_ns();
    if (!sink->buffer || sink->stop_fd < 0)
        return guard_fail(err, GUARD_ERR_NOMEM, "no memory or descriptors for an audit sink");
    name_place(sink, config);
    return GUARD_OK;
}

int audit_sink_start(struct audit *audit, const struct audit_sink_config *config, struct audit_sink **out,
                     struct guard_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    (*out)->audit = audit;
    (*out)->stop_fd = (*out)->dir = (*out)->file = -1;
    int rc = make(*out, config, err);
    struct guard_thread thread = {
        .name = "guard-sink", .begin = begin, .run = run, .context = *out, .wake_fd = (*out)->stop_fd};
    if (rc == GUARD_OK)
        rc = guard_thread_start(&thread, &(*out)->thread, err);
    if (rc == GUARD_OK)
        (*out)->running = true;
    else
        audit_sink_free(out);
    return rc;
}

void audit_sink_stop(struct audit_sink *sink)
{
    const uint64_t one = 1;
    const struct timespec step = {0, 10000000};
    if (!sink->running)
        return;
    atomic_store_explicit(&sink->stop, true, memory_order_relaxed);
    ssize_t ignored = write(sink->stop_fd, &one, sizeof one);
    (void)ignored;
    for (int i = 0; i < 150 && pthread_tryjoin_np(sink->thread, NULL) != 0; i++) {
        if (i == 149) {
            atomic_store_explicit(&sink->abort, true, memory_order_relaxed); /* a send that waits gives up now */
            pthread_join(sink->thread, NULL);
            break;
        }
        nanosleep(&step, NULL);
    }
    sink->running = false;
}

void audit_sink_free(struct audit_sink **pointer)
{
    struct audit_sink *sink = *pointer;
    *pointer = NULL;
    if (!sink)
        return;
    if (sink->state)
        sink->backend->free(sink->state);
    if (sink->stop_fd >= 0)
        close(sink->stop_fd);
    free(sink->buffer);
    free(sink);
}

void audit_sink_read(const struct audit_sink *sink, struct audit_sink_metrics *out)
{
    uint64_t written = atomic_load_explicit(&sink->audit->written, memory_order_relaxed);
    uint64_t delivered = atomic_load_explicit(&sink->delivered, memory_order_relaxed);
    *out =
        (struct audit_sink_metrics){.name = sink->backend->name,
                                    .up = atomic_load_explicit(&sink->up, memory_order_relaxed),
                                    .written_bytes = atomic_load_explicit(&sink->written_bytes, memory_order_relaxed),
                                    .errors = atomic_load_explicit(&sink->errors, memory_order_relaxed),
                                    .lag_events = written > delivered ? written - delivered : 0};
}
