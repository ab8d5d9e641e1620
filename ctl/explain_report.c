/* guardctl explain for one question: verdict, deciding rule, losers and why; as text or as JSON. */
#include "ctl/explain.h"

#include "core/buffer.h"
#include "ctl/command.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 25 /* rules in the text form; --json has all */

struct report {
    const struct explain_run *run;
    const struct explain_query *query;
    const struct explain_subject *subject;
    struct acl_explanation explanation;
    struct acl_decision decision; /* with the coverage */
    struct guard_buffer notes;    /* one per line */
};

/* In the order of enum acl_standing: the word, and the reason where the engine gives none. */
static const struct standing {
    const char *word, *why_allow, *why_deny;
} standings[] = {
    [ACL_DECIDES] = {"decides", "", ""},
    [ACL_OUTRANKED] = {"outranked", "a rule of higher rank decides", "a rule of higher rank decides"},
    [ACL_OUTVOTED] = {"outvoted", "at the same rank deny wins", "at the same rank deny wins"},
    [ACL_OVERLAPS] = {"touches", "allows only a part of the filter", "denies a part of the filter"},
    [ACL_CONDITION] = {"condition", "a condition does not hold", "a condition does not hold"},
    [ACL_UNBINDABLE] = {"unbindable", "a placeholder cannot be bound to this client",
                        "a placeholder cannot be bound to this client"},
    [ACL_NEAREST] = {"nearest", "does not match", "does not match"},
};

static const char *why(const struct acl_explained *rule)
{
    const struct standing *standing = &standings[rule->standing];
    if (*rule->why)
        return rule->why;
    return rule->allow ? standing->why_allow : standing->why_deny;
}

/* ---- notes: what else somebody who asks this should know ---- */

struct role_search {
    const char *name;
    bool found;
};

static bool match_role(void *data, const struct acl_role_info *info)
{
    struct role_search *search = data;
    search->found = strcmp(info->name, search->name) == 0 && !info->missing;
    return !search->found;
}

static void note_roles(struct report *report)
{
    for (size_t i = 0; i < report->query->role_count; i++) {
        struct role_search search = {report->query->roles[i].name, false};
        acl_policy_each_role(report->run->source->policy, match_role, &search);
        if (!search.found)
            guard_buffer_printf(&report->notes, "the policy has no role %s: it grants nothing\n", search.name);
    }
}

static void note_client(struct report *report)
{
    const struct explain_query *query = report->query;
    struct guard_client_view view;
    if (!query->username ||
        !guard_clients_find(report->run->source->clients, query->username, strlen(query->username), &view))
        return;
    if (view.disabled)
        guard_buffer_text(&report->notes, "the client record is disabled: this client cannot connect\n");
    if (query->client_id && !guard_client_allows_id(&view, query->client_id, strlen(query->client_id)))
        guard_buffer_text(&report->notes, "the client record does not allow this client id: it cannot connect\n");
}

static void note_anonymous(struct report *report)
{
    if (!report->query->username && !report->query->roles_given && !acl_subject_role_count(report->subject->subject))
        guard_buffer_text(&report->notes,
                          "anonymous clients are refused at CONNECT unless [assign] gives them a role\n");
}

static void note_placeholders(struct report *report)
{
    const char *name = acl_subject_unbindable(report->run->source->policy, report->subject->subject);
    if (name)
        guard_buffer_printf(&report->notes,
                            "${%s} in a rule of its roles cannot be bound to this client: an allow with it matches "
                            "nothing, a deny any level there; with identity_check reject it is refused at CONNECT\n",
                            name);
}

/* A SUBSCRIBE is only half of it: each message is checked again when it is delivered. */
static void note_delivery(struct report *report)
{
    const struct explain_query *query = report->query;
    struct acl_decision delivery;
    if (query->action != EXPLAIN_SUBSCRIBE || report->decision.verdict != ACL_ALLOW)
        return;
    struct acl_request request = explain_request(query, report->run->now);
    request.action = ACL_RECEIVE;
    if (!acl_topic_is_valid(request.topic, strlen(request.topic)) || strncmp(request.topic, "$share/", 7) == 0)
        return; /* a filter: which topics it will bring is not known */
    acl_check(report->run->context, report->run->source->policy, report->subject->subject, &request, &delivery);
    if (delivery.verdict != ACL_ALLOW)
        guard_buffer_text(&report->notes, "but no message would be delivered: receive is not allowed on this topic\n");
}

