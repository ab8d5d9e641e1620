#include "ctl/emqx.h"

#include "core/json.h"

#include <stdlib.h>
#include <string.h>

/* ---- users ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The user a key is about; NULL: it is noted. */
static const char *user_of(const struct emqx *emqx, const struct foreign_key *key,
                           struct guard_translation *translation)
{
    const char *prefixes[] = {emqx->users_prefix, emqx->acls_prefix};
    const char *fault = "it is no key of EMQX's", *name = NULL;
    for (int i = 0; i < 2 && !name; i++)
        if (strncmp(key->name, prefixes[i], strlen(prefixes[i])) == 0)
            name = key->name + strlen(prefixes[i]);
    if (name)
        fault = key->type == FOREIGN_HASH ? foreign_name_fault(name) : "it is no hash";
    if (name && !fault && key->expires)
        guard_translation_note(translation, GUARD_NOTE_REMARK, key->name, 0,
                               "it ends by itself in Redis; in the policy it stays");
    if (fault)
        guard_translation_note(translation, GUARD_NOTE_LEFT_OUT, key->name, 0, "%s", fault);
    return fault ? NULL : name;
}

bool emqx_sort(struct emqx *emqx, struct guard_translation *translation)
{
    size_t kept = 0;
    if (emqx->data.skipped)
        guard_translation_note(translation, GUARD_NOTE_LEFT_OUT, "keys", 0,
                               "%zu names or values hold U+0000, which MQTT does not allow", emqx->data.skipped);
    emqx->users = calloc(emqx->data.count + 1, sizeof *emqx->users);
    for (size_t i = 0; emqx->users && i < emqx->data.count; i++) {
        const char *name = user_of(emqx, &emqx->data.keys[i], translation);
        if (name && !(emqx->users[emqx->user_count++] = strdup(name)))
            return false;
    }
    if (!emqx->users)
        return false;
    qsort(emqx->users, emqx->user_count, sizeof *emqx->users, by_text);
    for (size_t i = 0; i < emqx->user_count; i++)
        if (kept && strcmp(emqx->users[kept - 1], emqx->users[i]) == 0)
            free(emqx->users[i]);
        else
            emqx->users[kept++] = emqx->users[i];
    emqx->user_count = kept;
    return true;
}

void emqx_free(struct emqx *emqx)
{
    for (size_t i = 0; i < emqx->user_count; i++)
        free(emqx->users[i]);
    free(emqx->users);
    foreign_free(&emqx->data);
}

static const struct foreign_key *find(const struct emqx *emqx, const char *prefix, const char *user)
{
    struct guard_buffer name = {0};
    guard_buffer_text(&name, prefix);
    guard_buffer_text(&name, user);
    const struct foreign_key *key = name.failed ? NULL : foreign_find(&emqx->data, name.data);
    guard_buffer_free(&name);
    return key && key->type == FOREIGN_HASH ? key : NULL;
}

const struct foreign_key *emqx_record(const struct emqx *emqx, const char *user)
{
    return find(emqx, emqx->users_prefix, user);
}

const struct foreign_key *emqx_rules(const struct emqx *emqx, const char *user)
{
    return find(emqx, emqx->acls_prefix, user);
}

bool emqx_superuser(const struct emqx *emqx, const char *user)
{
    const char *value = foreign_field(emqx_record(emqx, user), "is_superuser");
    return value && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0);
}

/* ---- rules ---- */

static bool take_action(struct emqx_rule *rule, const char *text, bool v4)
{
    static const char *const names[2][3] = {{"publish", "subscribe", "all"}, {"2", "1", "3"}};
    for (int i = 0; text && i < 3; i++)
        if (strcmp(names[v4][i], text) == 0) {
            rule->publish = i != 1;
            rule->subscribe = i != 0;
            return true;
        }
    return false;
}

static bool take_qos(struct emqx_rule *rule, const struct guard_json *qos)
{
    bool list = guard_json_is(qos, GUARD_JSON_ARRAY);
    int64_t number;
    if (!qos || !list)
        rule->qos[0] = rule->qos[1] = rule->qos[2] = !qos;
    for (const struct guard_json *one = list ? guard_json_first(qos) : qos; one;
         one = list ? guard_json_next(one) : NULL) {
        if (!guard_json_integer(one, &number) || number < 0 || number > 2)
            return false;
        rule->qos[number] = true;
    }
    return rule->qos[0] || rule->qos[1] || rule->qos[2];
}

static void take_retain(struct emqx_rule *rule, const struct guard_json *retain)
{
    const char *text = guard_json_string(retain);
    if (!retain || !rule->publish || (text && strcmp(text, "all") == 0))
        return;
    if (guard_json_true(retain) || (text && strcmp(text, "true") == 0))
        rule->why = "a rule for retained messages alone cannot be said: there is only retain=no";
    else
        rule->not_retain = true;
}

static void take_json(struct emqx_rule *rule, const char *value)
{
    struct guard_json *json = NULL;
    if (guard_json_parse(value, strlen(value), 4, &json, NULL) != GUARD_OK ||
        !take_action(rule, guard_json_string(guard_json_get(json, "action")), false))
        rule->why = "its value is neither publish, subscribe, all nor JSON with such an \"action\"";
    else if (!take_qos(rule, guard_json_get(json, "qos")))
        rule->why = "\"qos\" is neither 0, 1, 2 nor a list of these";
    else
        take_retain(rule, guard_json_get(json, "retain"));
    guard_json_free(&json);
}

