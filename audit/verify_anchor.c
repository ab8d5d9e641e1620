/* Checkpoints that were kept elsewhere, held against the trail. */
#include "audit/verify_internal.h"

#include "core/clock.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH 16

static int by_place(const void *a, const void *b)
{
    const struct audit_anchor *x = a, *y = b;
    int chains = strcmp(x->chain, y->chain);
    return chains ? chains : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static int64_t time_of(const char *line, size_t length)
{
    struct guard_json *json = NULL;
    int64_t seconds = 0;
    if (guard_json_parse(line, length, JSON_DEPTH, &json, NULL) == GUARD_OK) {
        const struct guard_json *unmapped = guard_json_get(json, "unmapped");
        const struct guard_json *audit = unmapped ? guard_json_get(unmapped, "mosquitto.audit")
                                                  : guard_json_get(guard_json_get(json, "mosquitto"), "audit");
        const char *text = guard_json_string(guard_json_get(audit, "time"));
        if (text && guard_timestamp_parse(text, strlen(text), &seconds) != GUARD_OK)
            seconds = 0;
    }
    guard_json_free(&json);
    return seconds;
}

/* Whether the line holds a checkpoint; whatever stands before its first brace is an envelope. */
static bool read_anchor(const char *line, size_t length, struct audit_anchor *anchor)
{
    struct audit_line_end end;
    const char *brace = memchr(line, '{', length);
    while (length && (line[length - 1] == '\r' || line[length - 1] == ' '))
        length--;
    if (!brace || brace >= line + length)
        return false;
    length -= (size_t)(brace - line);
    if (!audit_line_end_parse(brace, length, &end) || !audit_line_has_action(brace, &end, "audit-checkpoint\""))
        return false;
    *anchor = (struct audit_anchor){.sequence = end.sequence, .time = time_of(brace, length)};
    memcpy(anchor->chain, end.chain, sizeof anchor->chain);
    memcpy(anchor->hash, end.hash, sizeof anchor->hash);
    return true;
}

static int add(const struct audit_anchor *anchor, struct audit_anchor **anchors, size_t *count, struct guard_error *err)
{
    struct audit_anchor *grown = reallocarray(*anchors, *count + 1, sizeof *grown);
    if (!grown)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    *anchors = grown;
    grown[(*count)++] = *anchor;
    return GUARD_OK;
}

int audit_anchors_load(const char *path, struct audit_anchor **anchors, size_t *count, struct guard_error *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0, before = *count;
    int rc = GUARD_OK;
    if (!file)
        return guard_fail_at(err, GUARD_ERR_IO, path, 0, 0, "cannot be opened");
    for (ssize_t got; rc == GUARD_OK && (got = getline(&line, &capacity, file)) > 0;) {
        struct audit_anchor anchor;
        if (read_anchor(line, (size_t)got - (line[got - 1] == '\n'), &anchor))
            rc = add(&anchor, anchors, count, err);
    }
    if (rc == GUARD_OK && ferror(file))
        rc = guard_fail_at(err, GUARD_ERR_IO, path, 0, 0, "cannot be read");
    free(line);
    if (file != stdin)
        fclose(file);
    if (rc == GUARD_OK && *count == before)
        rc = guard_fail_at(err, GUARD_ERR_NOT_FOUND, path, 0, 0, "holds no audit-checkpoint line");
    if (*count)
        qsort(*anchors, *count, sizeof **anchors, by_place);
    return rc;
}

bool verify_anchor(struct verifier *v, const struct audit_line_end *end)
{
    struct audit_anchor wanted = {.sequence = end->sequence};
    if (!v->options->anchor_count)
        return true;
    memcpy(wanted.chain, end->chain, sizeof wanted.chain);
    struct audit_anchor *anchors = v->options->anchors, *limit = anchors + v->options->anchor_count;
    struct audit_anchor *found = bsearch(&wanted, anchors, v->options->anchor_count, sizeof *anchors, by_place);
    while (found && found > anchors && by_place(found - 1, &wanted) == 0)
        found--;
    for (; found && found < limit && by_place(found, &wanted) == 0; found++) { /* the same one may be given twice */
        if (memcmp(found->hash, end->hash, sizeof found->hash) != 0)
            return verify_bad(v, "the anchor has another checkpoint number %llu of chain %s: the trail was rewritten",
                              (unsigned long long)end->sequence, end->chain);
        found->found = true;
    }
    return true;
}

/* Older than what is here: removed by retention, as far as the trail can tell. */
static bool is_before(const struct verifier *v, const struct audit_anchor *anchor)
{
    const struct audit_verify_run *first = v->result->runs;
    if (strcmp(anchor->chain, first->chain) == 0)
        return anchor->sequence < first->first_sequence;
    return first->from && anchor->time && anchor->time < first->from;
}

bool verify_anchors_found(struct verifier *v)
{
    uint64_t older = 0, found = 0;
    for (size_t i = 0; i < v->options->anchor_count; i++) {
        const struct audit_anchor *anchor = &v->options->anchors[i];
        if (!anchor->found && !is_before(v, anchor)) {
            *v->file = '\0';
            return verify_bad(v,
                              "the anchor has checkpoint number %llu of chain %s, which is not here: the trail was "
                              "cut, or a run was removed",
                              (unsigned long long)anchor->sequence, anchor->chain);
        }
        found += anchor->found;
        older += !anchor->found;
    }
    if (older)
        verify_warn(v, "%llu anchors are older than the files here", (unsigned long long)older);
    if (v->options->anchor_count && !found)
        return verify_bad(v, "none of the anchors is in the files here");
    return true;
}
