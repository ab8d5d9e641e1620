/* How a snapshot is laid out. Private to store/snapshot_*.c. */
#ifndef GUARD_STORE_SNAPSHOT_FORMAT_H
#define GUARD_STORE_SNAPSHOT_FORMAT_H

#include "core/digest.h"
#include "core/siphash.h"
#include "store/snapshot.h"

#include <stddef.h>
#include <string.h>

enum snapshot_part { PART_SECTIONS, PART_CLIENTS, PART_REVOCATIONS, PART_IMAGE, PARTS };

#define PART_ALIGN        64
#define SNAPSHOT_SIZE_MAX ((size_t)64 << 30)
#define SNAPSHOT_MAGIC    "GUARDSNAP\3"
#define SNAPSHOT_BYTES    0x01020304u
#define SNAPSHOT_CHUNK    ((size_t)256 * 1024)

struct snapshot_header {
    char magic[10];
    char reserved[2];
    uint32_t byte_order;
    int64_t saved_at;
    uint64_t version;
    uint64_t lengths[PARTS]; /* the parts follow in that order, each up to a multiple of PART_ALIGN */
    uint32_t prefix_length;
    char prefix[GUARD_STORE_PREFIX_MAX];
    char reserved_end[4];
};

/* Behind the parts. */
struct snapshot_tail {
    unsigned char digest[GUARD_SNAPSHOT_DIGEST]; /* of the parts, then the header */
    int64_t fresh_at;
    uint64_t check; /* of fresh_at, keyed by the digest of the last change: belongs to this very content */
};

/* One change: this, entries, a digest of the digest before it and all that. */
struct snapshot_change {
    uint32_t magic, reserved;
    uint64_t length; /* of the entries */
    int64_t saved_at;
    uint64_t version;
    uint64_t check; /* of this head, keyed by the digest before it */
};

#define CHANGE_MAGIC 0x474e4843u

/*
 * What may lie behind the whole before it is written anew: a start must not take long over it, and a rewrite must be
 * rare.
 */
#define CHANGES_MIN ((uint64_t)256 * 1024)
#define CHANGES_MAX ((uint64_t)8 * 1024 * 1024)

static inline uint64_t snapshot_padded(uint64_t length)
{
    return (length + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
}

static inline uint64_t snapshot_check(const unsigned char digest[GUARD_SNAPSHOT_DIGEST], const void *bytes,
                                      size_t length)
{
    struct guard_siphash_key key;
    memcpy(&key, digest, sizeof key);
    return guard_siphash(&key, bytes, length);
}

/* ---- snapshot_changes.c ---- */

/* Appends what differs from `from` to `to` as entries, until there are more octets than limit. */
void guard_snapshot_list(struct guard_buffer *entries, const struct guard_content *from, const struct guard_content *to,
                         size_t limit);

/*
 * Makes *to (zeroed) out of from and entries[0..length), which are not trusted. GUARD_OK, GUARD_ERR_INVALID,
 * GUARD_ERR_NOMEM.
 */
int guard_snapshot_apply(const struct guard_content *from, const char *entries, size_t length,
                         struct guard_content *to);

/* Whether an entry of sections is one: a known kind, with a value of texts. */
bool guard_snapshot_section_fits(const struct guard_shard_entry *entry);

/* The digest that closes a change. False: OpenSSL failed. */
bool guard_snapshot_chain(unsigned char digest[GUARD_SNAPSHOT_DIGEST], const struct snapshot_change *head,
                          const char *entries);

#endif
