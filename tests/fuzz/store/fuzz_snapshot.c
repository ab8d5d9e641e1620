/*
 * A snapshot whose checksums are right and whose content is anything: it is refused or read, and what was read can be
 * used. The input is patches (offset as 4 octets, little-endian, and what to XOR there) to a good file.
 */
#include "core/file.h"
#include "store/snapshot_format.h"
#include "store/update.h"
#include "tests/temporary.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFIX "guard:"

static char folder[TEMPORARY_MAX], path[TEMPORARY_MAX + 16];
static char *good; /* the whole file */
static size_t good_length;
static struct guard_snapshot_end good_end;

static void expect(int truth)
{
    if (!truth)
        abort();
}

/* ---- a good file ---- */

static int write_image(const void *image, const struct guard_sink *sink)
{
    return sink->put(sink->context, image, strlen(image));
}

static void put_section(struct guard_shard_builder *sections, const char *key, size_t key_length, const char *value,
                        size_t length)
{
    expect(guard_shard_builder_put(sections, key, key_length, value, length) == GUARD_OK);
}

static void put_client(struct guard_clients_builder *clients, const char *name, const char *field, const char *value)
{
    struct guard_policy_line line = {.name = name, .place = "", .field = field, .value = value};
    expect(guard_clients_builder_put(clients, &line, 1, NULL) == GUARD_OK);
}

static void make_content(struct guard_content *content)
{
    struct guard_shard_builder *sections = guard_shard_builder_new(NULL);
    struct guard_clients_builder *clients = guard_clients_builder_new(NULL);
    struct guard_revocations_builder *revocations = guard_revocations_builder_new(NULL);
    char name[16];
    put_section(sections, "\0device", 7, "\2\0\0\0a\0allow publish a\0b\0deny publish b\0", 4 + 18 + 17);
    put_section(sections, "\2", 1, "\1\0\0\0x\0device when anonymous\0", 4 + 24);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "client-%d", i);
        put_client(clients, name, i % 2 ? "roles" : "password", i % 2 ? "a:5, b" : "$7$x");
    }
    expect(guard_revocations_builder_put(revocations, GUARD_REVOKED_TOKEN, "jti", "why", NULL) == GUARD_OK);
    *content = (struct guard_content){.version = 7};
    content->sections = guard_shard_builder_finish(&sections);
    content->clients = guard_clients_builder_finish(&clients);
    content->revocations = guard_revocations_builder_finish(&revocations);
}

static void change_content(const struct guard_content *from, struct guard_content *to, const char *name)
{
    struct guard_clients_builder *clients = guard_clients_builder_new(from->clients);
    struct guard_revocations_builder *revocations = guard_revocations_builder_new(from->revocations);
    bool failed = false;
    put_client(clients, name, "attr.x", "y");
    guard_clients_builder_remove(clients, "client-3", &failed);
    expect(guard_revocations_builder_put(revocations, GUARD_BANNED_ADDRESS, "10.0.0.0/8", name, NULL) == GUARD_OK);
    guard_content_copy(to, from);
    guard_clients_unref(&to->clients);
    guard_revocations_unref(&to->revocations);
    to->clients = guard_clients_builder_finish(&clients);
    to->revocations = guard_revocations_builder_finish(&revocations);
}

static void clean_up(void)
{
    unlink(path);
    rmdir(folder);
    free(good);
}

static void make_good(void)
{
    static const struct guard_store_callbacks callbacks = {.image_write = write_image};
    struct guard_content first, second, third;
    struct guard_snapshot_save save = {.callbacks = &callbacks, .image = "compiled", .saved_at = 1};
    make_content(&first);
    change_content(&first, &second, "one");
    change_content(&second, &third, "another");
    expect(temporary_folder(folder, "fuzz") != NULL);
    snprintf(path, sizeof path, "%s/snapshot", folder);
    save.content = &first;
    expect(guard_snapshot_write(path, PREFIX, &save, &good_end, NULL) == GUARD_OK);
    save.content = &second;
    expect(guard_snapshot_append(path, &first, &save, &good_end, NULL) == GUARD_OK);
    save.content = &third;
    expect(guard_snapshot_append(path, &second, &save, &good_end, NULL) == GUARD_OK);
    expect(guard_file_read(path, GUARD_FILE_SECRET, 1 << 24, &good, &good_length, NULL) == GUARD_OK);
    guard_content_free(&first);
    guard_content_free(&second);
    guard_content_free(&third);
    atexit(clean_up);
}

