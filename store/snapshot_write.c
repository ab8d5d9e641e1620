/* Writing a snapshot: as a whole, or what changed behind it. */
#include "core/buffer.h"
#include "core/file.h"
#include "store/snapshot_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct writer {
    struct guard_file_replacement file;
    struct guard_buffer chunk;
    struct guard_sha256 *sha;
    uint64_t written;
    struct guard_error *err;
};

static int out_of_memory(struct guard_error *err)
{
    return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

static int write_out(struct writer *w, const void *bytes, size_t length)
{
    guard_sha256_add(w->sha, bytes, length);
    return guard_file_replace_append(&w->file, bytes, length, w->err);
}

static int flush(struct writer *w)
{
    int rc = w->chunk.failed ? out_of_memory(w->err) : GUARD_OK;
    if (rc == GUARD_OK && w->chunk.length)
        rc = write_out(w, w->chunk.data, w->chunk.length);
    guard_buffer_clear(&w->chunk);
    return rc;
}

/* The sink of the parts: small pieces are collected, large ones go out as they are, while the cache holds them. */
static int put(void *context, const void *bytes, size_t length)
{
    struct writer *w = context;
    const char *at = bytes;
    int rc = GUARD_OK;
    w->written += length;
    if (length < SNAPSHOT_CHUNK / 2) {
        guard_buffer_append(&w->chunk, bytes, length);
        return w->chunk.length >= SNAPSHOT_CHUNK || w->chunk.failed ? flush(w) : GUARD_OK;
    }
    rc = flush(w);
    while (length && rc == GUARD_OK) {
        size_t piece = length < SNAPSHOT_CHUNK ? length : SNAPSHOT_CHUNK;
        rc = write_out(w, at, piece);
        at += piece;
        length -= piece;
    }
    return rc;
}

static int put_revocations(const struct guard_content *content, const struct guard_sink *sink, struct guard_error *err)
{
    struct guard_content others = *content;
    struct guard_buffer entries = {0};
    others.revocations = NULL;
    guard_snapshot_list(&entries, &others, content, SIZE_MAX);
    int rc = entries.failed ? out_of_memory(err) : GUARD_OK;
    if (rc == GUARD_OK && entries.length)
        rc = sink->put(sink->context, entries.data, entries.length);
    guard_buffer_free(&entries);
    return rc;
}

static int put_part(enum snapshot_part part, const struct guard_snapshot_save *save, const struct guard_sink *sink,
                    struct guard_error *err)
{
    switch (part) {
    case PART_SECTIONS:
        return guard_shard_map_write(save->content->sections, sink);
    case PART_CLIENTS:
        return guard_clients_write(save->content->clients, sink);
    case PART_REVOCATIONS:
        return put_revocations(save->content, sink, err);
    default:
        return save->image ? save->callbacks->image_write(save->image, sink) : GUARD_OK;
    }
}

/* The parts, and in the header how long each is. */
static int put_parts(struct writer *w, const struct guard_snapshot_save *save, struct snapshot_header *header)
{
    struct guard_sink sink = {put, w};
    int rc = GUARD_OK;
    for (int part = 0; part < PARTS && rc == GUARD_OK; part++) {
        w->written = 0;
        rc = put_part((enum snapshot_part)part, save, &sink, w->err);
        header->lengths[part] = w->written;
        size_t written = (size_t)w->written;
        if (rc == GUARD_OK)
            rc = guard_sink_pad(&sink, &written, PART_ALIGN);
    }
    return rc == GUARD_OK ? flush(w) : rc;
}

static void fill_header(struct snapshot_header *header, const char *prefix, const struct guard_snapshot_save *save)
{
    memcpy(header->magic, SNAPSHOT_MAGIC, sizeof header->magic);
    header->byte_order = SNAPSHOT_BYTES;
    header->saved_at = save->saved_at;
    header->version = save->content->version;
    header->prefix_length = (uint32_t)strlen(prefix);
    memcpy(header->prefix, prefix, header->prefix_length);
}

static struct snapshot_tail make_tail(const unsigned char whole[GUARD_SNAPSHOT_DIGEST],
                                      const unsigned char last[GUARD_SNAPSHOT_DIGEST], int64_t fresh_at)
{
    struct snapshot_tail tail = {.fresh_at = fresh_at, .check = snapshot_check(last, &fresh_at, sizeof fresh_at)};
    memcpy(tail.digest, whole, sizeof tail.digest);
    return tail;
}

/* The digest, the tail, and the header in front. */
static int close_whole(struct writer *w, const struct snapshot_header *header, struct guard_snapshot_end *end)
{
    struct stat st;
    guard_sha256_add(w->sha, header, sizeof *header);
    if (!guard_sha256_end(&w->sha, end->digest))
        return guard_fail_at(w->err, GUARD_ERR_CRYPTO, w->file.path, 0, 0, "SHA-256 is not available");
    struct snapshot_tail tail = make_tail(end->digest, end->digest, header->saved_at);
    int rc = guard_file_replace_append(&w->file, &tail, sizeof tail, w->err);
    if (rc == GUARD_OK && pwrite(w->file.fd, header, sizeof *header, 0) != (ssize_t)sizeof *header)
        rc = guard_fail_at(w->err, GUARD_ERR_IO, w->file.path, 0, 0, "cannot write");
    if (rc == GUARD_OK && fstat(w->file.fd, &st) != 0)
        rc = guard_fail_at(w->err, GUARD_ERR_IO, w->file.path, 0, 0, "cannot examine");
    if (rc != GUARD_OK)
        return rc;
    end->device = (uint64_t)st.st_dev;
    end->inode = (uint64_t)st.st_ino;
    end->size = end->at = (uint64_t)st.st_size;
    end->tail_at = end->size - sizeof tail;
    return GUARD_OK;
}

static int write_whole(struct writer *w, const char *prefix, const struct guard_snapshot_save *save,
                       struct guard_snapshot_end *end)
{
    struct snapshot_header header = {0};
    int rc = guard_file_replace_append(&w->file, &header, sizeof header, w->err); /* filled in at the end */
    fill_header(&header, prefix, save);
    if (rc == GUARD_OK)
        rc = put_parts(w, save, &header);
    return rc == GUARD_OK ? close_whole(w, &header, end) : rc;
}

int guard_snapshot_write(const char *path, const char *prefix, const struct guard_snapshot_save *save,
                         struct guard_snapshot_end *end, struct guard_error *err)
{
    struct writer w = {.err = err, .sha = guard_sha256_begin()};
    struct guard_snapshot_end written = {0};
    unsigned char unused[GUARD_SNAPSHOT_DIGEST];
    if (!w.sha)
        return out_of_memory(err);
    int rc = guard_file_replace_begin(&w.file, path, 0600, err);
    if (rc == GUARD_OK) {
        rc = write_whole(&w, prefix, save, &written);
        if (rc == GUARD_OK)
            rc = guard_file_replace_commit(&w.file, err);
        else
            guard_file_replace_abandon(&w.file);
    }
    if (rc == GUARD_OK)
        *end = written;
    if (w.sha)
        guard_sha256_end(&w.sha, unused);
    guard_buffer_free(&w.chunk);
    return rc;
}

/* ---- changes ---- */

/* The file, if it is still the one that was left like this; or -1. */
static int open_left(const char *path, const struct guard_snapshot_end *end)
{
    struct stat st;
    int fd = end->size ? open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_dev == end->device && (uint64_t)st.st_ino == end->inode &&
        (uint64_t)st.st_size == end->size)
        return fd;
    close(fd);
    return -1;
}

