/* plugin/session.c: the table against a plain model, pointers that come back, the expiry heap. */
#include "broker_double.h"
#include "core/error.h"
#include "plugin/session.h"
#include "plugin/session_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct guard_session *put(struct guard_sessions *sessions, struct mosquitto *client)
{
    struct guard_identity *identity = guard_identity_new();
    assert_non_null(identity);
    struct guard_session *session = guard_sessions_put(sessions, client, client->id, client->username, identity);
    assert_non_null(session);
    session->state = SESSION_ONLINE;
    return session;
}

static void a_reused_pointer_is_another_client(void **state)
{
    (void)state;
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    struct mosquitto client = {"one", "alice", 0};
    struct guard_session *one = put(sessions, &client);
    assert_ptr_equal(guard_sessions_find(sessions, &client), one);
    client.id = "two";
    assert_null(guard_sessions_find(sessions, &client));
    assert_ptr_equal(guard_sessions_peek(sessions, &client), one);
    struct guard_session *two = put(sessions, &client);
    assert_ptr_equal(guard_sessions_find(sessions, &client), two);
    assert_null(guard_sessions_by_id(sessions, "one"));
    guard_sessions_free(&sessions);
    assert_null(sessions);
}

static void an_offline_entry_needs_the_same_user(void **state)
{
    (void)state;
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    struct mosquitto client = {"id", "alice", 0};
    struct guard_session *session = put(sessions, &client);
    session->state = SESSION_OFFLINE;
    assert_ptr_equal(guard_sessions_find(sessions, &client), session);
    client.username = "mallory";
    assert_null(guard_sessions_find(sessions, &client));
    client.username = NULL;
    assert_null(guard_sessions_find(sessions, &client));
    client.id = NULL;
    assert_null(guard_sessions_find(sessions, &client));
    guard_sessions_free(&sessions);
}

static void count_one(void *context, struct guard_session *session)
{
    (void)session;
    ++*(int *)context;
}

static int of_user(const struct guard_sessions *sessions, const char *username)
{
    int count = 0;
    guard_sessions_of_user(sessions, username, count_one, &count);
    return count;
}

static void a_name_that_is_known_later(void **state)
{
    (void)state;
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    struct mosquitto client = {"id", NULL, 0}, other = {"other", "alice", 0};
    put(sessions, &other);
    struct guard_session *session = put(sessions, &client);
    session->state = SESSION_WAITING;
    session->offer = calloc(1, sizeof *session->offer);
    assert_non_null(session->offer);
    session->offer->username = strdup("typed");
    assert_int_equal(of_user(sessions, "typed"), 0);
    assert_int_equal(guard_sessions_rename(sessions, session, "alice"), GUARD_OK);
    guard_offer_free(&session->offer);
    assert_null(session->offer);
    assert_int_equal(of_user(sessions, "alice"), 2);
    assert_null(guard_sessions_find(sessions, &client)); /* the broker does not know it yet */
    client.username = "alice";
    assert_ptr_equal(guard_sessions_find(sessions, &client), session);
    assert_int_equal(guard_sessions_rename(sessions, session, "bob"), GUARD_OK);
    assert_int_equal(of_user(sessions, "alice"), 1);
    assert_int_equal(of_user(sessions, "bob"), 1);
    guard_sessions_free(&sessions);
}

static void two_clients_of_one_id_during_a_takeover(void **state)
{
    (void)state;
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    struct mosquitto old = {"id", "alice", 0}, new = {"id", "alice", 0};
    struct guard_session *first = put(sessions, &old), *second = put(sessions, &new);
    assert_ptr_equal(guard_sessions_by_id(sessions, "id"), second);
    assert_ptr_equal(guard_sessions_find(sessions, &old), first);
    guard_sessions_remove(sessions, &old);
    assert_ptr_equal(guard_sessions_by_id(sessions, "id"), second);
    guard_sessions_remove(sessions, &new);
    assert_null(guard_sessions_by_id(sessions, "id"));
    guard_sessions_free(&sessions);
}

