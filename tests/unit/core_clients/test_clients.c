#include "core/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void add(struct guard_policy_text *text, const char *name, const char *field, const char *value)
{
    struct guard_policy_line line = {.section = GUARD_SECTION_CLIENT,
                                     .name = name,
                                     .field = field,
                                     .value = value,
                                     .place = "policy.conf",
                                     .line = (unsigned)text->count + 1,
                                     .column = 20};
    assert_int_equal(guard_policy_text_add(text, &line), GUARD_OK);
}

static struct guard_clients *build(const struct guard_policy_text *text, struct guard_problems *problems, int expected)
{
    struct guard_clients_builder *builder = guard_clients_builder_new(NULL);
    assert_int_equal(guard_clients_builder_put_text(builder, text, problems), expected);
    return guard_clients_builder_finish(&builder);
}

static void one_record(void **state)
{
    (void)state;
    struct guard_policy_text text = {0};
    struct guard_client_view view;
    const char *cursor = NULL, *name, *value;
    int32_t priority;
    add(&text, "sensor-7", "password", "$7$101$c2FsdA==$aGFzaA==");
    add(&text, "other", "roles", "x");
    add(&text, "sensor-7", "roles", "device, \"floor 2\":-5"); /* a continued section */
    add(&text, "sensor-7", "client_id", "sensor-7, sensor-7b");
    add(&text, "sensor-7", "attr.site", "berlin");
    add(&text, "sensor-7", "attr.note", "");
    struct guard_clients *clients = build(&text, NULL, GUARD_OK);
    assert_int_equal(guard_clients_count(clients), 2);
    assert_true(guard_clients_find(clients, "sensor-7", 8, &view));
    assert_string_equal(view.username, "sensor-7");
    assert_string_equal(view.password, "$7$101$c2FsdA==$aGFzaA==");
    assert_false(view.disabled);
    assert_int_equal(view.role_count, 2);
    assert_true(guard_client_next_role(&view, &cursor, &name, &priority));
    assert_string_equal(name, "device");
    assert_int_equal(priority, 0);
    assert_true(guard_client_next_role(&view, &cursor, &name, &priority));
    assert_string_equal(name, "floor 2");
    assert_int_equal(priority, -5);
    assert_false(guard_client_next_role(&view, &cursor, &name, &priority));
    assert_true(guard_client_allows_id(&view, "sensor-7b", 9));
    assert_false(guard_client_allows_id(&view, "sensor-7", 7));
    assert_false(guard_client_allows_id(&view, "sensor-8", 8));
    assert_string_equal(guard_client_attribute(&view, "site"), "berlin");
    assert_string_equal(guard_client_attribute(&view, "note"), "");
    assert_null(guard_client_attribute(&view, "nothing"));
    cursor = NULL;
    assert_true(guard_client_next_attribute(&view, &cursor, &name, &value));
    assert_string_equal(name, "site");
    assert_true(guard_clients_find(clients, "other", 5, &view));
    assert_null(view.password);
    assert_true(guard_client_allows_id(&view, "anything", 8));
    assert_false(guard_clients_find(clients, "sensor-7", 7, &view));
    assert_false(guard_clients_find(NULL, "sensor-7", 8, &view));
    guard_clients_unref(&clients);
    guard_policy_text_free(&text);
}

struct fault {
    const char *field, *value, *says;
    unsigned column;
};

static const struct fault faults[] = {
    {"pasword", "$7$x", "did you mean 'password'", 20},
    {"role", "device", "did you mean 'roles'", 20},
    {"atr.site", "x", "attr.NAME", 20},
    {"attr.", "x", "expected a name", 20},
    {"password", "", "password hash", 20},
    {"password", "two words", "password hash", 20},
    {"roles", "device,", "expected a name", 27},
    {"roles", "a, b, a", "named twice", 20},
    {"client_id", "", "client ids", 20},
    {"disabled", "maybe", "yes or no", 20},
    {"attr.x", "\xff", "UTF-8", 20},
};

static void faulty_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct guard_policy_text text = {0};
        struct guard_problems problems = {0};
        struct guard_client_view view;
        add(&text, "good", "roles", "device");
        add(&text, "bad", faults[i].field, faults[i].value);
        struct guard_clients *clients = build(&text, &problems, GUARD_ERR_INVALID);
        assert_int_equal(problems.errors, 1);
        const struct guard_error *error = &problems.items[0].error;
        if (!strstr(error->text, faults[i].says) || error->column != faults[i].column || error->line != 2)
            fail_msg("%s = %s: %u:%u %s", faults[i].field, faults[i].value, error->line, error->column, error->text);
        assert_true(guard_clients_find(clients, "good", 4, &view));
        assert_false(guard_clients_find(clients, "bad", 3, &view));
        guard_clients_unref(&clients);
        guard_problems_free(&problems);
        guard_policy_text_free(&text);
    }
}

