/*
 * --verify: the same questions to the old semantics and to what was made of it. An importer makes clients and
 * questions, has them answered (ctl_verify_ask_broker, or by a model of its own) and compares.
 */
#ifndef GUARD_CTL_IMPORT_VERIFY_H
#define GUARD_CTL_IMPORT_VERIFY_H

#include "ctl/explain_query.h"
#include "ctl/import.h"
#include "ctl/mqtt_client.h"
#include "ctl/trial_broker.h"

struct ctl_question {
    size_t client; /* whose */
    enum explain_action action;
    const char *topic; /* for subscriptions a filter */
    bool allowed;      /* the old answer */
};

struct ctl_verify {
    const struct ctl_mqtt_login *clients;
    size_t client_count;
    struct ctl_question *questions;
    size_t count;
};

/* A reproducible sequence: the next number below limit (at least 1). state begins as the seed. */
uint64_t ctl_random_below(uint64_t *state, uint64_t limit);

/*
 * Asks a running broker: fills `allowed` of every question. PUBLISH by the answer to a PUBLISH with QoS 1, SUBSCRIBE
 * (and subscribe-only) by the SUBACK, RECEIVE by subscribing to the very topic and having the observer publish to it:
 * so the broker must let everybody subscribe to that, and the observer publish to everything. GUARD_OK, or err.
 */
int ctl_verify_ask_broker(const struct ctl_trial_broker *broker, const struct ctl_verify *verify,
                          const struct ctl_mqtt_login *observer, struct guard_error *err);

/*
 * Compares with import->translation as policy decides it, and tells the differences (the first 20) and their number on
 * standard error. CTL_OK: none, or only refusals that notes announce (guard_translation_stricter). CTL_NO, CTL_USAGE.
 */
int ctl_verify_compare(struct ctl_import *import, const struct acl_policy *policy, const struct ctl_verify *verify);

#endif
