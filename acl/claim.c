/*
 * A token's own acl claim, compiled for its session. Three forms are read: a list of rules of the policy language; and
 * EMQX's two:
 * {"pub": [filters], "sub": [filters], "all": [filters]}, and a list of {"permission", "action", "topic", "qos",
 * "retain"}, of which the first that matches decides, hence descending priorities. What cannot be expressed is refused,
 * never loosened.
 */
#include "acl/build.h"
#include "acl/subject.h"
#include "core/buffer.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM_RULES 256
#define CLAIM_SIZE  65536
#define CLAIM_DEPTH 4

struct claim {
    struct acl_builder *builder;
    struct acl_parsed *parsed;
    struct guard_error *err;
    unsigned count; /* rules so far */
};

static int refuse(const struct claim *claim, const char *what)
{
    return guard_fail(claim->err, GUARD_ERR_SYNTAX, "the token's acl claim, rule %u: %s", claim->count + 1, what);
}

static int add_rule(struct claim *claim, const char *text)
{
    struct guard_error fault = {0};
    char name[24];
    if (claim->count == CLAIM_RULES)
        return guard_fail(claim->err, GUARD_ERR_LIMIT, "the token's acl claim has more than %d rules", CLAIM_RULES);
    int rc = acl_rule_parse(text, claim->parsed, &fault);
    if (rc == GUARD_ERR_NOMEM)
        return guard_fail(claim->err, GUARD_ERR_NOMEM, "out of memory");
    if (rc != GUARD_OK)
        return refuse(claim, fault.text);
    snprintf(name, sizeof name, "acl.%u", claim->count + 1);
    struct acl_rule_origin origin = {name, "token", 0};
    rc = acl_builder_add(claim->builder, claim->parsed, &origin);
    if (rc == GUARD_ERR_LIMIT)
        return refuse(claim, "too many different placeholders");
    if (rc != GUARD_OK)
        return guard_fail(claim->err, (enum guard_code)rc, "out of memory");
    claim->count++;
    return GUARD_OK;
}

/* Appends an EMQX filter; its mark "eq " (taken literally) becomes exact. */
static void append_filter(struct guard_buffer *rule, const char *filter)
{
    bool exact = strncmp(filter, "eq ", 3) == 0;
    if (exact)
        filter += 3;
    guard_buffer_byte(rule, ' ');
    guard_buffer_json_string(rule, filter, strlen(filter));
    if (exact)
        guard_buffer_text(rule, " exact");
}

static int add_buffer(struct claim *claim, struct guard_buffer *rule)
{
    int rc = rule->failed ? guard_fail(claim->err, GUARD_ERR_NOMEM, "out of memory") : add_rule(claim, rule->data);
    guard_buffer_free(rule);
    return rc;
}

static int add_filters(struct claim *claim, const char *action, const struct guard_json *filters)
{
    int rc = guard_json_is(filters, GUARD_JSON_ARRAY) ? GUARD_OK : refuse(claim, "expected a list of topic filters");
    for (const struct guard_json *f = guard_json_first(filters); f && rc == GUARD_OK; f = guard_json_next(f)) {
        struct guard_buffer rule = {0};
        if (!guard_json_string(f))
            return refuse(claim, "expected a topic filter");
        guard_buffer_printf(&rule, "allow %s", action);
        append_filter(&rule, guard_json_string(f));
        rc = add_buffer(claim, &rule);
    }
    return rc;
}

static int add_object(struct claim *claim, const struct guard_json *object)
{
    static const struct {
        const char *name, *action;
    } lists[] = {{"pub", "publish"}, {"sub", "subscribe"}, {"all", "all"}};
    int rc = GUARD_OK;
    for (const struct guard_json *m = guard_json_first(object); m && rc == GUARD_OK; m = guard_json_next(m)) {
        const char *action = NULL;
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
            if (strcmp(guard_json_name(m), lists[i].name) == 0)
                action = lists[i].action;
        rc = action ? add_filters(claim, action, m) : refuse(claim, "expected pub, sub or all");
    }
    return rc;
}

/* The highest QoS of a number or a list of numbers 0..n without gaps; -1: cannot be expressed. */
static int highest_qos(const struct guard_json *value)
{
    int64_t number;
    unsigned seen = 0;
    if (guard_json_integer(value, &number))
        return number == 0 ? 0 : -1;
    for (const struct guard_json *v = guard_json_first(value); v; v = guard_json_next(v)) {
        if (!guard_json_integer(v, &number) || number < 0 || number > 2)
            return -1;
        seen |= 1U << number;
    }
    return seen == 1 ? 0 : seen == 3 ? 1 : seen == 7 ? 2 : -1;
}

