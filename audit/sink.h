/*
 * Sinks: copies of the trail elsewhere. Each has a thread that reads the files from where it stopped last time, so that
 * a dead receiver costs disk and not memory, and none can hold up the writer or another sink. At least once: after a
 * crash or a broken connection lines may come again, with the same event.id.
 */
#ifndef GUARD_AUDIT_SINK_H
#define GUARD_AUDIT_SINK_H

#include "audit/internal.h"

struct audit_sink;

/* Checks the configuration and starts the thread. A receiver that is not there is not an error. */
int audit_sink_start(struct audit *audit, const struct audit_sink_config *config, struct audit_sink **out,
                     struct guard_error *err);

/* Gives it a second to send what the writer wrote last, then ends and joins the thread. */
void audit_sink_stop(struct audit_sink *sink);
void audit_sink_free(struct audit_sink **sink);

void audit_sink_read(const struct audit_sink *sink, struct audit_sink_metrics *out);

/* ---- what a kind of sink is ---- */

/* A line of the trail without its line end. */
struct audit_sink_line {
    const char *text;
    size_t length;
    uint64_t sequence;
    uint64_t base_ms; /* when its run began, Unix milliseconds; rises from run to run */
};

struct audit_sink_backend {
    const char *name;
    /* Checks the configuration; *state is freed by free. */
    int (*create)(const struct audit *audit, const struct audit_sink_config *config, const atomic_bool *stop,
                  void **state, struct guard_error *err);
    bool (*connect)(void *state);
    /* Sends the lines in order. Returns how many were taken; fewer than count: close, and connect again later. */
    size_t (*send)(void *state, const struct audit_sink_line *lines, size_t count);
    /* Whether everything sent has arrived, so that the place in the files may be remembered. */
    bool (*settled)(void *state);
    /* About once a second while connected: true and the range when the receiver has dropped lines that nobody had read.
     */
    bool (*trimmed)(void *state, uint64_t *first, uint64_t *last);
    void (*close)(void *state);
    void (*free)(void *state);
};

extern const struct audit_sink_backend audit_sink_syslog;
extern const struct audit_sink_backend audit_sink_redis;

#endif
