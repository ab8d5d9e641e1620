#include "plugin/background.h"

#include "core/clock.h"
#include "core/thread.h"
#include "plugin/plugin.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct job {
    struct job *next;
    void (*run)(void *context);
    void *context;
};

struct guard_background {
    pthread_t thread, broker;
    pthread_mutex_t job_lock;
    pthread_cond_t job_there;
    struct job *jobs, **last_job;
    bool running; /* the thread was started */
    bool stopping;
    void (*each_second)(void *context);
    void *each_second_context;
    int64_t second_due; /* these two are of the thread itself; monotonic ns */
    unsigned rewakes;

    pthread_mutex_t message_lock;
    struct guard_message *messages, **last_message;
    atomic_bool has_messages;
    struct guard_log log;
};

/* A wake-up that comes just before the broker begins to wait is lost, so it is repeated while messages lie there. */
#define NS           INT64_C(1000000000)
#define REWAKE_NS    (5 * NS / 1000)
#define REWAKE_TIMES 40

static void wake(int signal_number)
{
    (void)signal_number; /* that it interrupts epoll_wait is all */
}

static struct timespec at(int64_t monotonic_ns)
{
    return (struct timespec){.tv_sec = monotonic_ns / NS, .tv_nsec = monotonic_ns % NS};
}

/* Whether the broker has to be woken again, since messages lie there; not for ever: it may be busy. */
static bool wants_rewake(struct guard_background *background)
{
    if (!guard_background_has_messages(background))
        background->rewakes = 0;
    return guard_background_has_messages(background) && background->rewakes < REWAKE_TIMES;
}

/* The next job, or NULL when something else is due. *rewake: the broker is to be woken. */
static struct job *next_job(struct guard_background *background, bool *rewake)
{
    pthread_mutex_lock(&background->job_lock);
    int64_t until = background->second_due;
    int rc = 0;
    *rewake = false;
    while (!background->jobs && !background->stopping && rc == 0) {
        if (!*rewake && wants_rewake(background)) { /* messages may come while we wait */
            int64_t soon = guard_clock_monotonic_ns() + REWAKE_NS;
            *rewake = soon < until;
            until = *rewake ? soon : until;
        }
        struct timespec time = at(until);
        rc = pthread_cond_timedwait(&background->job_there, &background->job_lock, &time);
    }
    struct job *job = background->jobs;
    if (job) {
        background->jobs = job->next;
        if (!background->jobs)
            background->last_job = &background->jobs;
    }
    pthread_mutex_unlock(&background->job_lock);
    return job;
}

static bool is_stopping(struct guard_background *background)
{
    pthread_mutex_lock(&background->job_lock);
    bool stopping = background->stopping;
    pthread_mutex_unlock(&background->job_lock);
    return stopping;
}

static void do_each_second(struct guard_background *background)
{
    int64_t now = guard_clock_monotonic_ns();
    if (now < background->second_due)
        return;
    background->second_due = now + NS;
    pthread_mutex_lock(&background->job_lock);
    void (*job)(void *context) = background->each_second;
    void *context = background->each_second_context;
    pthread_mutex_unlock(&background->job_lock);
    if (job)
        job(context);
}

static void work(void *argument)
{
    struct guard_background *background = argument;
    for (;;) {
        bool rewake;
        struct job *job = next_job(background, &rewake);
        if (job) {
            job->run(job->context);
            free(job);
        } else if (is_stopping(background)) {
            return;
        } else if (rewake && wants_rewake(background)) {
            background->rewakes++;
            guard_background_wake_broker(background);
        }
        do_each_second(background);
    }
}

static void init_locks(struct guard_background *background)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&background->job_there, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&background->job_lock, NULL);
    pthread_mutex_init(&background->message_lock, NULL);
}

struct line_message {
    struct guard_message message;
    enum guard_log_level level;
    char text[];
};

static void deliver_line(struct guard_plugin *plugin, struct guard_message *message)
{
    struct line_message *line = (struct line_message *)message;
    guard_log(&plugin->log, line->level, "%s", line->text);
    free(line);
}

static void discard_plain(struct guard_message *message)
{
    free(message);
}

static void post_line(void *context, enum guard_log_level level, const char *text)
{
    size_t size = strlen(text) + 1;
    struct line_message *line = malloc(sizeof *line + size);
    if (!line)
        return;
    line->message = (struct guard_message){.deliver = deliver_line, .discard = discard_plain};
    line->level = level;
    memcpy(line->text, text, size);
    guard_background_post(context, &line->message);
}

/*
 * With a second thread in the process the C library locks in malloc: 2 % of what a small publish costs the broker. So
 * the thread begins when there is something to do for it. job_lock is held.
 */
