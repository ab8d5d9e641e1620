/* guardctl explain --batch: one JSON line in, one JSON line out, in order. */
#include "ctl/explain.h"

#include "core/buffer.h"
#include "ctl/command.h"
#include "ctl/lines.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_AT (64 * 1024)

struct acl_request explain_request(const struct explain_query *query, int64_t now)
{
    static const enum acl_action actions[] = {
        [EXPLAIN_PUBLISH] = ACL_PUBLISH,
        [EXPLAIN_RECEIVE] = ACL_RECEIVE,
        [EXPLAIN_SUBSCRIBE] = ACL_SUBSCRIBE,
        [EXPLAIN_SUBSCRIBE_ONLY] = ACL_SUBSCRIBE,
    };
    return (struct acl_request){
        .action = actions[query->action],
        .qos = query->qos,
        .retain = query->retain,
        .topic = query->topic,
        /* as the broker hands it over: not measured. Only what no broker could hand over has its length. */
        .topic_length = strlen(query->topic) == query->topic_length ? 0 : query->topic_length,
        .payload = query->payload,
        .payload_length = query->size_given ? query->size : query->payload_length,
        .now = now,
    };
}

/* The plugin's short ways for a message's next receiver, and for a fleet's publishes: where they say yes, so it is. */
static bool answered_shortly(const struct explain_run *run, const struct acl_subject *subject,
                             const struct acl_request *request)
{
    struct acl_face face;
    if (request->topic_length || request->action == ACL_SUBSCRIBE)
        return false;
    acl_face_make(run->source->policy, subject, &face);
    return request->action == ACL_RECEIVE ? acl_receives_again(run->context, face.key, request->topic)
                                          : acl_publishes_again(run->context, &face, request->topic) != NULL;
}

void explain_decide(const struct explain_run *run, const struct explain_query *query,
                    const struct explain_subject *subject, struct acl_decision *decision)
{
    struct acl_request request = explain_request(query, run->now);
    bool again = answered_shortly(run, subject->subject, &request);
    acl_check(run->context, run->source->policy, subject->subject, &request, decision);
    if (again)
        decision->verdict = ACL_ALLOW;
    if (request.action == ACL_SUBSCRIBE && subject->classified) {
        struct acl_decision strict;
        acl_check(run->context, run->source->classifier, subject->classified, &request, &strict);
        decision->coverage = strict.coverage;
    }
}

const char *explain_coverage_name(enum acl_coverage coverage)
{
    switch (coverage) {
    case ACL_COVERAGE_FULL:
        return "full";
    case ACL_COVERAGE_PARTIAL:
        return "partial";
    case ACL_COVERAGE_NONE:
    case ACL_COVERAGE_NOT_ASKED:
        break;
    }
    return "none";
}

const char *explain_decided_by(const struct explain_run *run, const struct explain_query *query,
                               const struct explain_subject *subject, const struct acl_decision *decision, char *buffer,
                               size_t size)
{
    static const char *const defaults[] = {
        [EXPLAIN_PUBLISH] = "default/publish",
        [EXPLAIN_RECEIVE] = "default/receive",
        [EXPLAIN_SUBSCRIBE] = "default/subscribe-only",
        [EXPLAIN_SUBSCRIBE_ONLY] = "default/subscribe-only",
    };
    if (decision->rule)
        return acl_rule_name(run->source->policy, subject->subject, decision->rule, buffer, size);
    const char *name = defaults[query->action];
    if (decision->verdict != ACL_ALLOW)
        name = "";
    else if (query->action >= EXPLAIN_SUBSCRIBE && acl_policy_mode(run->source->policy) == ACL_MODE_OFF)
        name = "default/mode";
    snprintf(buffer, size, "%s", name);
    return buffer;
}

static void append_answer(struct guard_buffer *out, const struct explain_run *run, const struct explain_query *query,
                          const struct explain_subject *subject)
{
    struct acl_decision decision;
    char name[EXPLAIN_NAME_SIZE];
    explain_decide(run, query, subject, &decision);
    const char *by = explain_decided_by(run, query, subject, &decision, name, sizeof name);
    bool allowed = decision.verdict == ACL_ALLOW;
    guard_buffer_text(out, allowed ? "{\"verdict\":\"allow\",\"by\":[" : "{\"verdict\":\"deny\",\"by\":[");
    if (*by)
        guard_buffer_json_string(out, by, strlen(by));
    if (allowed) {
        guard_buffer_text(out, "],\"reason\":null");
    } else {
        guard_buffer_text(out, "],\"reason\":\"");
        guard_buffer_text(out, guard_reason_name(decision.reason));
        guard_buffer_byte(out, '"');
    }
    if (query->action >= EXPLAIN_SUBSCRIBE) {
        guard_buffer_text(out, ",\"coverage\":\"");
        guard_buffer_text(out, explain_coverage_name(decision.coverage));
        guard_buffer_byte(out, '"');
    }
    guard_buffer_text(out, "}\n");
}

/* {"error":"line N: …"} */
static void append_error(struct guard_buffer *out, size_t number, const char *text)
{
    char line[600];
    int length = snprintf(line, sizeof line, "line %zu: %s", number, text);
    guard_buffer_text(out, "{\"error\":");
    guard_buffer_json_string(out, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
    guard_buffer_text(out, "}\n");
}

/* False if the line was not understood. */
static bool answer_line(struct guard_buffer *out, const struct explain_run *run, struct explain_query *query,
                        char *line, size_t length, size_t number)
{
    const char *error;
    struct guard_error err;
    if (strlen(line) != length) {
        append_error(out, number, "U+0000 in the line");
        return false;
    }
    if (!explain_query_read(query, line, &error)) {
        append_error(out, number, error);
        return false;
    }
    const struct explain_subject *subject = explain_subjects_get(run->subjects, query, &err);
    if (!subject) {
        append_error(out, number, err.text);
        return false;
    }
    append_answer(out, run, query, subject);
    return true;
}

static bool flush(struct guard_buffer *out)
{
    bool good = !out->failed && (!out->length || fwrite(out->data, 1, out->length, stdout) == out->length) &&
                fflush(stdout) == 0;
    guard_buffer_clear(out);
    return good;
}

int explain_batch(const struct explain_run *run)
{
    struct explain_query query = {0};
    struct guard_buffer out = {0};
    struct ctl_lines lines;
    size_t length;
    char *line;
    bool all_understood = true, written = true;
    ctl_lines_open(&lines, STDIN_FILENO);
    while (written && (line = ctl_lines_next(&lines, &length))) {
        if (!answer_line(&out, run, &query, line, length, lines.number))
            all_understood = false;
        if (out.length >= FLUSH_AT || !ctl_lines_ready(&lines))
            written = flush(&out);
    }
    if (lines.failed)
        fprintf(stderr, "guardctl explain: line %zu could not be read\n", lines.number + 1);
    if (!written)
        fprintf(stderr, "guardctl explain: the answers could not be written\n");
    bool good = all_understood && written && !lines.failed;
    ctl_lines_close(&lines);
    guard_buffer_free(&out);
    explain_query_free(&query);
    return good ? CTL_OK : CTL_USAGE;
}