static void doubled_fields(void **state)
{
    (void)state;
    static const char *const fields[][2] = {
        {"password", "$7$a"}, {"roles", "a"}, {"client_id", "a"}, {"disabled", "no"}, {"attr.x", "1"}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct guard_policy_text text = {0};
        struct guard_problems problems = {0};
        add(&text, "c", fields[i][0], fields[i][1]);
        add(&text, "c", fields[i][0], fields[i][1]);
        struct guard_clients *clients = build(&text, &problems, GUARD_ERR_INVALID);
        assert_int_equal(problems.errors, 1);
        assert_non_null(strstr(problems.items[0].error.text, "twice"));
        guard_clients_unref(&clients);
        guard_problems_free(&problems);
        guard_policy_text_free(&text);
    }
}

static void edits_leave_old_snapshots_alone(void **state)
{
    (void)state;
    struct guard_policy_text text = {0};
    struct guard_client_view view;
    bool failed = false;
    add(&text, "a", "roles", "one");
    add(&text, "b", "roles", "one");
    struct guard_clients *before = build(&text, NULL, GUARD_OK);
    struct guard_clients_builder *builder = guard_clients_builder_new(before);
    assert_true(guard_clients_builder_remove(builder, "a", &failed));
    assert_false(guard_clients_builder_remove(builder, "a", &failed));
    assert_false(failed);
    assert_int_equal(guard_clients_builder_put_disabled(builder, "b"), GUARD_OK);
    struct guard_clients *after = guard_clients_builder_finish(&builder);
    assert_true(guard_clients_find(before, "a", 1, &view));
    assert_true(guard_clients_find(before, "b", 1, &view) && !view.disabled && view.role_count == 1);
    assert_false(guard_clients_find(after, "a", 1, &view));
    assert_true(guard_clients_find(after, "b", 1, &view) && view.disabled && view.role_count == 0 && !view.password);
    guard_clients_unref(&before);
    assert_true(guard_clients_find(after, "b", 1, &view));
    guard_clients_unref(&after);
    guard_policy_text_free(&text);
}

static void writes_back(void **state)
{
    (void)state;
    struct guard_policy_text text = {0}, again = {0};
    struct guard_client_view view;
    add(&text, "c", "password", "$7$x");
    add(&text, "c", "roles", "plain, \"with space\":3, \"user:5\", \"a,b\":-1");
    add(&text, "c", "client_id", "\"x;y\", z");
    add(&text, "c", "disabled", "yes");
    add(&text, "c", "attr.k", " outer ");
    struct guard_clients *clients = build(&text, NULL, GUARD_OK);
    assert_true(guard_clients_find(clients, "c", 1, &view));
    assert_int_equal(guard_client_to_text(&view, "", &again), GUARD_OK);
    assert_int_equal(again.count, text.count);
    for (size_t i = 0; i < text.count; i++) {
        assert_string_equal(again.lines[i].field, text.lines[i].field);
        assert_string_equal(again.lines[i].value, text.lines[i].value);
    }
    guard_clients_unref(&clients);
    guard_policy_text_free(&text);
    guard_policy_text_free(&again);
}

/* policy: at most 300 bytes a record with a typical $7$ hash, at any size from some thousands on. */
static void memory_of_many(void **state)
{
    (void)state;
    const unsigned count = 200000;
    struct guard_clients_builder *builder = guard_clients_builder_new(NULL);
    struct guard_client_view view;
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "sensor-%07u", i);
        struct guard_policy_line lines[] = {
            {.section = GUARD_SECTION_CLIENT,
             .name = name,
             .place = "",
             .field = "password",
             .value =
                 "$7$1000$mo5OdkcX8yAfhJsXzk0VoMs5+vv0bqA5GXbCmyCBvdGg9aUQmLVp8bmcVq3/2z9N9oOl4DzPSkk8Pzkjq+ZTxw==$"
                 "LkOfjj+2EQQ1EweVYM22OZx9sM9V466Ua3pUG0HcJ4C8t+LRuXSuuZJqNpyoe1fmuzkz3lmjjRPXJYd9Rz33Jw=="},
            {.section = GUARD_SECTION_CLIENT, .name = name, .place = "", .field = "roles", .value = "device, floor2:5"},
            {.section = GUARD_SECTION_CLIENT, .name = name, .place = "", .field = "attr.site", .value = "berlin"}};
        assert_int_equal(guard_clients_builder_put(builder, lines, 3, NULL), GUARD_OK);
    }
    struct guard_clients *clients = guard_clients_builder_finish(&builder);
    assert_int_equal(guard_clients_count(clients), count);
    assert_true(guard_clients_find(clients, "sensor-0123456", 14, &view));
    assert_true(guard_clients_memory(clients) / count <= 300);
    print_message("%zu bytes a record\n", guard_clients_memory(clients) / count);
    guard_clients_unref(&clients);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_record),
        cmocka_unit_test(faulty_fields),
        cmocka_unit_test(doubled_fields),
        cmocka_unit_test(writes_back),
        cmocka_unit_test(edits_leave_old_snapshots_alone),
        cmocka_unit_test(memory_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