static int append_limits(struct claim *claim, struct guard_buffer *rule, const struct guard_json *object)
{
    const struct guard_json *qos = guard_json_get(object, "qos"), *retain = guard_json_get(object, "retain");
    const char *any = guard_json_string(retain);
    if (qos) {
        int highest = highest_qos(qos);
        if (highest < 0)
            return refuse(claim, "qos must be 0, [0], [0,1] or [0,1,2]");
        guard_buffer_printf(rule, " qos<=%d", highest);
    }
    if (guard_json_is(retain, GUARD_JSON_BOOL) && !guard_json_true(retain))
        guard_buffer_text(rule, " retain=no");
    else if (retain && !(any && strcmp(any, "all") == 0))
        return refuse(claim, "retain must be false or \"all\"");
    return GUARD_OK;
}

static int check_members(struct claim *claim, const struct guard_json *object)
{
    static const char *const known[] = {"permission", "action", "topic", "qos", "retain"};
    for (const struct guard_json *m = guard_json_first(object); m; m = guard_json_next(m)) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= strcmp(guard_json_name(m), known[i]) == 0;
        if (!found)
            return refuse(claim, "expected permission, action, topic, qos or retain");
    }
    return GUARD_OK;
}

static int add_member(struct claim *claim, const struct guard_json *object, unsigned priority)
{
    const char *permission = guard_json_string(guard_json_get(object, "permission"));
    const char *action = guard_json_string(guard_json_get(object, "action"));
    const char *topic = guard_json_string(guard_json_get(object, "topic"));
    struct guard_buffer rule = {0};
    int rc = check_members(claim, object);
    if (rc != GUARD_OK)
        return rc;
    if (!permission || (strcmp(permission, "allow") != 0 && strcmp(permission, "deny") != 0))
        return refuse(claim, "permission must be allow or deny");
    if (!action || (strcmp(action, "publish") != 0 && strcmp(action, "subscribe") != 0 && strcmp(action, "all") != 0))
        return refuse(claim, "action must be publish, subscribe or all");
    if (!topic)
        return refuse(claim, "topic must be a topic filter");
    guard_buffer_printf(&rule, "%s %s", permission, action);
    append_filter(&rule, topic);
    guard_buffer_printf(&rule, " priority=%u", priority);
    rc = append_limits(claim, &rule, object);
    if (rc != GUARD_OK) {
        guard_buffer_free(&rule);
        return rc;
    }
    return add_buffer(claim, &rule);
}

static int add_list(struct claim *claim, const struct guard_json *list)
{
    int rc = GUARD_OK;
    for (const struct guard_json *m = guard_json_first(list); m && rc == GUARD_OK; m = guard_json_next(m)) {
        if (guard_json_string(m))
            rc = add_rule(claim, guard_json_string(m));
        else if (guard_json_is(m, GUARD_JSON_OBJECT))
            rc = add_member(claim, m, CLAIM_RULES - claim->count);
        else
            rc = refuse(claim, "expected a rule as text or as an object");
    }
    return rc;
}

static int add_document(struct claim *claim, const struct guard_json *document)
{
    if (guard_json_is(document, GUARD_JSON_ARRAY))
        return add_list(claim, document);
    if (guard_json_is(document, GUARD_JSON_OBJECT))
        return add_object(claim, document);
    return guard_fail(claim->err, GUARD_ERR_SYNTAX, "the token's acl claim is neither a list nor an object");
}

int acl_claim_compile(const char *json, uint64_t seed, struct acl_slots **slots, struct acl_segment **out,
                      struct guard_error *err)
{
    struct guard_json *document = NULL;
    size_t length = strlen(json);
    *out = NULL;
    if (length > CLAIM_SIZE)
        return guard_fail(err, GUARD_ERR_LIMIT, "the token's acl claim is larger than %d octets", CLAIM_SIZE);
    struct guard_error fault = {0};
    int rc = guard_json_parse(json, length, CLAIM_DEPTH, &document, &fault);
    if (rc == GUARD_ERR_NOMEM)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    if (rc != GUARD_OK)
        return guard_fail(err, GUARD_ERR_SYNTAX, "the token's acl claim: %s", fault.text);
    struct acl_slots *grown = acl_slots_new(*slots);
    struct claim claim = {.parsed = malloc(sizeof *claim.parsed), .err = err};
    if (grown)
        claim.builder = acl_builder_new(1, 16, grown, seed);
    if (claim.builder && claim.parsed) {
        acl_builder_role(claim.builder, ACL_SESSION_ROLE);
        rc = add_document(&claim, document);
    } else {
        rc = guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    if (rc == GUARD_OK && !(*out = acl_builder_finish(claim.builder)))
        rc = guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    acl_builder_free(&claim.builder);
    free(claim.parsed);
    guard_json_free(&document);
    if (rc == GUARD_OK) {
        acl_slots_release(*slots);
        *slots = grown;
    } else {
        acl_slots_release(grown);
    }
    return rc;
}
