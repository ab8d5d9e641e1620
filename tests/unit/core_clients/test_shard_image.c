/* A map written as octets and used where they lie: the same map; and whatever the octets are, no memory but theirs. */
#include "core/buffer.h"
#include "core/clients.h"
#include "core/shard_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 300

static int put(void *context, const void *bytes, size_t length)
{
    struct guard_buffer *buffer = context;
    guard_buffer_append(buffer, bytes, length);
    return buffer->failed ? GUARD_ERR_NOMEM : GUARD_OK;
}

static int put_some(void *context, const void *bytes, size_t length)
{
    size_t *left = context;
    (void)bytes;
    if (length > *left)
        return GUARD_ERR_IO;
    *left -= length;
    return GUARD_OK;
}

static struct guard_slab *slab_of(const struct guard_buffer *image, size_t length)
{
    struct guard_slab *slab = guard_slab_new(length, true);
    assert_non_null(slab);
    memcpy(slab->bytes, image->data, length);
    return slab;
}

static struct guard_shard_map *make(int keys)
{
    struct guard_shard_builder *builder = guard_shard_builder_new(NULL);
    char key[32], value[64];
    for (int i = 0; i < keys; i++) {
        int length = snprintf(key, sizeof key, "key-%d", i);
        int size = snprintf(value, sizeof value, "%d%.*s", i, i % 40, "........................................");
        assert_int_equal(guard_shard_builder_put(builder, key, (size_t)length, value, (size_t)size), GUARD_OK);
    }
    return guard_shard_builder_finish(&builder);
}

static bool differs(void *context, const struct guard_shard_entry *before, const struct guard_shard_entry *after)
{
    (void)context;
    fail_msg("%s", before ? before->key : after->key);
    return false;
}

static struct guard_buffer image_of(const struct guard_shard_map *map)
{
    struct guard_buffer image = {0};
    struct guard_sink sink = {put, &image};
    assert_int_equal(guard_shard_map_write(map, &sink), GUARD_OK);
    return image;
}

static void reads_back(void **state)
{
    (void)state;
    static const int sizes[] = {0, 1, 2, KEYS, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct guard_shard_map *map = make(sizes[i]), *again, *edited;
        struct guard_buffer image = image_of(map);
        struct guard_slab *slab = slab_of(&image, image.length);
        assert_int_equal(guard_shard_map_load(slab, image.length, NULL, &again), GUARD_OK);
        guard_slab_unref(&slab); /* the map holds it */
        assert_int_equal(guard_shard_map_count(again), sizes[i]);
        guard_shard_map_diff(map, again, differs, NULL);

        struct guard_shard_builder *builder = guard_shard_builder_new(again);
        guard_shard_builder_put(builder, "key-1", 5, "changed", 7);
        edited = guard_shard_builder_finish(&builder);
        guard_shard_map_unref(&again); /* the edited one shares what it did not change */
        builder = guard_shard_builder_new(edited);
        guard_shard_builder_put(builder, "key-1", 5, "1.", 2);
        if (sizes[i] < 2)
            guard_shard_builder_remove(builder, "key-1", 5);
        again = guard_shard_builder_finish(&builder);
        guard_shard_map_diff(map, again, differs, NULL);
        guard_shard_map_unref(&again);
        guard_shard_map_unref(&edited);
        guard_shard_map_unref(&map);
        guard_buffer_free(&image);
    }
    struct guard_buffer none = image_of(NULL);
    assert_true(none.length > 0);
    guard_buffer_free(&none);
}

static bool touch(void *context, const struct guard_shard_entry *entry)
{
    size_t *sum = context;
    for (uint32_t i = 0; i < entry->value_length; i++)
        *sum += (unsigned char)entry->value[i];
    *sum += strlen(entry->key);
    return true;
}

/* An image that was taken is used in every way: nothing outside it is touched (ASan), nothing is endless. */
static void use(struct guard_shard_map *map)
{
    size_t sum = 0;
    guard_shard_map_each(map, touch, &sum);
    struct guard_shard_builder *builder = guard_shard_builder_refresh(map);
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        int length = snprintf(key, sizeof key, "key-%d", i);
        guard_shard_builder_put(builder, key, (size_t)length, "x", (size_t)(i % 2));
        if (i % 5 == 0)
            guard_shard_builder_remove(builder, key, (size_t)length);
    }
    struct guard_shard_map *next = guard_shard_builder_finish(&builder);
    guard_shard_map_each(next, touch, &sum);
    guard_shard_map_unref(&next);
}