/* ---- patched, with checksums that fit ---- */

static void patch(char *file, const uint8_t *data, size_t size)
{
    for (; size >= 5; data += 5, size -= 5) {
        uint32_t at = data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        file[at % good_length] = (char)(file[at % good_length] ^ data[4]);
    }
}

static void close_changes(char *file, unsigned char digest[GUARD_SNAPSHOT_DIGEST])
{
    size_t at = good_end.tail_at + sizeof(struct snapshot_tail);
    struct snapshot_change head;
    while (at + sizeof head + GUARD_SNAPSHOT_DIGEST <= good_length) {
        memcpy(&head, file + at, sizeof head);
        if (head.length > good_length - at - sizeof head - GUARD_SNAPSHOT_DIGEST)
            return;
        head.check = snapshot_check(digest, &head, offsetof(struct snapshot_change, check));
        memcpy(file + at, &head, sizeof head);
        expect(guard_snapshot_chain(digest, &head, file + at + sizeof head));
        at += sizeof head + (size_t)head.length;
        memcpy(file + at, digest, GUARD_SNAPSHOT_DIGEST);
        at += GUARD_SNAPSHOT_DIGEST;
    }
}

static void close_file(char *file)
{
    unsigned char digest[GUARD_SNAPSHOT_DIGEST];
    struct guard_sha256 *sha = guard_sha256_begin();
    guard_sha256_add(sha, file + sizeof(struct snapshot_header), good_end.tail_at - sizeof(struct snapshot_header));
    guard_sha256_add(sha, file, sizeof(struct snapshot_header));
    expect(guard_sha256_end(&sha, digest));
    memcpy(file + good_end.tail_at, digest, sizeof digest);
    close_changes(file, digest);
}

static void write_file(const char *file)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    expect(fd >= 0 && write(fd, file, good_length) == (ssize_t)good_length);
    close(fd);
}

/* ---- used ---- */

/* Touches every text of a record. */
static bool read_client(void *context, const struct guard_client_view *view)
{
    const char *cursor = NULL, *name, *value;
    size_t *length = context;
    int32_t priority;
    *length += view->password ? strlen(view->password) : 0;
    while (guard_client_next_role(view, &cursor, &name, &priority))
        *length += strlen(name);
    cursor = NULL;
    while (guard_client_next_client_id(view, &cursor, &name))
        *length += strlen(name);
    cursor = NULL;
    while (guard_client_next_attribute(view, &cursor, &name, &value))
        *length += strlen(name) + strlen(value);
    return true;
}

static void use(const struct guard_content *base, const struct guard_content *content)
{
    struct guard_update update = {0};
    size_t length = 0;
    guard_clients_each(content->clients, read_client, &length);
    expect(guard_update_restore(&update, base, content, PREFIX) == GUARD_OK);
    guard_update_free(&update);
    expect(guard_update_make(&update, base, content, true, PREFIX) == GUARD_OK);
    for (size_t s = 0; s < update.section_count; s++)
        for (size_t l = 0; l < update.sections[s].count; l++)
            length += strlen(update.sections[s].lines[l].field) + strlen(update.sections[s].lines[l].value);
    guard_update_free(&update);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard_snapshot snapshot = {0};
    if (!good)
        make_good();
    char *file = malloc(good_length);
    expect(file != NULL);
    memcpy(file, good, good_length);
    patch(file, data, size);
    close_file(file);
    write_file(file);
    if (guard_snapshot_read(path, PREFIX, &snapshot, NULL) == GUARD_OK)
        use(&snapshot.base, &snapshot.content);
    else
        expect(!snapshot.content.sections && !snapshot.content.clients && !snapshot.image);
    expect(size >= 5 || snapshot.content.sections); /* without a patch it is good */
    guard_snapshot_free(&snapshot);
    free(file);
    return 0;
}
