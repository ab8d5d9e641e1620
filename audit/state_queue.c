/* Lines on their way to the MQTT topics: from the writer to the broker thread. */
#include "audit/internal.h"

#include "core/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECKPOINT_INTERVAL_NS 1000000000LL

void audit_state_init(struct audit_state_queue *queue)
{
    memset(queue, 0, sizeof *queue);
    pthread_mutex_init(&queue->lock, NULL);
}

void audit_state_message_free(struct audit_state_message *message)
{
    free(message->topic);
    free(message->payload);
    *message = (struct audit_state_message){NULL, NULL, 0, false};
}

void audit_state_destroy(struct audit_state_queue *queue)
{
    for (; queue->count; queue->count--) {
        audit_state_message_free(&queue->message[queue->first]);
        queue->first = (queue->first + 1) % AUDIT_STATE_MAX;
    }
    free(queue->checkpoint);
    queue->checkpoint = NULL;
    pthread_mutex_destroy(&queue->lock);
}

static bool make_message(const struct audit *audit, const char *kind, const char *line, size_t length,
                         struct audit_state_message *out)
{
    *out = (struct audit_state_message){.payload = strndup(line, length), .length = length};
    if (asprintf(&out->topic, "$AUDIT/%s/%s", audit->set.is.broker_id, kind) < 0)
        out->topic = NULL;
    if (out->payload && out->topic)
        return true;
    audit_state_message_free(out);
    return false;
}

static void put_message(struct audit_state_queue *queue, const struct audit_state_message *message)
{
    if (queue->count == AUDIT_STATE_MAX) {
        audit_state_message_free(&queue->message[queue->first]);
        queue->first = (queue->first + 1) % AUDIT_STATE_MAX;
        queue->count--;
    }
    queue->message[(queue->first + queue->count++) % AUDIT_STATE_MAX] = *message;
}

static bool belongs(enum audit_action action)
{
    return action == AUDIT_ACTION_POLICY_RELOAD || action == AUDIT_ACTION_STORE_DOWN ||
           action == AUDIT_ACTION_STORE_UP || action == AUDIT_ACTION_AUDIT_GAP ||
           action == AUDIT_ACTION_AUDIT_RECOVERED || action >= AUDIT_ACTION_ALERT_BRUTE_FORCE;
}

void audit_state_offer(struct audit *audit, enum audit_action action, const char *line, size_t length)
{
    struct audit_state_queue *queue = &audit->state;
    struct audit_state_message message;
    if (action == AUDIT_ACTION_AUDIT_CHECKPOINT) {
        char *copy = strndup(line, length);
        pthread_mutex_lock(&queue->lock);
        free(queue->checkpoint);
        queue->checkpoint = copy; /* only the latest is of interest */
    } else if (belongs(action) && make_message(audit, action >= AUDIT_ACTION_ALERT_BRUTE_FORCE ? "alert" : "state",
                                               line, length, &message)) {
        pthread_mutex_lock(&queue->lock);
        put_message(queue, &message);
    } else {
        return;
    }
    atomic_store_explicit(&queue->waiting, true, memory_order_release);
    pthread_mutex_unlock(&queue->lock);
}

/* In the lock: the checkpoint, if one waits and the last was taken a second ago. */
static bool take_checkpoint(struct audit *audit, struct audit_state_message *out)
{
    struct audit_state_queue *queue = &audit->state;
    int64_t now = guard_clock_monotonic_ns();
    if (!queue->checkpoint || (queue->checkpoint_taken_ns && now - queue->checkpoint_taken_ns < CHECKPOINT_INTERVAL_NS))
        return false;
    bool made = make_message(audit, "state", queue->checkpoint, strlen(queue->checkpoint), out);
    out->retain = made;
    free(queue->checkpoint);
    queue->checkpoint = NULL;
    queue->checkpoint_taken_ns = now;
    return made;
}

bool audit_take_state_message(struct audit *audit, struct audit_state_message *out)
{
    struct audit_state_queue *queue = &audit->state;
    bool found = true;
    if (!atomic_load_explicit(&queue->waiting, memory_order_acquire))
        return false;
    pthread_mutex_lock(&queue->lock);
    if (queue->count) {
        *out = queue->message[queue->first];
        queue->first = (queue->first + 1) % AUDIT_STATE_MAX;
        queue->count--;
    } else {
        found = take_checkpoint(audit, out);
    }
    atomic_store_explicit(&queue->waiting, queue->count || queue->checkpoint, memory_order_relaxed);
    pthread_mutex_unlock(&queue->lock);
    return found;
}
