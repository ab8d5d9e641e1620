#include "acl/condition.h"

#include "acl/address.h"
#include "core/clock.h"
#include "core/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define JSON_DEPTH 128 /* of a payload that counts as JSON */

static int parse_priority(struct acl_scan *scan, const char *value, size_t length, struct acl_parsed *out)
{
    long number;
    if (!acl_word_number(value, length, ACL_PRIORITY_LIMIT, &number) || number < -ACL_PRIORITY_LIMIT)
        return acl_scan_fail(scan, value, "expected a priority, -1000000000 to 1000000000");
    out->priority = (int32_t)number;
    return GUARD_OK;
}

static int parse_qos(struct acl_scan *scan, const char *value, size_t length, struct acl_parsed *out)
{
    if (length != 1 || *value < '0' || *value > '2')
        return acl_scan_fail(scan, value, "expected 0, 1 or 2 behind qos<=");
    out->condition.qos = (uint8_t)(*value - '0');
    return GUARD_OK;
}

static int parse_retain(struct acl_scan *scan, const char *value, size_t length, struct acl_parsed *out)
{
    (void)out;
    if (length != 2 || memcmp(value, "no", 2) != 0)
        return acl_scan_fail(scan, value, "expected retain=no");
    return GUARD_OK;
}

static int parse_size(struct acl_scan *scan, const char *value, size_t length, struct acl_parsed *out)
{
    uint64_t factor = 1;
    long number;
    size_t digits = length;
    if (length && value[length - 1] == 'K')
        factor = 1024;
    else if (length && value[length - 1] == 'M')
        factor = 1024 * 1024;
    if (factor > 1)
        digits--;
    if (!digits || value[0] == '-' || value[0] == '+' || !acl_word_number(value, digits, 1000000000000, &number))
        return acl_scan_fail(scan, value, "expected a number of octets, also with K or M, behind size<=");
    out->condition.size = (uint64_t)number * factor;
    return GUARD_OK;
}

static int parse_from(struct acl_scan *scan, const char *value, size_t length, struct acl_parsed *out)
{
    const char *end = value + length;
    for (;;) {
        const char *comma = memchr(value, ',', (size_t)(end - value));
        const char *net_end = comma ? comma : end;
        if (out->condition.net_count == ACL_NETS)
            return acl_scan_fail(scan, value, "more than 64 prefixes in one from=");
        if (!acl_net_parse(value, (size_t)(net_end - value), &out->nets[out->condition.net_count++]))
            return acl_scan_fail(scan, value, "expected an IPv4 or IPv6 address or prefix, such as 10.0.0.0/8");
        if (!comma)
            return GUARD_OK;
        value = comma + 1;
    }
}

static int parse_until(struct acl_scan *scan, const char *value, size_t length, struct acl_parsed *out)
{
    if (guard_timestamp_parse(value, length, &out->condition.until) != GUARD_OK)
        return acl_scan_fail(scan, value, "expected a time as RFC 3339 has it, such as 2027-01-31T12:00:00Z");
    return GUARD_OK;
}

static int parse_share(struct acl_scan *scan, const char *value, size_t length, struct acl_parsed *out)
{
    out->condition.shared = length == 3 && memcmp(value, "yes", 3) == 0;
    if (!out->condition.shared && !(length == 2 && memcmp(value, "no", 2) == 0))
        return acl_scan_fail(scan, value, "expected share=yes or share=no");
    return GUARD_OK;
}

static int parse_payload(struct acl_scan *scan, const char *value, size_t length, struct acl_parsed *out)
{
    (void)out;
    if (length != 4 || memcmp(value, "json", 4) != 0)
        return acl_scan_fail(scan, value, "expected payload=json");
    return GUARD_OK;
}

#define PRIORITY 128 /* beside enum acl_condition_kind while parsing */

static const struct condition_row {
    const char *lead;
    unsigned kind;
    int (*parse)(struct acl_scan *scan, const char *value, size_t length, struct acl_parsed *out);
} rows[] = {
    {"priority=", PRIORITY, parse_priority},  {"qos<=", ACL_IF_QOS, parse_qos},
    {"retain=", ACL_IF_RETAIN, parse_retain}, {"size<=", ACL_IF_SIZE, parse_size},
    {"from=", ACL_IF_FROM, parse_from},       {"until=", ACL_IF_UNTIL, parse_until},
    {"share=", ACL_IF_SHARE, parse_share},    {"payload=", ACL_IF_JSON, parse_payload},
};

int acl_condition_parse(struct acl_scan *scan, size_t length, struct acl_parsed *out)
{
    const char *word = scan->at;
    if (length == 5 && memcmp(word, "exact", 5) == 0) {
        if (out->exact)
            return acl_scan_fail(scan, word, "exact stands twice");
        out->exact = true;
        scan->at += length;
        return GUARD_OK;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t lead = strlen(rows[i].lead);
        if (length < lead || memcmp(word, rows[i].lead, lead) != 0)
            continue;
        if (out->condition.kinds & rows[i].kind)
            return acl_scan_fail(scan, word, "%.*s stands twice", (int)lead, word);
        out->condition.kinds |= (uint8_t)rows[i].kind;
        scan->at += length;
        return rows[i].parse(scan, word + lead, length - lead, out);
    }
    return acl_scan_fail(scan, word,
                         "expected a condition (priority=N, qos<=N, retain=no, size<=N, from=PREFIX, until=TIME, "
                         "share=yes|no, payload=json, exact) or the end of the rule");
}

