/* The snapshot file: what is written reads back, with what changed since, and nothing damaged is ever used. */
#include "store/snapshot.h"

#include "core/file.h"
#include "store/snapshot_format.h"
#include "tests/temporary.h"

#include <fcntl.h>
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
    char path[TEMPORARY_MAX], file[TEMPORARY_MAX + 16];
};

static int set_up(void **state)
{
    static struct folder folder;
    if (!temporary_folder(folder.path, "snapshot"))
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

/* What a composition would have made of the content: some octets. */
static int write_image(const void *image, const struct guard_sink *sink)
{
    const char *text = image;
    int rc = sink->put(sink->context, text, strlen(text));
    for (int i = 0; i < 100 && rc == GUARD_OK; i++) /* larger than one piece of the writer */
        rc = sink->put(sink->context, "................................................................", 64);
    return rc;
}

static const struct guard_store_callbacks callbacks = {.image_write = write_image};

static struct guard_snapshot_save saving(const struct guard_content *content, int64_t saved_at)
{
    return (struct guard_snapshot_save){
        .content = content, .callbacks = &callbacks, .image = "compiled", .saved_at = saved_at};
}

static struct guard_snapshot_end write_whole(const struct folder *folder, const struct guard_content *content,
                                             int64_t saved_at)
{
    struct guard_snapshot_save save = saving(content, saved_at);
    struct guard_snapshot_end end = {0};
    struct guard_error err = {0};
    if (guard_snapshot_write(folder->file, PREFIX, &save, &end, &err) != GUARD_OK)
        fail_msg("%s", err.text);
    return end;
}

/* Another content: one client has one role more, number tells changes apart. */
static void change(struct guard_content *content, int number)
{
    struct guard_clients_builder *clients = guard_clients_builder_new(content->clients);
    struct guard_shard_builder *sections = guard_shard_builder_new(content->sections);
    struct guard_revocations_builder *revocations = guard_revocations_builder_new(content->revocations);
    char name[24], value[24];
    bool failed = false;
    snprintf(name, sizeof name, "client-%d", number);
    snprintf(value, sizeof value, "role-%d", number);
    struct guard_policy_line line = {.name = name, .place = "", .field = "roles", .value = value};
    assert_int_equal(guard_clients_builder_put(clients, &line, 1, NULL), GUARD_OK);
    snprintf(name, sizeof name, "client-%d", number + 50);
    guard_clients_builder_remove(clients, name, &failed);
    put_section(sections, GUARD_KEY_ROLE, value, "\1\0\0\0a\0allow publish a\0", 4 + 18);
    if (number == 1)
        guard_shard_builder_remove(sections, "\0device", 7);
    guard_revocations_builder_put(revocations, GUARD_BANNED_USER, value, "", NULL);
    guard_revocations_builder_remove(revocations, GUARD_REVOKED_TOKEN, "jti");
    guard_content_free(content);
    *content = (struct guard_content){.version = 100 + (uint64_t)number};
    content->sections = guard_shard_builder_finish(&sections);
    content->clients = guard_clients_builder_finish(&clients);
    content->revocations = guard_revocations_builder_finish(&revocations);
    guard_content_count(content);
}

static void append(const struct folder *folder, const struct guard_content *held, const struct guard_content *content,
                   struct guard_snapshot_end *end)
{
    struct guard_snapshot_save save = saving(content, (int64_t)content->version);
    struct guard_error err = {0};
    if (guard_snapshot_append(folder->file, held, &save, end, &err) != GUARD_OK)
        fail_msg("%s", err.text);
}

static void expect_same(const struct guard_content *a, const struct guard_content *b)
{
    struct guard_buffer differences = {0};
    guard_snapshot_list(&differences, a, b, SIZE_MAX);
    assert_int_equal(differences.length, 0);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->roles, b->roles);
    assert_int_equal(a->rules, b->rules);
    guard_buffer_free(&differences);
}

static void expect_read(const struct folder *folder, struct guard_snapshot *snapshot)
{
    struct guard_error err = {0};
    if (guard_snapshot_read(folder->file, PREFIX, snapshot, &err) != GUARD_OK)
        fail_msg("%s", err.text);
}

