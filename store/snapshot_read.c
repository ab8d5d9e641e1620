/* Reading a snapshot: everything is read and its checksums computed before anything is looked at. */
#include "core/file.h"
#include "store/hasher.h"
#include "store/snapshot_format.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct reader {
    const char *path;
    int fd;
    uint64_t size;
    struct snapshot_header header;
    struct snapshot_tail tail;
    struct guard_slab *parts[PARTS];
    struct guard_slab *changes; /* all that is behind the tail */
    uint64_t tail_at;
    struct guard_error *err;
};

static int damaged(const struct reader *r, const char *what)
{
    return guard_fail_at(r->err, GUARD_ERR_INVALID, r->path, 0, 0, "the snapshot is not used: %s", what);
}

static int out_of_memory(const struct reader *r)
{
    return guard_fail_at(r->err, GUARD_ERR_NOMEM, r->path, 0, 0, "out of memory");
}

static int read_at(const struct reader *r, void *to, size_t length, uint64_t at)
{
    char *into = to, text[128];
    while (length) {
        ssize_t got = pread(r->fd, into, length, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            return damaged(r, "it was cut while it was read");
        if (got < 0)
            return guard_fail_at(r->err, GUARD_ERR_IO, r->path, 0, 0, "cannot read: %s",
                                 strerror_r(errno, text, sizeof text));
        into += got;
        at += (uint64_t)got;
        length -= (size_t)got;
    }
    return GUARD_OK;
}

static int read_header(struct reader *r, const char *prefix)
{
    struct snapshot_header *h = &r->header;
    if (r->size < sizeof *h + sizeof r->tail)
        return damaged(r, "it is too short");
    int rc = read_at(r, h, sizeof *h, 0);
    if (rc != GUARD_OK)
        return rc;
    if (memcmp(h->magic, SNAPSHOT_MAGIC, sizeof h->magic) != 0 || h->byte_order != SNAPSHOT_BYTES)
        return damaged(r, "it has another format");
    if (h->prefix_length != strlen(prefix) || memcmp(h->prefix, prefix, h->prefix_length) != 0)
        return damaged(r, "it was saved under another redis_prefix");
    r->tail_at = sizeof *h;
    for (int part = 0; part < PARTS; part++) {
        if (h->lengths[part] > r->size || snapshot_padded(h->lengths[part]) > r->size - r->tail_at)
            return damaged(r, "it is too short");
        r->tail_at += snapshot_padded(h->lengths[part]);
    }
    return r->size - r->tail_at < sizeof r->tail ? damaged(r, "it is too short") : GUARD_OK;
}

/* A part into memory of its own, and piece by piece into the digest. */
static int read_part(struct reader *r, enum snapshot_part part, uint64_t at, struct guard_hasher *hasher)
{
    size_t length = (size_t)snapshot_padded(r->header.lengths[part]);
    struct guard_slab *slab = r->parts[part] = guard_slab_new(length, part != PART_IMAGE);
    if (!slab)
        return out_of_memory(r);
    for (size_t done = 0; done < length;) {
        size_t piece = length - done < SNAPSHOT_CHUNK ? length - done : SNAPSHOT_CHUNK;
        int rc = read_at(r, slab->bytes + done, piece, at + done);
        if (rc != GUARD_OK)
            return rc;
        guard_hasher_add(hasher, slab->bytes + done, piece);
        done += piece;
    }
    return GUARD_OK;
}

static int read_parts(struct reader *r, struct guard_hasher *hasher)
{
    uint64_t at = sizeof r->header;
    int rc = GUARD_OK;
    for (int part = 0; part < PARTS && rc == GUARD_OK; part++) {
        rc = read_part(r, (enum snapshot_part)part, at, hasher);
        at += snapshot_padded(r->header.lengths[part]);
    }
    return rc == GUARD_OK ? read_at(r, &r->tail, sizeof r->tail, r->tail_at) : rc;
}

static int read_whole(struct reader *r)
{
    unsigned char digest[GUARD_SNAPSHOT_DIGEST];
    struct guard_hasher *hasher = guard_hasher_start();
    if (!hasher)
        return out_of_memory(r);
    int rc = read_parts(r, hasher);
    guard_hasher_add(hasher, &r->header, sizeof r->header);
    bool good = guard_hasher_end(&hasher, digest);
    if (rc == GUARD_OK && !good)
        rc = out_of_memory(r);
    if (rc == GUARD_OK && memcmp(digest, r->tail.digest, sizeof digest) != 0)
        rc = damaged(r, "it is damaged (its checksum does not fit)");
    if (rc != GUARD_OK)
        return rc;
    uint64_t behind = r->size - r->tail_at - sizeof r->tail;
    if (behind > 4 * CHANGES_MAX)
        return damaged(r, "it is too long");
    r->changes = guard_slab_new((size_t)behind, true);
    return r->changes ? read_at(r, r->changes->bytes, (size_t)behind, r->size - behind) : out_of_memory(r);
}

/* ---- what was read ---- */

static int no_part(const struct reader *r, int rc)
{
    return rc == GUARD_ERR_NOMEM ? out_of_memory(r) : damaged(r, "an entry is malformed");
}

static int load_base(struct reader *r, struct guard_snapshot *out)
{
    struct guard_content maps = {.version = r->header.version};
    int rc = guard_shard_map_load(r->parts[PART_SECTIONS], (size_t)r->header.lengths[PART_SECTIONS],
                                  guard_snapshot_section_fits, &maps.sections);
    if (rc == GUARD_OK)
        rc = guard_clients_load(r->parts[PART_CLIENTS], (size_t)r->header.lengths[PART_CLIENTS], &maps.clients);
    if (rc == GUARD_OK)
        rc = guard_snapshot_apply(&maps, r->parts[PART_REVOCATIONS]->bytes, (size_t)r->header.lengths[PART_REVOCATIONS],
                                  &out->base);
    guard_content_free(&maps);
    if (rc != GUARD_OK)
        return no_part(r, rc);
    if (r->header.lengths[PART_IMAGE]) {
        out->image = guard_slab_ref(r->parts[PART_IMAGE]);
        out->image_length = (size_t)r->header.lengths[PART_IMAGE];
    }
    return GUARD_OK;
}

enum change_state { CHANGE_GOOD, CHANGE_CUT_OFF, CHANGE_DAMAGED, CHANGE_UNKNOWN /* no memory to tell */ };

static bool is_zero(const char *bytes, size_t length)
{
    while (length && !bytes[length - 1])
        length--;
    return !length;
}

/*
 * Looks at the change that begins at `at` of left octets. Only the last one can have been cut off: it reaches to the
 * end of the file or beyond, or nothing of it was written but the file's length.
 */
static enum change_state examine(const char *at, size_t left, unsigned char digest[GUARD_SNAPSHOT_DIGEST],
                                 struct snapshot_change *head)
{
    unsigned char next[GUARD_SNAPSHOT_DIGEST];
    if (left < sizeof *head)
        return CHANGE_CUT_OFF;
    memcpy(head, at, sizeof *head);
    if (head->magic != CHANGE_MAGIC ||
        head->check != snapshot_check(digest, head, offsetof(struct snapshot_change, check)))
        return is_zero(at, left) ? CHANGE_CUT_OFF : CHANGE_DAMAGED;
    if (head->length > left || sizeof *head + head->length + sizeof next > left)
        return CHANGE_CUT_OFF;
    memcpy(next, digest, sizeof next);
    if (!guard_snapshot_chain(next, head, at + sizeof *head))
        return CHANGE_UNKNOWN;
    if (memcmp(next, at + sizeof *head + head->length, sizeof next) != 0)
        return sizeof *head + head->length + sizeof next == left ? CHANGE_CUT_OFF : CHANGE_DAMAGED;
    memcpy(digest, next, sizeof next);
    return CHANGE_GOOD;
}

/* Walks the changes; their entries are moved together to the front of the memory they are in: *entries octets. */
static enum change_state gather(struct reader *r, struct guard_snapshot *out, size_t *entries)
{
    char *bytes = r->changes->bytes;
    size_t at = 0, left = r->changes->size;
    enum change_state state = CHANGE_GOOD;
    while (left && state == CHANGE_GOOD) {
        struct snapshot_change head;
        state = examine(bytes + at, left, out->end.digest, &head);
        if (state != CHANGE_GOOD)
            break;
        size_t size = sizeof head + (size_t)head.length + GUARD_SNAPSHOT_DIGEST;
        memmove(bytes + *entries, bytes + at + sizeof head, (size_t)head.length);
        *entries += (size_t)head.length;
        out->content.version = head.version;
        out->saved_at = head.saved_at;
        at += size;
        left -= size;
    }
    out->end.at = r->tail_at + sizeof r->tail + at;
    return state;
}

static int take_changes(struct reader *r, struct guard_snapshot *out)
{
    size_t entries = 0;
    out->content.version = out->base.version;
    out->saved_at = r->header.saved_at;
    memcpy(out->end.digest, r->tail.digest, sizeof out->end.digest);
    enum change_state state = gather(r, out, &entries);
    uint64_t version = out->content.version;
    if (state == CHANGE_UNKNOWN)
        return out_of_memory(r);
    if (state == CHANGE_DAMAGED)
        return damaged(r, "it is damaged (a change's checksum does not fit)");
    int rc = guard_snapshot_apply(&out->base, r->changes->bytes, entries, &out->content);
    if (rc != GUARD_OK)
        return no_part(r, rc);
    out->content.version = version;
    out->cut_off = state == CHANGE_CUT_OFF;
    return GUARD_OK;
}

static void take_note(const struct reader *r, struct guard_snapshot *out)
{
    bool fits = r->tail.check == snapshot_check(out->end.digest, &r->tail.fresh_at, sizeof r->tail.fresh_at);
    out->fresh_at = fits && r->tail.fresh_at >= out->saved_at ? r->tail.fresh_at : out->saved_at;
}

static int take_all(struct reader *r, const char *prefix, struct guard_snapshot *out)
{
    struct stat st;
    int rc = read_header(r, prefix);
    if (rc == GUARD_OK)
        rc = read_whole(r);
    if (rc == GUARD_OK)
        rc = load_base(r, out);
    if (rc == GUARD_OK)
        rc = take_changes(r, out);
    if (rc != GUARD_OK)
        return rc;
    take_note(r, out);
    out->end.tail_at = r->tail_at;
    if (fstat(r->fd, &st) == 0) {
        out->end.device = (uint64_t)st.st_dev;
        out->end.inode = (uint64_t)st.st_ino;
        out->end.size = r->size;
    }
    return GUARD_OK;
}

int guard_snapshot_read(const char *path, const char *prefix, struct guard_snapshot *out, struct guard_error *err)
{
    struct reader r = {.path = path, .err = err};
    size_t size;
    int rc = guard_file_open(path, GUARD_FILE_SECRET, SNAPSHOT_SIZE_MAX, &r.fd, &size, err);
    if (rc != GUARD_OK)
        return rc;
    r.size = size;
    rc = take_all(&r, prefix, out);
    close(r.fd);
    for (int part = 0; part < PARTS; part++)
        guard_slab_unref(&r.parts[part]);
    guard_slab_unref(&r.changes);
    if (rc != GUARD_OK)
        guard_snapshot_free(out);
    return rc;
}

void guard_snapshot_free(struct guard_snapshot *snapshot)
{
    guard_content_free(&snapshot->base);
    guard_content_free(&snapshot->content);
    guard_slab_unref(&snapshot->image);
    *snapshot = (struct guard_snapshot){0};
}