static bool from_holds(const struct acl_condition *condition, const struct acl_net *nets, bool allow,
                       const struct acl_subject *subject)
{
    if (!subject->address_known)
        return !allow;
    for (uint32_t i = 0; i < condition->net_count; i++)
        if (acl_net_holds(&nets[condition->first_net + i], subject->address))
            return true;
    return false;
}

static bool json_holds(bool allow, const struct acl_request *request)
{
    if (request->action == ACL_SUBSCRIBE)
        return true;
    if (!request->payload)
        return !allow;
    return guard_json_check(request->payload, request->payload_length, JSON_DEPTH, NULL) == GUARD_OK;
}

enum acl_condition_kind acl_condition_failing(const struct acl_condition *c, const struct acl_net *nets, bool allow,
                                              const struct acl_facts *facts)
{
    const struct acl_request *request = facts->request;
    if (c->kinds & ACL_IF_QOS && request->qos > c->qos)
        return ACL_IF_QOS;
    if (c->kinds & ACL_IF_RETAIN && request->retain)
        return ACL_IF_RETAIN;
    if (c->kinds & ACL_IF_SIZE && request->payload_length > c->size)
        return ACL_IF_SIZE;
    if (c->kinds & ACL_IF_JSON && !json_holds(allow, request))
        return ACL_IF_JSON;
    if (c->kinds & ACL_IF_FROM && !from_holds(c, nets, allow, facts->subject))
        return ACL_IF_FROM;
    if (c->kinds & ACL_IF_UNTIL && request->now >= c->until)
        return ACL_IF_UNTIL;
    if (c->kinds & ACL_IF_SHARE && request->action == ACL_SUBSCRIBE && c->shared != facts->shared)
        return ACL_IF_SHARE;
    return 0;
}

enum guard_reason acl_condition_reason(enum acl_condition_kind failing)
{
    switch (failing) {
    case ACL_IF_QOS:
        return GUARD_REASON_QOS_DENIED;
    case ACL_IF_RETAIN:
        return GUARD_REASON_RETAIN_DENIED;
    case ACL_IF_SIZE:
        return GUARD_REASON_PAYLOAD_TOO_LARGE;
    case ACL_IF_JSON:
        return GUARD_REASON_PAYLOAD_REJECTED;
    default:
        return GUARD_REASON_ACL_NO_MATCH;
    }
}

struct printer {
    char *buffer;
    size_t size, used;
};

static void print(struct printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct printer *p, const char *format, ...)
{
    va_list args;
    if (p->used >= p->size)
        return;
    va_start(args, format);
    int wrote = vsnprintf(p->buffer + p->used, p->size - p->used, format, args);
    va_end(args);
    p->used += wrote > 0 ? (size_t)wrote : 0;
}

static void print_nets(struct printer *p, const struct acl_condition *c, const struct acl_net *nets)
{
    char text[ACL_NET_TEXT];
    for (uint32_t i = 0; i < c->net_count; i++)
        print(p, "%s%s", i ? "," : " from=", acl_net_format(&nets[c->first_net + i], text));
}

void acl_condition_format(const struct acl_condition *c, const struct acl_net *nets, char *buffer, size_t size)
{
    struct printer p = {buffer, size, 0};
    char time[GUARD_TIMESTAMP_SIZE];
    if (size)
        buffer[0] = '\0';
    if (c->kinds & ACL_IF_QOS)
        print(&p, " qos<=%u", c->qos);
    if (c->kinds & ACL_IF_RETAIN)
        print(&p, " retain=no");
    if (c->kinds & ACL_IF_SIZE)
        print(&p, " size<=%" PRIu64, c->size);
    if (c->kinds & ACL_IF_FROM)
        print_nets(&p, c, nets);
    if (c->kinds & ACL_IF_UNTIL)
        print(&p, " until=%.19sZ", guard_timestamp_seconds(c->until, time));
    if (c->kinds & ACL_IF_SHARE)
        print(&p, " share=%s", c->shared ? "yes" : "no");
    if (c->kinds & ACL_IF_JSON)
        print(&p, " payload=json");
}

void acl_condition_explain(enum acl_condition_kind failing, const struct acl_condition *c,
                           const struct acl_facts *facts, char *buffer, size_t size)
{
    char time[GUARD_TIMESTAMP_SIZE];
    const struct acl_request *request = facts->request;
    switch (failing) {
    case ACL_IF_QOS:
        snprintf(buffer, size, "qos<=%u does not hold: the QoS is %u", c->qos, request->qos);
        break;
    case ACL_IF_RETAIN:
        snprintf(buffer, size, "retain=no does not hold: the message is to be retained");
        break;
    case ACL_IF_SIZE:
        snprintf(buffer, size, "size<=%" PRIu64 " does not hold: the payload has %zu octets", c->size,
                 request->payload_length);
        break;
    case ACL_IF_JSON:
        snprintf(buffer, size, "payload=json does not hold: the payload is %s",
                 request->payload ? "not JSON" : "not known");
        break;
    case ACL_IF_FROM:
        snprintf(buffer, size, "from= does not hold: the client's address is %s",
                 facts->subject->address_known ? "in none of the prefixes" : "not known");
        break;
    case ACL_IF_UNTIL:
        snprintf(buffer, size, "until=%.19sZ has passed", guard_timestamp_seconds(c->until, time));
        break;
    case ACL_IF_SHARE:
        snprintf(buffer, size, "share=%s does not hold: this is %s shared subscription", c->shared ? "yes" : "no",
                 facts->shared ? "a" : "no");
        break;
    default:
        snprintf(buffer, size, "%s", "");
    }
}
