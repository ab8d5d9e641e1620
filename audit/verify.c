#include "audit/verify_internal.h"

#include "core/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define JSON_DEPTH 16

bool verify_bad(struct verifier *v, const char *format, ...)
{
    struct audit_verify_result *result = v->result;
    if (!result->valid)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(result->reason, sizeof result->reason, format, args);
    va_end(args);
    result->valid = false;
    result->bad_line = v->line;
    memcpy(result->bad_file, v->file, sizeof result->bad_file);
    return false;
}

void verify_warn(struct verifier *v, const char *format, ...)
{
    struct audit_verify_result *result = v->result;
    char **grown = reallocarray(result->warnings, result->warning_count + 1, sizeof *grown);
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (grown)
        result->warnings = grown;
    if (grown && vasprintf(&text, format, args) >= 0)
        result->warnings[result->warning_count++] = text;
    else
        v->out_of_memory = true;
    va_end(args);
}

/* ---- one line ---- */

/* Begins a run in the middle, where the caller accepts that older files are gone. */
static bool start_on_trust(struct verifier *v, const struct audit_line_end *end, bool rotate)
{
    if (!rotate || !v->options->from_rotation)
        return verify_bad(v, "the head of chain %s is missing: the first line here is number %llu%s", end->chain,
                          (unsigned long long)end->sequence,
                          rotate ? " (if retention removed older files, --from-rotation accepts that)" : "");
    struct audit_verify_run *grown = reallocarray(v->result->runs, v->result->run_count + 1, sizeof *grown);
    if (!grown) {
        v->out_of_memory = true;
        return false;
    }
    v->result->runs = grown;
    v->run = &grown[v->result->run_count++];
    *v->run = (struct audit_verify_run){.first_sequence = end->sequence};
    memcpy(v->run->chain, end->chain, sizeof v->run->chain);
    v->expected = end->sequence;
    v->checkpoint_known = false;
    verify_warn(v, "chain %s begins with a rotation: older files are not here", end->chain);
    return true;
}

/* The place of the line: right run, right file, right number. start: the line is audit-start. */
static bool check_place(struct verifier *v, const char *line, const struct audit_line_end *end, bool start)
{
    bool rotate = audit_line_has_action(line, end, "audit-rotate\"");
    if (!v->run && !start && !start_on_trust(v, end, rotate))
        return false;
    if (start && v->line != 1 && v->strict)
        return verify_bad(v, "a run begins in the middle of a file");
    if (start)
        return true;
    if (v->torn && !audit_line_has_action(line, end, "audit-recovered\""))
        return verify_bad(v, "the run goes on behind a torn line in %s", v->torn_file);
    if (strcmp(end->chain, v->run->chain) != 0)
        return verify_bad(v, "the line is of chain %s, expected %s", end->chain, v->run->chain);
    if (v->line == 1 && !rotate && v->strict)
        return verify_bad(v, "the file begins neither with audit-start nor with audit-rotate");
    if (v->line != 1 && rotate && v->strict)
        return verify_bad(v, "audit-rotate in the middle of a file");
    if (end->sequence < v->expected)
        return verify_bad(v, "number %llu again or out of order, expected %llu", (unsigned long long)end->sequence,
                          (unsigned long long)v->expected);
    if (end->sequence > v->expected && !audit_line_has_action(line, end, "audit-gap\""))
        return verify_bad(v, "numbers %llu to %llu are missing and not declared lost", (unsigned long long)v->expected,
                          (unsigned long long)end->sequence - 1);
    return true;
}

/* The members that control records are read from, in ECS and in OCSF lines. */
static const struct guard_json *audit_of(const struct guard_json *json)
{
    const struct guard_json *unmapped = guard_json_get(json, "unmapped");
    return unmapped ? guard_json_get(unmapped, "mosquitto.audit")
                    : guard_json_get(guard_json_get(json, "mosquitto"), "audit");
}

static const char *reason_of(const struct guard_json *json)
{
    const struct guard_json *unmapped = guard_json_get(json, "unmapped");
    const char *reason =
        guard_json_string(guard_json_get(unmapped ? unmapped : guard_json_get(json, "event"), "reason"));
    return reason ? reason : "";
}

static const char *broker_of(const struct guard_json *json)
{
    const struct guard_json *unmapped = guard_json_get(json, "unmapped");
    const char *name =
        guard_json_string(unmapped ? guard_json_get(unmapped, "service.node.name")
                                   : guard_json_get(guard_json_get(guard_json_get(json, "service"), "node"), "name"));
    return name ? name : "";
}

