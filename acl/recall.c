#include "acl/recall.h"

#include <stddef.h>
#include <string.h>

bool acl_recall_tests(const struct acl_pattern *pattern, const struct acl_subject *subject)
{
    if (pattern->opens && subject->values[pattern->slot[0]].dollar)
        return false;
    for (unsigned i = 0; i < pattern->tests; i++) {
        const struct acl_pattern_test *test = &pattern->test[i];
        const struct acl_value *value = &subject->values[test->slot];
        if (value->state != ACL_VALUE_BOUND || (test->first && value->dollar))
            return false;
        const struct acl_level *level =
            test->variable < 0 ? &test->level : &subject->values[pattern->slot[test->variable]].level;
        if (acl_level_equal(&value->level, level) != (i < pattern->holds))
            return false;
    }
    return true;
}

bool acl_pattern_fits_two(const struct acl_pattern *pattern, const struct acl_subject *subject, const char *topic,
                          size_t length)
{
    const char *piece = pattern->text;
    size_t left = length - pattern->fixed;
    for (unsigned i = 0; i < 2; i++) {
        const struct acl_value *value = &subject->values[pattern->slot[i]];
        size_t literal = pattern->piece[i], size = value->level.length;
        if (value->state != ACL_VALUE_BOUND || size > left || !acl_octets_equal(topic, piece, literal) ||
            !acl_octets_equal(topic + literal, value->level.text, size))
            return false;
        piece += literal;
        topic += literal + size;
        left -= size;
    }
    return left == 0 && acl_octets_equal(topic, piece, pattern->piece[2]);
}

/* acl_receives_again is asked of every receiver, so what it needs is kept in one place. */
void acl_recall_latest_is(struct acl_context *context, struct acl_patterns *patterns, const struct acl_pattern *pattern)
{
    patterns->latest = pattern;
    if (patterns == &context->patterns[ACL_RECEIVE] && !(pattern->variables | pattern->tests) &&
        pattern->decision.verdict == ACL_ALLOW)
        context->again = (struct acl_again){pattern->key, pattern->text};
}

/* ---- learning ---- */

struct learning {
    const struct acl_topic *topic;
    struct acl_pattern *pattern;
    uint16_t level[2]; /* of the variables */
};

static const struct acl_candidate *find_winner(const struct acl_walk *walk, const struct acl_memo *memo)
{
    for (unsigned i = 0; i < memo->candidate_count; i++) {
        const struct acl_candidate *c = &memo->candidates[i];
        if (c->rank == walk->best.rank && c->node == walk->best.node && c->role == walk->best.role &&
            c->end == walk->best.end && memo->best.rank < c->rank)
            return c;
    }
    return NULL;
}

/* Opens the levels of the winner's tests that no literal was compared with; in the order of the topic. */
static void open_levels(struct learning *l, const struct acl_memo *memo, const struct acl_candidate *winner)
{
    struct acl_pattern *pattern = l->pattern;
    for (unsigned i = 0; winner && i < winner->tests; i++) {
        unsigned level = winner->test[i].level;
        if (level >= 64 || memo->consulted >> level & 1)
            continue;
        l->level[pattern->variables] = (uint16_t)level;
        pattern->slot[pattern->variables++] = winner->test[i].slot;
        pattern->opens |= level == 0;
    }
}

/* Writes the literal pieces around the variables. */
static void cut_pieces(struct learning *l)
{
    struct acl_pattern *pattern = l->pattern;
    const char *from = l->topic->text;
    for (unsigned i = 0; i <= pattern->variables; i++) {
        const struct acl_level *level = i < pattern->variables ? &l->topic->levels[l->level[i]] : NULL;
        const char *end = level ? level->text : l->topic->text + l->topic->length;
        size_t size = (size_t)(end - from);
        memcpy(pattern->text + pattern->fixed, from, size);
        pattern->piece[i] = (uint16_t)size;
        pattern->fixed += (uint32_t)size;
        from = level ? level->text + level->length : end;
    }
    pattern->text[pattern->fixed] = '\0';
}

/* Where a literal level of the topic stands in the pattern's text. */
static struct acl_level moved_level(const struct learning *l, unsigned at)
{
    struct acl_level level = l->topic->levels[at];
    size_t offset = (size_t)(level.text - l->topic->text);
    for (unsigned i = 0; i < l->pattern->variables; i++)
        if (l->level[i] < at)
            offset -= l->topic->levels[l->level[i]].length;
    level.text = l->pattern->text + offset;
    return level;
}

