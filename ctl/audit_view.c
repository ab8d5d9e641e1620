#include "ctl/audit_view.h"

#include "core/buffer.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/reason.h"
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH 16

#define RED    "\x1b[31m"
#define YELLOW "\x1b[33m"
#define DIM    "\x1b[2m"
#define RESET  "\x1b[0m"

/* A parsed line: its sections, each possibly NULL. */
struct view {
    const struct guard_json *root, *event, *mqtt, *audit;
    const char *action;
    bool failed, alert;
    struct guard_buffer out;
};

static const struct guard_json *at(const struct guard_json *object, const char *first, const char *second)
{
    const struct guard_json *inner = guard_json_get(object, first);
    return second ? guard_json_get(inner, second) : inner;
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

/* The trail is clean when it was written; what lies on the disk now may have been changed to attack who reads it. */
static void put_safe(struct guard_buffer *out, const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0, width; i < length; i += width) {
        width = guard_utf8_sequence(text + i, length - i);
        if (width && !guard_utf8_is_deceptive(guard_utf8_decode(text + i, width)))
            guard_buffer_append(out, text + i, width);
        else
            guard_buffer_text(out, "\xef\xbf\xbd");
        width = width ? width : 1;
    }
}

static bool wanted(const struct view *view, const struct audit_filter *filter)
{
    int64_t seconds;
    const char *time = text_or(guard_json_get(view->root, "@timestamp"), "");
    if (!filter->checkpoints && strcmp(view->action, "audit-checkpoint") == 0)
        return false;
    if (filter->denied && !view->failed && !view->alert)
        return false;
    if (filter->client && strcmp(text_or(guard_json_get(view->mqtt, "client_id"), ""), filter->client) != 0)
        return false;
    if (filter->user && strcmp(text_or(at(view->root, "user", "name"), ""), filter->user) != 0)
        return false;
    return !filter->since || guard_timestamp_parse(time, strlen(time), &seconds) != GUARD_OK ||
           seconds >= filter->since;
}

/* "mqtt-connect" -> "connect" */
static const char *short_action(const char *action)
{
    return strncmp(action, "mqtt-", 5) == 0 ? action + 5 : action;
}

static void put_padded(struct guard_buffer *out, const char *text, size_t width)
{
    size_t before = out->length;
    put_safe(out, text);
    for (size_t used = out->length - before; used < width; used++)
        guard_buffer_byte(out, ' ');
}

/* client id, user if it differs, address */
static void put_who(struct view *view)
{
    struct guard_buffer who = {0};
    const char *client = text_or(guard_json_get(view->mqtt, "client_id"), ""),
               *user = text_or(at(view->root, "user", "name"), "");
    const char *address = text_or(at(view->root, "source", "ip"), text_or(at(view->root, "source", "address"), ""));
    put_safe(&who, client);
    if (*user && strcmp(user, client) != 0) {
        guard_buffer_text(&who, *client ? " (" : "(");
        put_safe(&who, user);
        guard_buffer_text(&who, ")");
    }
    if (*address) {
        guard_buffer_text(&who, who.length ? " " : "");
        put_safe(&who, address);
    }
    put_padded(&view->out, who.data ? who.data : "", 34);
    guard_buffer_text(&view->out, " ");
    guard_buffer_free(&who);
}

static void put_duration(struct guard_buffer *out, int64_t ns)
{
    int64_t ms = ns / 1000000;
    if (ns <= 0)
        return;
    if (ms < 1000)
        guard_buffer_printf(out, " %lld.%01lld ms", (long long)ms, (long long)(ns / 100000 % 10));
    else if (ms < 600000)
        guard_buffer_printf(out, " %lld s", (long long)(ms / 1000));
    else
        guard_buffer_printf(out, " %lld min", (long long)(ms / 60000));
}

static void put_connect(struct view *view)
{
    struct guard_buffer *out = &view->out;
    put_safe(out, text_or(at(view->mqtt, "auth", "method"), "?"));
    const struct guard_json *roles = at(view->root, "user", "roles");
    const char *separator = " as ";
    for (const struct guard_json *role = guard_json_first(roles); role; role = guard_json_next(role)) {
        guard_buffer_text(out, separator);
        put_safe(out, text_or(role, "?"));
        separator = ",";
    }
    put_duration(out, number_or(guard_json_get(view->event, "duration"), 0));
}

