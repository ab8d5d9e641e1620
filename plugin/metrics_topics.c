#include "plugin/metrics_topics.h"

#include "plugin/broker.h"
#include "plugin/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum topic {
    SESSIONS,
    LOGINS_ACCEPTED,
    LOGINS_REFUSED,
    CHECKS_DENIED,
    KICKS,
    POLICY_RULES,
    STORE_UP,
    AUDIT_EVENTS,
    AUDIT_LOST,
    ALERTS,
    TOPIC_COUNT
};

struct guard_metrics_topics {
    int64_t told[TOPIC_COUNT];
};

static uint64_t sum(const uint64_t *numbers, size_t from, size_t count)
{
    uint64_t total = 0;
    for (size_t i = from; i < count; i++)
        total += numbers[i];
    return total;
}

/* -1 = there is no such figure here. */
static void read_values(const struct guard_metrics *metrics, int64_t values[TOPIC_COUNT])
{
    const struct guard_counts *counts = &metrics->counts;
    uint64_t accepted = 0, refused = 0, denied = 0, alerts = 0;
    int64_t sessions = 0;
    for (unsigned method = 0; method < GUARD_METHOD_COUNT; method++) {
        sessions += counts->sessions[method];
        accepted += counts->attempts[method][GUARD_REASON_NONE];
        refused += sum(counts->attempts[method], GUARD_REASON_NONE + 1, GUARD_REASON_COUNT);
    }
    for (unsigned access = 0; access < GUARD_ACCESS_COUNT; access++)
        denied += counts->checks[access][1];
    for (size_t i = 0; i < metrics->audit.rule_count; i++)
        alerts += metrics->audit.rules[i].alerts;
    values[SESSIONS] = sessions;
    values[LOGINS_ACCEPTED] = (int64_t)accepted;
    values[LOGINS_REFUSED] = (int64_t)refused;
    values[CHECKS_DENIED] = (int64_t)denied;
    values[KICKS] = (int64_t)sum(counts->kicks, 0, GUARD_REASON_COUNT);
    values[POLICY_RULES] = metrics->rules;
    values[STORE_UP] = metrics->has_store ? metrics->store.up : -1;
    values[AUDIT_EVENTS] = metrics->has_audit ? (int64_t)metrics->audit.offered : -1;
    values[AUDIT_LOST] = metrics->has_audit ? (int64_t)sum(metrics->audit.lost, 0, AUDIT_LOSS_COUNT) : -1;
    values[ALERTS] = metrics->has_audit ? (int64_t)alerts : -1;
}

void guard_metrics_publish(struct guard_metrics_topics **pointer, const struct guard_metrics *metrics)
{
    static const char *const names[TOPIC_COUNT] = {[SESSIONS] = "sessions",
                                                   [LOGINS_ACCEPTED] = "logins/accepted",
                                                   [LOGINS_REFUSED] = "logins/refused",
                                                   [CHECKS_DENIED] = "checks/denied",
                                                   [KICKS] = "kicks",
                                                   [POLICY_RULES] = "policy/rules",
                                                   [STORE_UP] = "store/up",
                                                   [AUDIT_EVENTS] = "audit/events",
                                                   [AUDIT_LOST] = "audit/lost",
                                                   [ALERTS] = "alerts"};
    int64_t values[TOPIC_COUNT];
    struct guard_metrics_topics *topics = *pointer;
    if (!topics) {
        topics = *pointer = malloc(sizeof *topics);
        for (unsigned i = 0; topics && i < TOPIC_COUNT; i++)
            topics->told[i] = -1;
    }
    if (!topics)
        return;
    read_values(metrics, values);
    for (unsigned i = 0; i < TOPIC_COUNT; i++) {
        char topic[64], text[24];
        if (values[i] < 0 || topics->told[i] == values[i])
            continue;
        snprintf(topic, sizeof topic, "$SYS/broker/guard/%s", names[i]);
        int length = snprintf(text, sizeof text, "%" PRId64, values[i]);
        if (mosquitto_broker_publish_copy(NULL, topic, length, text, 0, true, NULL) == MOSQ_ERR_SUCCESS)
            topics->told[i] = values[i];
    }
}

void guard_metrics_topics_free(struct guard_metrics_topics **topics)
{
    free(*topics);
    *topics = NULL;
}