/* A log-in that waits for its worker stands before the connection whose id it uses. */
static void a_connected_owner_is_found_behind_others(void **state)
{
    (void)state;
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    struct mosquitto owner = {"id", "alice", 0}, waiting = {"id", "mallory", 0}, gone = {"id", "alice", 0};
    struct guard_session *session = put(sessions, &owner);
    put(sessions, &gone)->state = SESSION_OFFLINE;
    put(sessions, &waiting)->state = SESSION_WAITING;
    assert_ptr_equal(guard_sessions_connected(sessions, "id", &waiting), session);
    assert_ptr_equal(guard_sessions_connected(sessions, "id", NULL), session);
    assert_null(guard_sessions_connected(sessions, "id", &owner));
    assert_null(guard_sessions_connected(sessions, "other", NULL));
    session->state = SESSION_PENDING;
    assert_ptr_equal(guard_sessions_connected(sessions, "id", &waiting), session);
    guard_sessions_free(&sessions);
}

#define WALKED 2000

/* Clients come and go while a walk goes on, so that entries move in the table: it meets all that were there. */
static void a_walk_meets_everybody_once(void **state)
{
    (void)state;
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    static struct mosquitto clients[2 * WALKED];
    unsigned met[2 * WALKED] = {0}, seed = 11;
    bool removed[WALKED] = {0};
    struct guard_session *session;
    for (size_t i = 0; i < WALKED; i++) {
        clients[i] = (struct mosquitto){"id", "u", 0};
        put(sessions, &clients[i]);
    }
    size_t newest = WALKED;
    guard_sessions_walk_begin(sessions);
    while ((session = guard_sessions_walk_next(sessions))) {
        met[(struct mosquitto *)session->client - clients]++;
        seed = seed * 1103515245 + 12345;
        size_t gone = (seed >> 8) % WALKED;
        if (seed >> 31) { /* also the next one of the walk, now and then */
            guard_sessions_remove(sessions, &clients[gone]);
            removed[gone] = true;
        }
        if (newest < 2 * WALKED) {
            clients[newest] = (struct mosquitto){"id", "u", 0};
            put(sessions, &clients[newest++]);
        }
    }
    for (size_t i = 0; i < WALKED; i++)
        assert_true(met[i] == 1 || (removed[i] && met[i] == 0));
    for (size_t i = WALKED; i < newest; i++)
        assert_int_equal(met[i], 0);
    guard_sessions_free(&sessions);
}

#define FLEET 5000
#define STEPS 60000

/* Random puts, removals and look-ups, against an array. */
static void the_table_agrees_with_a_model(void **state)
{
    (void)state;
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    struct mosquitto *clients = calloc(FLEET, sizeof *clients);
    char(*ids)[16] = calloc(FLEET, sizeof *ids);
    bool *there = calloc(FLEET, sizeof *there);
    unsigned seed = 7;
    for (size_t i = 0; i < FLEET; i++) {
        snprintf(ids[i], sizeof ids[i], "c%zu", i);
        clients[i] = (struct mosquitto){ids[i], "u", 0};
    }
    for (size_t step = 0; step < STEPS; step++) {
        seed = seed * 1103515245 + 12345;
        size_t i = (seed >> 8) % FLEET;
        if (seed >> 28 < 9) {
            put(sessions, &clients[i]);
            there[i] = true;
        } else {
            guard_sessions_remove(sessions, &clients[i]);
            there[i] = false;
        }
        size_t j = (seed >> 4) % FLEET;
        assert_int_equal(guard_sessions_find(sessions, &clients[j]) != NULL, there[j]);
        assert_int_equal(guard_sessions_by_id(sessions, ids[j]) != NULL, there[j]);
    }
    guard_sessions_free(&sessions);
    free(there);
    free(ids);
    free(clients);
}

static void sessions_expire_in_order(void **state)
{
    (void)state;
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    static struct mosquitto clients[300];
    static char ids[300][8];
    unsigned seed = 3;
    size_t alive = 0;
    for (size_t i = 0; i < 300; i++) {
        seed = seed * 1103515245 + 12345;
        snprintf(ids[i], sizeof ids[i], "%zu", i);
        clients[i] = (struct mosquitto){ids[i], NULL, 0};
        struct guard_session *session = put(sessions, &clients[i]);
        assert_int_equal(guard_sessions_set_end(sessions, session, (int64_t)(seed >> 16) % 1000), 0);
        if (i % 3 == 0) /* renewed */
            assert_int_equal(guard_sessions_set_end(sessions, session, (int64_t)(seed >> 20) % 1000), 0);
        if (i % 7 == 0)
            assert_int_equal(guard_sessions_set_end(sessions, session, GUARD_NEVER), 0);
        else
            alive++;
        if (i % 11 == 0) {
            alive -= i % 7 != 0;
            guard_sessions_remove(sessions, &clients[i]);
        }
    }
    int64_t last = -1;
    size_t seen = 0;
    for (int64_t now = 0; now <= 1000; now += 10) {
        struct guard_session *session;
        while ((session = guard_sessions_expired(sessions, now))) {
            assert_true(session->ends_at <= now && session->ends_at >= last);
            last = session->ends_at;
            seen++;
        }
    }
    assert_int_equal(seen, alive);
    guard_sessions_free(&sessions);
}

