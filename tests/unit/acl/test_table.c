/* The table of a segment: every node is found where its hash leads, and labels of every length are told apart. */
#include "acl/build.h"
#include "acl/label.h"
#include "core/buffer.h"
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOTS 3

struct places {
    struct acl_builder builder;
    struct acl_segment segment;
    uint32_t *map;
    uint64_t *taken, *more;
};

/* A builder with nodes of these hashes, and a segment with a table of that size, placed. */
static struct places place(const uint32_t *hashes, uint32_t count, uint32_t table, uint32_t shifts)
{
    struct places p = {.builder = {.role_limit = ROOTS, .node_count = ROOTS + count},
                       .segment = {.root_count = ROOTS, .table_size = table, .shift_count = shifts}};
    p.builder.nodes = calloc(ROOTS + count, sizeof *p.builder.nodes);
    p.segment.shifts = malloc(shifts);
    p.map = calloc(ROOTS + count, sizeof *p.map);
    p.taken = calloc((ROOTS + table) / 64 + 1, sizeof *p.taken);
    p.more = calloc((ROOTS + table) / 64 + 1, sizeof *p.more);
    for (uint32_t i = 0; i < count; i++)
        p.builder.nodes[ROOTS + i].hash = hashes[i];
    assert_true(acl_choose_places(&p.builder, &p.segment, p.map, p.taken, p.more));
    return p;
}

static void drop(struct places *p)
{
    free(p->builder.nodes);
    free(p->segment.shifts);
    free(p->map);
    free(p->taken);
    free(p->more);
}

static bool bit(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> at % 64 & 1;
}

/* How many places a look-up sees before the node's own; fails where it would stop before. */
static unsigned steps_to(const struct places *p, uint32_t node)
{
    unsigned steps = 0;
    uint32_t at = acl_table_place(&p->segment, p->builder.nodes[node].hash);
    for (; at != p->map[node]; at = acl_table_next(&p->segment, at), steps++)
        assert_true(bit(p->more, at) && steps < p->segment.table_size);
    return steps;
}

/* Each node has a place of its own, and a look-up comes to it; returns the steps of all. */
static unsigned assert_found(const struct places *p)
{
    unsigned steps = 0;
    bool *seen = calloc(ROOTS + p->segment.table_size, sizeof *seen);
    for (uint32_t i = 0; i < p->builder.node_count; i++) {
        uint32_t at = p->map[i];
        assert_true(at < ROOTS + p->segment.table_size && !seen[at]);
        assert_true(i < ROOTS ? at == i : at >= ROOTS && bit(p->taken, at));
        seen[at] = true;
        steps += i < ROOTS ? 0 : steps_to(p, i);
    }
    free(seen);
    return steps;
}

static uint32_t next_hash(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 32);
}

static void every_node_stands_where_its_hash_leads(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    uint32_t *hashes = calloc(COUNT, sizeof *hashes);
    uint64_t random = 7;
    for (uint32_t i = 0; i < COUNT; i++)
        hashes[i] = next_hash(&random);
    for (uint32_t count = 0; count <= COUNT; count = count * 3 + 1) {
        struct places p = place(hashes, count, count / 4 * 5 + 3, count / 4 + 1);
        assert_true(assert_found(&p) <= count / 1000);
        drop(&p);
    }
    free(hashes);
}

static void equal_hashes_are_found_one_after_the_other(void **state)
{
    (void)state;
    uint32_t hashes[64];
    uint64_t random = 11;
    for (uint32_t i = 0; i < 64; i++)
        hashes[i] = i % 4 ? hashes[i - 1] : next_hash(&random);
    struct places p = place(hashes, 64, 80, 17);
    assert_true(assert_found(&p) >= 16 * 6); /* of four equal ones, the second is a step away, … */
    drop(&p);
    struct places full = place(hashes, 64, 64, 1); /* around the end of the table, too */
    assert_found(&full);
    drop(&full);
}

/* ---- labels ---- */

static enum acl_verdict ask(struct acl_context *context, const struct acl_policy *policy,
                            const struct acl_subject *subject, const char *topic)
{
    struct acl_request request = {.action = ACL_PUBLISH, .topic = topic, .payload = "", .now = 1};
    struct acl_decision decision;
    return acl_check(context, policy, subject, &request, &decision);
}

#define LONGEST 90

/* One rule for each length, of the letters a b c … with an X at the end; brothers, so that each is looked up. */
static struct acl_policy *policy_of_lengths(void)
{
    struct guard_buffer source = {0};
    guard_buffer_text(&source, "[role all]\n");
    for (int length = 1; length <= LONGEST; length++) {
        guard_buffer_printf(&source, "r%d = allow publish top/", length);
        for (int i = 1; i < length; i++)
            guard_buffer_byte(&source, (char)('a' + i % 26));
        guard_buffer_text(&source, "X/end\n");
    }
    guard_buffer_byte(&source, '\0');
    struct acl_policy *policy = support_policy(source.data);
    guard_buffer_free(&source);
    return policy;
}

static void labels_are_compared_to_their_last_octet(void **state)
{
    (void)state;
    struct acl_policy *policy = policy_of_lengths();
    struct acl_subject *subject = support_subject(policy, "username=u roles=all");
    struct acl_context *context = acl_context_new();
    for (int length = 1; length <= LONGEST; length++) {
        char topic[LONGEST + 16] = "top/", *label = topic + 4;
        for (int i = 1; i < length; i++)
            label[i - 1] = (char)('a' + i % 26);
        strcpy(label + length - 1, "X/end");
        assert_int_equal(ask(context, policy, subject, topic), ACL_ALLOW);
        for (int at = 0; at < length; at++) {
            label[at] ^= 1;
            assert_int_equal(ask(context, policy, subject, topic), ACL_NONE);
            label[at] ^= 1;
        }
        strcpy(label + length - 1, "/end");
        assert_int_equal(ask(context, policy, subject, topic), ACL_NONE);
    }
    acl_context_free(&context);
    acl_subject_free(&subject);
    acl_policy_release(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_stands_where_its_hash_leads),
        cmocka_unit_test(equal_hashes_are_found_one_after_the_other),
        cmocka_unit_test(labels_are_compared_to_their_last_octet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
