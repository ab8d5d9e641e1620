/*
 * What a context remembers must never change an answer: random policies are asked through one context that lives on
 * (topics, memos and patterns of earlier questions in it) and through a new one for each question. Edits and compaction
 * come in between, and must answer like the same policy compiled as a whole.
 */
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t random_state = 88675123U;

static unsigned draw(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % limit;
}

static const char *const words[] = {"device", "data", "dev-1", "dev-12345678901", "site/x",
                                    "$SYS",   "x",    "+",     "berlin",          "a-long-level-of-a-topic"};
#define WORDS (sizeof words / sizeof *words)

static const char *const levels[] = {"device",
                                     "data",
                                     "dev-1",
                                     "dev-12345678901",
                                     "berlin",
                                     "x",
                                     "+",
                                     "+",
                                     "${username}",
                                     "${username}",
                                     "${client_id}",
                                     "${attr.site}",
                                     "pre-${username}",
                                     "${jwt.sites|any}",
                                     "${jwt.place|path}",
                                     "$SYS",
                                     "a-long-level-of-a-topic"};
#define LEVELS (sizeof levels / sizeof *levels)

static const char *const conditions[] = {
    "", "", "", "", "", "", " priority=1", " priority=2", " qos<=0", " from=10.0.0.0/8", " exact"};
#define CONDITIONS (sizeof conditions / sizeof *conditions)

#define ROLES     3
#define ROLE_TEXT 4096

static void draw_role(char *out, size_t size, const char *name)
{
    static const char *const actions[] = {"publish", "subscribe", "all", "receive", "publish,receive"};
    size_t used = (size_t)snprintf(out, size, "[role %s]\n", name);
    unsigned rules = draw(8);
    for (unsigned i = 0; i < rules; i++) {
        used +=
            (size_t)snprintf(out + used, size - used, "r%u = %s %s ", i, draw(4) ? "allow" : "deny", actions[draw(5)]);
        unsigned depth = 1 + draw(3);
        for (unsigned l = 0; l < depth; l++)
            used += (size_t)snprintf(out + used, size - used, "%s%s", l ? "/" : "", levels[draw(LEVELS)]);
        used += (size_t)snprintf(out + used, size - used, "%s%s\n", draw(4) ? "" : "/#", conditions[draw(CONDITIONS)]);
    }
}

/* A topic; '@' stands for the client's own user name. */
static void draw_topic(char *out, size_t size)
{
    unsigned depth = 1 + draw(3);
    size_t used = 0;
    for (unsigned l = 0; l < depth; l++) {
        const char *word = draw(4) ? words[draw(WORDS)] : "@";
        used += (size_t)snprintf(out + used, size - used, "%s%s%s", l ? "/" : "", draw(8) ? "" : "pre-",
                                 *word == '+' ? "x" : word);
    }
}

static void write_topic(const char *drawn, const char *client, char *out, size_t size)
{
    const char *at = strchr(drawn, '@'), *name = strstr(client, " username=");
    int length = name ? (int)strcspn(name + 10, " ") : 1;
    name = name && name[10] != '+' ? name + 10 : "x";
    if (at)
        snprintf(out, size, "%.*s%.*s%s", (int)(at - drawn), drawn, length, name, at + 1);
    else
        snprintf(out, size, "%s", drawn);
    for (char *more; (more = strchr(out, '@'));)
        *more = 'x';
}

static void draw_client(char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "roles=a:%u,b", draw(2));
    if (draw(2))
        used += (size_t)snprintf(out + used, size - used, ",c");
    if (draw(8))
        used += (size_t)snprintf(out + used, size - used, " username=%s", words[draw(WORDS)]);
    if (draw(8))
        used += (size_t)snprintf(out + used, size - used, " client_id=%s", words[draw(WORDS)]);
    if (draw(2))
        used += (size_t)snprintf(out + used, size - used, " attr.site=%s", words[draw(WORDS)]);
    if (draw(2))
        used += (size_t)snprintf(out + used, size - used, " jwt.sites=%s|%s", words[draw(WORDS)], words[draw(WORDS)]);
    if (draw(2))
        used += (size_t)snprintf(out + used, size - used, " jwt.place=%s", words[draw(WORDS)]);
    if (draw(2))
        snprintf(out + used, size - used, " address=%s", draw(2) ? "10.0.0.1" : "11.0.0.1");
}

static unsigned answered_again[3]; /* by action */