/* A placeholder of EMQX 4 counts only where it is a whole level. */
static bool has_partial_placeholder(const char *filter)
{
    for (const char *at = filter; (at = strchr(at, '%')) != NULL; at++)
        if ((at[1] == 'u' || at[1] == 'c') && ((at > filter && at[-1] != '/') || (at[2] && at[2] != '/')))
            return true;
    return false;
}

struct emqx_rule emqx_rule_parse(const struct emqx *emqx, const char *field, const char *value)
{
    struct emqx_rule rule = {.filter = field, .exact = strncmp(field, "eq ", 3) == 0};
    rule.filter += rule.exact ? 3 : 0;
    if (take_action(&rule, value, emqx->v4))
        rule.qos[0] = rule.qos[1] = rule.qos[2] = true;
    else if (emqx->v4)
        rule.why = "its value is not 1, 2 or 3";
    else
        take_json(&rule, value);
    if (!rule.why && rule.exact && strpbrk(rule.filter, "+#"))
        rule.publish = false; /* nobody can publish to it */
    if (!rule.why && !rule.publish && !rule.subscribe)
        rule.why = "no topic that is published has a wildcard in it";
    if (!rule.why && rule.qos[2] && !(rule.qos[0] && rule.qos[1]))
        rule.why = "a rule for high QoS alone cannot be said: there is only qos<=N";
    if (!rule.why && rule.qos[1] && !rule.qos[0])
        rule.why = "a rule for QoS 1 alone cannot be said: there is only qos<=N";
    if (!rule.why && rule.exact && strstr(rule.filter, emqx->v4 ? "%" : "${"))
        rule.why = "whether a placeholder behind eq is one depends on EMQX's version";
    if (!rule.why && emqx->v4 && has_partial_placeholder(rule.filter))
        rule.why = "EMQX 4 replaced %u and %c only where they were a whole level";
    return rule;
}

/* ---- the model ---- */

static size_t placeholder(const char *at, bool v4, char *which)
{
    static const char *const names[2][2] = {{"${username}", "${clientid}"}, {"%u", "%c"}};
    for (int i = 0; i < 2; i++)
        if (strncmp(at, names[v4][i], strlen(names[v4][i])) == 0) {
            *which = i ? 'c' : 'u';
            return strlen(names[v4][i]);
        }
    return 0;
}

/* MQTT 5.0, 4.7; a filter that is asked for is looked at as if it were a topic. */
static bool matches(const char *filter, const char *topic)
{
    if (*topic == '$' && (*filter == '+' || *filter == '#'))
        return false;
    for (;; filter++, topic++) {
        size_t wanted = strcspn(filter, "/"), given = strcspn(topic, "/");
        if (strcmp(filter, "#") == 0)
            return true;
        if (!(wanted == 1 && *filter == '+') && (wanted != given || memcmp(filter, topic, wanted) != 0))
            return false;
        filter += wanted;
        topic += given;
        if (!*topic || !*filter)
            return (!*topic && !*filter) || (!*topic && strcmp(filter, "/#") == 0);
    }
}

static bool rule_allows(const struct emqx *emqx, const struct emqx_rule *rule, const struct ctl_mqtt_login *who,
                        const char *topic)
{
    struct guard_buffer filter = {0};
    char which = 0;
    if (rule->exact)
        return strcmp(rule->filter, topic) == 0;
    const char *at = rule->filter;
    while (*at) {
        size_t width = placeholder(at, emqx->v4, &which);
        if (width)
            guard_buffer_text(&filter, which == 'u' ? who->username : who->client_id);
        else if (!emqx->v4 && strncmp(at, "${", 2) == 0)
            break; /* of a certificate, which nobody in the trial has */
        else
            guard_buffer_byte(&filter, *at);
        at += width ? width : 1;
    }
    bool yes = !*at && !filter.failed && filter.length && matches(filter.data, topic);
    guard_buffer_free(&filter);
    return yes;
}

bool emqx_allowed(void *context, const struct ctl_mqtt_login *who, enum explain_action action, const char *topic)
{
    const struct emqx *emqx = context;
    const struct foreign_key *rules = emqx_rules(emqx, who->username);
    const char *asked = topic;
    if (emqx_superuser(emqx, who->username))
        return true;
    if (action == EXPLAIN_SUBSCRIBE_ONLY && strncmp(topic, "$share/", 7) == 0 && strchr(topic + 7, '/'))
        asked = strchr(topic + 7, '/') + 1; /* EMQX takes the group off before it asks */
    for (size_t i = 0; rules && i + 1 < rules->count; i += 2) {
        struct emqx_rule rule = emqx_rule_parse(emqx, rules->values[i], rules->values[i + 1]);
        bool right = action == EXPLAIN_PUBLISH ? rule.publish : rule.subscribe;
        if (right && rule.qos[0] && rule_allows(emqx, &rule, who, asked))
            return true;
    }
    return false;
}
