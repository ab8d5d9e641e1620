/*
 * What the trail costs. bench_audit [FOLDER]: the pushes on the broker thread (time and user instructions), and the
 * writer (CPU an event: encode, chain, write). Figures are printed as `name value unit`.
 */
#include "audit/audit.h"
#include "core/clock.h"
#include "tests/temporary.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 200000
#define THROUGH 2000000
#define TOPIC   "tenant-a/dev-42/up/temp"

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct cpu {
    double user, kernel;
};

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* What all threads but this one have used: the writer is the only other. */
static struct cpu cpu_of_writer(void)
{
    struct rusage all, mine;
    getrusage(RUSAGE_SELF, &all);
    getrusage(RUSAGE_THREAD, &mine);
    return (struct cpu){seconds(all.ru_utime) - seconds(mine.ru_utime), seconds(all.ru_stime) - seconds(mine.ru_stime)};
}

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Counts user instructions of this thread; -1 where the kernel or the machine does not let us. */
static int open_counter(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_HW_INSTRUCTIONS,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static uint64_t read_counter(int fd)
{
    uint64_t value = 0;
    return read(fd, &value, sizeof value) == (ssize_t)sizeof value ? value : 0;
}

static bool detecting; /* the trails that are opened from now on watch what they write */

static struct audit *open_trail(const char *dir, size_t ring, enum audit_on_full full)
{
    struct audit_config config = {.dir = dir,
                                  .broker_id = "bench",
                                  .ring_size = ring,
                                  .on_full = full,
                                  .detect = detecting,
                                  .block_ms = 1000,
                                  .rotate_size = 1ULL << 40};
    struct audit *audit;
    struct guard_error err;
    if (audit_open(&config, &audit, &err) != GUARD_OK) {
        fprintf(stderr, "%s: %s\n", err.place, err.text);
        exit(1);
    }
    audit_set_policy(audit, "tenant-a", "42");
    return audit;
}

static struct audit_peer *open_peer(struct audit *audit)
{
    return audit_peer_new(audit, &(struct audit_peer_info){.address = "203.0.113.7",
                                                           .username = "dev-42",
                                                           .client_id = "dev-42",
                                                           .listener_port = 8883,
                                                           .transport = AUDIT_TRANSPORT_TCP,
                                                           .protocol_version = 5});
}

static struct audit_message publish(int64_t now)
{
    return (struct audit_message){
        .time_ns = now, .topic = {TOPIC, sizeof TOPIC - 1}, .rule_id = {"r17", 3}, .payload_bytes = 128, .qos = 1};
}

static void wait_until(int64_t when)
{
    while (guard_clock_monotonic_ns() < when)
        ;
}

/* Time of single pushes at a rate; the clock's own cost is taken off. */
static void measure_push(const char *dir, uint64_t rate)
{
    static uint32_t sample[SAMPLES];
    struct audit *audit = open_trail(dir, 0, AUDIT_FULL_DROP);
    struct audit_peer *peer = open_peer(audit);
    size_t count = rate * 4 < SAMPLES ? rate * 4 : SAMPLES;
    int64_t start = guard_clock_monotonic_ns(), overhead = INT64_MAX;
    for (int i = 0; i < 1000; i++) {
        int64_t a = guard_clock_monotonic_ns(), b = guard_clock_monotonic_ns();
        overhead = b - a < overhead ? b - a : overhead;
    }
    for (size_t i = 0; i < count; i++) {
        wait_until(start + (int64_t)(i * 1000000000 / rate));
        struct audit_message message = publish(0);
        int64_t before = guard_clock_monotonic_ns();
        audit_push_publish(audit, peer, &message);
        int64_t took = guard_clock_monotonic_ns() - before - overhead;
        sample[i] = (uint32_t)(took > 0 ? took : 0);
    }
    qsort(sample, count, sizeof *sample, compare);
    printf("push_p50_at_%llu %u ns\npush_p99_at_%llu %u ns\n", (unsigned long long)rate, sample[count / 2],
           (unsigned long long)rate, sample[count / 100 * 99]);
    audit_peer_free(audit, &peer);
    audit_close(&audit);
}

static void measure_instructions(const char *dir, int64_t now, const char *name)
{
    enum { EVENTS = 20000 }; /* fits into the ring: only the usual path */
    struct audit *audit = open_trail(dir, (size_t)64 << 20, AUDIT_FULL_DROP);
    struct audit_peer *peer = open_peer(audit);
    int fd = open_counter();
    struct audit_message message = publish(now);
    audit_push_publish(audit, peer, &message);
    uint64_t before = read_counter(fd);
    int64_t start = guard_clock_monotonic_ns();
    for (int i = 0; i < EVENTS; i++)
        audit_push_publish(audit, peer, &message);
    int64_t took = guard_clock_monotonic_ns() - start;
    uint64_t spent = read_counter(fd) - before;
    if (fd >= 0)
        printf("push_instructions_%s %llu user instructions\n", name, (unsigned long long)(spent / EVENTS));
    printf("push_mean_%s %lld ns\n", name, (long long)(took / EVENTS));
    if (fd >= 0)
        close(fd);
    audit_peer_free(audit, &peer);
    audit_close(&audit);
}

/* As fast as the writer goes: its CPU is the process's without this thread's. */
static void measure_writer(const char *dir)
{
    struct audit *audit = open_trail(dir, (size_t)8 << 20, AUDIT_FULL_BLOCK);
    struct audit_peer *peer = open_peer(audit);
    double wall = seconds_of(CLOCK_MONOTONIC);
    struct cpu before = cpu_of_writer();
    for (int i = 0; i < THROUGH; i++) {
        struct audit_message message = publish(0);
        audit_push_publish(audit, peer, &message);
    }
    struct audit_metrics m;
    audit_peer_free(audit, &peer);
    do {
        usleep(1000);
        audit_metrics_read(audit, &m);
    } while (m.sinks[0].lag_events > 1);
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    struct cpu after = cpu_of_writer();
    double user = after.user - before.user, kernel = after.kernel - before.kernel;
    printf("writer_user %.0f ns an event (encode, chain)\nwriter_system %.0f ns an event (write)\n",
           user * 1e9 / THROUGH, kernel * 1e9 / THROUGH);
    printf("writer_rate %.0f events a core-second\nwall_rate %.0f events/s\n", THROUGH / (user + kernel),
           THROUGH / wall);
    printf("line_bytes %.0f\nlost %llu events\n", (double)m.sinks[0].written_bytes / (double)m.written,
           (unsigned long long)(m.lost[0] + m.lost[1] + m.lost[2]));
    audit_close(&audit);
}

int main(int argc, char **argv)
{
    char dir[TEMPORARY_MAX], command[TEMPORARY_MAX + 20];
    const char *where = argc > 1 ? argv[1] : temporary_folder(dir, "bench");
    if (!where)
        return 1;
    measure_push(where, 10000);
    measure_push(where, 200000);
    measure_instructions(where, 0, "with_clock");
    measure_instructions(where, guard_clock_real_ns(), "time_given");
    measure_writer(where);
    detecting = true;
    puts("with_detection 1");
    measure_writer(where);
    if (argc <= 1 && snprintf(command, sizeof command, "rm -rf '%s'", dir) > 0)
        return system(command) == 0 ? 0 : 1;
    return 0;
}