/* ---- the quick look-up ---- */

static struct acl_policy *policy_of_nothing(void)
{
    struct guard_policy_text text = {0};
    struct acl_policy *policy = NULL;
    assert_int_equal(acl_policy_compile(&text, NULL, &policy, NULL), GUARD_OK);
    return policy;
}

static struct acl_subject *subject_of(const struct acl_policy *policy, const char *name)
{
    struct acl_bind bind = {.username = name, .client_id = name};
    struct acl_subject *subject = NULL;
    assert_int_equal(acl_subject_bind(policy, &bind, &subject, NULL), GUARD_OK);
    return subject;
}

/* Fails unless the quick look-up finds the client, with what its session says, only if it should. */
static void assert_quick(struct guard_sessions *sessions, const struct mosquitto *client, bool expected)
{
    const struct slot *slot = guard_sessions_quick(sessions, client);
    assert_int_equal(slot != NULL, expected);
    if (slot) {
        assert_ptr_equal(slot->session->client, client);
        assert_ptr_equal(slot->session->slot, slot);
        assert_non_null(slot->session->subject);
        assert_true(slot->ends_at == slot->session->ends_at);
    }
}

static void assert_quick_again(struct guard_sessions *sessions, const struct mosquitto *client)
{
    assert_quick(sessions, client, false);
    assert_non_null(guard_sessions_find(sessions, client));
    assert_quick(sessions, client, true);
}

static void what_changes_a_session_ends_its_quick_answers(void **state)
{
    (void)state;
    struct acl_policy *policy = policy_of_nothing(), *next = policy_of_nothing();
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    struct mosquitto client = {"id", "alice", 0};
    struct guard_session *session = put(sessions, &client);
    guard_session_bind(session, subject_of(policy, "alice"), 1);
    guard_sessions_find(sessions, &client);
    assert_quick(sessions, &client, false); /* there is no policy to be quick for */
    guard_sessions_set_quick(sessions, true);
    guard_sessions_set_policy(sessions, policy);
    assert_quick_again(sessions, &client);
    guard_sessions_turn(sessions);
    assert_quick_again(sessions, &client);
    guard_sessions_doubt(sessions, &client);
    assert_quick_again(sessions, &client);
    guard_sessions_set_end(sessions, session, 17);
    assert_quick_again(sessions, &client);
    assert_true(session->slot->ends_at == 17);
    guard_session_bind(session, subject_of(policy, "bob"), 2);
    assert_quick_again(sessions, &client);
    uint64_t key = session->slot->face.key;
    guard_sessions_set_policy(sessions, next);
    assert_quick_again(sessions, &client);
    assert_true(session->slot->face.key != key);
    guard_sessions_end(sessions, session);
    assert_quick_again(sessions, &client);
    assert_true(session->slot->ends_at == 0);
    guard_session_bind(session, NULL, 0);
    guard_sessions_find(sessions, &client);
    assert_quick(sessions, &client, false);
    guard_sessions_free(&sessions);
    acl_policy_release(policy);
    acl_policy_release(next);
}

/* After four thousand million turns a slot that was verified in the first ones is not good again. */
static void a_turn_never_comes_back(void **state)
{
    (void)state;
    struct acl_policy *policy = policy_of_nothing();
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    struct mosquitto client = {"id", "alice", 0};
    guard_session_bind(put(sessions, &client), subject_of(policy, "alice"), 1);
    guard_sessions_set_quick(sessions, true);
    guard_sessions_set_policy(sessions, policy);
    assert_quick_again(sessions, &client);
    uint32_t verified = sessions->turn;
    sessions->turn = UINT32_MAX;
    for (uint32_t turns = 0; sessions->turn != verified; turns++) {
        assert_true(turns < 16);
        guard_sessions_turn(sessions);
        assert_quick(sessions, &client, false);
    }
    guard_sessions_free(&sessions);
    acl_policy_release(policy);
}

