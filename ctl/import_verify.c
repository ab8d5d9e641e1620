#include "ctl/import_verify.h"

#include "core/clients.h"
#include "core/clock.h"
#include "ctl/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLD_MAX 20

/* splitmix64 */
uint64_t ctl_random_below(uint64_t *state, uint64_t limit)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % limit;
}

/* ---- the broker's answers ---- */

struct asking {
    const struct ctl_verify *verify;
    struct ctl_mqtt_client **clients;
    struct ctl_mqtt_client *observer;
};

static int connect_one(unsigned port, const struct ctl_mqtt_login *login, struct ctl_mqtt_client **out,
                       struct guard_error *err)
{
    uint8_t reason;
    int rc = ctl_mqtt_connect(port, login, out, &reason, err);
    return rc == GUARD_OK && reason ? guard_fail(err, GUARD_ERR_INVALID, "the broker refused user '%.64s': 0x%02x",
                                                 login->username ? login->username : "", reason)
                                    : rc;
}

static int ask_delivery(struct asking *asking, struct ctl_question *question, struct guard_error *err)
{
    struct ctl_mqtt_client *client = asking->clients[question->client];
    bool granted = false, published = false;
    unsigned messages = 0;
    int rc = ctl_mqtt_subscribe(client, question->topic, &granted, err);
    if (rc == GUARD_OK)
        rc = ctl_mqtt_publish(asking->observer, question->topic, &published, err);
    if (rc == GUARD_OK)
        rc = ctl_mqtt_drain(client, &messages, err);
    if (rc == GUARD_OK && granted)
        rc = ctl_mqtt_unsubscribe(client, question->topic, err);
    if (rc == GUARD_OK && !(granted && published))
        return guard_fail(err, GUARD_ERR_INTERNAL, "the broker does not let a delivery on '%.128s' be tried",
                          question->topic);
    question->allowed = messages > 0;
    return rc;
}

static int ask_one(struct asking *asking, struct ctl_question *question, struct guard_error *err)
{
    struct ctl_mqtt_client *client = asking->clients[question->client];
    if (question->action == EXPLAIN_RECEIVE)
        return ask_delivery(asking, question, err);
    if (question->action == EXPLAIN_PUBLISH)
        return ctl_mqtt_publish(client, question->topic, &question->allowed, err);
    int rc = ctl_mqtt_subscribe(client, question->topic, &question->allowed, err);
    if (rc == GUARD_OK && question->allowed)
        rc = ctl_mqtt_unsubscribe(client, question->topic, err);
    return rc;
}

int ctl_verify_ask_broker(const struct ctl_trial_broker *broker, const struct ctl_verify *verify,
                          const struct ctl_mqtt_login *observer, struct guard_error *err)
{
    struct asking asking = {.verify = verify, .clients = calloc(verify->client_count + 1, sizeof *asking.clients)};
    int rc = asking.clients ? connect_one(broker->port, observer, &asking.observer, err)
                            : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < verify->client_count && rc == GUARD_OK; i++)
        rc = connect_one(broker->port, &verify->clients[i], &asking.clients[i], err);
    for (size_t i = 0; i < verify->count && rc == GUARD_OK; i++)
        rc = ask_one(&asking, &verify->questions[i], err);
    for (size_t i = 0; asking.clients && i < verify->client_count; i++)
        ctl_mqtt_close(&asking.clients[i]);
    ctl_mqtt_close(&asking.observer);
    free(asking.clients);
    return rc;
}

/* ---- ours ---- */

struct comparing {
    const struct ctl_verify *verify;
    const struct guard_translation *translation;
    struct explain_run run;
    size_t stricter, wider;
    size_t unannounced; /* of the stricter: no note names them */
};

