/*
 * Every allocation of reading, merging, editing, saving and loading a policy fails once, on purpose: what comes back is
 * an error, what was there before stays as it was, nothing leaks (the address sanitizer's build looks for that) and
 * nothing half-made is used.
 */
#include "core/clients.h"
#include "core/revocations.h"
#include "store/content.h"
#include "store/pending.h"
#include "store/policy_file.h"
#include "store/policy_merge.h"
#include "store/snapshot.h"
#include "store/update.h"
#include "tests/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static long allocations, failing; /* the failing-th allocation gives NULL; 0: none does */

static bool fails(void)
{
    return ++allocations == failing;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(memory, count, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t length)
{
    return fails() ? NULL : __real_strndup(text, length);
}

static const char file[] = "[role \"floor 2\"]\na = allow publish x\nb = deny publish y\n"
                           "[client c]\npassword = \"$7$x\"\nroles = a, \"b c\":5\nclient_id = x\nattr.s = t\n"
                           "[client d]\nroles = a\n[client c]\nattr.more = \"z\\u0041\"\n"
                           "[assign]\nq = a when anonymous\n[default]\nmode = strict\n";

/* Runs scenario with the first, second … allocation failing until it gets through; at least `least` of them did fail.
 */
static void fail_each(bool (*scenario)(void *context), void *context, long least)
{
    for (failing = 1;; failing++) {
        allocations = 0;
        bool through = scenario(context);
        if (allocations < failing)
            assert_true(through); /* nothing failed this time */
        if (allocations < failing)
            break;
    }
    assert_true(failing > least);
    failing = 0;
}

static bool read_policy(void *context)
{
    struct guard_policy_text text = {0}, merged = {0};
    struct guard_problems problems = {0};
    struct guard_buffer out = {0};
    struct guard_clients_builder *builder = NULL;
    struct guard_clients *clients = NULL;
    (void)context;
    int rc = guard_policy_file_parse("file", file, sizeof file - 1, &text, &problems);
    assert_true(rc == GUARD_OK || rc == GUARD_ERR_NOMEM);
    if (rc == GUARD_OK)
        rc = guard_policy_merge(&text, &text, &merged, &problems);
    if (rc == GUARD_OK)
        rc = guard_policy_file_write(&merged, &out, NULL);
    if (rc == GUARD_OK && out.failed)
        rc = GUARD_ERR_NOMEM;
    if (rc == GUARD_OK) {
        builder = guard_clients_builder_new(NULL);
        rc = builder ? guard_clients_builder_put_text(builder, &text, &problems) : GUARD_ERR_NOMEM;
        assert_true(rc == GUARD_OK || rc == GUARD_ERR_NOMEM);
    }
    if (rc == GUARD_OK) {
        clients = guard_clients_builder_finish(&builder);
        rc = clients ? GUARD_OK : GUARD_ERR_NOMEM;
    }
    if (rc == GUARD_OK)
        assert_int_equal(guard_clients_count(clients), 2);
    guard_clients_unref(&clients);
    guard_clients_builder_free(&builder);
    guard_buffer_free(&out);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
    guard_policy_text_free(&merged);
    return rc == GUARD_OK;
}

/* What edits work on; never changed by a scenario. */
struct held {
    struct guard_content content;
    struct guard_faults faults;
    struct guard_store_callbacks callbacks;
    struct guard_content_checks checks;
    char path[TEMPORARY_MAX + 16];
};

static struct guard_reply string(const char *text)
{
    return (struct guard_reply){.type = GUARD_REPLY_STRING, .text = text, .length = strlen(text)};
}

static int take_hash(struct guard_content_edit *edit, const char *key, const char *field, const char *value)
{
    struct guard_reply items[] = {string(field), string(value)}, *pointers[] = {&items[0], &items[1]};
    struct guard_reply hash = {.type = GUARD_REPLY_ARRAY, .items = pointers, .count = 2};
    return guard_content_edit_take(edit, key, &hash);
}

static int take_string(struct guard_content_edit *edit, const char *key, const char *value)
{
    struct guard_reply reply = string(value);
    return guard_content_edit_take(edit, key, &reply);
}

static int take_everything(struct guard_content_edit *edit, const char *mark)
{
    int rc = take_hash(edit, "role:r", "a", mark);
    rc = rc ? rc : take_hash(edit, "role:s", "a", "bad");
    rc = rc ? rc : take_hash(edit, "client:c", "attr.mark", mark);
    rc = rc ? rc : take_hash(edit, "client:bad", "pasword", mark);
    rc = rc ? rc : take_hash(edit, "assign", "x", mark);
    rc = rc ? rc : take_string(edit, "ban:ip:10.0.0.0/8", mark);
    rc = rc ? rc : take_string(edit, "ban:ip:10.0.0.1", mark);
    rc = rc ? rc : take_string(edit, "revoked:before:u", mark);
    rc = rc ? rc : take_string(edit, "jwks:i", mark);
    return rc ? rc : take_string(edit, "version", "7");
}

static int check(void *context, const struct guard_policy_line *lines, size_t count, struct guard_problems *problems)
{
    (void)context;
    for (size_t i = 0; i < count; i++)
        if (strcmp(lines[i].value, "bad") == 0) {
            guard_problems_add(problems, GUARD_PROBLEM_ERROR, lines[i].place, 0, 0, "bad");
            return GUARD_ERR_SYNTAX;
        }
    return GUARD_OK;
}

/* Edits what is held, compares, saves and loads; true if all of it went through. */
static bool change_and_save(void *context)
{
    struct held *held = context;
    struct guard_content next = {0};
    struct guard_snapshot loaded = {0};
    struct guard_snapshot_end end = {0};
    struct guard_snapshot_save before = {.content = &held->content, .saved_at = 1},
                               after = {.content = &next, .saved_at = 2};
    struct guard_content_edit edit = {0};
    struct guard_update update = {0};
    struct guard_client_view view;
    int rc = guard_content_edit_begin(&edit, failing % 2 ? &held->content : NULL, &held->content, &held->checks);
    if (rc == GUARD_OK)
        rc = take_everything(&edit, "new");
    if (rc == GUARD_OK)
        rc = guard_content_edit_finish(&edit, &next);
    if (rc == GUARD_OK)
        rc = guard_update_make(&update, &held->content, &next, false, "guard:");
    if (rc == GUARD_OK)
        rc = guard_snapshot_write(held->path, "guard:", &before, &end, NULL);
    if (rc == GUARD_OK)
        rc = guard_snapshot_append(held->path, &held->content, &after, &end, NULL);
    if (rc == GUARD_OK)
        rc = guard_snapshot_read(held->path, "guard:", &loaded, NULL);
    if (rc == GUARD_OK)
        assert_true(guard_content_same_policy(&next, &loaded.content));
    guard_content_edit_abandon(&edit);
    guard_update_free(&update);
    guard_content_free(&next);
    guard_snapshot_free(&loaded);
    assert_true(guard_clients_find(held->content.clients, "c", 1, &view));
    assert_string_equal(guard_client_attribute(&view, "mark"), "old");
    assert_string_equal(guard_revocations_find(held->content.revocations, GUARD_BANNED_ADDRESS, "10.2.3.4", 8), "old");
    return rc == GUARD_OK;
}

static bool take_pending(void *context)
{
    struct guard_reply items[] = {string("guard:role:b"), string("guard:role:a"), string("guard:role:b"), string("x")};
    struct guard_reply *pointers[] = {&items[0], &items[1], &items[2], &items[3]};
    struct guard_reply keys = {.type = GUARD_REPLY_ARRAY, .items = pointers, .count = 4};
    struct guard_pending pending = {0};
    struct guard_buffer held = {0};
    const char **list = NULL;
    size_t count = 0;
    (void)context;
    bool through = guard_pending_add(&pending, "guard:", &keys) && guard_pending_take(&pending, &held, &list, &count);
    if (through) {
        assert_int_equal(count, 2);
        assert_string_equal(list[0], "role:a");
    }
    free(list);
    guard_buffer_free(&held);
    guard_pending_free(&pending);
    return through;
}

static void policy_and_clients(void **state)
{
    (void)state;
    fail_each(read_policy, NULL, 30);
}

static void edits_and_snapshots(void **state)
{
    struct held held = {.callbacks = {.check = check}};
    char folder[TEMPORARY_MAX];
    struct guard_content_edit edit = {0};
    (void)state;
    held.checks =
        (struct guard_content_checks){.callbacks = &held.callbacks, .prefix = "guard:", .faults = &held.faults};
    assert_non_null(temporary_folder(folder, "faults"));
    snprintf(held.path, sizeof held.path, "%s/snapshot", folder);
    assert_int_equal(guard_content_edit_begin(&edit, NULL, &held.content, &held.checks), GUARD_OK);
    assert_int_equal(take_everything(&edit, "old"), GUARD_OK);
    assert_int_equal(guard_content_edit_finish(&edit, &held.content), GUARD_OK);
    fail_each(change_and_save, &held, 60);
    guard_content_free(&held.content);
    guard_faults_free(&held.faults);
    unlink(held.path);
    rmdir(folder);
}

static void pending_keys(void **state)
{
    (void)state;
    fail_each(take_pending, NULL, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(policy_and_clients), cmocka_unit_test(edits_and_snapshots),
                                       cmocka_unit_test(pending_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