static bool is_failure(const struct guard_json *json)
{
    const struct guard_json *unmapped = guard_json_get(json, "unmapped");
    const char *outcome =
        guard_json_string(guard_json_get(unmapped ? unmapped : guard_json_get(json, "event"), "outcome"));
    return outcome && strcmp(outcome, "failure") == 0;
}

static bool check_control(struct verifier *v, const char *line, size_t length, const struct audit_line_end *end)
{
    struct guard_json *json = NULL;
    bool good = true;
    if (guard_json_parse(line, length, JSON_DEPTH, &json, NULL) != GUARD_OK)
        return verify_bad(v, "the line is not JSON");
    const struct guard_json *audit = audit_of(json);
    if (audit_line_has_action(line, end, "audit-start\""))
        good = verify_start(v, end, audit) && verify_broker(v, broker_of(json));
    else if (audit_line_has_action(line, end, "audit-gap\""))
        good = verify_gap(v, end, audit, reason_of(json));
    else if (audit_line_has_action(line, end, "audit-recovered\""))
        good = verify_recovered(v, audit, is_failure(json));
    else if (audit_line_has_action(line, end, "audit-rotate\""))
        good = verify_rotate(v, audit);
    guard_json_free(&json);
    return good;
}

/* After the hash was found good. */
static bool check_sealing(struct verifier *v, const char *line, size_t length, const struct audit_line_end *end)
{
    enum verify_last before = v->last;
    v->last = audit_line_has_action(line, end, "audit-stop\"") ? LAST_STOP : LAST_OTHER;
    v->run->closed = false;
    if (before == LAST_CHECKPOINT_AFTER_STOP)
        return verify_bad(v, "the run goes on behind its end");
    if (!audit_line_has_action(line, end, "audit-checkpoint\""))
        return before == LAST_STOP ? verify_bad(v, "audit-stop is not followed by a checkpoint") : true;
    struct guard_json *json = NULL;
    bool good = guard_json_parse(line, length, JSON_DEPTH, &json, NULL) == GUARD_OK
                    ? verify_checkpoint(v, end, audit_of(json)) && verify_anchor(v, end)
                    : verify_bad(v, "the line is not JSON");
    guard_json_free(&json);
    if (good && v->run->checkpoints) {
        free(v->result->last_checkpoint);
        v->result->last_checkpoint = strndup(line, length);
    }
    if (before == LAST_STOP) {
        v->last = LAST_CHECKPOINT_AFTER_STOP;
        v->run->closed = good;
    }
    return good;
}

/* The hash of the line; on trust, the first one is what the line says. */
static bool check_hash(struct verifier *v, const char *line, const struct audit_line_end *end)
{
    if (!v->checkpoint_known && v->run->lines == 0) {
        memcpy(v->hash.head, end->hash, sizeof v->hash.head);
        return true;
    }
    if (!audit_chain_step(&v->hash, line, end->body))
        return verify_bad(v, "SHA-256 failed");
    return memcmp(v->hash.head, end->hash, sizeof v->hash.head) == 0
               ? true
               : verify_bad(v, "the hash does not continue the chain: this line or one before it was changed");
}

static bool check_line(struct verifier *v, const char *line, size_t length, const struct audit_line_end *end)
{
    bool control = audit_line_has_action(line, end, "audit-");
    bool start = control && audit_line_has_action(line, end, "audit-start\"");
    unsigned char before[AUDIT_HASH_SIZE];
    if (!check_place(v, line, end, start) || (control && !check_control(v, line, length, end)))
        return false;
    memcpy(before, v->hash.head, sizeof before);
    if (!check_hash(v, line, end))
        return false;
    unsigned char after[AUDIT_HASH_SIZE];
    memcpy(after, v->hash.head, sizeof after);
    memcpy(v->hash.head, before, sizeof before); /* a checkpoint signs the head before its own line */
    bool good = check_sealing(v, line, length, end);
    memcpy(v->hash.head, after, sizeof after);
    v->expected = end->sequence + 1;
    v->run->last_sequence = end->sequence;
    v->run->lines++;
    v->run->events += !start && !(control && audit_line_has_action(line, end, "audit-recovered\""));
    v->run->unsealed += v->run->sealed_to + 1 != end->sequence || v->run->sealed_to == 0;
    v->result->lines++;
    return good;
}

/* ---- one file ---- */

/* What follows from here on is no line of the trail: a crash may leave that, if the next run says so. */
static bool note_torn(struct verifier *v, const char *from, const char *end)
{
    if (!v->torn)
        v->torn_line = v->line;
    v->torn = true;
    v->torn_bytes += (uint64_t)(end - from) - (end[-1] == '\n');
    memcpy(v->torn_file, v->file, sizeof v->torn_file);
    if (!v->run)
        return verify_bad(v, "not a line of an audit trail");
    return true;
}

