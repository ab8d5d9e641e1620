#include "audit/ocsf.h"

#include "audit/action.h"
#include "core/buffer.h"
#include "core/clock.h"
#include "core/json.h"

#include <stdlib.h>

#define OCSF_VERSION "1.8.0"
#define JSON_DEPTH   16
#define TEXT_MAX     4096 /* more than any value of a finished line: nothing is cut a second time */

struct map {
    const struct guard_json *root, *event, *mqtt, *audit;
    enum audit_action action;
    bool failed;
    struct audit_out *out;
    const char *start; /* of the line */
};

struct ocsf_class {
    unsigned class_uid, activity_id;
    const char *activity;
};

static struct ocsf_class class_of(enum audit_action action)
{
    switch (action) {
    case AUDIT_ACTION_MQTT_CONNECT:
        return (struct ocsf_class){3002, 1, "Logon"};
    case AUDIT_ACTION_MQTT_DISCONNECT:
        return (struct ocsf_class){3002, 2, "Logoff"};
    case AUDIT_ACTION_MQTT_PUBLISH:
    case AUDIT_ACTION_MQTT_PUBLISH_SUMMARY:
        return (struct ocsf_class){6003, 1, "Create"};
    case AUDIT_ACTION_MQTT_DELIVER:
    case AUDIT_ACTION_MQTT_SUBSCRIBE:
        return (struct ocsf_class){6003, 2, "Read"};
    case AUDIT_ACTION_MQTT_UNSUBSCRIBE:
        return (struct ocsf_class){6003, 99, "Unsubscribe"};
    case AUDIT_ACTION_POLICY_RELOAD:
        return (struct ocsf_class){3004, 3, "Update"};
    case AUDIT_ACTION_STORE_DOWN:
        return (struct ocsf_class){6008, 1, "General Error"};
    case AUDIT_ACTION_STORE_UP:
        return (struct ocsf_class){6002, 3, "Start"};
    case AUDIT_ACTION_AUDIT_START:
        return (struct ocsf_class){1008, 6, "Start"};
    case AUDIT_ACTION_AUDIT_STOP:
        return (struct ocsf_class){1008, 7, "Stop"};
    case AUDIT_ACTION_AUDIT_ROTATE:
        return (struct ocsf_class){1008, 5, "Rotate"};
    case AUDIT_ACTION_AUDIT_RECOVERED:
        return (struct ocsf_class){1008, 8, "Restart"};
    case AUDIT_ACTION_AUDIT_GAP:
        return (struct ocsf_class){1008, 99, "Gap"};
    case AUDIT_ACTION_AUDIT_CHECKPOINT:
        return (struct ocsf_class){1008, 99, "Checkpoint"};
    default:
        return (struct ocsf_class){2004, 1, "Create"};
    }
}

/* ---- reading the line ---- */

static const struct guard_json *at(const struct guard_json *object, const char *first, const char *second)
{
    return guard_json_get(guard_json_get(object, first), second);
}

static const char *text_or(const struct guard_json *value, const char *otherwise)
{
    const char *text = guard_json_string(value);
    return text ? text : otherwise;
}

static int64_t number_or(const struct guard_json *value, int64_t otherwise)
{
    int64_t number;
    return guard_json_integer(value, &number) ? number : otherwise;
}

/* Milliseconds since the epoch; 0 = it is no time. */
static uint64_t milliseconds(const char *time)
{
    int64_t seconds;
    unsigned fraction = 0;
    size_t length = strlen(time);
    if (guard_timestamp_parse(time, length, &seconds) != GUARD_OK || seconds < 0)
        return 0;
    for (size_t i = 20; i < 23 && length > 23; i++)
        fraction = fraction * 10 + (unsigned)(time[i] - '0');
    return (uint64_t)seconds * 1000 + fraction;
}

/* ---- writing ---- */

static void put_key(struct map *map, const char *key)
{
    if (map->out->at[-1] != '{')
        audit_put_literal(map->out, ",");
    audit_put_literal(map->out, "\"");
    audit_put_text(map->out, key);
    audit_put_literal(map->out, "\":");
}

static void put_text(struct map *map, const char *key, const char *text)
{
    if (!text)
        return;
    put_key(map, key);
    audit_put_string(map->out, text, strlen(text), TEXT_MAX);
}

static void put_number(struct map *map, const char *key, uint64_t value)
{
    put_key(map, key);
    audit_put_unsigned(map->out, value);
}

static void open_object(struct map *map, const char *key)
{
    put_key(map, key);
    audit_put_literal(map->out, "{");
}

static void close_object(struct map *map)
{
    audit_put_literal(map->out, "}");
}