static uint64_t room_for_changes(const struct guard_snapshot_end *end)
{
    uint64_t share = end->tail_at / 64;
    return share < CHANGES_MIN ? CHANGES_MIN : share > CHANGES_MAX ? CHANGES_MAX : share;
}

static bool write_at(int fd, const void *bytes, size_t length, uint64_t at)
{
    const char *from = bytes;
    while (length) {
        ssize_t wrote = pwrite(fd, from, length, (off_t)at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        from += wrote;
        at += (uint64_t)wrote;
        length -= (size_t)wrote;
    }
    return true;
}

/* One change in one piece: head, entries, digest. end->digest is moved on. */
static bool frame_change(struct guard_buffer *change, const struct guard_buffer *entries,
                         const struct guard_snapshot_save *save, struct guard_snapshot_end *end)
{
    struct snapshot_change head = {.magic = CHANGE_MAGIC,
                                   .length = entries->length,
                                   .saved_at = save->saved_at,
                                   .version = save->content->version};
    head.check = snapshot_check(end->digest, &head, offsetof(struct snapshot_change, check));
    guard_buffer_append(change, &head, sizeof head);
    guard_buffer_append(change, entries->data, entries->length);
    if (!guard_snapshot_chain(end->digest, &head, entries->data))
        return false;
    guard_buffer_append(change, end->digest, sizeof end->digest);
    return !change->failed;
}

/* A last change that was cut off is overwritten. */
static int add_change(int fd, const char *path, const struct guard_buffer *change, struct guard_snapshot_end *end,
                      struct guard_error *err)
{
    char text[128];
    if ((end->size == end->at || ftruncate(fd, (off_t)end->at) == 0) &&
        write_at(fd, change->data, change->length, end->at) && fdatasync(fd) == 0) {
        end->at += change->length;
        end->size = end->at;
        return GUARD_OK;
    }
    return guard_fail_at(err, GUARD_ERR_IO, path, 0, 0, "cannot write: %s", strerror_r(errno, text, sizeof text));
}

int guard_snapshot_append(const char *path, const struct guard_content *held, const struct guard_snapshot_save *save,
                          struct guard_snapshot_end *end, struct guard_error *err)
{
    struct guard_snapshot_end next = *end;
    struct guard_buffer entries = {0}, change = {0};
    int fd = open_left(path, end), rc = GUARD_ERR_UNSUPPORTED;
    if (fd < 0)
        return rc;
    guard_snapshot_list(&entries, held, save->content, CHANGES_MAX);
    uint64_t behind = end->at - end->tail_at - sizeof(struct snapshot_tail);
    if (!entries.failed && behind + entries.length <= room_for_changes(end)) {
        rc = frame_change(&change, &entries, save, &next) ? add_change(fd, path, &change, &next, err)
                                                          : out_of_memory(err);
        if (rc == GUARD_OK)
            *end = next;
        else
            end->size = 0; /* nobody knows what the file holds now */
    }
    close(fd);
    guard_buffer_free(&entries);
    guard_buffer_free(&change);
    return rc;
}

void guard_snapshot_confirm(const char *path, const struct guard_snapshot_end *end, int64_t fresh_at)
{
    int fd = open_left(path, end);
    if (fd < 0)
        return;
    struct snapshot_tail tail = make_tail(end->digest, end->digest, fresh_at);
    size_t note = offsetof(struct snapshot_tail, fresh_at);
    if (!write_at(fd, (const char *)&tail + note, sizeof tail.fresh_at + sizeof tail.check, end->tail_at + note))
        fresh_at = 0; /* a torn note does not check out, and the time of saving counts */
    close(fd);
}
