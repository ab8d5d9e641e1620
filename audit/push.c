/* The pushes that happen for every message: publish, delivery, subscribe, unsubscribe, and the publish summaries. */
#include "audit/internal.h"

#include "core/clock.h"

#include <openssl/evp.h>

#define SUMMARIES_A_TICK 1000

/* What is carried of a topic: all, or a prefix and SHA-256 of all, so that nobody fills the ring with long topics. */
static size_t carried(size_t length)
{
    return length <= AUDIT_CARRIED ? length : AUDIT_CARRIED + AUDIT_HASH_SIZE;
}

static char *put_topic(const struct audit *audit, char *at, struct record_access *record, struct audit_text topic)
{
    record->topic_total = (uint32_t)topic.length;
    if (__builtin_expect(topic.length <= AUDIT_CARRIED, 1)) {
        record->topic = (uint16_t)topic.length;
        memcpy(at, topic.bytes, topic.length);
        return at + topic.length;
    }
    record->topic = AUDIT_CARRIED;
    memcpy(at, topic.bytes, AUDIT_CARRIED);
    if (EVP_Digest(topic.bytes, topic.length, (unsigned char *)at + AUDIT_CARRIED, NULL, audit->sha256, NULL) != 1)
        memset(at + AUDIT_CARRIED, 0, AUDIT_HASH_SIZE);
    return at + AUDIT_CARRIED + AUDIT_HASH_SIZE;
}

static size_t rule_length(struct audit_text text)
{
    return !text.bytes ? 0 : text.length < AUDIT_RULE_CARRIED ? text.length : AUDIT_RULE_CARRIED;
}

static inline char *put_rule(char *at, uint16_t *length, struct audit_text text)
{
    if (!text.bytes) {
        *length = AUDIT_NO_TEXT;
        return at;
    }
    *length = (uint16_t)rule_length(text);
    memcpy(at, text.bytes, *length);
    return at + *length;
}

static void fill(const struct audit *audit, struct record_access *record, struct audit_peer *peer,
                 const struct audit_message *event)
{
    record->head.reason = (uint8_t)event->reason;
    record->head.qos = event->qos;
    record->head.peer = peer;
    record->payload = event->payload_bytes;
    char *at = put_topic(audit, (char *)(record + 1), record, event->topic);
    at = put_rule(at, &record->rule_id, event->rule_id);
    put_rule(at, &record->rule_name, event->rule_name);
}

static void push_access(struct audit *audit, struct audit_peer *peer, const struct audit_message *event,
                        enum audit_action action, unsigned flags)
{
    if (!peer || !event->topic.bytes) {
        audit_lost(audit, action, event->time_ns, event->reason != GUARD_REASON_NONE);
        return;
    }
    if (event->reason != GUARD_REASON_NONE)
        flags = (flags & ~(unsigned)AUDIT_FLAG_LOW) | AUDIT_FLAG_FAILED;
    size_t size = sizeof(struct record_access) + carried(event->topic.length) + rule_length(event->rule_id) +
                  rule_length(event->rule_name);
    struct record_access *record =
        (struct record_access *)(void *)audit_begin(audit, size, action, flags, event->time_ns);
    if (!record)
        return;
    fill(audit, record, peer, event);
    audit_commit(audit, &record->head);
}

/* An allowed publish with a topic of usual length and one rule at most, not committed. NULL: it needs the long way. */
static inline struct record *begin_usual(struct audit *audit, struct audit_peer *peer,
                                         const struct audit_message *event, unsigned flags)
{
    size_t topic = event->topic.length, rule = event->rule_id.bytes ? event->rule_id.length : 0;
    if (__builtin_expect(!peer || topic > AUDIT_CARRIED || rule > AUDIT_RULE_CARRIED || event->rule_name.bytes, 0))
        return NULL;
    size_t size = (sizeof(struct record_access) + topic + rule + 7) & ~(size_t)7;
    struct record_access *record =
        (struct record_access *)(void *)audit_begin_fast(audit, size, AUDIT_ACTION_MQTT_PUBLISH, flags, event->time_ns);
    if (__builtin_expect(!record, 0))
        return NULL;
    record->head.reason = GUARD_REASON_NONE;
    record->head.qos = event->qos;
    record->head.peer = peer;
    record->payload = event->payload_bytes;
    record->topic_total = (uint32_t)topic;
    record->topic = (uint16_t)topic;
    record->rule_id = event->rule_id.bytes ? (uint16_t)rule : AUDIT_NO_TEXT;
    record->rule_name = AUDIT_NO_TEXT;
    char *at = (char *)(record + 1);
    memcpy(at, event->topic.bytes, topic);
    if (rule)
        memcpy(at + topic, event->rule_id.bytes, rule);
    return &record->head;
}

/* Our own topic is never mirrored: each line about a line would cause the next one. */
static bool is_audit_topic(struct audit_text topic)
{
    return topic.length >= 7 && topic.bytes && topic.bytes[0] == '$' && memcmp(topic.bytes, "$AUDIT/", 7) == 0;
}

static void count_only(struct audit *audit, struct audit_peer *peer, const struct audit_message *event)
{
    int64_t now = event->time_ns ? event->time_ns : guard_clock_real_ns();
    if (!peer->count++) {
        peer->first_ns = now;
        peer->previous_dirty = audit->last_dirty;
        *(audit->last_dirty ? &audit->last_dirty->next_dirty : &audit->first_dirty) = peer;
        audit->last_dirty = peer;
    }
    peer->bytes += event->payload_bytes;
    peer->last_ns = now;
    audit_bump(&audit->not_written, 1);
}

