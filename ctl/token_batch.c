#include "ctl/token_check.h"

#include "auth/thumbprint.h"
#include "core/buffer.h"
#include "core/clock.h"
#include "core/memory.h"
#include "ctl/command.h"
#include "ctl/json_line.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* A line, taken apart. Texts point into it. */
struct question {
    struct ctl_text token, client_id, username, certificate;
    int64_t now;
    bool has_now;
};

/* The certificate of the line before is most often that of the next one, too. */
struct thumbprint {
    char path[4096];
    uint8_t sha256[32];
};

static enum guard_reason is_revoked(void *context, const struct auth_revocation_query *query)
{
    const struct ctl_token_check *check = context;
    for (size_t i = 0; query->token_id && i < check->revoked_count; i++)
        if (strcmp(check->revoked[i], query->token_id) == 0)
            return GUARD_REASON_JWT_REVOKED;
    return GUARD_REASON_NONE;
}

enum guard_reason ctl_token_check(const struct ctl_token_check *check, struct auth_token_request *request,
                                  struct guard_identity **out)
{
    struct ctl_token_check copy = *check; /* the callback's context is not const */
    request->now = check->now >= 0 ? check->now : guard_clock_now();
    request->revoked = is_revoked;
    request->revoked_context = &copy;
    return auth_token_verify(check->verifier, request, out);
}

/* A text that may be null, which is the same as not given. */
static bool optional_text(struct ctl_json *json, struct ctl_text *out)
{
    return ctl_json_peek(json) == 'n' ? ctl_json_null(json) : ctl_json_string(json, out);
}

#define SKIP_DEPTH 16

/* Steps over a value of any type: of a member that is no part of the question (a test's name, what it expects …). */
static bool skip_value(struct ctl_json *json, unsigned depth)
{
    struct ctl_text text;
    unsigned outer;
    bool truth;
    switch (ctl_json_peek(json)) {
    case '"':
        return ctl_json_string(json, &text);
    case 't':
    case 'f':
        return ctl_json_bool(json, &truth);
    case 'n':
        return ctl_json_null(json);
    case '{':
    case '[':
        break;
    default: {
        size_t number = strspn(json->at, "+-.0123456789eE");
        json->at += number;
        return number || ctl_json_fail(json, "expected a value");
    }
    }
    bool object = ctl_json_peek(json) == '{';
    if (depth == SKIP_DEPTH || !ctl_json_open(json, object ? '{' : '[', &outer))
        return ctl_json_fail(json, "nested too deeply");
    while (object ? ctl_json_next_member(json, &text, outer) : ctl_json_next_element(json, outer))
        if (!skip_value(json, depth + 1))
            break;
    return !json->error;
}

static bool read_member(struct ctl_json *json, const char *name, struct question *q)
{
    if (strcmp(name, "token") == 0)
        return ctl_json_string(json, &q->token);
    if (strcmp(name, "client_id") == 0)
        return optional_text(json, &q->client_id);
    if (strcmp(name, "username") == 0)
        return optional_text(json, &q->username);
    if (strcmp(name, "certificate") == 0)
        return optional_text(json, &q->certificate);
    if (strcmp(name, "now") != 0)
        return skip_value(json, 0);
    if (ctl_json_peek(json) == 'n')
        return ctl_json_null(json);
    q->has_now = true;
    return ctl_json_integer(json, 0, INT64_C(9007199254740992), &q->now);
}

static bool read_question(char *line, struct question *q, const char **error)
{
    struct ctl_json json;
    struct ctl_text name;
    unsigned outer;
    *q = (struct question){0};
    ctl_json_start(&json, line);
    if (ctl_json_open(&json, '{', &outer))
        while (ctl_json_next_member(&json, &name, outer))
            if (!read_member(&json, name.data, q))
                break;
    if (ctl_json_finish(&json) && !q->token.data)
        ctl_json_fail(&json, "the member token is missing");
    *error = json.error;
    return !json.error;
}

/* The broker hands client ids and user names over as C strings and refuses those with a NUL: here they match nothing.
 */
