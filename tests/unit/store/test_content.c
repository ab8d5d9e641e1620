/* Replies of Redis to content: what is taken, what keeps its last good version, and what stands in for the rest. */
#include "store/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS_MAX 32

struct bench {
    struct guard_store_callbacks callbacks;
    struct guard_faults faults;
    struct guard_content_checks checks;
    struct guard_content good;
    struct guard_content_edit edit;
    size_t problems;
    char last[512];
};

/* A rule that holds "bad" does not pass. */
static int check(void *context, const struct guard_policy_line *lines, size_t count, struct guard_problems *problems)
{
    (void)context;
    for (size_t i = 0; i < count; i++)
        if (strstr(lines[i].value, "bad")) {
            guard_problems_add(problems, GUARD_PROBLEM_ERROR, lines[i].place, 0, 0, "field '%s' is bad",
                               lines[i].field);
            return GUARD_ERR_SYNTAX;
        }
    return GUARD_OK;
}

static void problem(void *context, const struct guard_problem *p)
{
    struct bench *bench = context;
    bench->problems++;
    snprintf(bench->last, sizeof bench->last, "%.200s: %.300s", p->error.place, p->error.text);
}

static int set_up(void **state)
{
    static struct bench bench;
    bench = (struct bench){.callbacks = {.context = &bench, .check = check, .problem = problem}};
    bench.checks =
        (struct guard_content_checks){.callbacks = &bench.callbacks, .prefix = "guard:", .faults = &bench.faults};
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    guard_content_edit_abandon(&bench->edit);
    guard_content_free(&bench->good);
    guard_faults_free(&bench->faults);
    return 0;
}

/* A hash: field, value, …, NULL. */
static void take_hash(struct bench *bench, const char *key, ...)
{
    struct guard_reply items[ITEMS_MAX], *pointers[ITEMS_MAX];
    struct guard_reply hash = {.type = GUARD_REPLY_ARRAY, .items = pointers};
    va_list args;
    va_start(args, key);
    for (const char *text; (text = va_arg(args, const char *)); hash.count++) {
        items[hash.count] = (struct guard_reply){.type = GUARD_REPLY_STRING, .text = text, .length = strlen(text)};
        pointers[hash.count] = &items[hash.count];
    }
    va_end(args);
    assert_int_equal(guard_content_edit_take(&bench->edit, key, &hash), GUARD_OK);
}

static void take_string(struct bench *bench, const char *key, const char *value)
{
    struct guard_reply reply = {.type = value ? GUARD_REPLY_STRING : GUARD_REPLY_NIL, .text = value};
    reply.length = value ? strlen(value) : 0;
    assert_int_equal(guard_content_edit_take(&bench->edit, key, &reply), GUARD_OK);
}

static void begin(struct bench *bench, bool anew)
{
    assert_int_equal(guard_content_edit_begin(&bench->edit, anew ? NULL : &bench->good, &bench->good, &bench->checks),
                     GUARD_OK);
}

/* Ends the edit; what it made becomes the last good content. */
static void finish(struct bench *bench)
{
    struct guard_content next = {0};
    assert_int_equal(guard_content_edit_finish(&bench->edit, &next), GUARD_OK);
    guard_content_free(&bench->good);
    bench->good = next;
}

/* The role's value of field, or NULL. */
static const char *rule(const struct bench *bench, enum guard_key_kind kind, const char *name, const char *field)
{
    char key[64];
    struct guard_shard_entry entry;
    struct guard_policy_line lines[ITEMS_MAX];
    key[0] = (char)kind;
    strcpy(key + 1, name);
    if (!guard_shard_map_find(bench->good.sections, key, strlen(name) + 1, &entry))
        return NULL;
    guard_content_section_lines(&entry, "", lines);
    for (size_t i = 0; i < guard_content_section_count(&entry); i++)
        if (strcmp(lines[i].field, field) == 0)
            return lines[i].value;
    return NULL;
}