/* Whether an allowed publish is to be written; if not, it is counted. */
static bool is_wanted(struct audit *audit, struct audit_peer *peer, const struct audit_message *event)
{
    if (is_audit_topic(event->topic) || audit->set.is.publish == AUDIT_PUBLISH_DENIED) {
        audit_bump(&audit->not_written, 1);
        return false;
    }
    if (audit->set.is.publish == AUDIT_PUBLISH_SUMMARY && peer && audit_this_thread() == audit->broker_thread) {
        count_only(audit, peer, event);
        return false;
    }
    return true;
}

static unsigned publish_flags(const struct audit_message *event)
{
    return AUDIT_FLAG_LOW | (event->retain ? AUDIT_FLAG_RETAIN : 0U) | (event->will ? AUDIT_FLAG_WILL : 0U);
}

/* One that is written as it is: allowed, and not perhaps our own topic. */
static inline bool is_plain(const struct audit *audit, const struct audit_message *event)
{
    return event->reason == GUARD_REASON_NONE && event->topic.length && audit->set.is.publish == AUDIT_PUBLISH_ALL &&
           event->topic.bytes[0] != '$';
}

bool audit_stage_publish(struct audit *audit, struct audit_peer *peer, const struct audit_message *event)
{
    audit->staged = is_plain(audit, event) ? begin_usual(audit, peer, event, publish_flags(event)) : NULL;
    audit->staged_at = atomic_load_explicit(&audit->ring.head, memory_order_relaxed);
    audit->staged_end = audit->ring.reserved;
    return audit->staged != NULL;
}

bool audit_publish_staged(struct audit *audit, bool will)
{
    struct record *record = audit->staged;
    audit->staged = NULL;
    if (!record || audit->staged_at != atomic_load_explicit(&audit->ring.head, memory_order_relaxed))
        return false;
    audit->ring.reserved = audit->staged_end; /* who asked for room and got none may have moved it */
    if (__builtin_expect(will, 0))
        record->flags |= AUDIT_FLAG_WILL;
    audit_commit_fast(audit, record);
    return true;
}

void audit_push_publish(struct audit *audit, struct audit_peer *peer, const struct audit_message *event)
{
    unsigned flags = publish_flags(event);
    if (event->reason == GUARD_REASON_NONE && event->topic.length) {
        struct record *usual = is_plain(audit, event) ? begin_usual(audit, peer, event, flags) : NULL;
        if (usual) {
            audit_commit_fast(audit, usual);
            return;
        }
        if (!is_wanted(audit, peer, event))
            return;
    }
    push_access(audit, peer, event, AUDIT_ACTION_MQTT_PUBLISH, flags);
}

void audit_push_deliver(struct audit *audit, struct audit_peer *peer, const struct audit_message *event)
{
    enum audit_deliver_mode mode = audit->set.is.deliver;
    bool allowed = event->reason == GUARD_REASON_NONE;
    if (mode == AUDIT_DELIVER_NONE || (allowed && (mode == AUDIT_DELIVER_DENIED || is_audit_topic(event->topic)))) {
        audit_bump(&audit->not_written, 1);
        return;
    }
    push_access(audit, peer, event, AUDIT_ACTION_MQTT_DELIVER,
                AUDIT_FLAG_LOW | (event->retain ? AUDIT_FLAG_RETAIN : 0U));
}

static struct audit_message as_message(const struct audit_subscription *event)
{
    return (struct audit_message){.time_ns = event->time_ns,
                                  .topic = event->filter,
                                  .rule_id = event->rule_id,
                                  .rule_name = event->rule_name,
                                  .reason = event->reason,
                                  .qos = event->qos};
}

void audit_push_subscribe(struct audit *audit, struct audit_peer *peer, const struct audit_subscription *event)
{
    const struct audit_message message = as_message(event);
    push_access(audit, peer, &message, AUDIT_ACTION_MQTT_SUBSCRIBE, 0);
}

void audit_push_unsubscribe(struct audit *audit, struct audit_peer *peer, const struct audit_subscription *event)
{
    const struct audit_message message = as_message(event);
    push_access(audit, peer, &message, AUDIT_ACTION_MQTT_UNSUBSCRIBE, AUDIT_FLAG_LOW);
}

void audit_tick(struct audit *audit, int64_t now_ns)
{
    if (!now_ns)
        now_ns = guard_clock_real_ns();
    int64_t period = (int64_t)audit->set.is.summary_seconds * 1000000000;
    for (int i = 0; i < SUMMARIES_A_TICK && audit->first_dirty; i++) {
        if (now_ns - audit->first_dirty->first_ns < period)
            break;
        audit_summary_flush(audit, audit->first_dirty);
    }
    audit_settle(audit);
}

bool audit_accepting(const struct audit *audit)
{
    return audit->set.is.on_full != AUDIT_FULL_DENY || (atomic_load_explicit(&audit->accepting, memory_order_relaxed) &&
                                                        !atomic_load_explicit(&audit->stalled, memory_order_relaxed));
}

bool audit_wants_deliveries(const struct audit *audit)
{
    return audit->set.is.deliver == AUDIT_DELIVER_ALL;
}

const char *audit_chain(const struct audit *audit)
{
    return audit->chain;
}