static void tell(const struct comparing *comparing, const struct ctl_question *question, bool announced)
{
    const struct ctl_mqtt_login *client = &comparing->verify->clients[question->client];
    struct guard_buffer out = {0};
    guard_buffer_text(&out, question->allowed ? "stricter: " : "wider: ");
    guard_buffer_text(&out, "user ");
    ctl_shown_text(&out, client->username);
    guard_buffer_text(&out, ", client id ");
    ctl_shown_text(&out, client->client_id);
    guard_buffer_printf(&out, ": %s ", explain_action_name(question->action));
    ctl_shown_text(&out, question->topic);
    guard_buffer_text(&out, question->allowed ? ": was allowed, would be denied" : ": was denied, would be allowed");
    if (question->allowed && !announced)
        guard_buffer_text(&out, ", which no note names");
    fprintf(stderr, "%s\n", out.failed ? "out of memory" : out.data);
    guard_buffer_free(&out);
}

static int compare_one(struct comparing *comparing, const struct ctl_question *question, struct guard_error *err)
{
    const struct ctl_mqtt_login *client = &comparing->verify->clients[question->client];
    struct explain_query query = {.username = client->username,
                                  .client_id = client->client_id,
                                  .action = question->action,
                                  .topic = question->topic,
                                  .topic_length = strlen(question->topic)};
    struct acl_decision decision;
    const struct explain_subject *subject = explain_subjects_get(comparing->run.subjects, &query, err);
    if (!subject)
        return GUARD_ERR_NOMEM;
    explain_decide(&comparing->run, &query, subject, &decision);
    bool allowed = decision.verdict == ACL_ALLOW;
    if (allowed == question->allowed)
        return GUARD_OK;
    bool announced = !allowed && guard_translation_announces(comparing->translation, client->username, question->topic);
    size_t *wrong = allowed ? &comparing->wider : &comparing->unannounced;
    if ((announced ? comparing->stricter - comparing->unannounced : *wrong) < TOLD_MAX)
        tell(comparing, question, announced);
    comparing->stricter += !allowed;
    *wrong += !announced;
    return GUARD_OK;
}

static struct guard_clients *table_of(const struct guard_policy_text *text)
{
    struct guard_clients_builder *builder = guard_clients_builder_new(NULL);
    if (!builder)
        return NULL;
    if (guard_clients_builder_put_text(builder, text, NULL) != GUARD_OK) {
        guard_clients_builder_free(&builder);
        return NULL;
    }
    return guard_clients_builder_finish(&builder);
}

static int conclude(const struct ctl_import *import, const struct comparing *comparing)
{
    bool bad = comparing->wider || comparing->unannounced;
    fprintf(stderr, "verify: %zu decisions by seed %llu, %zu stricter, %zu wider", comparing->verify->count,
            (unsigned long long)import->seed, comparing->stricter, comparing->wider);
    if (comparing->unannounced)
        fprintf(stderr, ", %zu of them named by no note", comparing->unannounced);
    fprintf(stderr, "%s\n", bad ? ": nothing was written" : comparing->stricter ? ", of what the report names" : "");
    return bad ? CTL_NO : CTL_OK;
}

int ctl_verify_compare(struct ctl_import *import, const struct acl_policy *policy, const struct ctl_verify *verify)
{
    struct guard_error err = {0};
    struct acl_policy *held = acl_policy_retain(policy);
    struct ctl_policy source = {.policy = held, .clients = table_of(&import->translation.text)};
    struct comparing comparing = {.verify = verify,
                                  .translation = &import->translation,
                                  .run = {.source = &source,
                                          .context = acl_context_new(),
                                          .subjects = source.clients ? explain_subjects_new(&source) : NULL,
                                          .now = guard_clock_real_ns() / INT64_C(1000000000)}};
    int rc = comparing.run.context && comparing.run.subjects ? GUARD_OK : GUARD_ERR_NOMEM;
    for (size_t i = 0; i < verify->count && rc == GUARD_OK; i++)
        rc = compare_one(&comparing, &verify->questions[i], &err);
    explain_subjects_free(&comparing.run.subjects);
    acl_context_free(&comparing.run.context);
    guard_clients_unref(&source.clients);
    acl_policy_release(held);
    if (rc != GUARD_OK)
        return ctl_usage_error(import->command, "%s", err.text[0] ? err.text : "out of memory");
    return conclude(import, &comparing);
}