static void note_mode(struct report *report)
{
    enum acl_mode mode = acl_policy_mode(report->run->source->policy);
    if (report->query->action < EXPLAIN_SUBSCRIBE)
        return;
    if (mode == ACL_MODE_OFF)
        guard_buffer_text(&report->notes,
                          "mode is off: every valid filter is granted, and messages are checked at delivery\n");
    else if (mode == ACL_MODE_STRICT && report->decision.coverage == ACL_COVERAGE_PARTIAL)
        guard_buffer_text(&report->notes,
                          "only some topics of the filter are allowed; mode = lenient would grant it and check each "
                          "message at delivery\n");
}

/* ---- text ---- */

static void print_client(const struct report *report)
{
    const struct explain_query *query = report->query;
    const struct acl_subject *subject = report->subject->subject;
    printf("client      user %s, client id %s, address %s\n", query->username ? query->username : "(anonymous)",
           query->client_id ? query->client_id : "(none)", query->address ? query->address : "(not known)");
    printf("roles      ");
    size_t count = acl_subject_role_count(subject);
    for (size_t i = 0; i < count; i++) {
        int32_t priority = 0;
        const char *name = acl_subject_role(report->run->source->policy, subject, i, &priority);
        printf("%s %s", i ? "," : "", name);
        if (priority)
            printf(":%d", priority);
    }
    puts(count ? "" : " (none)");
}

static void print_rule(const struct report *report, const struct acl_explained *rule)
{
    const struct acl_policy *policy = report->run->source->policy;
    const struct acl_subject *subject = report->subject->subject;
    struct acl_rule_info info;
    char name[EXPLAIN_NAME_SIZE], text[4096];
    acl_rule_describe(policy, subject, rule->rule, &info);
    acl_rule_name(policy, subject, rule->rule, name, sizeof name);
    printf("%-11s %s", standings[rule->standing].word, name);
    if (*info.place && info.line)
        printf("  (%s:%u)", info.place, info.line);
    if (rule->binding_priority || rule->priority)
        printf("  rank %d,%d", rule->binding_priority, rule->priority);
    printf("\n            %s\n", acl_rule_text(policy, subject, rule->rule, text, sizeof text));
    if (*why(rule))
        printf("            %s\n", why(rule));
}

static void print_text(const struct report *report)
{
    const struct explain_query *query = report->query;
    const struct acl_decision *decision = &report->decision;
    bool allowed = decision->verdict == ACL_ALLOW;
    char by[EXPLAIN_NAME_SIZE];
    printf("%-11s %s %s\n", allowed ? "allow" : "deny", explain_action_name(query->action), query->topic);
    if (!allowed)
        printf("reason      %s: %s\n", guard_reason_name(decision->reason), guard_reason_sentence(decision->reason));
    if (query->action >= EXPLAIN_SUBSCRIBE)
        printf("coverage    %s\n", explain_coverage_name(decision->coverage));
    print_client(report);
    if (allowed && !decision->rule)
        printf("decides     %s\n", explain_decided_by(report->run, query, report->subject, decision, by, sizeof by));
    for (size_t i = 0; i < report->explanation.count && i < SHOWN_MAX; i++)
        print_rule(report, &report->explanation.rules[i]);
    if (report->explanation.count > SHOWN_MAX)
        printf("            … and %zu more rules (--json shows all)\n", report->explanation.count - SHOWN_MAX);
    for (const char *note = report->notes.data; note && *note; note = strchr(note, '\n') + 1)
        printf("note        %.*s\n", (int)strcspn(note, "\n"), note);
}

/* ---- JSON ---- */

static void append_string(struct guard_buffer *out, const char *name, const char *text)
{
    guard_buffer_printf(out, ",\"%s\":", name);
    if (text)
        guard_buffer_json_string(out, text, strlen(text));
    else
        guard_buffer_text(out, "null");
}

