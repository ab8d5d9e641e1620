#include "auth/worker_queue.h"

#include <stdlib.h>

#define NONE UINT32_MAX

enum state {
    FREE,      /* in the list of free slots */
    WAITING,   /* in the list of waiting jobs; owns the argument */
    RUNNING,   /* a worker has it */
    OVERDUE,   /* a worker has it, and "timed out" is in the list of answers */
    ABANDONED, /* a worker has it, nobody waits for it */
    ANSWERED   /* in the list of answers */
};

struct slot {
    struct auth_worker_job job;
    enum state state;
    enum auth_worker_outcome outcome; /* of ANSWERED and OVERDUE */
    bool owns_argument;               /* of ANSWERED */
    uint32_t before, behind;          /* in its list */
    uint32_t chain;                   /* next slot of the same bucket of ids */
};

struct list {
    uint32_t first, last;
};

struct worker_queue {
    size_t capacity, bucket_mask;
    struct slot *slot;
    uint32_t *bucket; /* by id: every slot but FREE and ABANDONED ones */
    struct list free, waiting, answers;
    size_t waiting_count, running_count;
    int64_t next_deadline_ms; /* nothing expires before */
};

static void put_last(struct worker_queue *queue, struct list *list, uint32_t at)
{
    struct slot *slot = &queue->slot[at];
    slot->before = list->last;
    slot->behind = NONE;
    if (list->last == NONE)
        list->first = at;
    else
        queue->slot[list->last].behind = at;
    list->last = at;
}

static void take_out(struct worker_queue *queue, struct list *list, uint32_t at)
{
    struct slot *slot = &queue->slot[at];
    if (slot->before == NONE)
        list->first = slot->behind;
    else
        queue->slot[slot->before].behind = slot->behind;
    if (slot->behind == NONE)
        list->last = slot->before;
    else
        queue->slot[slot->behind].before = slot->before;
}

struct worker_queue *worker_queue_new(size_t capacity)
{
    size_t buckets = 1;
    struct worker_queue *queue = calloc(1, sizeof *queue);
    if (!queue || capacity > NONE / 4) {
        free(queue);
        return NULL;
    }
    while (buckets < capacity)
        buckets *= 2;
    queue->capacity = capacity;
    queue->bucket_mask = buckets - 1;
    queue->next_deadline_ms = INT64_MAX;
    queue->slot = calloc(capacity, sizeof *queue->slot);
    queue->bucket = calloc(buckets, sizeof *queue->bucket);
    if (!queue->slot || !queue->bucket) {
        worker_queue_free(&queue);
        return NULL;
    }
    queue->free = queue->waiting = queue->answers = (struct list){NONE, NONE};
    for (uint32_t i = 0; i < capacity; i++)
        put_last(queue, &queue->free, i);
    for (size_t i = 0; i < buckets; i++)
        queue->bucket[i] = NONE;
    return queue;
}

void worker_queue_free(struct worker_queue **queue)
{
    if (!*queue)
        return;
    free((*queue)->slot);
    free((*queue)->bucket);
    free(*queue);
    *queue = NULL;
}

static uint32_t *bucket_of(struct worker_queue *queue, uint64_t id)
{
    uint64_t mixed = id * UINT64_C(0x9e3779b97f4a7c15); /* ids may be multiples of something */
    return &queue->bucket[mixed >> 32 & queue->bucket_mask];
}

static void forget_id(struct worker_queue *queue, uint32_t at)
{
    uint32_t *link = bucket_of(queue, queue->slot[at].job.id);
    while (*link != at)
        link = &queue->slot[*link].chain;
    *link = queue->slot[at].chain;
}

/* The slot of a job that may still be answered. */
static uint32_t find(struct worker_queue *queue, uint64_t id)
{
    uint32_t at = *bucket_of(queue, id);
    while (at != NONE && queue->slot[at].job.id != id)
        at = queue->slot[at].chain;
    return at;
}

static void set_free(struct worker_queue *queue, uint32_t at)
{
    queue->slot[at] = (struct slot){.state = FREE};
    put_last(queue, &queue->free, at);
}

static void set_answer(struct worker_queue *queue, uint32_t at, enum state state, enum auth_worker_outcome outcome,
                       bool owns_argument)
{
    struct slot *slot = &queue->slot[at];
    slot->state = state;
    slot->outcome = outcome;
    slot->owns_argument = owns_argument;
    put_last(queue, &queue->answers, at);
}

bool worker_queue_add(struct worker_queue *queue, const struct auth_worker_job *job)
{
    uint32_t at = queue->free.first, *bucket = bucket_of(queue, job->id);
    if (at == NONE)
        return false;
    take_out(queue, &queue->free, at);
    queue->slot[at] = (struct slot){.job = *job, .state = WAITING, .chain = *bucket};
    *bucket = at;
    put_last(queue, &queue->waiting, at);
    queue->waiting_count++;
    if (job->deadline_ms < queue->next_deadline_ms)
        queue->next_deadline_ms = job->deadline_ms;
    return true;
}

