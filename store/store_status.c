/* The broker's line in `guardctl status`: guard:status:<broker_id>, which lives for half a minute. */
#include "core/buffer.h"
#include "core/clock.h"
#include "store/store_internal.h"

#include <inttypes.h>
#include <string.h>

#define LIFETIME "30" /* seconds; it is written every ten */

static void write_json(const struct guard_store *store, struct guard_buffer *json)
{
    const struct guard_store_state *s = &store->state;
    guard_buffer_text(json, "{\"broker\":");
    guard_buffer_json_string(json, store->config.broker_id, strlen(store->config.broker_id));
    guard_buffer_printf(json,
                        ",\"time\":%" PRId64 ",\"up\":%s,\"policy_version\":%" PRIu64 ",\"fresh_at\":%" PRId64
                        ",\"unconfirmed\":%s,\"faulty_keys\":%zu,\"roles\":%" PRIu64 ",\"rules\":%" PRIu64
                        ",\"clients\":%" PRIu64 ",\"revocations\":%" PRIu64 ",\"reason\":",
                        guard_clock_now(), s->up ? "true" : "false", s->version, s->fresh_at,
                        s->unconfirmed ? "true" : "false", store->faults.count, s->roles, s->rules, s->clients,
                        s->revocations);
    guard_buffer_json_string(json, guard_reason_name(s->reason), strlen(guard_reason_name(s->reason)));
    guard_buffer_text(json, ",\"text\":");
    guard_buffer_json_string(json, s->text, strlen(s->text));
    guard_buffer_byte(json, '}');
}

int guard_store_write_status(struct guard_store *store)
{
    struct guard_buffer key = {0}, json = {0};
    const struct guard_reply *reply;
    int rc = -1;
    if (!store->config.broker_id)
        return 0;
    guard_buffer_printf(&key, "%sstatus:%s", store->config.prefix, store->config.broker_id);
    write_json(store, &json);
    const char *argv[] = {"SET", key.data, json.data, "EX", LIFETIME};
    if (key.failed || json.failed)
        rc = 0;
    else if (guard_redis_queue(store->link.data, 5, argv, NULL, &store->fault) == 0 &&
             guard_redis_read(store->link.data, &reply, &store->fault) == 0) {
        rc = 0;
        bool refused = reply->type == GUARD_REPLY_ERROR;
        if (refused && !store->status_refused)
            guard_store_problem(
                store, GUARD_PROBLEM_WARNING, key.data,
                "the server does not take this broker's status (guardctl status will not list it): %.200s",
                reply->text);
        store->status_refused = refused;
    }
    guard_buffer_free(&key);
    guard_buffer_free(&json);
    return rc;
}