static bool no_long_value(const struct guard_shard_entry *entry)
{
    return entry->value_length < 30;
}

static void a_forged_image_is_refused_or_harmless(void **state)
{
    (void)state;
    struct guard_shard_map *map = make(KEYS), *again;
    struct guard_buffer image = image_of(map);
    size_t taken = 0;
    guard_shard_map_unref(&map);
    srand(5);
    for (int i = 0; i < 3000; i++) {
        struct guard_slab *slab = slab_of(&image, image.length);
        size_t at =
            i < 1000 ? (size_t)rand() % 4096 : 32 + 4096 * 12 + (size_t)rand() % (image.length - 32 - 4096 * 12);
        slab->bytes[at] = (char)(slab->bytes[at] ^ (1 << rand() % 8));
        if (guard_shard_map_load(slab, image.length, NULL, &again) == GUARD_OK) {
            use(again);
            taken++;
        }
        guard_shard_map_unref(&again);
        guard_slab_unref(&slab);
    }
    assert_true(taken > 100 && taken < 2900); /* an octet of a text may be any; one of a length may not */
    for (size_t cut = 0; cut < image.length; cut += 13) {
        struct guard_slab *slab = slab_of(&image, cut);
        assert_int_equal(guard_shard_map_load(slab, cut, NULL, &again), GUARD_ERR_INVALID);
        assert_int_equal(guard_shard_map_load(slab, cut + 1, NULL, &again), GUARD_ERR_INVALID);
        guard_slab_unref(&slab);
    }
    struct guard_slab *slab = slab_of(&image, image.length);
    assert_int_equal(guard_shard_map_load(slab, image.length, no_long_value, &again), GUARD_ERR_INVALID);
    guard_slab_unref(&slab);
    guard_buffer_free(&image);
}

static void a_sink_that_fails_is_heard(void **state)
{
    (void)state;
    struct guard_shard_map *map = make(20);
    struct guard_buffer image = image_of(map);
    for (size_t room = 0; room < image.length; room += 11) {
        size_t left = room;
        struct guard_sink sink = {put_some, &left};
        assert_int_equal(guard_shard_map_write(map, &sink), GUARD_ERR_IO);
    }
    guard_buffer_free(&image);
    guard_shard_map_unref(&map);
}

/* Records of clients are more than texts: what is none is refused. */
static void client_records_are_checked(void **state)
{
    (void)state;
    struct guard_clients_builder *builder = guard_clients_builder_new(NULL);
    struct guard_policy_line line = {.name = "sensor", .place = "", .field = "roles", .value = "a:5, b"};
    struct guard_clients *clients, *again;
    struct guard_buffer image = {0};
    struct guard_sink sink = {put, &image};
    struct guard_client_view view;
    assert_int_equal(guard_clients_builder_put(builder, &line, 1, NULL), GUARD_OK);
    clients = guard_clients_builder_finish(&builder);
    assert_int_equal(guard_clients_write(clients, &sink), GUARD_OK);
    struct guard_slab *slab = slab_of(&image, image.length);
    assert_int_equal(guard_clients_load(slab, image.length, &again), GUARD_OK);
    assert_true(guard_clients_find(again, "sensor", 6, &view) && view.role_count == 2);
    guard_clients_unref(&again);
    char *record = memmem(slab->bytes, slab->size, "sensor", 6);
    assert_non_null(record);
    record[7 + 1] = 3; /* it says three roles */
    assert_int_equal(guard_clients_load(slab, image.length, &again), GUARD_ERR_INVALID);
    assert_null(again);
    guard_slab_unref(&slab);
    guard_clients_unref(&clients);
    guard_buffer_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back), cmocka_unit_test(a_forged_image_is_refused_or_harmless),
        cmocka_unit_test(a_sink_that_fails_is_heard), cmocka_unit_test(client_records_are_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