static void put_topic(struct view *view)
{
    struct guard_buffer *out = &view->out;
    const char *filter = guard_json_string(guard_json_get(view->mqtt, "topic_filter"));
    put_safe(out, filter ? filter : text_or(guard_json_get(view->mqtt, "topic"), ""));
    int64_t qos = number_or(guard_json_get(view->mqtt, "qos"), -1);
    int64_t bytes = number_or(at(view->mqtt, "payload", "bytes"), -1),
            count = number_or(guard_json_get(view->mqtt, "count"), -1);
    if (count >= 0)
        guard_buffer_printf(out, "%lld messages, %lld bytes", (long long)count,
                            (long long)number_or(guard_json_get(view->mqtt, "bytes"), 0));
    if (qos >= 0)
        guard_buffer_printf(out, " qos %lld", (long long)qos);
    if (bytes >= 0)
        guard_buffer_printf(out, " %lld B", (long long)bytes);
    if (guard_json_true(guard_json_get(view->mqtt, "retained")))
        guard_buffer_text(out, " retained");
    if (strcmp(text_or(guard_json_get(view->mqtt, "packet"), ""), "will") == 0)
        guard_buffer_text(out, " will");
    const char *rule = guard_json_string(at(view->root, "rule", "id"));
    if (rule) {
        guard_buffer_text(out, " by ");
        put_safe(out, rule);
    }
}

/* What the trail and the stores say about themselves. */
static void put_state(struct view *view)
{
    struct guard_buffer *out = &view->out;
    const char *error = guard_json_string(at(view->root, "error", "message"));
    if (strcmp(view->action, "audit-checkpoint") == 0) {
        guard_buffer_printf(out, "checkpoint %lld seals to number %lld",
                            (long long)number_or(guard_json_get(view->audit, "checkpoint"), 0),
                            (long long)number_or(guard_json_get(view->audit, "last_sequence"), 0));
        return;
    }
    put_safe(out, text_or(guard_json_get(view->root, "message"), ""));
    const char *version = guard_json_string(at(view->root, "rule", "version"));
    if (version) {
        guard_buffer_text(out, " version ");
        put_safe(out, version);
    }
    if (error) {
        guard_buffer_text(out, ": ");
        put_safe(out, error);
    }
}

static void put_result(struct view *view, bool colour)
{
    struct guard_buffer *out = &view->out;
    const char *reason = text_or(guard_json_get(view->event, "reason"), "");
    bool disconnect = strcmp(view->action, "mqtt-disconnect") == 0;
    if (disconnect) {
        put_safe(out, reason);
        put_duration(out, number_or(guard_json_get(view->event, "duration"), 0));
    } else if (view->failed) {
        guard_buffer_text(out, colour ? "  " RED "DENIED " : "  DENIED ");
        put_safe(out, reason);
        guard_buffer_text(out, colour ? RESET : "");
        enum guard_reason known = guard_reason_parse(reason);
        if (known != GUARD_REASON_NONE)
            guard_buffer_printf(out, " (%s)", guard_reason_sentence(known));
    }
}

static void render(struct view *view, bool colour)
{
    struct guard_buffer *out = &view->out;
    const char *time = text_or(guard_json_get(view->root, "@timestamp"), "");
    bool mqtt = strncmp(view->action, "mqtt-", 5) == 0;
    guard_buffer_text(out, colour ? DIM : "");
    if (strlen(time) > 23) {
        char day_and_time[24] = "";
        memcpy(day_and_time, time, 23);
        day_and_time[10] = ' ';
        put_safe(out, day_and_time);
    }
    guard_buffer_text(out, colour ? RESET " " : " ");
    guard_buffer_text(out, !colour ? "" : view->failed ? RED : view->alert ? YELLOW : "");
    put_padded(out, short_action(view->action), 16);
    guard_buffer_text(out, colour ? RESET " " : " ");
    if (mqtt || view->alert)
        put_who(view);
    if (strcmp(view->action, "mqtt-connect") == 0)
        put_connect(view);
    else if (mqtt && strcmp(view->action, "mqtt-disconnect") != 0)
        put_topic(view);
    else if (!mqtt)
        put_state(view);
    if (mqtt)
        put_result(view, colour);
}

char *audit_view(const char *line, size_t length, const struct audit_filter *filter)
{
    struct guard_json *json = NULL;
    struct view view = {0};
    if (guard_json_parse(line, length, JSON_DEPTH, &json, NULL) != GUARD_OK) {
        guard_buffer_printf(&view.out, "(%zu bytes that are no line of the trail)", length);
        return filter->denied || filter->client || filter->user ? NULL : guard_buffer_take(&view.out);
    }
    view.root = json;
    view.event = guard_json_get(json, "event");
    view.mqtt = guard_json_get(json, "mqtt");
    view.audit = at(json, "mosquitto", "audit");
    view.action = text_or(guard_json_get(view.event, "action"), "?");
    view.failed = strcmp(text_or(guard_json_get(view.event, "outcome"), ""), "failure") == 0;
    view.alert = strncmp(view.action, "alert-", 6) == 0;
    char *text = NULL;
    if (wanted(&view, filter) && filter->raw) {
        text = strndup(line, length);
    } else if (wanted(&view, filter)) {
        render(&view, filter->colour);
        text = guard_buffer_take(&view.out);
    }
    guard_buffer_free(&view.out);
    guard_json_free(&json);
    return text;
}