static void take_from_waiting(struct worker_queue *queue, uint32_t at)
{
    take_out(queue, &queue->waiting, at);
    queue->waiting_count--;
}

bool worker_queue_begin(struct worker_queue *queue, size_t *slot)
{
    uint32_t at = queue->waiting.first;
    if (at == NONE)
        return false;
    take_from_waiting(queue, at);
    queue->slot[at].state = RUNNING;
    queue->running_count++;
    *slot = at;
    return true;
}

const struct auth_worker_job *worker_queue_job(const struct worker_queue *queue, size_t slot)
{
    return &queue->slot[slot].job;
}

bool worker_queue_finish(struct worker_queue *queue, size_t slot, bool ran)
{
    uint32_t at = (uint32_t)slot;
    queue->running_count--;
    switch (queue->slot[at].state) {
    case RUNNING:
        set_answer(queue, at, ANSWERED, ran ? AUTH_WORKER_DONE : AUTH_WORKER_TIMED_OUT, ran);
        return true;
    case OVERDUE: /* its answer is in the list already */
        queue->slot[at].state = ANSWERED;
        queue->slot[at].owns_argument = false;
        return false;
    default: /* ABANDONED */
        set_free(queue, at);
        return false;
    }
}

bool worker_queue_cancel(struct worker_queue *queue, uint64_t id, const uint64_t *generation,
                         struct auth_worker_job *job)
{
    uint32_t at = find(queue, id);
    if (at == NONE || (generation && queue->slot[at].job.generation != *generation))
        return false;
    struct slot *slot = &queue->slot[at];
    forget_id(queue, at);
    if (slot->state == WAITING)
        take_from_waiting(queue, at);
    else if (slot->state != RUNNING)
        take_out(queue, &queue->answers, at);
    if (slot->state == RUNNING || slot->state == OVERDUE) {
        slot->state = ABANDONED;
        return false;
    }
    bool owned = slot->state == WAITING || slot->owns_argument;
    *job = slot->job;
    set_free(queue, at);
    return owned;
}

size_t worker_queue_drop_group(struct worker_queue *queue, uint64_t group)
{
    size_t count = 0;
    for (uint32_t at = queue->waiting.first, next; at != NONE; at = next) {
        next = queue->slot[at].behind;
        if (queue->slot[at].job.group != group || !group)
            continue;
        take_from_waiting(queue, at);
        set_answer(queue, at, ANSWERED, AUTH_WORKER_DROPPED, true);
        count++;
    }
    return count;
}

/* Turns what is past its deadline into answers, and finds out when the next deadline is. */
static void expire(struct worker_queue *queue, int64_t now_ms)
{
    queue->next_deadline_ms = INT64_MAX;
    for (uint32_t at = 0; at < queue->capacity; at++) {
        struct slot *slot = &queue->slot[at];
        if (slot->state != WAITING && slot->state != RUNNING)
            continue;
        if (slot->job.deadline_ms > now_ms) {
            if (slot->job.deadline_ms < queue->next_deadline_ms)
                queue->next_deadline_ms = slot->job.deadline_ms;
        } else if (slot->state == WAITING) {
            take_from_waiting(queue, at);
            set_answer(queue, at, ANSWERED, AUTH_WORKER_TIMED_OUT, true);
        } else {
            set_answer(queue, at, OVERDUE, AUTH_WORKER_TIMED_OUT, false);
        }
    }
}

bool worker_queue_answer(struct worker_queue *queue, int64_t now_ms, struct auth_worker_answer *answer,
                         struct auth_worker_job *unused)
{
    if (now_ms >= queue->next_deadline_ms)
        expire(queue, now_ms);
    uint32_t at = queue->answers.first;
    if (at == NONE)
        return false;
    struct slot *slot = &queue->slot[at];
    *answer = (struct auth_worker_answer){slot->job.id, slot->job.generation, slot->outcome, NULL, NULL};
    take_out(queue, &queue->answers, at);
    forget_id(queue, at);
    if (slot->state == OVERDUE) {
        slot->state = ABANDONED; /* its worker releases the argument and frees the slot */
        return true;
    }
    if (slot->outcome == AUTH_WORKER_DONE) {
        answer->argument = slot->job.argument;
        answer->release = slot->job.release;
    } else if (slot->owns_argument) {
        *unused = slot->job;
    }
    set_free(queue, at);
    return true;
}

bool worker_queue_drain(struct worker_queue *queue, struct auth_worker_job *job)
{
    for (uint32_t at = 0; at < queue->capacity; at++) {
        struct slot *slot = &queue->slot[at];
        if (slot->state == WAITING || (slot->state == ANSWERED && slot->owns_argument)) {
            *job = slot->job;
            slot->state = ANSWERED;
            slot->owns_argument = false;
            return true;
        }
    }
    return false;
}

struct auth_worker_load worker_queue_load(const struct worker_queue *queue)
{
    return (struct auth_worker_load){queue->waiting_count, queue->running_count};
}