static void compare(struct acl_context *context, const struct acl_policy *policy, const struct acl_subject *subject,
                    const struct acl_policy *other, const struct acl_subject *other_subject, const char *source,
                    const char *client)
{
    struct acl_context *fresh = acl_context_new();
    struct acl_decision a, b;
    static char drawn[128];
    static enum acl_action action;
    char topic[160], x[160], y[160];
    assert_non_null(fresh);
    if (!*drawn || !draw(6)) { /* else the same, as with one message to many, or many messages of a fleet */
        draw_topic(drawn, sizeof drawn);
        action = (enum acl_action)draw(3);
    }
    write_topic(drawn, client, topic, sizeof topic);
    struct acl_request request = {.action = action, .topic = topic, .qos = (uint8_t)draw(2)};
    if (draw(2))
        request.topic_length = strlen(topic);
    struct acl_face face;
    const acl_rule_id *quick = NULL;
    acl_face_make(policy, subject, &face);
    bool again = request.action == ACL_RECEIVE   ? acl_receives_again(context, face.key, topic)
                 : request.action == ACL_PUBLISH ? (quick = acl_publishes_again(context, &face, topic)) != NULL
                                                 : false;
    acl_rule_id known = quick ? *quick : 0;
    answered_again[request.action] += again;
    acl_check(context, policy, subject, &request, &a);
    assert_true(!again || (a.verdict == ACL_ALLOW && (action != ACL_PUBLISH || known == a.rule)));
    acl_check(fresh, other, other_subject, &request, &b);
    struct acl_rule_info p, q;
    acl_rule_name(policy, subject, a.rule, x, sizeof x);
    acl_rule_name(other, other_subject, b.rule, y, sizeof y);
    acl_rule_describe(policy, subject, a.rule, &p);
    acl_rule_describe(other, other_subject, b.rule, &q);
    bool same_rule = p.allow == q.allow && p.priority == q.priority; /* of rules of one rank any may be named */
    if (a.verdict != b.verdict || a.reason != b.reason || a.coverage != b.coverage || a.flags != b.flags || !same_rule)
        fail_msg("%sclient %s, action %d, %s: %s by %s, but %s by %s", source, client, request.action, topic,
                 a.verdict == ACL_ALLOW ? "allow" : guard_reason_name(a.reason), x,
                 b.verdict == ACL_ALLOW ? "allow" : guard_reason_name(b.reason), y);
    acl_context_free(&fresh);
}

#define CLIENTS 6

struct fleet {
    char words[CLIENTS][256];
    struct acl_subject *subjects[CLIENTS];
};

static void bind_fleet(struct fleet *fleet, const struct acl_policy *policy)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        acl_subject_free(&fleet->subjects[i]);
        fleet->subjects[i] = support_subject(policy, fleet->words[i]);
        assert_non_null(fleet->subjects[i]);
    }
}

static void free_fleet(struct fleet *fleet)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        acl_subject_free(&fleet->subjects[i]);
}

static void a_warm_context_answers_like_a_new_one(void **state)
{
    (void)state;
    struct acl_context *context = acl_context_new();
    for (unsigned round = 0; round < 150; round++) {
        char source[ROLES * ROLE_TEXT] = "";
        struct fleet fleet = {0};
        for (unsigned r = 0; r < ROLES; r++) {
            char name[2] = {(char)('a' + r), '\0'};
            draw_role(source + strlen(source), ROLE_TEXT, name);
        }
        struct acl_policy *policy = support_policy(source);
        for (unsigned i = 0; i < CLIENTS; i++)
            draw_client(fleet.words[i], sizeof fleet.words[i]);
        bind_fleet(&fleet, policy);
        for (unsigned i = 0; i < 300; i++) {
            unsigned c = draw(CLIENTS);
            compare(context, policy, fleet.subjects[c], policy, fleet.subjects[c], source, fleet.words[c]);
        }
        free_fleet(&fleet);
        acl_policy_release(policy);
    }
    acl_context_free(&context);
    assert_true(answered_again[ACL_RECEIVE] > 10); /* else nothing was tried */
}

static struct acl_policy *edited(struct acl_policy *base, const char *name, const char *role_source)
{
    struct guard_policy_text text = {0};
    struct acl_policy *next = NULL;
    assert_true(support_policy_text(role_source, &text));
    struct acl_edit edit = {.text = &text, .roles = &name, .role_count = 1};
    assert_int_equal(acl_policy_edit(base, &edit, NULL, &next, NULL), GUARD_OK);
    guard_policy_text_free(&text);
    acl_policy_release(base);
    return next;
}

