#include "audit/watch.h"

#include "audit/out.h"
#include "core/clock.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_SIZE (AUDIT_NAME_MAX + 8)
#define KEEP_NS    (600 * 1000000000LL)

/* A name as the trail shows it, without JSON's quotes and backslashes. NULL when there is none. */
static const char *plain(const struct audit_peer *peer, struct audit_span span, char buffer[PLAIN_SIZE])
{
    if (span.length < 2)
        return NULL;
    const char *from = peer->text + span.start + 1, *end = from + span.length - 2;
    char *to = buffer;
    while (from < end && to < buffer + PLAIN_SIZE - 1) {
        from += *from == '\\' && from + 1 < end;
        *to++ = *from++;
    }
    *to = '\0';
    return buffer;
}

/* What an alert tells about who: only what its key is made of, and for one client all that is known of it. */
static void name_who(struct audit_alert *event, const struct audit_peer *peer, bool failed, char buffer[4][PLAIN_SIZE])
{
    char *country = buffer[3];
    memcpy(country, &peer->keys.country, 2);
    country[2] = '\0';
    bool one_client = event->key == AUDIT_KEY_CLIENT_ID || event->reason == GUARD_REASON_NEVER_SEEN ||
                      event->reason == GUARD_REASON_OUT_OF_HOURS;
    if (one_client || event->key == AUDIT_KEY_SOURCE_IP) {
        event->country = peer->keys.country ? country : NULL;
        event->address = plain(peer, peer->address, buffer[0]);
    }
    if (one_client || event->key == AUDIT_KEY_USER)
        event->username = plain(peer, failed ? peer->failed_name : peer->name, buffer[1]);
    if (one_client) {
        event->client_id = plain(peer, peer->client_id, buffer[2]);
        event->connection = peer->connection;
    }
}

static enum audit_alert_key key_of(enum detect_rule rule)
{
    switch (rule) {
    case DETECT_BF_IP:
    case DETECT_SPRAY:
    case DETECT_FLAP_IP:
        return AUDIT_KEY_SOURCE_IP;
    case DETECT_BF_USER:
    case DETECT_SHARED:
    case DETECT_TWICE:
    case DETECT_NEW_IP:
    case DETECT_NEW_COUNTRY:
    case DETECT_HOURS:
        return AUDIT_KEY_USER;
    default:
        return AUDIT_KEY_CLIENT_ID;
    }
}

static enum guard_reason reason_of(enum detect_rule rule)
{
    switch (rule) {
    case DETECT_RATE:
        return GUARD_REASON_BASELINE_EXCEEDED;
    case DETECT_NEW_IP:
    case DETECT_NEW_COUNTRY:
        return GUARD_REASON_NEVER_SEEN;
    case DETECT_HOURS:
        return GUARD_REASON_OUT_OF_HOURS;
    default:
        return GUARD_REASON_THRESHOLD;
    }
}

static const char *sentence_of(enum detect_rule rule)
{
    static const char *const sentences[DETECT_RULE_COUNT] = {
        [DETECT_BF_IP] = "failed authentications from one address",
        [DETECT_BF_USER] = "failed authentications of one user",
        [DETECT_BF_CLIENT] = "failed authentications of one client id",
        [DETECT_SPRAY] = "one address tries many users",
        [DETECT_FLAP_CLIENT] = "one client id connects and disconnects all the time",
        [DETECT_FLAP_IP] = "connections from one address end all the time",
        [DETECT_SCAN] = "one client tries many topics it may not use",
        [DETECT_SHARED] = "one credential active from many addresses",
        [DETECT_TWICE] = "a credential for one device is connected twice",
        [DETECT_NEW_IP] = "identity seen from a new address",
        [DETECT_NEW_COUNTRY] = "identity seen from a new country",
        [DETECT_HOURS] = "identity active at an unusual hour",
        [DETECT_RATE] = "publish rate far above own baseline",
    };
    return sentences[rule];
}

static void raise_alert(void *context, const struct detect_alert *alert)
{
    struct audit *audit = context;
    const struct record *cause = audit->watched;
    char buffer[4][PLAIN_SIZE];
    struct audit_alert event = {
        .time_ns = alert->time_ns,
        .action = detect_rule_action(alert->rule),
        .reason = reason_of(alert->rule),
        .rule_id = detect_rule_id(alert->rule),
        .rule_name = sentence_of(alert->rule),
        .key = key_of(alert->rule),
        .response = AUDIT_ALERT_ONLY,
        .observed = alert->observed,
        .baseline = alert->baseline,
        .score = alert->score,
        .threshold = alert->threshold,
        .known = -1,
        .window_s = alert->window_s,
        .block_s = -1,
        .distinct_users = alert->distinct_users,
        .distinct_ips = alert->distinct_ips,
        .suppressed = alert->suppressed,
        .start_ns = alert->start_ns,
        .end_ns = alert->start_ns ? alert->time_ns : 0,
        .shown = true,
    };
    name_who(&event, cause->peer, cause->flags & AUDIT_FLAG_FAILED && cause->kind == AUDIT_ACTION_MQTT_CONNECT, buffer);
    audit_push_alert(audit, &event);
}

/* ---- over a restart ---- */

static bool state_path(const struct audit *audit, char path[4200])
{
    return snprintf(path, 4200, "%s/.detect", audit->set.is.dir) < 4200;
}

static void take_over(struct audit *audit)
{
    char path[4200], *content;
    size_t length;
    if (!state_path(audit, path) ||
        guard_file_read(path, GUARD_FILE_SECRET, DETECT_STATE_MAX, &content, &length, NULL) != GUARD_OK)
        return; /* the first run, or it begins anew */
    if (detect_state_read(audit->detect, content, length))
        audit->detect_key = detect_key(audit->detect);
    free(content);
}