static void round_trip(void **state)
{
    const struct folder *folder = *state;
    struct guard_content content;
    struct guard_snapshot snapshot = {0};
    struct stat st;
    make_content(&content);
    write_whole(folder, &content, 1234567);
    assert_int_equal(stat(folder->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    expect_read(folder, &snapshot);
    assert_int_equal(snapshot.saved_at, 1234567);
    assert_int_equal(snapshot.fresh_at, 1234567);
    assert_false(snapshot.cut_off);
    expect_same(&content, &snapshot.content);
    expect_same(&content, &snapshot.base);
    assert_string_equal(guard_revocations_find(snapshot.content.revocations, GUARD_REVOKED_TOKEN, "jti", 3), "why");
    assert_non_null(guard_revocations_find(snapshot.content.revocations, GUARD_BANNED_ADDRESS, "10.2.3.4", 8));
    assert_int_equal(snapshot.image_length, 8 + 6400);
    assert_memory_equal(snapshot.image->bytes, "compiled....", 12);
    guard_content_free(&content);
    guard_snapshot_free(&snapshot);
}

static void changes_follow_the_whole(void **state)
{
    const struct folder *folder = *state;
    struct guard_content base, content, before;
    struct guard_snapshot snapshot = {0};
    make_content(&base);
    guard_content_copy(&content, &base);
    struct guard_snapshot_end end = write_whole(folder, &base, 1);
    for (int number = 0; number < 5; number++) {
        guard_content_copy(&before, &content);
        change(&content, number);
        append(folder, &before, &content, &end);
        guard_content_free(&before);
        expect_read(folder, &snapshot);
        expect_same(&content, &snapshot.content);
        expect_same(&base, &snapshot.base);
        assert_int_equal(snapshot.saved_at, 100 + number);
        assert_memory_equal(&snapshot.end, &end, sizeof end);
        assert_true(snapshot.image_length > 0);
        guard_snapshot_free(&snapshot);
    }
    guard_content_free(&base);
    guard_content_free(&content);
}

/* Only to the very file that was written, and not for ever. */
static void what_cannot_be_added_is_written_as_a_whole(void **state)
{
    const struct folder *folder = *state;
    struct guard_content content, next;
    struct guard_snapshot_end end, none = {0};
    make_content(&content);
    guard_content_copy(&next, &content);
    change(&next, 7);
    struct guard_snapshot_save save = saving(&next, 5);
    assert_int_equal(guard_snapshot_append(folder->file, &content, &save, &none, NULL), GUARD_ERR_UNSUPPORTED);
    end = write_whole(folder, &content, 1);
    assert_int_equal(guard_snapshot_append(folder->file, &content, &save, &none, NULL), GUARD_ERR_UNSUPPORTED);
    write_whole(folder, &content, 1); /* somebody else's */
    assert_int_equal(guard_snapshot_append(folder->file, &content, &save, &end, NULL), GUARD_ERR_UNSUPPORTED);
    end = write_whole(folder, &content, 1);
    assert_int_equal(truncate(folder->file, (off_t)end.size + 1), 0);
    assert_int_equal(guard_snapshot_append(folder->file, &content, &save, &end, NULL), GUARD_ERR_UNSUPPORTED);
    end = write_whole(folder, &content, 1);
    int added = 0;
    while (guard_snapshot_append(folder->file, &content, &save, &end, NULL) == GUARD_OK)
        added++;
    assert_true(added > 10);
    assert_true(end.size < end.tail_at + CHANGES_MIN + 1000);
    guard_content_free(&content);
    guard_content_free(&next);
}

static void expect_refused(const char *file, const char *prefix, const char *says)
{
    struct guard_snapshot snapshot = {0};
    struct guard_error err = {0};
    int rc = guard_snapshot_read(file, prefix, &snapshot, &err);
    if (rc != GUARD_ERR_INVALID || !strstr(err.text, says) || snapshot.content.sections || snapshot.image)
        fail_msg("rc %d: %s", rc, err.text);
}

/* In place: waiting for the disk each time would take minutes. */
static void rewrite(const char *file, const char *bytes, size_t length)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
    close(fd);
}

static char *octets_of(const struct folder *folder, size_t *length)
{
    char *bytes = NULL;
    assert_int_equal(guard_file_read(folder->file, GUARD_FILE_SECRET, 1 << 24, &bytes, length, NULL), GUARD_OK);
    return bytes;
}

static void every_damage_is_refused(void **state)
{
    const struct folder *folder = *state;
    struct guard_content content;
    size_t length = 0;
    make_content(&content);
    struct guard_snapshot_end end = write_whole(folder, &content, 1);
    guard_content_free(&content);
    expect_refused(folder->file, "other:", "another redis_prefix");
    char *bytes = octets_of(folder, &length);
    assert_int_equal(length, end.tail_at + sizeof(struct snapshot_tail));
    for (size_t at = 0; at < end.tail_at + GUARD_SNAPSHOT_DIGEST; at += at < 250 || at > length - 200 ? 1 : 397) {
        bytes[at] ^= 0x10; /* a flipped bit */
        rewrite(folder->file, bytes, length);
        expect_refused(folder->file, PREFIX, "not used");
        bytes[at] ^= 0x10;
    }
    for (size_t cut = 0; cut < length; cut += cut < 220 || cut > length - 100 ? 1 : 811) { /* a file that ends early */
        rewrite(folder->file, bytes, cut);
        expect_refused(folder->file, PREFIX, "not used");
    }
    free(bytes);
}

#define CHANGES 4

/* A file with that many changes; contents[0] is the whole, contents[n] what holds after n changes, ends[n] where it
 * ends. */
static void make_changes(const struct folder *folder, struct guard_content contents[CHANGES + 1],
                         uint64_t ends[CHANGES + 1])
{
    make_content(&contents[0]);
    struct guard_snapshot_end end = write_whole(folder, &contents[0], 1);
    ends[0] = end.size;
    for (int number = 1; number <= CHANGES; number++) {
        guard_content_copy(&contents[number], &contents[number - 1]);
        change(&contents[number], number);
        append(folder, &contents[number - 1], &contents[number], &end);
        ends[number] = end.size;
    }
}

/* The state after n changes is what is read, and a change is told to be missing or not. */
static void expect_state(const struct folder *folder, const struct guard_content *content, bool cut_off)
{
    struct guard_snapshot snapshot = {0};
    expect_read(folder, &snapshot);
    expect_same(content, &snapshot.content);
    assert_int_equal(snapshot.cut_off, cut_off);
    guard_snapshot_free(&snapshot);
}

static void a_change_that_was_cut_off_is_left_out(void **state)
{
    const struct folder *folder = *state;
    struct guard_content contents[CHANGES + 1];
    uint64_t ends[CHANGES + 1];
    size_t length = 0;
    make_changes(folder, contents, ends);
    char *bytes = octets_of(folder, &length);
    for (int number = 1; number <= CHANGES; number++)
        for (uint64_t cut = ends[number - 1] + 1; cut <= ends[number]; cut++) {
            rewrite(folder->file, bytes, cut);
            expect_state(folder, &contents[cut == ends[number] ? number : number - 1], cut < ends[number]);
        }
    memset(bytes + ends[CHANGES - 1], 0, ends[CHANGES] - ends[CHANGES - 1]); /* its length was written, and no more */
    rewrite(folder->file, bytes, length);
    expect_state(folder, &contents[CHANGES - 1], true);

    struct guard_snapshot snapshot = {0};
    expect_read(folder, &snapshot); /* the next change takes its place */
    append(folder, &snapshot.content, &contents[CHANGES], &snapshot.end);
    expect_state(folder, &contents[CHANGES], false);
    guard_snapshot_free(&snapshot);
    free(bytes);
    for (int number = 0; number <= CHANGES; number++)
        guard_content_free(&contents[number]);
}

/* Inside the last change damage looks like a cut; anywhere else the file is refused. Never is anything else read. */
static void a_damaged_change_is_never_used(void **state)
{
    const struct folder *folder = *state;
    struct guard_content contents[CHANGES + 1];
    uint64_t ends[CHANGES + 1];
    size_t length = 0;
    unsigned refused = 0;
    make_changes(folder, contents, ends);
    char *bytes = octets_of(folder, &length);
    for (size_t at = ends[0]; at < length; at++) {
        struct guard_snapshot snapshot = {0};
        bytes[at] ^= 4;
        rewrite(folder->file, bytes, length);
        if (guard_snapshot_read(folder->file, PREFIX, &snapshot, NULL) == GUARD_OK) {
            assert_true(at >= ends[CHANGES - 1] && snapshot.cut_off);
            expect_same(&contents[CHANGES - 1], &snapshot.content);
            guard_snapshot_free(&snapshot);
        } else {
            refused++;
        }
        bytes[at] ^= 4;
    }
    assert_true(refused >= ends[CHANGES - 1] - ends[0]);
    /* a change of another file, or left out, or twice */
    memmove(bytes + ends[1], bytes + ends[2], length - ends[2]);
    rewrite(folder->file, bytes, length - (ends[2] - ends[1]));
    expect_refused(folder->file, PREFIX, "a change's checksum");
    free(bytes);
    for (int number = 0; number <= CHANGES; number++)
        guard_content_free(&contents[number]);
}

/* "Still current" is noted in place, for this content only, and a torn note counts for nothing. */
static void confirmations(void **state)
{
    const struct folder *folder = *state;
    struct guard_content content, next;
    struct guard_snapshot snapshot = {0};
    size_t length = 0, note;
    make_content(&content);
    guard_content_copy(&next, &content);
    change(&next, 3);
    struct guard_snapshot_end end = write_whole(folder, &content, 1000), old = end;
    guard_snapshot_confirm(folder->file, &end, 5000);
    expect_read(folder, &snapshot);
    assert_int_equal(snapshot.saved_at, 1000);
    assert_int_equal(snapshot.fresh_at, 5000);
    guard_snapshot_free(&snapshot);
    append(folder, &content, &next, &end); /* saved at 103: the note was of what held before */
    expect_read(folder, &snapshot);
    assert_int_equal(snapshot.fresh_at, 103);
    guard_snapshot_free(&snapshot);
    guard_snapshot_confirm(folder->file, &old, 6000); /* not the file that was left */
    guard_snapshot_confirm(folder->file, &end, 7000);
    expect_read(folder, &snapshot);
    assert_int_equal(snapshot.fresh_at, 7000);
    guard_snapshot_free(&snapshot);

    char *bytes = octets_of(folder, &length);
    note = end.tail_at + offsetof(struct snapshot_tail, fresh_at);
    for (size_t at = note; at < note + 16; at++) {
        bytes[at] ^= 1;
        rewrite(folder->file, bytes, length);
        expect_read(folder, &snapshot);
        assert_int_equal(snapshot.fresh_at, 103);
        guard_snapshot_free(&snapshot);
        bytes[at] ^= 1;
    }
    guard_content_free(&content);
    guard_content_free(&next);
    free(bytes);
    guard_snapshot_confirm("/nonexistent/file", &end, 1); /* does nothing */
}

static void no_file_and_open_file(void **state)
{
    const struct folder *folder = *state;
    struct guard_snapshot snapshot = {0};
    assert_int_equal(guard_snapshot_read(folder->file, PREFIX, &snapshot, NULL), GUARD_ERR_NOT_FOUND);
    rewrite(folder->file, "x", 1);
    assert_int_equal(chmod(folder->file, 0644), 0);
    assert_int_equal(guard_snapshot_read(folder->file, PREFIX, &snapshot, NULL), GUARD_ERR_PERMISSION);
}

static int fail_image(const void *image, const struct guard_sink *sink)
{
    (void)image;
    (void)sink;
    return GUARD_ERR_NOMEM;
}

static void what_cannot_be_written_leaves_the_old_file(void **state)
{
    const struct folder *folder = *state;
    struct guard_content content, next;
    struct guard_store_callbacks failing = {.image_write = fail_image};
    make_content(&content);
    struct guard_snapshot_end end = write_whole(folder, &content, 9), before = end;
    guard_content_copy(&next, &content);
    change(&next, 1);
    struct guard_snapshot_save save = saving(&next, 10);
    save.callbacks = &failing;
    assert_int_equal(guard_snapshot_write(folder->file, PREFIX, &save, &end, NULL), GUARD_ERR_NOMEM);
    assert_memory_equal(&before, &end, sizeof end);
    expect_state(folder, &content, false);
    guard_content_free(&content);
    guard_content_free(&next);
}

#define ON_A_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_FILE(round_trip),
        ON_A_FILE(changes_follow_the_whole),
        ON_A_FILE(what_cannot_be_added_is_written_as_a_whole),
        ON_A_FILE(every_damage_is_refused),
        ON_A_FILE(a_change_that_was_cut_off_is_left_out),
        ON_A_FILE(a_damaged_change_is_never_used),
        ON_A_FILE(confirmations),
        ON_A_FILE(no_file_and_open_file),
        ON_A_FILE(what_cannot_be_written_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
