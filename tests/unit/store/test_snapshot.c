/* The snapshot file: what is written reads back, and nothing damaged is ever used. */
#include "store/snapshot.h"

#include "core/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PREFIX "guard:"

struct folder {
    char path[64], file[96];
};

static int set_up(void **state)
{
    static struct folder folder;
    strcpy(folder.path, "/tmp/guard-snapshot-XXXXXX");
    if (!mkdtemp(folder.path))
        return -1;
    snprintf(folder.file, sizeof folder.file, "%s/snapshot", folder.path);
    *state = &folder;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *folder = *state;
    unlink(folder->file);
    return rmdir(folder->path);
}

static void put_section(struct guard_shard_builder *sections, enum guard_key_kind kind, const char *name,
                        const char *packed, size_t length)
{
    char key[64];
    key[0] = (char)kind;
    strcpy(key + 1, name);
    assert_int_equal(guard_shard_builder_put(sections, key, strlen(name) + 1, packed, length), GUARD_OK);
}

static void make_content(struct guard_content *content)
{
    struct guard_shard_builder *sections = guard_shard_builder_new(NULL);
    struct guard_clients_builder *clients = guard_clients_builder_new(NULL);
    struct guard_revocations_builder *revocations = guard_revocations_builder_new(NULL);
    put_section(sections, GUARD_KEY_ROLE, "device", "\2\0\0\0a\0allow publish a\0b\0deny publish b\0", 4 + 18 + 17);
    put_section(sections, GUARD_KEY_ASSIGN, "", "\1\0\0\0x\0device when anonymous\0", 4 + 24);
    put_section(sections, GUARD_KEY_JWKS, "https://issuer", "{\"keys\":[]}\0", 12);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "client-%d", i);
        struct guard_policy_line line = {.name = name, .place = "", .field = "roles", .value = "device:5, \"floor 2\""};
        assert_int_equal(guard_clients_builder_put(clients, &line, 1, NULL), GUARD_OK);
    }
    guard_revocations_builder_put(revocations, GUARD_REVOKED_TOKEN, "jti", "why", NULL);
    guard_revocations_builder_put(revocations, GUARD_BANNED_ADDRESS, "10.0.0.0/8", "", NULL);
    *content = (struct guard_content){.version = 7, .roles = 1, .rules = 2};
    content->sections = guard_shard_builder_finish(&sections);
    content->clients = guard_clients_builder_finish(&clients);
    content->revocations = guard_revocations_builder_finish(&revocations);
}

static void round_trip(void **state)
{
    const struct folder *folder = *state;
    struct guard_content content, again = {0};
    struct guard_error err = {0};
    struct stat st;
    struct guard_snapshot_times times = {0};
    make_content(&content);
    assert_int_equal(guard_snapshot_write(folder->file, PREFIX, &content, 1234567, &err), GUARD_OK);
    assert_int_equal(stat(folder->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    if (guard_snapshot_read(folder->file, PREFIX, &again, &times, &err) != GUARD_OK)
        fail_msg("%s", err.text);
    assert_int_equal(times.saved_at, 1234567);
    assert_int_equal(times.fresh_at, 1234567);
    assert_int_equal(again.version, 7);
    assert_int_equal(again.roles, 1);
    assert_int_equal(again.rules, 2);
    assert_true(guard_content_same_policy(&content, &again));
    assert_string_equal(guard_revocations_find(again.revocations, GUARD_REVOKED_TOKEN, "jti", 3), "why");
    assert_non_null(guard_revocations_find(again.revocations, GUARD_BANNED_ADDRESS, "10.2.3.4", 8));
    guard_content_free(&content);
    guard_content_free(&again);
}

static void expect_refused(const char *file, const char *prefix, const char *says)
{
    struct guard_content content = {0};
    struct guard_error err = {0};
    struct guard_snapshot_times times;
    int rc = guard_snapshot_read(file, prefix, &content, &times, &err);
    if (rc != GUARD_ERR_INVALID || !strstr(err.text, says) || content.sections)
        fail_msg("rc %d: %s", rc, err.text);
}

static void rewrite(const char *file, const char *bytes, size_t length)
{
    assert_int_equal(guard_file_replace(file, bytes, length, 0600, NULL), GUARD_OK);
}

static void every_damage_is_refused(void **state)
{
    const struct folder *folder = *state;
    struct guard_content content;
    char *bytes = NULL;
    size_t length = 0;
    make_content(&content);
    assert_int_equal(guard_snapshot_write(folder->file, PREFIX, &content, 1, NULL), GUARD_OK);
    guard_content_free(&content);
    expect_refused(folder->file, "other:", "another redis_prefix");
    assert_int_equal(guard_file_read(folder->file, GUARD_FILE_SECRET, 1 << 20, &bytes, &length, NULL), GUARD_OK);
    for (size_t at = 0; at < length - 16; at += 97) { /* a flipped bit */
        bytes[at] ^= 0x10;
        rewrite(folder->file, bytes, length);
        expect_refused(folder->file, PREFIX, "not used");
        bytes[at] ^= 0x10;
    }
    for (size_t cut = 0; cut < length; cut += 211) { /* a file that ends early */
        rewrite(folder->file, bytes, cut);
        expect_refused(folder->file, PREFIX, "not used");
    }
    free(bytes);
}

/* "Still current" is noted in place, for this content only, and a torn note counts for nothing. */
static void confirmations(void **state)
{
    const struct folder *folder = *state;
    struct guard_content content, again = {0};
    struct guard_snapshot_times times;
    char *bytes = NULL, *other = NULL;
    size_t length = 0;
    make_content(&content);
    assert_int_equal(guard_snapshot_write(folder->file, PREFIX, &content, 1000, NULL), GUARD_OK);
    guard_snapshot_confirm(folder->file, 5000);
    assert_int_equal(guard_snapshot_read(folder->file, PREFIX, &again, &times, NULL), GUARD_OK);
    guard_content_free(&again);
    assert_int_equal(times.saved_at, 1000);
    assert_int_equal(times.fresh_at, 5000);
    assert_int_equal(guard_file_read(folder->file, GUARD_FILE_SECRET, 1 << 20, &bytes, &length, NULL), GUARD_OK);
    content.version++;
    assert_int_equal(guard_snapshot_write(folder->file, PREFIX, &content, 1000, NULL), GUARD_OK);
    assert_int_equal(guard_file_read(folder->file, GUARD_FILE_SECRET, 1 << 20, &other, &length, NULL), GUARD_OK);
    memcpy(other + length - 16, bytes + length - 16, 16); /* the note of another file */
    rewrite(folder->file, other, length);
    assert_int_equal(guard_snapshot_read(folder->file, PREFIX, &again, &times, NULL), GUARD_OK);
    assert_int_equal(times.fresh_at, 1000);
    guard_content_free(&again);
    guard_content_free(&content);
    free(bytes);
    free(other);
    guard_snapshot_confirm("/nonexistent/file", 1); /* does nothing */
}

static void no_file_and_open_file(void **state)
{
    const struct folder *folder = *state;
    struct guard_content content = {0};
    struct guard_error err = {0};
    struct guard_snapshot_times times;
    assert_int_equal(guard_snapshot_read(folder->file, PREFIX, &content, &times, &err), GUARD_ERR_NOT_FOUND);
    rewrite(folder->file, "x", 1);
    assert_int_equal(chmod(folder->file, 0644), 0);
    assert_int_equal(guard_snapshot_read(folder->file, PREFIX, &content, &times, &err), GUARD_ERR_PERMISSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_damage_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(confirmations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_file_and_open_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