/* Another value of the line, as it stands there. */
static void put_value(struct map *map, const char *key, const struct guard_json *value)
{
    char *text = value ? guard_json_print(value) : NULL;
    if (text) {
        put_key(map, key);
        audit_put_text(map->out, text);
    }
    free(text);
}

static void put_user(struct map *map, const char *key)
{
    const struct guard_json *user = guard_json_get(map->root, "user");
    const char *name = guard_json_string(guard_json_get(user, "name")),
               *uid = guard_json_string(guard_json_get(user, "id"));
    open_object(map, key);
    put_text(map, "name", name || uid ? name : "anonymous"); /* a user needs a name or an id */
    put_text(map, "uid", uid);
    put_text(map, "domain", guard_json_string(guard_json_get(user, "domain")));
    const struct guard_json *roles = guard_json_get(user, "roles");
    if (guard_json_first(roles)) {
        put_key(map, "groups");
        audit_put_literal(map->out, "[");
        for (const struct guard_json *role = guard_json_first(roles); role; role = guard_json_next(role)) {
            if (role != guard_json_first(roles))
                audit_put_literal(map->out, ",");
            audit_put_literal(map->out, "{");
            put_text(map, "name", text_or(role, ""));
            close_object(map);
        }
        audit_put_literal(map->out, "]");
    }
    close_object(map);
}

static void put_session(struct map *map)
{
    const char *id = guard_json_string(guard_json_get(map->mqtt, "connection_id"));
    if (!id)
        return;
    open_object(map, "session");
    put_text(map, "uid", id);
    if (map->action == AUDIT_ACTION_MQTT_DISCONNECT)
        put_text(map, "expiration_reason", guard_json_string(guard_json_get(map->event, "reason")));
    close_object(map);
}

/* Who it came from; the client id is its name in the world of MQTT. */
static void put_endpoints(struct map *map)
{
    int64_t port = number_or(at(map->root, "destination", "port"), 0);
    open_object(map, "src_endpoint");
    put_text(map, "ip", guard_json_string(at(map->root, "source", "ip")));
    put_text(map, "name", guard_json_string(at(map->root, "source", "address")));
    put_text(map, "uid", text_or(guard_json_get(map->mqtt, "client_id"), "unknown"));
    close_object(map);
    open_object(map, "dst_endpoint");
    put_text(map, "name", guard_json_string(guard_json_get(at(map->root, "service", "node"), "name")));
    if (port > 0)
        put_number(map, "port", (uint64_t)port);
    close_object(map);
}

/* The profile security_control: what was decided, and by which rule. */
static void put_decision(struct map *map)
{
    const struct guard_json *rule = guard_json_get(map->root, "rule");
    put_number(map, "action_id", map->failed ? 2 : 1);
    put_number(map, "disposition_id", map->failed ? 2 : 1);
    if (!rule)
        return;
    open_object(map, "policy");
    put_text(map, "name", guard_json_string(guard_json_get(rule, "ruleset")));
    put_text(map, "uid", guard_json_string(guard_json_get(rule, "id")));
    put_text(map, "desc", guard_json_string(guard_json_get(rule, "name")));
    put_text(map, "version", guard_json_string(guard_json_get(rule, "version")));
    close_object(map);
}

static void put_certificate(struct map *map)
{
    const struct guard_json *client = at(map->root, "tls", "client");
    const char *serial = guard_json_string(at(client, "x509", "serial_number"));
    const char *sha256 = guard_json_string(at(client, "hash", "sha256"));
    if (!serial || !sha256)
        return; /* serial_number and fingerprints are what a certificate must have there */
    open_object(map, "certificate");
    put_text(map, "serial_number", serial);
    put_text(map, "subject", guard_json_string(guard_json_get(client, "subject")));
    put_text(map, "issuer", guard_json_string(guard_json_get(client, "issuer")));
    uint64_t expires = milliseconds(text_or(guard_json_get(client, "not_after"), ""));
    if (expires)
        put_number(map, "expiration_time", expires);
    put_key(map, "fingerprints");
    audit_put_literal(map->out, "[{\"algorithm_id\":3");
    put_text(map, "value", sha256);
    audit_put_literal(map->out, "}]}");
}

static void put_authentication(struct map *map)
{
    put_user(map, "user");
    open_object(map, "service");
    put_text(map, "name", "mosquitto");
    put_text(map, "uid", guard_json_string(guard_json_get(at(map->root, "service", "node"), "name")));
    close_object(map);
    put_session(map);
    put_endpoints(map);
    put_number(map, "auth_protocol_id", 99);
    put_text(map, "auth_protocol", text_or(at(map->mqtt, "auth", "method"), "mqtt"));
    audit_put_literal(map->out, ",\"is_remote\":true");
    put_certificate(map);
    if (map->action == AUDIT_ACTION_MQTT_CONNECT)
        put_decision(map);
}

