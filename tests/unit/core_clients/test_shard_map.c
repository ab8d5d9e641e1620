/* The map against a plain array of what it should hold, through thousands of random edits and snapshots. */
#include "core/shard_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 700

struct model {
    int value[KEYS]; /* -1: not in */
};

static size_t key_text(int key, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "key-%d-%.*s", key, key % 40, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

static size_t value_text(int value, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%d:%.*s", value, value % 25, "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv");
}

struct seen {
    const struct model *model;
    size_t count;
};

static bool visit(void *context, const struct guard_shard_entry *entry)
{
    struct seen *seen = context;
    char value[80];
    int key = atoi(entry->key + 4);
    seen->count++;
    assert_int_not_equal(seen->model->value[key], -1);
    assert_int_equal(entry->value_length, value_text(seen->model->value[key], value, sizeof value));
    assert_memory_equal(entry->value, value, entry->value_length);
    return true;
}

static void expect_equal(const struct guard_shard_map *map, const struct model *model)
{
    struct seen seen = {model, 0};
    size_t count = 0;
    for (int key = 0; key < KEYS; key++) {
        char text[80], value[80];
        struct guard_shard_entry entry;
        size_t length = key_text(key, text, sizeof text);
        bool found = guard_shard_map_find(map, text, length, &entry);
        assert_int_equal(found, model->value[key] >= 0);
        if (!found)
            continue;
        count++;
        assert_int_equal(entry.value_length, value_text(model->value[key], value, sizeof value));
        assert_memory_equal(entry.value, value, entry.value_length);
        assert_string_equal(entry.key, text);
    }
    assert_int_equal(guard_shard_map_count(map), count);
    guard_shard_map_each(map, visit, &seen);
    assert_int_equal(seen.count, count);
}

static void edit(struct guard_shard_builder *builder, struct model *model, int edits)
{
    while (edits--) {
        char text[80], value[80];
        int key = rand() % KEYS;
        size_t length = key_text(key, text, sizeof text);
        if (rand() % 3 == 0) {
            int rc = guard_shard_builder_remove(builder, text, length);
            assert_int_equal(rc, model->value[key] >= 0 ? GUARD_OK : GUARD_ERR_NOT_FOUND);
            model->value[key] = -1;
        } else {
            model->value[key] = rand() % 100000;
            size_t size = value_text(model->value[key], value, sizeof value);
            assert_int_equal(guard_shard_builder_put(builder, text, length, value, size), GUARD_OK);
        }
    }
}

static void random_edits(void **state)
{
    (void)state;
    struct guard_shard_map *map = NULL;
    struct model model;
    for (int i = 0; i < KEYS; i++)
        model.value[i] = -1;
    srand(7);
    for (int round = 0; round < 40; round++) {
        struct model before = model;
        struct guard_shard_builder *builder = guard_shard_builder_new(map);
        edit(builder, &model, rand() % 400);
        struct guard_shard_map *next = guard_shard_builder_finish(&builder);
        assert_non_null(next);
        assert_null(builder);
        expect_equal(next, &model);
        if (map)
            expect_equal(map, &before); /* the old snapshot never changes */
        guard_shard_map_unref(&map);
        map = next;
    }
    guard_shard_map_unref(&map);
    assert_null(map);
}

static bool count_difference(void *context, const struct guard_shard_entry *before,
                             const struct guard_shard_entry *after)
{
    (void)before;
    (void)after;
    ++*(size_t *)context;
    return true;
}

/* Puts again what the model holds: some with another value, some not at all, some that is new, some twice. */
static void put_again(struct guard_shard_builder *builder, struct model *model, int share)
{
    for (int turn = 0; turn < KEYS + KEYS / 4; turn++) {
        int key = turn < KEYS ? turn : rand() % KEYS;
        char text[80], value[80];
        size_t length = key_text(key, text, sizeof text);
        if (rand() % 100 < share)
            model->value[key] = rand() % 3 ? rand() % 100000 : -1;
        if (model->value[key] < 0) {
            guard_shard_builder_remove(builder, text, length);
            continue;
        }
        size_t size = value_text(model->value[key], value, sizeof value);
        assert_int_equal(guard_shard_builder_put(builder, text, length, value, size), GUARD_OK);
    }
}

/* The same keys read anew into a map: what was not put again is gone, what did not change is shared. */
static void refreshes(void **state)
{
    (void)state;
    struct guard_shard_map *map = NULL;
    struct model model;
    for (int i = 0; i < KEYS; i++)
        model.value[i] = -1;
    srand(11);
    for (int round = 0; round < 60; round++) {
        struct model before = model;
        struct guard_shard_builder *builder = guard_shard_builder_refresh(map);
        size_t differences = 0, expected = 0;
        put_again(builder, &model, round % 3 ? round : 0);
        struct guard_shard_map *next = guard_shard_builder_finish(&builder);
        expect_equal(next, &model);
        if (map)
            expect_equal(map, &before);
        for (int key = 0; key < KEYS; key++)
            expected += model.value[key] != before.value[key];
        guard_shard_map_diff(map, next, count_difference, &differences);
        assert_int_equal(differences, expected);
        guard_shard_map_unref(&map);
        map = next;
    }
    guard_shard_map_unref(&map);
}

static void a_refresh_forgets_and_copies_nothing(void **state)
{
    (void)state;
    struct guard_shard_builder *builder = guard_shard_builder_new(NULL);
    struct guard_shard_entry one, other;
    guard_shard_builder_put(builder, "stays", 5, "v", 1);
    guard_shard_builder_put(builder, "goes", 4, "v", 1);
    struct guard_shard_map *map = guard_shard_builder_finish(&builder);
    builder = guard_shard_builder_refresh(map);
    assert_int_equal(guard_shard_builder_put(builder, "stays", 5, "v", 1), GUARD_OK);
    struct guard_shard_map *next = guard_shard_builder_finish(&builder);
    assert_int_equal(guard_shard_map_count(next), 1);
    assert_true(guard_shard_map_find(map, "stays", 5, &one) && guard_shard_map_find(next, "stays", 5, &other));
    assert_ptr_equal(one.key, other.key);
    assert_false(guard_shard_map_find(next, "goes", 4, &other));
    guard_shard_map_unref(&map);
    builder = guard_shard_builder_refresh(next);
    map = guard_shard_builder_finish(&builder); /* nothing was put again */
    assert_int_equal(guard_shard_map_count(map), 0);
    assert_false(guard_shard_map_find(map, "stays", 5, &other));
    guard_shard_map_unref(&map);
    guard_shard_map_unref(&next);
}

static void octets(void **state)
{
    (void)state;
    struct guard_shard_builder *builder = guard_shard_builder_new(NULL);
    struct guard_shard_entry entry;
    assert_int_equal(guard_shard_builder_put(builder, "a\0b", 3, "", 0), GUARD_OK);
    assert_int_equal(guard_shard_builder_put(builder, "a", 1, "\0\0", 2), GUARD_OK);
    assert_int_equal(guard_shard_builder_put(builder, "", 0, "empty", 5), GUARD_OK);
    struct guard_shard_map *map = guard_shard_builder_finish(&builder);
    assert_int_equal(guard_shard_map_count(map), 3);
    assert_true(guard_shard_map_find(map, "a\0b", 3, &entry));
    assert_int_equal(entry.value_length, 0);
    assert_true(guard_shard_map_find(map, "a", 1, &entry));
    assert_int_equal(entry.value_length, 2);
    assert_true(guard_shard_map_find(map, "", 0, &entry));
    assert_false(guard_shard_map_find(map, "a\0c", 3, &entry));
    assert_false(guard_shard_map_find(NULL, "a", 1, &entry));
    guard_shard_map_unref(&map);
}

static void abandoned_builder(void **state)
{
    (void)state;
    struct guard_shard_builder *builder = guard_shard_builder_new(NULL);
    guard_shard_builder_put(builder, "k", 1, "v", 1);
    struct guard_shard_map *map = guard_shard_builder_finish(&builder);
    builder = guard_shard_builder_new(map);
    guard_shard_builder_put(builder, "k", 1, "other", 5);
    guard_shard_builder_free(&builder);
    struct guard_shard_entry entry;
    assert_true(guard_shard_map_find(map, "k", 1, &entry));
    assert_int_equal(entry.value_length, 1);
    guard_shard_map_unref(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_edits), cmocka_unit_test(refreshes),
                                       cmocka_unit_test(a_refresh_forgets_and_copies_nothing), cmocka_unit_test(octets),
                                       cmocka_unit_test(abandoned_builder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