static void append_rule(struct guard_buffer *out, const struct report *report, const struct acl_explained *rule)
{
    const struct acl_policy *policy = report->run->source->policy;
    const struct acl_subject *subject = report->subject->subject;
    struct acl_rule_info info;
    char name[EXPLAIN_NAME_SIZE], text[4096];
    acl_rule_describe(policy, subject, rule->rule, &info);
    guard_buffer_printf(out, "{\"standing\":\"%s\"", standings[rule->standing].word);
    append_string(out, "rule", acl_rule_name(policy, subject, rule->rule, name, sizeof name));
    append_string(out, "place", info.place);
    guard_buffer_printf(out, ",\"line\":%u,\"effect\":\"%s\",\"binding_priority\":%d,\"priority\":%d", info.line,
                        rule->allow ? "allow" : "deny", rule->binding_priority, rule->priority);
    append_string(out, "text", acl_rule_text(policy, subject, rule->rule, text, sizeof text));
    append_string(out, "why", why(rule));
    guard_buffer_byte(out, '}');
}

static void append_lists(struct guard_buffer *out, const struct report *report)
{
    const struct acl_subject *subject = report->subject->subject;
    guard_buffer_text(out, ",\"roles\":[");
    for (size_t i = 0; i < acl_subject_role_count(subject); i++) {
        int32_t priority = 0;
        const char *name = acl_subject_role(report->run->source->policy, subject, i, &priority);
        guard_buffer_text(out, i ? ",{\"role\":" : "{\"role\":");
        guard_buffer_json_string(out, name, strlen(name));
        guard_buffer_printf(out, ",\"priority\":%d}", priority);
    }
    guard_buffer_text(out, "],\"rules\":[");
    for (size_t i = 0; i < report->explanation.count; i++) {
        guard_buffer_text(out, i ? "," : "");
        append_rule(out, report, &report->explanation.rules[i]);
    }
    guard_buffer_text(out, "],\"notes\":[");
    for (const char *note = report->notes.data; note && *note; note = strchr(note, '\n') + 1) {
        guard_buffer_text(out, note == report->notes.data ? "" : ",");
        guard_buffer_json_string(out, note, strcspn(note, "\n"));
    }
    guard_buffer_byte(out, ']');
}

static void print_json(const struct report *report)
{
    const struct acl_decision *decision = &report->decision;
    struct guard_buffer out = {0};
    bool allowed = decision->verdict == ACL_ALLOW;
    char by[EXPLAIN_NAME_SIZE];
    explain_decided_by(report->run, report->query, report->subject, decision, by, sizeof by);
    guard_buffer_printf(&out, "{\"verdict\":\"%s\",\"by\":[", allowed ? "allow" : "deny");
    if (*by)
        guard_buffer_json_string(&out, by, strlen(by));
    guard_buffer_byte(&out, ']');
    append_string(&out, "reason", allowed ? NULL : guard_reason_name(decision->reason));
    if (report->query->action >= EXPLAIN_SUBSCRIBE)
        append_string(&out, "coverage", explain_coverage_name(decision->coverage));
    append_lists(&out, report);
    guard_buffer_byte(&out, '}');
    puts(out.failed ? "" : out.data);
    guard_buffer_free(&out);
}

int explain_report(const struct explain_run *run, const struct explain_query *query, bool json)
{
    struct guard_error err;
    struct report report = {.run = run, .query = query, .subject = explain_subjects_get(run->subjects, query, &err)};
    if (!report.subject) {
        fprintf(stderr, "guardctl explain: %s\n", err.text);
        return CTL_USAGE;
    }
    struct acl_request request = explain_request(query, run->now);
    if (acl_explain(run->context, run->source->policy, report.subject->subject, &request, &report.explanation) !=
        GUARD_OK) {
        fprintf(stderr, "guardctl explain: out of memory\n");
        acl_explanation_free(&report.explanation);
        return CTL_USAGE;
    }
    explain_decide(run, query, report.subject, &report.decision);
    note_mode(&report);
    note_delivery(&report);
    note_roles(&report);
    note_client(&report);
    note_anonymous(&report);
    note_placeholders(&report);
    if (json)
        print_json(&report);
    else
        print_text(&report);
    acl_explanation_free(&report.explanation);
    guard_buffer_free(&report.notes);
    return report.decision.verdict == ACL_ALLOW ? CTL_OK : CTL_NO;
}