static void put_api_activity(struct map *map)
{
    const char *topic =
        text_or(guard_json_get(map->mqtt, "topic_filter"), guard_json_string(guard_json_get(map->mqtt, "topic")));
    open_object(map, "actor");
    put_user(map, "user");
    put_session(map);
    close_object(map);
    open_object(map, "api");
    put_text(map, "operation", text_or(guard_json_get(map->mqtt, "packet"), "publish"));
    open_object(map, "service");
    put_text(map, "name", "mqtt");
    close_object(map);
    close_object(map);
    put_endpoints(map);
    if (topic) {
        put_key(map, "resources");
        audit_put_literal(map->out, "[{");
        put_text(map, "name", topic);
        put_text(map, "type", guard_json_get(map->mqtt, "topic_filter") ? "mqtt topic filter" : "mqtt topic");
        audit_put_literal(map->out, "}]");
    }
    put_decision(map);
}

static void put_entity(struct map *map)
{
    const struct guard_json *policy = at(map->root, "mosquitto", "policy");
    open_object(map, "entity");
    put_text(map, "name", text_or(at(map->root, "rule", "ruleset"), "default"));
    put_number(map, "type_id", 5);
    put_text(map, "type", "Policy");
    put_text(map, "version", guard_json_string(at(map->root, "rule", "version")));
    put_text(map, "uid", guard_json_string(guard_json_get(policy, "sha256")));
    close_object(map);
}

static void put_finding(struct map *map)
{
    open_object(map, "finding_info");
    put_text(map, "uid", text_or(guard_json_get(map->event, "id"), ""));
    put_text(map, "title", text_or(at(map->root, "rule", "name"), audit_action_name(map->action)));
    open_object(map, "analytic");
    put_text(map, "uid", guard_json_string(at(map->root, "rule", "id")));
    put_text(map, "name", audit_action_name(map->action));
    put_number(map, "type_id", 1); /* Rule */
    close_object(map);
    const char *technique =
        guard_json_string(guard_json_first(at(guard_json_get(map->root, "threat"), "technique", "id")));
    if (technique) {
        put_key(map, "attacks");
        audit_put_literal(map->out, "[{\"technique\":{");
        put_text(map, "uid", technique);
        put_text(map, "name",
                 guard_json_string(guard_json_first(at(guard_json_get(map->root, "threat"), "technique", "name"))));
        audit_put_literal(map->out, "}}]");
    }
    close_object(map);
    audit_put_literal(map->out, ",\"is_alert\":true");
    put_key(map, "evidences");
    audit_put_literal(map->out, "[{");
    put_endpoints(map);
    open_object(map, "actor");
    put_user(map, "user");
    put_session(map);
    close_object(map);
    audit_put_literal(map->out, "}]");
}

static void put_log_activity(struct map *map)
{
    const char *file =
        text_or(guard_json_get(map->audit, "next_file"), guard_json_string(guard_json_get(map->audit, "file")));
    put_text(map, "log_name", "mosquitto.audit");
    put_text(map, "log_provider", "Mosquitto Guard");
    if (file) {
        open_object(map, "file");
        put_text(map, "name", file);
        put_number(map, "type_id", 1); /* regular file */
        close_object(map);
    }
    if (map->action == AUDIT_ACTION_AUDIT_GAP) {
        put_number(map, "count", (uint64_t)number_or(guard_json_get(map->audit, "lost"), 1));
        put_number(map, "start_time", milliseconds(text_or(guard_json_get(map->event, "start"), "")));
        put_number(map, "end_time", milliseconds(text_or(guard_json_get(map->event, "end"), "")));
    }
}

static void put_class_members(struct map *map, unsigned class_uid)
{
    switch (class_uid) {
    case 3002:
        put_authentication(map);
        break;
    case 6003:
        put_api_activity(map);
        break;
    case 3004:
        put_entity(map);
        break;
    case 2004:
        put_finding(map);
        break;
    case 1008:
        put_log_activity(map);
        break;
    case 6002:
        open_object(map, "app");
        put_text(map, "name", text_or(guard_json_get(at(map->root, "mosquitto", "store"), "name"), "store"));
        put_text(map, "vendor_name", "Redis");
        close_object(map);
        break;
    default:
        put_text(map, "status_code", guard_json_string(at(map->root, "error", "code")));
    }
}

