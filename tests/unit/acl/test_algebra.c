/*
 * Filters against the topics they stand for, one by one. Levels are drawn from a small alphabet; one name of it is in
 * no filter and so stands for all names that no filter spells. To the depth of the filters and one level more, that
 * tells containment and overlap completely. The matcher here is this file's own.
 */
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEPTH       4 /* of filters, before a last # */
#define TOPIC_DEPTH 5
#define WORDS       24 /* of a set of topics: 64 * 24 >= 4 + 4^2 + … + 4^5 */
#define FILTERS     1000
#define TEXT        32

static const char *const names[] = {"a", "", "$s", "other"};
static const char *const filter_levels[] = {"a", "", "$s", "+"};

struct set {
    uint64_t word[WORDS];
};

static char topics[WORDS * 64][TEXT];
static unsigned topic_count;
static char filters[FILTERS][TEXT];
static struct set matched[FILTERS];
static unsigned filter_count;

static void join(char *out, const char *prefix, const char *level, bool first)
{
    snprintf(out, TEXT, "%s%s%s", prefix, first ? "" : "/", level);
}

static void make_topics(const char *prefix, unsigned depth)
{
    for (unsigned i = 0; i < 4; i++) {
        char text[TEXT];
        join(text, prefix, names[i], depth == 0);
        if (*text || depth) /* the empty topic does not exist */
            strcpy(topics[topic_count++], text);
        if (depth + 1 < TOPIC_DEPTH)
            make_topics(text, depth + 1);
    }
}

static void make_filters(const char *prefix, unsigned depth)
{
    char text[TEXT];
    join(text, prefix, "#", depth == 0);
    strcpy(filters[filter_count++], text);
    if (depth == DEPTH)
        return;
    for (unsigned i = 0; i < 4; i++) {
        join(text, prefix, filter_levels[i], depth == 0);
        if (*text || depth)
            strcpy(filters[filter_count++], text);
        make_filters(text, depth + 1);
    }
}

/* MQTT 5.0 §4.7, recursively. */
static bool matches(const char *filter, const char *topic, bool first)
{
    size_t f = strcspn(filter, "/"), t = strcspn(topic, "/");
    bool hash = f == 1 && *filter == '#', plus = f == 1 && *filter == '+';
    if (first && *topic == '$' && (hash || plus))
        return false;
    if (hash)
        return true;
    if (!plus && (f != t || memcmp(filter, topic, f) != 0))
        return false;
    bool more_filter = filter[f] == '/', more_topic = topic[t] == '/';
    if (more_filter && more_topic)
        return matches(filter + f + 1, topic + t + 1, false);
    if (more_filter)
        return strcmp(filter + f, "/#") == 0;
    return !more_topic;
}

static bool is_subset(const struct set *a, const struct set *b)
{
    for (unsigned i = 0; i < WORDS; i++)
        if (a->word[i] & ~b->word[i])
            return false;
    return true;
}

static bool intersects(const struct set *a, const struct set *b)
{
    for (unsigned i = 0; i < WORDS; i++)
        if (a->word[i] & b->word[i])
            return true;
    return false;
}

static int enumerate(void **state)
{
    (void)state;
    make_topics("", 0);
    make_filters("", 0);
    for (unsigned f = 0; f < filter_count; f++)
        for (unsigned t = 0; t < topic_count; t++)
            if (matches(filters[f], topics[t], true))
                matched[f].word[t / 64] |= (uint64_t)1 << t % 64;
    print_message("%u filters, %u topics\n", filter_count, topic_count);
    return 0;
}

static void the_matcher_of_text(void **state)
{
    (void)state;
    for (unsigned f = 0; f < filter_count; f++)
        for (unsigned t = 0; t < topic_count; t++)
            if (acl_filter_matches(filters[f], topics[t]) != (matched[f].word[t / 64] >> t % 64 & 1))
                fail_msg("%s against %s", filters[f], topics[t]);
}

/* The three pairs of docs/policy.md on which being too strict is permitted are exact here, too. */
static void containment_and_overlap_of_text(void **state)
{
    (void)state;
    for (unsigned r = 0; r < filter_count; r++)
        for (unsigned s = 0; s < filter_count; s++) {
            if (acl_filter_covers(filters[r], filters[s]) != is_subset(&matched[s], &matched[r]))
                fail_msg("does %s cover %s?", filters[r], filters[s]);
            if (acl_filter_overlaps(filters[r], filters[s]) != intersects(&matched[s], &matched[r]))
                fail_msg("does %s overlap %s?", filters[r], filters[s]);
        }
}

static enum acl_coverage ask(struct acl_context *context, const struct acl_policy *policy,
                             const struct acl_subject *subject, const char *filter)
{
    struct acl_request request = {.action = ACL_SUBSCRIBE, .topic = filter};
    struct acl_decision decision;
    acl_check(context, policy, subject, &request, &decision);
    assert_int_equal(decision.flags, 0);
    assert_int_equal(decision.verdict == ACL_ALLOW, decision.coverage == ACL_COVERAGE_FULL);
    return decision.coverage;
}

