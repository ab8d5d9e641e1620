/* One rule of the policy language: effect, actions, filter template, conditions. */
#include "acl/condition.h"
#include "acl/parse.h"
#include "acl/scan.h"

#include <stdlib.h>
#include <string.h>

#define PUB ACL_ACTION_BIT(ACL_PUBLISH)
#define RCV ACL_ACTION_BIT(ACL_RECEIVE)
#define SUB ACL_ACTION_BIT(ACL_SUBSCRIBE)

static const struct {
    const char *name;
    unsigned bits;
} action_names[] = {
    {"publish", PUB}, {"subscribe", RCV | SUB}, {"receive", RCV}, {"subscribe-only", SUB}, {"all", PUB | RCV | SUB},
};

static int parse_effect(struct acl_scan *scan, struct acl_parsed *out)
{
    size_t length = acl_scan_word(scan, "");
    out->allow = acl_word_is(scan->at, length, "allow");
    if (!out->allow && !acl_word_is(scan->at, length, "deny"))
        return acl_scan_fail(scan, scan->at, "expected allow or deny");
    scan->at += length;
    return GUARD_OK;
}

static int parse_actions(struct acl_scan *scan, struct acl_parsed *out)
{
    out->actions = 0;
    for (;;) {
        size_t length = acl_scan_word(scan, ",");
        unsigned bits = 0;
        for (size_t i = 0; i < sizeof action_names / sizeof *action_names; i++)
            if (acl_word_is(scan->at, length, action_names[i].name))
                bits = action_names[i].bits;
        if (!bits)
            return acl_scan_fail(scan, scan->at,
                                 "expected an action: publish, subscribe, receive, subscribe-only or all");
        out->actions |= (uint8_t)bits;
        scan->at += length;
        if (*scan->at != ',')
            return GUARD_OK;
        scan->at++;
    }
}

static int parse_quoted_filter(struct acl_scan *scan, struct acl_parsed *out)
{
    char *text = malloc(ACL_TEXT_MAX + 2);
    const char *quote = scan->at;
    size_t length, at;
    if (!text)
        return guard_fail(scan->err, GUARD_ERR_NOMEM, "out of memory");
    int rc = acl_scan_quoted(scan, text, ACL_TEXT_MAX + 2, &length);
    if (rc == GUARD_OK) {
        const char *what = acl_template_parse(text, length, out, &at);
        if (what)
            rc = acl_scan_fail(scan, quote + acl_quoted_offset(quote, at), "%s", what);
        else if (*scan->at && *scan->at != ' ' && *scan->at != '\t')
            rc = acl_scan_fail(scan, scan->at, "expected a blank behind the quoted filter");
    }
    free(text);
    return rc;
}

/* Offset of the first octet that an unquoted filter may not hold, or length. */
static size_t first_special(const char *filter, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)filter[i];
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == ';')
            return i;
    }
    return length;
}

static int parse_filter(struct acl_scan *scan, struct acl_parsed *out)
{
    acl_scan_blanks(scan);
    if (*scan->at == '"')
        return parse_quoted_filter(scan, out);
    const char *filter = scan->at;
    size_t length = strcspn(filter, " \t"), special = first_special(filter, length), at;
    if (special < length)
        return acl_scan_fail(
            scan, filter + special,
            "a filter with a quote, a backslash, ; or a control character is written in double quotes");
    const char *what = acl_template_parse(filter, length, out, &at);
    if (what)
        return acl_scan_fail(scan, filter + at, "%s", what);
    scan->at += length;
    return GUARD_OK;
}

int acl_rule_parse(const char *text, struct acl_parsed *out, struct guard_error *err)
{
    struct acl_scan scan = {text, text, err};
    out->exact = false;
    out->priority = 0;
    out->condition = (struct acl_condition){0};
    int rc = parse_effect(&scan, out);
    if (rc == GUARD_OK)
        rc = parse_actions(&scan, out);
    if (rc == GUARD_OK)
        rc = parse_filter(&scan, out);
    while (rc == GUARD_OK) {
        size_t length = acl_scan_word(&scan, "");
        if (!length)
            break;
        rc = acl_condition_parse(&scan, length, out);
    }
    out->condition.kinds &= 0x7f; /* the mark that priority= was seen */
    return rc;
}

int acl_rule_parse_check(const char *text, struct guard_error *err)
{
    struct acl_parsed *parsed = malloc(sizeof *parsed);
    if (!parsed)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    int rc = acl_rule_parse(text, parsed, err);
    free(parsed);
    return rc;
}