static void an_edited_policy_answers_like_a_compiled_one(void **state)
{
    (void)state;
    struct acl_context *context = acl_context_new();
    char roles[ROLES][ROLE_TEXT], source[ROLES * ROLE_TEXT];
    struct fleet fleet = {0}, other = {0};
    struct acl_policy *policy = support_policy("");
    for (unsigned r = 0; r < ROLES; r++)
        *roles[r] = '\0';
    for (unsigned i = 0; i < CLIENTS; i++) {
        draw_client(fleet.words[i], sizeof fleet.words[i]);
        strcpy(other.words[i], fleet.words[i]);
    }
    for (unsigned round = 0; round < 200; round++) {
        unsigned r = draw(ROLES);
        const char *const names[] = {"a", "b", "c"};
        draw_role(roles[r], ROLE_TEXT, names[r]);
        policy = edited(policy, names[r], roles[r]);
        if (round % 31 == 0) {
            struct acl_policy *compact;
            assert_int_equal(acl_policy_compact(policy, &compact), GUARD_OK);
            assert_int_equal(acl_policy_generation(compact), acl_policy_generation(policy));
            assert_int_equal(acl_policy_rule_count(compact), acl_policy_rule_count(policy));
            acl_policy_release(policy);
            policy = compact;
        }
        snprintf(source, sizeof source, "%s%s%s", roles[0], roles[1], roles[2]);
        struct acl_policy *whole = support_policy(source);
        assert_int_equal(acl_policy_rule_count(whole), acl_policy_rule_count(policy));
        if (!fleet.subjects[0] || !acl_subject_is_current(policy, fleet.subjects[0]))
            bind_fleet(&fleet, policy);
        bind_fleet(&other, whole);
        for (unsigned i = 0; i < 60; i++) {
            unsigned c = draw(CLIENTS);
            compare(context, policy, fleet.subjects[c], whole, other.subjects[c], source, fleet.words[c]);
        }
        acl_policy_release(whole);
    }
    free_fleet(&fleet);
    free_fleet(&other);
    acl_policy_release(policy);
    acl_context_free(&context);
}

#define FLEET 20

static enum acl_verdict publish(struct acl_context *context, const struct acl_policy *policy,
                                const struct acl_subject *subject, const char *topic)
{
    struct acl_request request = {.action = ACL_PUBLISH, .topic = topic};
    struct acl_decision decision;
    return acl_check(context, policy, subject, &request, &decision);
}

static void assert_faces(struct acl_context *context, const struct acl_face *faces, const char *before,
                         const char *after, bool answered)
{
    for (unsigned i = 0; i < FLEET; i++)
        for (unsigned k = 0; k < FLEET; k++) {
            char topic[96];
            snprintf(topic, sizeof topic, "%s%u%s", before, k, after);
            if ((acl_publishes_again(context, &faces[i], topic) != NULL) != (answered && i == k))
                fail_msg("client %u, %s: %s", i, topic, i == k ? "not answered" : "allowed");
        }
}

/* What some of a fleet were allowed the others are, each with its own name, and nobody with another's. */
static void a_face_is_enough_for_a_known_pattern(void **state)
{
    (void)state;
    const char *source =
        "[role d]\na = allow publish devices/${username}/data\nb = allow publish things/${client_id}/state\n"
        "c = deny publish things/${username}/x/secret\nd = allow publish things/+/x/secret\n"
        "[role other]\nz = allow publish zone/1\n";
    struct acl_policy *policy = support_policy(source);
    struct acl_context *context = acl_context_new();
    struct acl_subject *subjects[FLEET];
    struct acl_face faces[FLEET], after[FLEET];
    for (unsigned i = 0; i < FLEET; i++) {
        char who[200];
        snprintf(who, sizeof who, "username=user-%u client_id=%u-a-longer-client-id roles=d", i, i);
        subjects[i] = support_subject(policy, who);
        acl_face_make(policy, subjects[i], &faces[i]);
    }
    assert_faces(context, faces, "devices/user-", "/data", false); /* nothing is known yet */
    for (unsigned i = 0; i < FLEET; i++) {
        char topic[96];
        snprintf(topic, sizeof topic, "devices/user-%u/data", i);
        assert_int_equal(publish(context, policy, subjects[i], topic), ACL_ALLOW);
        snprintf(topic, sizeof topic, "things/%u-a-longer-client-id/state", i);
        assert_int_equal(publish(context, policy, subjects[i], topic), ACL_ALLOW);
        snprintf(topic, sizeof topic, "things/user-%u/x/secret", i);
        assert_int_equal(publish(context, policy, subjects[i], topic), ACL_DENY);
    }
    assert_faces(context, faces, "devices/user-", "/data", true);
    assert_faces(context, faces, "things/", "-a-longer-client-id/state", true);
    assert_faces(context, faces, "things/user-", "/x/secret", false);
    assert_null(acl_publishes_again(context, &faces[0], "devices//data"));
    policy = edited(policy, "other", "[role other]\nz = allow publish zone/2\n"); /* not a word about d */
    for (unsigned i = 0; i < FLEET; i++)
        acl_face_make(policy, subjects[i], &after[i]);
    assert_faces(context, after, "devices/user-", "/data", false);
    for (unsigned i = 0; i < FLEET; i++)
        acl_subject_free(&subjects[i]);
    acl_policy_release(policy);
    acl_context_free(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_warm_context_answers_like_a_new_one),
        cmocka_unit_test(an_edited_policy_answers_like_a_compiled_one),
        cmocka_unit_test(a_face_is_enough_for_a_known_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
