#include "store/snapshot.h"

#include "core/buffer.h"
#include "core/file.h"
#include "core/memory.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAPSHOT_MAX ((size_t)4 << 30)
#define CHUNK        (256 * 1024)
#define DIGEST       32

static const char magic[10] = "GUARDSNAP\2";
static const uint32_t byte_order = 0x01020304;

struct header {
    char magic[10];
    char reserved[2];
    uint32_t byte_order;
    int64_t saved_at;
    uint64_t version, sections, clients, revocations;
    uint32_t prefix_length;
    uint32_t reserved_end;
};

/* The end of the file. */
struct stamp {
    int64_t fresh_at;
    uint64_t check; /* of fresh_at, keyed by the digest: belongs to this very content */
};

static struct stamp make_stamp(int64_t fresh_at, const unsigned char digest[DIGEST])
{
    struct guard_siphash_key key;
    memcpy(&key, digest, sizeof key);
    return (struct stamp){.fresh_at = fresh_at, .check = guard_siphash(&key, &fresh_at, sizeof fresh_at)};
}

struct writer {
    struct guard_file_replacement file;
    struct guard_buffer chunk;
    EVP_MD_CTX *digest;
    struct guard_error *err;
    int rc;
};

static void flush(struct writer *w)
{
    if (w->chunk.failed || EVP_DigestUpdate(w->digest, w->chunk.data, w->chunk.length) != 1)
        w->rc = guard_fail(w->err, GUARD_ERR_NOMEM, "out of memory");
    else
        w->rc = guard_file_replace_append(&w->file, w->chunk.data, w->chunk.length, w->err);
    guard_buffer_clear(&w->chunk);
}

static void put(struct writer *w, const void *bytes, size_t length)
{
    if (w->rc != GUARD_OK)
        return;
    guard_buffer_append(&w->chunk, bytes, length);
    if (w->chunk.length >= CHUNK || w->chunk.failed)
        flush(w);
}

static void put_entry(struct writer *w, const char *key, size_t key_length, const char *value, size_t value_length)
{
    uint32_t lengths[] = {(uint32_t)key_length, (uint32_t)value_length};
    put(w, lengths, sizeof lengths);
    put(w, key, key_length);
    put(w, value, value_length);
}

static bool put_section(void *context, const struct guard_shard_entry *entry)
{
    struct writer *w = context;
    put_entry(w, entry->key, entry->key_length, entry->value, entry->value_length);
    return w->rc == GUARD_OK;
}

static bool put_client(void *context, const struct guard_client_view *view)
{
    struct writer *w = context;
    size_t length;
    const char *packed = guard_client_packed(view, &length);
    put_entry(w, view->username, view->username_length, packed, length);
    return w->rc == GUARD_OK;
}

static bool put_revocation(void *context, enum guard_revocation_kind kind, const char *name, const char *value)
{
    struct writer *w = context;
    char byte = (char)kind;
    size_t length = strlen(name);
    uint32_t lengths[] = {(uint32_t)length + 1, (uint32_t)strlen(value)};
    put(w, lengths, sizeof lengths);
    put(w, &byte, 1);
    put(w, name, length);
    put(w, value, strlen(value));
    return w->rc == GUARD_OK;
}

static void put_all(struct writer *w, const char *prefix, const struct guard_content *content, int64_t saved_at)
{
    struct header header = {.byte_order = byte_order,
                            .saved_at = saved_at,
                            .version = content->version,
                            .sections = guard_shard_map_count(content->sections),
                            .clients = guard_clients_count(content->clients),
                            .revocations = guard_revocations_count(content->revocations),
                            .prefix_length = (uint32_t)strlen(prefix)};
    memcpy(header.magic, magic, sizeof magic);
    put(w, &header, sizeof header);
    put(w, prefix, header.prefix_length);
    guard_shard_map_each(content->sections, put_section, w);
    guard_clients_each(content->clients, put_client, w);
    guard_revocations_each(content->revocations, put_revocation, w);
    if (w->rc == GUARD_OK)
        flush(w);
}

static void put_digest(struct writer *w, int64_t saved_at)
{
    unsigned char digest[DIGEST];
    if (w->rc != GUARD_OK)
        return;
    if (EVP_DigestFinal_ex(w->digest, digest, NULL) != 1)
        w->rc = guard_fail(w->err, GUARD_ERR_CRYPTO, "SHA-256 failed");
    else
        w->rc = guard_file_replace_append(&w->file, digest, sizeof digest, w->err);
    if (w->rc == GUARD_OK) {
        struct stamp stamp = make_stamp(saved_at, digest);
        w->rc = guard_file_replace_append(&w->file, &stamp, sizeof stamp, w->err);
    }
}