static void coverage_of_every_pair(void **state)
{
    (void)state;
    struct acl_context *context = acl_context_new();
    for (unsigned r = 0; r < filter_count; r++) {
        char source[128];
        snprintf(source, sizeof source, "[role r]\nx = allow subscribe %s\n", filters[r]);
        struct acl_policy *policy = support_policy(source);
        struct acl_subject *subject = support_subject(policy, "roles=r");
        for (unsigned s = 0; s < filter_count; s++) {
            enum acl_coverage expected = is_subset(&matched[s], &matched[r])    ? ACL_COVERAGE_FULL
                                         : intersects(&matched[s], &matched[r]) ? ACL_COVERAGE_PARTIAL
                                                                                : ACL_COVERAGE_NONE;
            if (ask(context, policy, subject, filters[s]) != expected)
                fail_msg("allow %s, SUBSCRIBE %s: expected coverage %d", filters[r], filters[s], expected);
        }
        acl_subject_free(&subject);
        acl_policy_release(policy);
    }
    acl_context_free(&context);
}

/* ---- sets of rules with priorities ---- */

static uint32_t random_state = 2463534242U;

static unsigned draw(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % limit;
}

#define RULES 6

struct rule {
    unsigned filter;
    bool allow;
    int priority;
};

static bool is_allowed(const struct rule *rules, unsigned count, unsigned topic)
{
    int best = -1000;
    for (unsigned i = 0; i < count; i++)
        if (matched[rules[i].filter].word[topic / 64] >> topic % 64 & 1) {
            int rank = rules[i].priority * 2 + !rules[i].allow;
            best = rank > best ? rank : best;
        }
    return best > -1000 && !(best & 1);
}

static enum acl_coverage coverage_by_topics(const struct rule *rules, unsigned count, unsigned filter)
{
    bool some = false, all = true;
    for (unsigned t = 0; t < topic_count; t++)
        if (matched[filter].word[t / 64] >> t % 64 & 1) {
            bool allowed = is_allowed(rules, count, t);
            some |= allowed;
            all &= allowed;
        }
    return all ? ACL_COVERAGE_FULL : some ? ACL_COVERAGE_PARTIAL : ACL_COVERAGE_NONE;
}

/* Filters a level less deep than the topics, so that the last slice of P/# is seen. */
static unsigned draw_filter(void)
{
    for (;;) {
        unsigned f = draw(filter_count), levels = 1;
        for (const char *c = filters[f]; *c; c++)
            levels += *c == '/';
        if (levels < DEPTH)
            return f;
    }
}

static unsigned write_rules(struct rule *rules, char *source, size_t size)
{
    unsigned count = 1 + draw(RULES);
    size_t used = (size_t)snprintf(source, size, "[role r]\n");
    for (unsigned i = 0; i < count; i++) {
        rules[i] = (struct rule){draw_filter(), draw(5) < 3, (int)draw(3) - 1};
        used += (size_t)snprintf(source + used, size - used, "r%u = %s subscribe %s priority=%d\n", i,
                                 rules[i].allow ? "allow" : "deny", filters[rules[i].filter], rules[i].priority);
    }
    return count;
}

static void coverage_of_sets_of_rules(void **state)
{
    (void)state;
    struct acl_context *context = acl_context_new();
    unsigned seen[4] = {0};
    for (unsigned round = 0; round < 4000; round++) {
        struct rule rules[RULES];
        char source[1024];
        unsigned count = write_rules(rules, source, sizeof source);
        struct acl_policy *policy = support_policy(source);
        struct acl_subject *subject = support_subject(policy, "roles=r");
        for (unsigned i = 0; i < 12; i++) {
            unsigned filter = draw_filter();
            enum acl_coverage expected = coverage_by_topics(rules, count, filter);
            enum acl_coverage coverage = ask(context, policy, subject, filters[filter]);
            if (coverage != expected)
                fail_msg("%sSUBSCRIBE %s: coverage %d, expected %d", source, filters[filter], coverage, expected);
            seen[coverage]++;
        }
        acl_subject_free(&subject);
        acl_policy_release(policy);
    }
    acl_context_free(&context);
    print_message("%u none, %u partial, %u full\n", seen[ACL_COVERAGE_NONE], seen[ACL_COVERAGE_PARTIAL],
                  seen[ACL_COVERAGE_FULL]);
    assert_true(seen[ACL_COVERAGE_FULL] > 1000 && seen[ACL_COVERAGE_PARTIAL] > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_matcher_of_text),
        cmocka_unit_test(containment_and_overlap_of_text),
        cmocka_unit_test(coverage_of_every_pair),
        cmocka_unit_test(coverage_of_sets_of_rules),
    };
    return cmocka_run_group_tests(tests, enumerate, NULL);
}