/* An unfinished line at the end of a file that has grown since: the broker is writing it. */
static bool is_being_written(struct verifier *v, int fd, size_t size)
{
    struct stat now;
    if (fstat(fd, &now) != 0 || (uint64_t)now.st_size <= size)
        return false;
    verify_warn(v, "%s is being written: its last line was left out", v->file);
    return true;
}

static bool check_content(struct verifier *v, int fd, const char *content, size_t size)
{
    const char *end = content + size;
    for (const char *line = content; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        struct audit_line_end found;
        v->line++;
        if (!stop && is_being_written(v, fd, size))
            return true;
        if (!stop || !audit_line_end_parse(line, (size_t)(stop - line), &found))
            return note_torn(v, line, end);
        if (!check_line(v, line, (size_t)(stop - line), &found))
            return false;
        line = stop + 1;
    }
    return true;
}

static int check_file(struct verifier *v, const char *path, struct guard_error *err)
{
    const char *slash = strrchr(path, '/');
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        return guard_fail_at(err, GUARD_ERR_IO, path, 0, 0, "cannot be read as a file");
    }
    memcpy(v->previous_file, v->file, sizeof v->previous_file);
    snprintf(v->file, sizeof v->file, "%s", slash ? slash + 1 : path);
    v->strict = audit_file_number(v->file) != 0;
    v->line = 0;
    v->result->files++;
    v->result->bytes += (uint64_t)st.st_size;
    size_t size = (size_t)st.st_size;
    char *content = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (content == MAP_FAILED) {
        close(fd);
        return guard_fail_at(err, GUARD_ERR_IO, path, 0, 0, "cannot be mapped");
    }
    if (size) {
        madvise(content, size, MADV_SEQUENTIAL);
        check_content(v, fd, content, size);
        munmap(content, size);
    }
    close(fd);
    return v->out_of_memory ? guard_fail(err, GUARD_ERR_NOMEM, "out of memory") : GUARD_OK;
}

/* ---- the whole ---- */

static void check_end(struct verifier *v)
{
    const struct audit_verify_result *result = v->result;
    uint64_t good = 0;
    if (!result->valid)
        return;
    v->line = v->torn ? v->torn_line : v->line;
    if (v->torn)
        memcpy(v->file, v->torn_file, sizeof v->file);
    if (!v->run) {
        verify_bad(v, "there is no line of an audit trail");
        return;
    }
    if (v->torn) {
        verify_bad(v, "torn or foreign bytes that no later run has declared");
        return;
    }
    for (size_t i = 0; i < result->run_count; i++)
        good += result->runs[i].checkpoints;
    if (!verify_run_end(v, true))
        return;
    if (v->last == LAST_STOP)
        verify_bad(v, "audit-stop is not followed by a checkpoint");
    else if (v->options->key_count && !good)
        verify_bad(v, "nothing is sealed: there is no checkpoint with a good signature");
    else if (v->options->require_final && !v->run->closed)
        verify_bad(v, "the last run does not end with audit-stop and a checkpoint: its tail may be missing");
    if (!result->valid || !verify_anchors_found(v))
        return;
    for (size_t i = 0; i < result->run_count; i++)
        if (result->runs[i].damaged) {
            *v->file = '\0';
            verify_bad(v,
                       "chain %s has declared that the trail was cut, changed or removed before or while it was "
                       "written: read its audit-recovered",
                       result->runs[i].chain);
            return;
        }
    if (!v->options->key_count)
        verify_warn(v, "signatures were not checked: no --key was given");
}

int audit_verify(const char *const *paths, size_t count, const struct audit_verify_options *options,
                 struct audit_verify_result *result, struct guard_error *err)
{
    struct verifier v = {.options = options, .result = result, .checkpoint_known = true};
    memset(result, 0, sizeof *result);
    result->valid = true;
    int rc = audit_chain_init(&v.hash, "000000000000");
    if (rc != GUARD_OK)
        return guard_fail(err, (enum guard_code)rc, "SHA-256 is not available");
    for (size_t i = 0; i < count && rc == GUARD_OK && result->valid; i++)
        rc = check_file(&v, paths[i], err);
    if (rc == GUARD_OK)
        check_end(&v);
    audit_chain_destroy(&v.hash);
    return rc;
}

void audit_verify_free(struct audit_verify_result *result)
{
    for (size_t i = 0; i < result->warning_count; i++)
        free(result->warnings[i]);
    free(result->warnings);
    free(result->last_checkpoint);
    free(result->runs);
    memset(result, 0, sizeof *result);
}
