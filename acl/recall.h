/*
 * Recalling a pattern: the fast path of every publish and delivery.
 *
 * In a fleet many clients ask the same question about themselves: may dev-17 publish to devices/dev-17/data? When such
 * a topic was walked, the walk may not have looked at the second level but to compare it with values of the subject (no
 * rule spells a literal there). Then the decision is the same for every subject of the same roles whose own value
 * stands there, and needs no walk: a few comparisons of octets, which also prove the topic well-formed, since all its
 * pieces are.
 */
#ifndef GUARD_ACL_RECALL_H
#define GUARD_ACL_RECALL_H

#include "acl/context.h"
#include "acl/label.h"

/* A few octets, compared without a call. */
static inline bool acl_octets_equal(const char *a, const char *b, size_t length)
{
    uint32_t words[4];
    if (length >= 8) {
        size_t last = length - 8;
        for (size_t at = 0; at < last; at += 8)
            if (acl_load8(a + at) != acl_load8(b + at))
                return false;
        return acl_load8(a + last) == acl_load8(b + last);
    }
    if (length >= 4) {
        memcpy(&words[0], a, 4);
        memcpy(&words[1], b, 4);
        memcpy(&words[2], a + length - 4, 4);
        memcpy(&words[3], b + length - 4, 4);
        return ((words[0] ^ words[1]) | (words[2] ^ words[3])) == 0;
    }
    if (length >= 2) {
        uint16_t pairs[4];
        memcpy(&pairs[0], a, 2);
        memcpy(&pairs[1], b, 2);
        memcpy(&pairs[2], a + length - 2, 2);
        memcpy(&pairs[3], b + length - 2, 2);
        return ((pairs[0] ^ pairs[1]) | (pairs[2] ^ pairs[3])) == 0;
    }
    return length == 0 || *a == *b;
}

/* Where a pattern is kept, by its first or last four octets, or by the first four and the last eight. */
static inline unsigned acl_place_by_four(const char *octets)
{
    uint32_t word;
    memcpy(&word, octets, 4);
    return (word * 0x9e3779b1U) >> 28;
}

static inline unsigned acl_place_by_both(const char *topic, size_t length)
{
    uint32_t head;
    memcpy(&head, topic, 4);
    return (unsigned)(((acl_load8(topic + length - 8) ^ head) * ACL_HASH_FACTOR) >> 58);
}

#define ACL_RECALL_LENGTH 8 /* shorter topics are not learnt */
_Static_assert(ACL_PATTERNS == 16 && ACL_TOPICS == 64, "the places have four and six bits");

/* acl_pattern_fits for a pattern of two variables, which are rare. */
bool acl_pattern_fits_two(const struct acl_pattern *pattern, const struct acl_subject *subject, const char *topic,
                          size_t length);

/* Whether the topic is the pattern's, with the subject's values. length is at least pattern->fixed. */
static inline bool acl_pattern_fits(const struct acl_pattern *pattern, const struct acl_subject *subject,
                                    const char *topic, size_t length)
{
    size_t before = pattern->piece[0];
    if (!acl_octets_equal(topic, pattern->text, before))
        return false;
    if (pattern->variables != 1)
        return pattern->variables == 0 ? length == before : acl_pattern_fits_two(pattern, subject, topic, length);
    const struct acl_value *value = &subject->values[pattern->slot[0]];
    size_t size = value->level.length;
    topic += before;
    return size + pattern->fixed == length && value->state == ACL_VALUE_BOUND &&
           acl_octets_equal(topic, value->level.text, size) &&
           acl_octets_equal(topic + size, pattern->text + before, pattern->piece[1]);
}

/* Whether the pattern answers this subject's question; else the topic is to be walked. length >= ACL_RECALL_LENGTH. */
static inline bool acl_pattern_answers(const struct acl_pattern *pattern, const struct acl_policy *policy,
                                       const struct acl_subject *subject, const char *topic, size_t length)
{
    return pattern->fingerprint == subject->fingerprint && pattern->epoch == policy->epoch &&
           length >= pattern->fixed && acl_pattern_fits(pattern, subject, topic, length) &&
           (!(pattern->tests | pattern->opens) || acl_recall_tests(pattern, subject));
}

/* The pattern with variables that a topic's end leads to; of a topic too short the one that never answers. */
static inline const struct acl_pattern *acl_pattern_by_tail(const struct acl_patterns *patterns, const char *topic,
                                                            size_t length)
{
    return length >= ACL_RECALL_LENGTH ? &patterns->by_tail[acl_place_by_four(topic + length - 4)] : &patterns->none;
}

/* Whether the pattern used last answers again, for another receiver of the same message: its topic need not be
 * measured. */
static inline bool acl_recall_latest(const struct acl_pattern *pattern, const struct acl_policy *policy,
                                     const struct acl_subject *subject, const struct acl_request *request)
{
    return pattern && pattern->fingerprint == subject->fingerprint && pattern->epoch == policy->epoch &&
           !(pattern->variables | pattern->tests) && !request->topic_length &&
           strcmp(pattern->text, request->topic) == 0;
}

#endif