static void put_metadata(struct map *map, bool decision)
{
    open_object(map, "metadata");
    put_text(map, "version", OCSF_VERSION);
    open_object(map, "product");
    put_text(map, "name", "Mosquitto Guard");
    put_text(map, "vendor_name", "Mosquitto Guard");
    put_text(map, "version", GUARD_VERSION);
    close_object(map);
    put_text(map, "uid", guard_json_string(guard_json_get(map->event, "id")));
    put_number(map, "sequence", (uint64_t)number_or(guard_json_get(map->event, "sequence"), 0));
    put_text(map, "event_code", audit_action_name(map->action));
    put_text(map, "log_name", "mosquitto.audit");
    if (decision)
        audit_put_literal(map->out, ",\"profiles\":[\"security_control\"]");
    close_object(map);
}

static void put_base(struct map *map, struct ocsf_class class)
{
    const char *outcome = guard_json_string(guard_json_get(map->event, "outcome"));
    int64_t duration = number_or(guard_json_get(map->event, "duration"), -1);
    put_number(map, "time", milliseconds(text_or(guard_json_get(map->root, "@timestamp"), "")));
    put_number(map, "class_uid", class.class_uid);
    put_number(map, "category_uid", class.class_uid / 1000);
    put_number(map, "activity_id", class.activity_id);
    put_text(map, "activity_name", class.activity);
    put_number(map, "type_uid", (uint64_t) class.class_uid * 100 + class.activity_id);
    put_number(map, "severity_id", (uint64_t)number_or(guard_json_get(map->event, "severity"), 1));
    put_number(map, "status_id", class.class_uid == 2004 ? 1 : !outcome ? 0 : map->failed ? 2 : 1);
    put_text(map, "status_detail", guard_json_string(guard_json_get(map->event, "reason")));
    if (duration >= 0)
        put_number(map, "duration", (uint64_t)duration / 1000000);
    put_text(map, "message", guard_json_string(guard_json_get(map->root, "message")));
    put_metadata(map, map->action == AUDIT_ACTION_MQTT_CONNECT || class.class_uid == 6003);
}

/* What OCSF has no place for, and at its end what the verifier reads. */
static void put_unmapped(struct map *map)
{
    open_object(map, "unmapped");
    if (map->out->at - map->start < AUDIT_LINE_MAX / 2) /* giant names stand there already, once is enough */
        put_value(map, "mqtt", map->mqtt);
    put_value(map, "mosquitto.policy", at(map->root, "mosquitto", "policy"));
    put_value(map, "mosquitto.store", at(map->root, "mosquitto", "store"));
    put_value(map, "mosquitto.alert", at(map->root, "mosquitto", "alert"));
    put_value(map, "error", guard_json_get(map->root, "error"));
    put_value(map, "mosquitto.audit", map->audit);
    if (map->audit) /* the trail's own records: whose trail it is */
        put_text(map, "service.node.name", guard_json_string(guard_json_get(at(map->root, "service", "node"), "name")));
    put_text(map, "action", audit_action_name(map->action));
    put_text(map, "outcome", guard_json_string(guard_json_get(map->event, "outcome")));
    put_text(map, "reason", guard_json_string(guard_json_get(map->event, "reason")));
    put_number(map, "sequence", (uint64_t)number_or(guard_json_get(map->event, "sequence"), 0));
    put_text(map, "id", guard_json_string(guard_json_get(map->event, "id")));
}

bool audit_ocsf_map(const char *line, size_t length, struct audit_out *out)
{
    struct guard_buffer whole = {0};
    struct guard_json *json = NULL;
    guard_buffer_append(&whole, line, length);
    guard_buffer_text(&whole, "}}"); /* in place of the tail */
    bool good = !whole.failed && guard_json_parse(whole.data, whole.length, JSON_DEPTH, &json, NULL) == GUARD_OK;
    if (good) {
        const struct guard_json *event = guard_json_get(json, "event");
        struct map map = {.root = json,
                          .event = event,
                          .mqtt = guard_json_get(json, "mqtt"),
                          .audit = at(json, "mosquitto", "audit"),
                          .action = audit_action_parse(text_or(guard_json_get(event, "action"), "")),
                          .failed = strcmp(text_or(guard_json_get(event, "outcome"), ""), "failure") == 0,
                          .out = out,
                          .start = out->at};
        struct ocsf_class class = class_of(map.action);
        audit_put_literal(out, "{");
        put_base(&map, class);
        put_class_members(&map, class.class_uid);
        put_unmapped(&map);
        good = map.action != AUDIT_ACTION_COUNT && !out->overflow;
    }
    guard_json_free(&json);
    guard_buffer_free(&whole);
    return good;
}