void guard_snapshot_confirm(const char *path, int64_t fresh_at)
{
    unsigned char digest[DIGEST];
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    off_t at = fstat(fd, &st) == 0 ? st.st_size - (off_t)sizeof(struct stamp) : -1;
    if (at >= DIGEST && pread(fd, digest, sizeof digest, at - DIGEST) == DIGEST) {
        struct stamp stamp = make_stamp(fresh_at, digest);
        if (pwrite(fd, &stamp, sizeof stamp, at) != sizeof stamp)
            fresh_at = 0; /* a torn stamp does not check out, and the time of saving counts */
    }
    close(fd);
}

int guard_snapshot_write(const char *path, const char *prefix, const struct guard_content *content, int64_t saved_at,
                         struct guard_error *err)
{
    struct writer w = {.err = err, .digest = EVP_MD_CTX_new()};
    if (!w.digest || EVP_DigestInit_ex(w.digest, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(w.digest);
        return guard_fail_at(err, GUARD_ERR_CRYPTO, path, 0, 0, "SHA-256 is not available");
    }
    w.rc = guard_file_replace_begin(&w.file, path, 0600, err);
    if (w.rc == GUARD_OK) {
        put_all(&w, prefix, content, saved_at);
        put_digest(&w, saved_at);
        if (w.rc == GUARD_OK)
            w.rc = guard_file_replace_commit(&w.file, err);
        else
            guard_file_replace_abandon(&w.file);
    }
    guard_buffer_free(&w.chunk);
    EVP_MD_CTX_free(w.digest);
    return w.rc;
}

struct reader {
    const char *path, *at, *end;
    struct header header;
    struct guard_error *err;
    struct guard_shard_builder *sections;
    struct guard_clients_builder *clients;
    struct guard_revocations_builder *revocations;
    uint64_t roles, rules;
};

static int damaged(const struct reader *r, const char *what)
{
    return guard_fail_at(r->err, GUARD_ERR_INVALID, r->path, 0, 0, "the snapshot is not used: %s", what);
}

static int take_header(struct reader *r, const char *prefix)
{
    if ((size_t)(r->end - r->at) < sizeof r->header)
        return damaged(r, "it is too short");
    memcpy(&r->header, r->at, sizeof r->header);
    r->at += sizeof r->header;
    if (memcmp(r->header.magic, magic, sizeof magic) != 0 || r->header.byte_order != byte_order)
        return damaged(r, "it has another format");
    if ((size_t)(r->end - r->at) < r->header.prefix_length)
        return damaged(r, "it is too short");
    if (r->header.prefix_length != strlen(prefix) || memcmp(r->at, prefix, r->header.prefix_length) != 0)
        return damaged(r, "it was saved under another redis_prefix");
    r->at += r->header.prefix_length;
    return GUARD_OK;
}

/* The next entry; false at a length that does not fit. */
static bool next_entry(struct reader *r, struct guard_shard_entry *entry)
{
    if ((size_t)(r->end - r->at) < 8)
        return false;
    memcpy(&entry->key_length, r->at, 4);
    memcpy(&entry->value_length, r->at + 4, 4);
    r->at += 8;
    if ((uint64_t)entry->key_length + entry->value_length > (size_t)(r->end - r->at) || !entry->key_length)
        return false;
    entry->key = r->at;
    entry->value = r->at + entry->key_length;
    r->at += entry->key_length + entry->value_length;
    return true;
}

/* Whether a section's value is count times two NUL-terminated texts. */
static bool section_fits(const struct guard_shard_entry *entry)
{
    if (guard_content_section_kind(entry) == GUARD_KEY_JWKS)
        return entry->value_length && !entry->value[entry->value_length - 1];
    if (entry->value_length < sizeof(uint32_t))
        return false;
    size_t texts = guard_content_section_count(entry) * 2;
    const char *at = entry->value + sizeof(uint32_t), *end = entry->value + entry->value_length;
    for (; texts && at < end; texts--) {
        const char *nul = memchr(at, 0, (size_t)(end - at));
        if (!nul)
            return false;
        at = nul + 1;
    }
    return !texts && at == end;
}

static int take_section(struct reader *r, const struct guard_shard_entry *entry)
{
    enum guard_key_kind kind = guard_content_section_kind(entry);
    if ((kind != GUARD_KEY_ROLE && kind != GUARD_KEY_ASSIGN && kind != GUARD_KEY_DEFAULT && kind != GUARD_KEY_JWKS) ||
        !section_fits(entry))
        return GUARD_ERR_INVALID;
    if (kind == GUARD_KEY_ROLE) {
        r->roles++;
        r->rules += guard_content_section_count(entry);
    }
    return guard_shard_builder_put(r->sections, entry->key, entry->key_length, entry->value, entry->value_length);
}

static int take_revocation(struct reader *r, const struct guard_shard_entry *entry)
{
    int rc = GUARD_ERR_INVALID;
    char *name = strndup(entry->key + 1, entry->key_length - 1), *value = strndup(entry->value, entry->value_length);
    if (!name || !value)
        rc = GUARD_ERR_NOMEM;
    else if ((unsigned char)entry->key[0] < GUARD_REVOCATION_KINDS)
        rc =
            guard_revocations_builder_put(r->revocations, (enum guard_revocation_kind)entry->key[0], name, value, NULL);
    free(name);
    free(value);
    return rc;
}

static int take_entries(struct reader *r)
{
    struct guard_shard_entry entry;
    uint64_t clients_end = r->header.sections + r->header.clients, end = clients_end + r->header.revocations;
    int rc = GUARD_OK;
    for (uint64_t i = 0; i < end && rc == GUARD_OK; i++) {
        if (!next_entry(r, &entry))
            return damaged(r, "an entry does not fit");
        if (i < r->header.sections)
            rc = take_section(r, &entry);
        else if (i < clients_end)
            rc = guard_clients_builder_put_packed(r->clients, entry.key, entry.key_length, entry.value,
                                                  entry.value_length);
        else
            rc = take_revocation(r, &entry);
    }
    if (rc == GUARD_OK && r->at != r->end)
        return damaged(r, "it is too long");
    if (rc == GUARD_ERR_NOMEM)
        return guard_fail_at(r->err, GUARD_ERR_NOMEM, r->path, 0, 0, "out of memory");
    return rc == GUARD_OK ? rc : damaged(r, "an entry is malformed");
}

static int make_builders(struct reader *r)
{
    r->sections = guard_shard_builder_new(NULL);
    r->clients = guard_clients_builder_new(NULL);
    r->revocations = guard_revocations_builder_new(NULL);
    return r->sections && r->clients && r->revocations
               ? GUARD_OK
               : guard_fail_at(r->err, GUARD_ERR_NOMEM, r->path, 0, 0, "out of memory");
}

static int take_all(struct reader *r, const char *prefix, struct guard_content *content)
{
    int rc = take_header(r, prefix);
    if (rc == GUARD_OK)
        rc = make_builders(r);
    if (rc == GUARD_OK)
        rc = take_entries(r);
    if (rc == GUARD_OK) {
        *content = (struct guard_content){.version = r->header.version, .roles = r->roles, .rules = r->rules};
        content->sections = guard_shard_builder_finish(&r->sections);
        content->clients = guard_clients_builder_finish(&r->clients);
        content->revocations = guard_revocations_builder_finish(&r->revocations);
        if (!content->sections || !content->clients || !content->revocations) {
            guard_content_free(content);
            rc = guard_fail_at(r->err, GUARD_ERR_NOMEM, r->path, 0, 0, "out of memory");
        }
    }
    guard_shard_builder_free(&r->sections);
    guard_clients_builder_free(&r->clients);
    guard_revocations_builder_free(&r->revocations);
    return rc;
}

/* The times of a file whose content checks out. */
static void read_times(const struct reader *r, const struct stamp *stamp, struct guard_snapshot_times *times)
{
    struct stamp expected = make_stamp(stamp->fresh_at, (const unsigned char *)r->end);
    bool fits = stamp->check == expected.check && stamp->fresh_at >= r->header.saved_at;
    times->saved_at = r->header.saved_at;
    times->fresh_at = fits ? stamp->fresh_at : r->header.saved_at;
}

int guard_snapshot_read(const char *path, const char *prefix, struct guard_content *content,
                        struct guard_snapshot_times *times, struct guard_error *err)
{
    struct reader r = {.path = path, .err = err};
    struct stamp stamp;
    unsigned char digest[DIGEST];
    char *bytes = NULL;
    size_t length = 0, tail = DIGEST + sizeof stamp;
    int rc = guard_file_read(path, GUARD_FILE_SECRET, SNAPSHOT_MAX, &bytes, &length, err);
    if (rc != GUARD_OK)
        return rc;
    r.at = bytes;
    r.end = bytes + (length > tail ? length - tail : 0);
    if (length <= tail)
        rc = damaged(&r, "it is too short");
    else if (EVP_Digest(bytes, length - tail, digest, NULL, EVP_sha256(), NULL) != 1 ||
             memcmp(digest, r.end, DIGEST) != 0)
        rc = damaged(&r, "it is damaged (its checksum does not fit)");
    else
        rc = take_all(&r, prefix, content);
    if (rc == GUARD_OK) {
        memcpy(&stamp, r.end + DIGEST, sizeof stamp);
        read_times(&r, &stamp, times);
    }
    guard_free_secret(&bytes, length);
    return rc;
}