/* Only a guess, but never one beyond the table: whatever comes, goes and is moved meanwhile. */
static void who_publishes_next_is_guessed(void **state)
{
    (void)state;
    enum { CLIENTS = 1000 };
    static struct mosquitto clients[CLIENTS];
    static char ids[CLIENTS][16];
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(ids[i], sizeof ids[i], "id-%d", i);
        clients[i] = (struct mosquitto){ids[i], "alice", 0};
        guard_expect_next(sessions, put(sessions, &clients[i])->slot);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < CLIENTS; i++)
            guard_expect_next(sessions, guard_sessions_find(sessions, &clients[i])->slot);
    for (int i = 0; i + 1 < CLIENTS; i++)
        assert_ptr_equal(&sessions->slots[guard_sessions_find(sessions, &clients[i])->slot->next],
                         guard_sessions_find(sessions, &clients[i + 1])->slot);
    for (int i = 0; i < CLIENTS; i += 2)
        guard_sessions_remove(sessions, &clients[i]);
    for (int i = 1; i < CLIENTS; i += 2) {
        assert_true(guard_sessions_find(sessions, &clients[i])->slot->next <= sessions->mask);
        guard_expect_next(sessions, guard_sessions_find(sessions, &clients[i])->slot);
    }
    guard_sessions_free(&sessions);
}

static void a_counter_that_is_full_is_carried(void **state)
{
    (void)state;
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    struct mosquitto client = {"id", "alice", 0};
    struct guard_session *session = put(sessions, &client);
    session->slot->messages_in = UINT32_MAX;
    guard_count_message_in(session->slot);
    guard_count_message_in(session->slot);
    assert_true(guard_session_messages_in(session) == (UINT64_C(1) << 32) + 1);
    guard_sessions_free(&sessions);
}

/* While others come and go, and entries move in the table, each stays quick, with the messages that were counted. */
static void a_quick_answer_moves_with_its_entry(void **state)
{
    (void)state;
    struct acl_policy *policy = policy_of_nothing();
    struct guard_sessions *sessions = guard_sessions_new(NULL);
    static struct mosquitto clients[3 * WALKED];
    guard_sessions_set_quick(sessions, true);
    guard_sessions_set_policy(sessions, policy);
    for (size_t i = 0; i < 3 * WALKED; i++) {
        clients[i] = (struct mosquitto){"id", "u", 0};
        struct guard_session *session = put(sessions, &clients[i]);
        guard_session_bind(session, subject_of(policy, "u"), 1);
        guard_sessions_find(sessions, &clients[i]);
        session->slot->messages_in = (uint32_t)i;
    }
    for (size_t i = 0; i < 3 * WALKED; i += 3)
        guard_sessions_remove(sessions, &clients[i]);
    for (size_t i = 0; i < 3 * WALKED; i++) {
        assert_quick(sessions, &clients[i], i % 3 != 0);
        if (i % 3)
            assert_true(guard_session_messages_in(guard_sessions_find(sessions, &clients[i])) == i);
    }
    guard_sessions_free(&sessions);
    acl_policy_release(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reused_pointer_is_another_client),
        cmocka_unit_test(an_offline_entry_needs_the_same_user),
        cmocka_unit_test(a_name_that_is_known_later),
        cmocka_unit_test(two_clients_of_one_id_during_a_takeover),
        cmocka_unit_test(a_connected_owner_is_found_behind_others),
        cmocka_unit_test(a_walk_meets_everybody_once),
        cmocka_unit_test(the_table_agrees_with_a_model),
        cmocka_unit_test(sessions_expire_in_order),
        cmocka_unit_test(what_changes_a_session_ends_its_quick_answers),
        cmocka_unit_test(a_quick_answer_moves_with_its_entry),
        cmocka_unit_test(a_turn_never_comes_back),
        cmocka_unit_test(who_publishes_next_is_guessed),
        cmocka_unit_test(a_counter_that_is_full_is_carried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