static const char *as_name(const struct ctl_text *text)
{
    return text->data && strlen(text->data) != text->length ? "" : text->data;
}

static bool load_certificate(const struct ctl_text *path, struct thumbprint *last, struct guard_error *err)
{
    if (path->length >= sizeof last->path || strlen(path->data) != path->length)
        return guard_fail(err, GUARD_ERR_LIMIT, "the path of the certificate is too long or holds a NUL"), false;
    if (strcmp(path->data, last->path) == 0)
        return true;
    last->path[0] = '\0';
    if (auth_thumbprint_file(path->data, last->sha256, err) != GUARD_OK)
        return false;
    memcpy(last->path, path->data, path->length + 1);
    return true;
}

static void write_answer(struct guard_buffer *to, enum guard_reason reason, const struct guard_identity *identity)
{
    if (reason != GUARD_REASON_NONE) {
        guard_buffer_printf(to, "{\"valid\":false,\"reason\":\"%s\"}\n", guard_reason_name(reason));
        return;
    }
    guard_buffer_text(to, "{\"valid\":true,\"identity\":");
    guard_buffer_json_string(to, identity->username, strlen(identity->username));
    guard_buffer_printf(to, ",\"expires\":%" PRId64 "}\n", identity->expires_at);
}

/* A line that could not be answered still gets one, so that answers and lines keep in step. */
static void write_error(struct guard_buffer *to, size_t number, const char *text)
{
    fprintf(stderr, "guardctl token verify: line %zu: %s\n", number, text);
    guard_buffer_text(to, "{\"valid\":false,\"reason\":\"unknown\",\"error\":");
    guard_buffer_json_string(to, text, strlen(text));
    guard_buffer_text(to, "}\n");
}

/* False if the line was not understood. */
static bool answer(const struct ctl_token_check *check, char *line, size_t number, struct thumbprint *last,
                   struct guard_buffer *to)
{
    struct question q;
    struct guard_error err;
    const char *error;
    char text[800];
    if (!read_question(line, &q, &error)) {
        write_error(to, number, error);
        return false;
    }
    if (q.certificate.data && !load_certificate(&q.certificate, last, &err)) {
        write_error(to, number, guard_error_format(&err, text, sizeof text));
        return false;
    }
    struct ctl_token_check at_time = *check;
    if (q.has_now)
        at_time.now = q.now;
    struct auth_token_request request = {.token = q.token.data,
                                         .length = q.token.length,
                                         .client_id = as_name(&q.client_id),
                                         .username = as_name(&q.username),
                                         .certificate_sha256 = q.certificate.data ? last->sha256 : NULL};
    struct guard_identity *identity;
    enum guard_reason reason = ctl_token_check(&at_time, &request, &identity);
    write_answer(to, reason, identity);
    guard_identity_free(&identity);
    return true;
}

int ctl_token_batch(const struct ctl_token_check *check, FILE *in, FILE *out)
{
    struct guard_buffer answers = {0};
    struct thumbprint last = {0};
    char *line = NULL;
    size_t capacity = 0, number = 0;
    ssize_t length;
    bool understood = true;
    while ((length = getline(&line, &capacity, in)) > 0) {
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0' && strlen(line) == (size_t)length)
            continue;
        guard_buffer_clear(&answers);
        if (strlen(line) != (size_t)length) {
            write_error(&answers, number, "a NUL octet in the line; write \\u0000");
            understood = false;
        } else if (!answer(check, line, number, &last, &answers)) {
            understood = false;
        }
        guard_wipe(line, (size_t)length);
        if (answers.failed || fwrite(answers.data, 1, answers.length, out) != answers.length)
            break;
    }
    bool complete = !answers.failed && !ferror(in) && fflush(out) == 0 && !ferror(out);
    if (!complete)
        fputs("guardctl token verify: reading or writing failed\n", stderr);
    guard_buffer_free(&answers);
    free(line);
    return understood && complete ? CTL_OK : CTL_USAGE;
}