static bool start_thread(struct guard_background *background)
{
    if (background->running || background->stopping)
        return background->running;
    struct guard_error err;
    struct guard_thread thread = {
        .name = "guard-work", .run = work, .context = background, .wake_fd = GUARD_NO_WAKE_FD};
    background->running = guard_thread_start(&thread, &background->thread, &err) == GUARD_OK;
    return background->running;
}

int guard_background_new(struct guard_background **out, struct guard_error *err)
{
    struct guard_background *background = calloc(1, sizeof *background);
    *out = NULL;
    if (!background)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    init_locks(background);
    background->last_job = &background->jobs;
    background->last_message = &background->messages;
    background->broker = pthread_self();
    background->log = (struct guard_log){post_line, background};

    struct sigaction action = {.sa_handler = wake};
    sigemptyset(&action.sa_mask);
    sigaction(SIGURG, &action, NULL);

    *out = background;
    return GUARD_OK;
}

void guard_background_stop(struct guard_background **background_pointer)
{
    struct guard_background *background = *background_pointer;
    if (!background)
        return;
    pthread_mutex_lock(&background->job_lock);
    background->stopping = true;
    pthread_cond_signal(&background->job_there);
    pthread_mutex_unlock(&background->job_lock);
    if (background->running)
        pthread_join(background->thread, NULL);
    /* the default of SIGURG is to be ignored; our handler's code is about to be unmapped */
    signal(SIGURG, SIG_DFL);
    while (background->messages) {
        struct guard_message *message = background->messages;
        background->messages = message->next;
        message->discard(message);
    }
    pthread_cond_destroy(&background->job_there);
    pthread_mutex_destroy(&background->job_lock);
    pthread_mutex_destroy(&background->message_lock);
    free(background);
    *background_pointer = NULL;
}

bool guard_background_run(struct guard_background *background, void (*run)(void *context), void *context)
{
    struct job *job = malloc(sizeof *job);
    if (!job)
        return false;
    *job = (struct job){NULL, run, context};
    pthread_mutex_lock(&background->job_lock);
    bool running = start_thread(background);
    if (running) {
        *background->last_job = job;
        background->last_job = &job->next;
        pthread_cond_signal(&background->job_there);
    }
    pthread_mutex_unlock(&background->job_lock);
    if (!running)
        free(job);
    return running;
}

bool guard_background_each_second(struct guard_background *background, void (*job)(void *context), void *context)
{
    pthread_mutex_lock(&background->job_lock);
    background->each_second_context = context;
    background->each_second = job;
    bool running = !job || start_thread(background);
    pthread_mutex_unlock(&background->job_lock);
    return running;
}

void guard_background_post(struct guard_background *background, struct guard_message *message)
{
    message->next = NULL;
    pthread_mutex_lock(&background->message_lock);
    *background->last_message = message;
    background->last_message = &message->next;
    atomic_store_explicit(&background->has_messages, true, memory_order_release);
    pthread_mutex_unlock(&background->message_lock);
    guard_background_wake_broker(background);
    bool own = pthread_equal(pthread_self(), background->broker); /* then its next TICK comes by itself */
    pthread_mutex_lock(&background->job_lock); /* the thread is to see that it may have to wake again */
    if (own ? background->running : start_thread(background))
        pthread_cond_signal(&background->job_there);
    pthread_mutex_unlock(&background->job_lock);
}

bool guard_background_has_messages(const struct guard_background *background)
{
    return atomic_load_explicit(&background->has_messages, memory_order_relaxed);
}

void guard_background_deliver(struct guard_background *background, struct guard_plugin *plugin)
{
    if (pthread_mutex_trylock(&background->message_lock) != 0)
        return;
    struct guard_message *message = background->messages;
    background->messages = NULL;
    background->last_message = &background->messages;
    atomic_store_explicit(&background->has_messages, false, memory_order_relaxed);
    pthread_mutex_unlock(&background->message_lock);
    while (message) {
        struct guard_message *next = message->next;
        message->deliver(plugin, message);
        message = next;
    }
}

void guard_background_wake_broker(struct guard_background *background)
{
    if (!pthread_equal(pthread_self(), background->broker))
        pthread_kill(background->broker, SIGURG);
}

/* An empty job: by the time it is run, the broker thread is most likely on its way to epoll_wait. */
static void wake_job(void *context)
{
    struct timespec shortly = {0, 500000};
    nanosleep(&shortly, NULL);
    guard_background_wake_broker(context);
}

void guard_background_wake_soon(struct guard_background *background)
{
    guard_background_run(background, wake_job, background);
}

const struct guard_log *guard_background_log(struct guard_background *background)
{
    return &background->log;
}