void audit_watch_keep(struct audit *audit, int64_t monotonic_ns, bool last)
{
    char path[4200];
    bool due = last || monotonic_ns - audit->kept_ns >= KEEP_NS;
    if (!audit->learned || !due || atomic_load_explicit(&audit->stalled, memory_order_relaxed))
        return;
    size_t length = detect_state_size(audit->detect);
    char *content = malloc(length);
    if (content && state_path(audit, path)) {
        detect_state_write(audit->detect, content);
        (void)guard_file_replace(path, content, length, 0600, NULL);
    }
    free(content);
    audit->kept_ns = monotonic_ns;
    audit->learned = false;
}

/* ---- records ---- */

int audit_watch_init(struct audit *audit, struct guard_error *err)
{
    const char *allow = audit->set.is.detect_allow, *wrong = "";
    if (!audit->set.is.detect)
        return GUARD_OK;
    if (allow && !detect_networks_parse(allow, &audit->allowed, &wrong))
        return guard_fail(err, GUARD_ERR_INVALID,
                          "audit_detect_allow: '%.60s' is no address or network, or there are more than %d", wrong,
                          DETECT_NETWORKS_MAX);
    audit->detect_key = guard_siphash_random_key();
    audit->detect = detect_new(&audit->detect_key, raise_alert, audit);
    if (!audit->detect || (audit->set.is.detect_hours && !detect_watch_hours(audit->detect)))
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    take_over(audit);
    audit->kept_ns = guard_clock_monotonic_ns();
    return audit->set.is.country_file ? audit_country_open(audit->set.is.country_file, &audit->country, err) : GUARD_OK;
}

void audit_watch_peer(const struct audit *audit, struct audit_peer *peer, const struct audit_peer_info *info)
{
    char code[3];
    if (!audit->detect)
        return;
    peer->keys = detect_keys_of(&audit->detect_key, &audit->allowed, info->address, info->username, info->client_id);
    peer->keys.connection = (uint32_t)peer->connection;
    peer->keys.single = info->single;
    if (audit->country && info->address && audit_country_find(audit->country, info->address, code))
        memcpy(&peer->keys.country, code, 2);
}

/* Refusals that say something about the client, not about the broker or the session's end. */
static bool is_forbidden(enum guard_reason reason)
{
    return reason == GUARD_REASON_ACL_NO_MATCH || reason == GUARD_REASON_ACL_DENY_RULE ||
           reason == GUARD_REASON_WILDCARD_DENIED || reason == GUARD_REASON_SYS_TOPIC_DENIED;
}

static void watch_publish(struct audit *audit, struct audit_peer *peer, int64_t time_ns)
{
    if (!peer->rate.limit)
        detect_rate_resume(audit->detect, &peer->keys, &peer->rate, time_ns);
    detect_publish(audit->detect, &peer->rate, time_ns);
    detect_active(audit->detect, &peer->keys, &peer->active_hour, time_ns);
}

static void watch_summary(struct audit *audit, const struct record_summary *record)
{
    struct audit_peer *peer = record->head.peer;
    if (!peer->rate.limit)
        detect_rate_resume(audit->detect, &peer->keys, &peer->rate, record->first_ns);
    detect_publishes(audit->detect, &peer->rate, record->count, record->first_ns, record->last_ns);
    detect_active(audit->detect, &peer->keys, &peer->active_hour, record->last_ns);
}

static void watch_access(struct audit *audit, const struct record *record)
{
    const struct record_access *access = (const struct record_access *)(const void *)record;
    if (is_forbidden((enum guard_reason)record->reason))
        detect_denied(audit->detect, &record->peer->keys, (const char *)(access + 1), access->topic, record->time_ns);
    else if (record->kind == AUDIT_ACTION_MQTT_PUBLISH && record->reason == GUARD_REASON_NONE)
        watch_publish(audit, record->peer, record->time_ns);
}

static void watch_connect(struct audit *audit, const struct record *record)
{
    struct audit_peer *peer = record->peer;
    if (record->reason != GUARD_REASON_NONE) {
        detect_login_failed(audit->detect, &peer->keys, (enum guard_reason)record->reason, record->time_ns);
        return;
    }
    audit->learned = true;
    detect_login(audit->detect, &peer->keys, record->time_ns);
    detect_active(audit->detect, &peer->keys, &peer->active_hour, record->time_ns);
}

/* A broker that stops has not been left by anybody, but the connections are over all the same. */
static void watch_disconnect(struct audit *audit, const struct record *record)
{
    detect_rate_keep(audit->detect, &record->peer->keys, &record->peer->rate);
    record->peer->rate = (struct detect_rate){0};
    if (record->reason != GUARD_REASON_BROKER_SHUTDOWN)
        detect_disconnect(audit->detect, &record->peer->keys, record->time_ns);
}

void audit_watch_record(struct audit *audit, const struct record *record)
{
    if (!record->peer)
        return;
    audit->watched = record;
    switch (record->kind) {
    case AUDIT_ACTION_MQTT_PUBLISH:
    case AUDIT_ACTION_MQTT_SUBSCRIBE:
        watch_access(audit, record);
        break;
    case AUDIT_ACTION_MQTT_PUBLISH_SUMMARY:
        watch_summary(audit, (const struct record_summary *)(const void *)record);
        break;
    case AUDIT_ACTION_MQTT_CONNECT:
        watch_connect(audit, record);
        break;
    case AUDIT_ACTION_MQTT_DISCONNECT:
        watch_disconnect(audit, record);
        break;
    default:
        break;
    }
}

void audit_watch_gone(struct audit *audit, struct audit_peer *peers)
{
    for (; peers; peers = peers->next)
        detect_rate_keep(audit->detect, &peers->keys, &peers->rate);
}