static bool add_tests(struct learning *l, const struct acl_candidate *candidate, bool winner)
{
    struct acl_pattern *pattern = l->pattern;
    for (unsigned i = 0; i < candidate->tests; i++) {
        unsigned at = candidate->test[i].level;
        struct acl_pattern_test test = {.slot = candidate->test[i].slot, .first = at == 0, .variable = -1};
        for (unsigned v = 0; v < pattern->variables; v++)
            if (l->level[v] == at)
                test.variable = (int8_t)v;
        if (winner && test.variable >= 0)
            continue;
        if (test.variable < 0)
            test.level = moved_level(l, at);
        if (pattern->tests == ACL_PATTERN_TESTS)
            return false;
        pattern->test[pattern->tests++] = test;
    }
    return true;
}

/* Where acl_recall will look for it. */
static struct acl_pattern *place_of(const struct learning *l, struct acl_patterns *patterns)
{
    const char *text = l->topic->text;
    size_t length = l->topic->length;
    if (!l->pattern->variables)
        return &patterns->by_both[acl_place_by_both(text, length)];
    const struct acl_level *last = &l->topic->levels[l->level[l->pattern->variables - 1]];
    if (text + length - (last->text + last->length) >= 4)
        return &patterns->by_tail[acl_place_by_four(text + length - 4)];
    return &patterns->by_head[acl_place_by_four(text)];
}

/* The tests of the winner that are not told by the variables, and those of the rules that would outrank it. */
static bool write_tests(struct learning *l, const struct acl_memo *memo, const struct acl_candidate *winner,
                        int64_t rank)
{
    if (winner && !add_tests(l, winner, true))
        return false;
    l->pattern->holds = l->pattern->tests;
    for (unsigned i = 0; i < memo->candidate_count; i++)
        if (memo->candidates[i].rank > rank &&
            (memo->candidates[i].tests != 1 || !add_tests(l, &memo->candidates[i], false)))
            return false;
    return true;
}

/* The ends of the topic as words, for acl_publishes_again; of a pattern with more to it, none. */
static void make_quick(struct acl_pattern *pattern)
{
    size_t before = pattern->piece[0], behind = pattern->piece[1];
    if (pattern->variables != 1 || pattern->tests || pattern->opens || behind < 4 ||
        pattern->decision.verdict != ACL_ALLOW)
        return;
    char tail[8] = {0};
    size_t meant = behind < 8 ? behind : 8;
    memcpy(tail + 8 - meant, pattern->text + pattern->fixed - meant, meant);
    pattern->tail = acl_load8(tail);
    memset(tail, 0xff, sizeof tail);
    memset(tail, 0, 8 - meant);
    pattern->tail_mask = acl_load8(tail);
    pattern->head = acl_head(pattern->text, (uint32_t)before);
    pattern->head_mask = acl_head("\xff\xff\xff\xff\xff\xff\xff\xff", (uint32_t)before);
    pattern->long_pieces = before > 8 || behind > 8;
    pattern->quick_key = pattern->key;
}

void acl_recall_learn(const struct acl_walk *walk, const struct acl_memo *memo, const struct acl_decision *decision)
{
    struct acl_patterns *patterns = &walk->context->patterns[walk->action];
    const struct acl_topic *topic = &walk->context->topic;
    if (topic->length > ACL_PATTERN_TEXT || topic->length < ACL_RECALL_LENGTH || topic->count >= ACL_LEVELS ||
        decision->flags)
        return;
    const struct acl_candidate *winner = find_winner(walk, memo);
    struct acl_pattern head; /* of which only what comes before the text is used */
    memset(&head, 0, offsetof(struct acl_pattern, text));
    head.decision = *decision;
    struct learning l = {.topic = topic, .pattern = &head};
    open_levels(&l, memo, winner);
    l.pattern = place_of(&l, patterns);
    if (walk->context->again.topic == l.pattern->text) /* it is overwritten */
        walk->context->again = (struct acl_again){0};
    /* levels of tests point into its text, so it is written in its place */
    memcpy(l.pattern, &head, offsetof(struct acl_pattern, text));
    cut_pieces(&l);
    if (!write_tests(&l, memo, winner, walk->best.rank))
        return;
    l.pattern->epoch = walk->policy->epoch;
    l.pattern->fingerprint = walk->subject->fingerprint;
    l.pattern->key = acl_face_key(l.pattern->fingerprint, l.pattern->epoch);
    make_quick(l.pattern);
    acl_recall_latest_is(walk->context, patterns, l.pattern);
}