static void everything_good(void **state)
{
    struct bench *bench = *state;
    struct guard_client_view view;
    begin(bench, true);
    take_hash(bench, "role:device", "b", "allow publish b", "a", "allow publish a", NULL);
    take_hash(bench, "client:s1", "password", "$7$x", "roles", "device:5", NULL);
    take_hash(bench, "assign", "x", "device when anonymous", NULL);
    take_hash(bench, "default", "mode", "strict", NULL);
    take_string(bench, "revoked:jti:j1", "1");
    take_string(bench, "ban:ip:10.0.0.0/8", "scanners");
    take_string(bench, "jwks:https://issuer", "{\"keys\":[]}");
    take_string(bench, "version", "42");
    take_hash(bench, "draft:role:x", "a", "bad", NULL);
    finish(bench);
    assert_int_equal(bench->problems, 0);
    assert_int_equal(bench->good.roles, 1);
    assert_int_equal(bench->good.rules, 2);
    assert_int_equal(bench->good.version, 42);
    assert_string_equal(rule(bench, GUARD_KEY_ROLE, "device", "a"), "allow publish a");
    assert_string_equal(rule(bench, GUARD_KEY_ASSIGN, "", "x"), "device when anonymous");
    assert_true(guard_clients_find(bench->good.clients, "s1", 2, &view));
    assert_string_equal(guard_revocations_find(bench->good.revocations, GUARD_BANNED_ADDRESS, "10.1.1.1", 8),
                        "scanners");
    assert_non_null(guard_revocations_find(bench->good.revocations, GUARD_REVOKED_TOKEN, "j1", 2));
    assert_false(guard_content_is_empty(&bench->good));
}

static void bad_role_keeps_its_last_good_version(void **state)
{
    struct bench *bench = *state;
    begin(bench, true);
    take_hash(bench, "role:r", "a", "deny publish x", NULL);
    finish(bench);
    begin(bench, false);
    take_hash(bench, "role:r", "a", "deny publish y", "z", "bad", NULL);
    finish(bench);
    assert_string_equal(rule(bench, GUARD_KEY_ROLE, "r", "a"), "deny publish x");
    assert_null(rule(bench, GUARD_KEY_ROLE, "r", "z"));
    assert_int_equal(bench->faults.count, 1);
    assert_non_null(strstr(bench->last, "guard:role:r"));
    size_t told = bench->problems;
    begin(bench, true); /* read anew, still bad: not told again */
    take_hash(bench, "role:r", "a", "deny publish y", "z", "bad", NULL);
    finish(bench);
    assert_int_equal(bench->problems, told);
    assert_string_equal(rule(bench, GUARD_KEY_ROLE, "r", "a"), "deny publish x");
    begin(bench, false);
    take_hash(bench, "role:r", "a", "deny publish y", NULL);
    finish(bench);
    assert_string_equal(rule(bench, GUARD_KEY_ROLE, "r", "a"), "deny publish y");
    assert_int_equal(bench->faults.count, 0);
}

static void role_that_never_was_good_denies_everything(void **state)
{
    struct bench *bench = *state;
    begin(bench, true);
    take_hash(bench, "role:r", "a", "allow publish x", "b", "bad", NULL);
    finish(bench);
    assert_null(rule(bench, GUARD_KEY_ROLE, "r", "a"));
    assert_string_equal(rule(bench, GUARD_KEY_ROLE, "r", "unreadable"), "deny all ** priority=1000000000");
    assert_int_equal(bench->good.rules, 1);
}

static void bad_client_is_kept_or_disabled(void **state)
{
    struct bench *bench = *state;
    struct guard_client_view view;
    begin(bench, true);
    take_hash(bench, "client:old", "password", "$7$x", NULL);
    take_hash(bench, "client:new", "pasword", "$7$x", NULL);
    finish(bench);
    assert_true(guard_clients_find(bench->good.clients, "new", 3, &view) && view.disabled);
    begin(bench, true);
    take_hash(bench, "client:old", "password", "$7$x", "roles", "a b", NULL);
    take_hash(bench, "client:new", "password", "$7$y", NULL);
    finish(bench);
    assert_true(guard_clients_find(bench->good.clients, "old", 3, &view) && !view.disabled);
    assert_string_equal(view.password, "$7$x");
    assert_true(guard_clients_find(bench->good.clients, "new", 3, &view) && !view.disabled);
}

static void assignments_that_never_were_good_stop_the_policy(void **state)
{
    struct bench *bench = *state;
    begin(bench, true);
    take_hash(bench, "assign", "x", "bad", NULL);
    take_hash(bench, "default", "mode", "strict", NULL);
    finish(bench);
    assert_int_not_equal(bench->good.incomplete, 0);
    begin(bench, false);
    take_hash(bench, "assign", "x", "fine", NULL);
    finish(bench);
    assert_int_equal(bench->good.incomplete, 0);
    begin(bench, false);
    take_hash(bench, "assign", "x", "bad", NULL);
    finish(bench);
    assert_int_equal(bench->good.incomplete, 0);
    assert_string_equal(rule(bench, GUARD_KEY_ASSIGN, "", "x"), "fine");
}

static void a_bad_first_assignment_stops_nothing_else(void **state)
{
    struct bench *bench = *state;
    begin(bench, true);
    take_hash(bench, "role:device", "r", "fine", NULL);
    finish(bench);
    begin(bench, false);
    take_hash(bench, "assign", "x", "bad", NULL);
    take_hash(bench, "role:other", "r", "fine", NULL);
    finish(bench);
    assert_int_equal(bench->good.incomplete, 0);
    assert_string_equal(rule(bench, GUARD_KEY_ROLE, "other", "r"), "fine");
    assert_null(rule(bench, GUARD_KEY_ASSIGN, "", "x"));
}

static void things_go_away(void **state)
{
    struct bench *bench = *state;
    struct guard_client_view view;
    begin(bench, true);
    take_hash(bench, "role:r", "a", "allow publish x", NULL);
    take_hash(bench, "client:c", "roles", "r", NULL);
    take_string(bench, "ban:user:u", "");
    take_string(bench, "jwks:i", "{}");
    finish(bench);
    begin(bench, false);
    take_hash(bench, "role:r", NULL);
    take_hash(bench, "client:c", NULL);
    take_string(bench, "ban:user:u", NULL);
    take_string(bench, "jwks:i", NULL);
    take_string(bench, "version", NULL);
    finish(bench);
    assert_true(guard_content_is_empty(&bench->good));
    assert_int_equal(bench->good.roles, 0);
    assert_int_equal(bench->good.rules, 0);
    assert_false(guard_clients_find(bench->good.clients, "c", 1, &view));
    assert_int_equal(guard_revocations_count(bench->good.revocations), 0);
    assert_int_equal(guard_shard_map_count(bench->good.sections), 0);
}

static void wrong_types_and_texts(void **state)
{
    struct bench *bench = *state;
    struct guard_reply wrong = {.type = GUARD_REPLY_ERROR, .text = "WRONGTYPE x", .length = 11};
    begin(bench, true);
    assert_int_equal(guard_content_edit_take(&bench->edit, "role:r", &wrong), GUARD_OK);
    assert_int_equal(guard_content_edit_take(&bench->edit, "client:c", &wrong), GUARD_OK);
    assert_int_equal(guard_content_edit_take(&bench->edit, "ban:ip:10.0.0.1", &wrong), GUARD_OK);
    assert_int_equal(guard_content_edit_take(&bench->edit, "revoked:before:u", &wrong), GUARD_OK);
    take_hash(bench, "role:s", "a", "allow\npublish x", NULL);
    take_hash(bench, "role:a]b", "a", "allow publish x", NULL);
    take_hash(bench, "client:\xff", "roles", "a", NULL);
    take_string(bench, "version", "12x");
    take_string(bench, "ban:ip:nowhere", "");
    finish(bench);
    assert_string_equal(rule(bench, GUARD_KEY_ROLE, "r", "unreadable"), "deny all ** priority=1000000000");
    assert_string_equal(rule(bench, GUARD_KEY_ROLE, "s", "unreadable"), "deny all ** priority=1000000000");
    assert_int_equal(bench->good.roles, 2); /* a]b is ignored */
    assert_non_null(guard_revocations_find(bench->good.revocations, GUARD_BANNED_ADDRESS, "10.0.0.1", 8));
    assert_true(guard_revoked_before(bench->good.revocations, "u", 1, 4000000000));
    assert_int_equal(guard_revocations_count(bench->good.revocations), 2);
    assert_int_equal(bench->good.version, 0);
    assert_int_equal(bench->faults.count, 8);
}

static void same_policy(void **state)
{
    struct bench *bench = *state;
    struct guard_content first;
    begin(bench, true);
    take_hash(bench, "role:r", "a", "allow publish x", "b", "allow publish y", NULL);
    take_hash(bench, "client:c", "roles", "r", NULL);
    finish(bench);
    guard_content_copy(&first, &bench->good);
    begin(bench, true);
    take_hash(bench, "role:r", "b", "allow publish y", "a", "allow publish x", NULL); /* another order */
    take_hash(bench, "client:c", "roles", "r", NULL);
    take_string(bench, "version", "7");
    finish(bench);
    assert_true(guard_content_same_policy(&first, &bench->good));
    begin(bench, false);
    take_hash(bench, "client:c", "roles", "s", NULL);
    finish(bench);
    assert_false(guard_content_same_policy(&first, &bench->good));
    guard_content_free(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_good, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_role_keeps_its_last_good_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(role_that_never_was_good_denies_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_client_is_kept_or_disabled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(assignments_that_never_were_good_stop_the_policy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_first_assignment_stops_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(things_go_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_types_and_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(same_policy, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
