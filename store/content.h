/*
 * What the Redis home holds, read and checked: immutable, made by an edit from another content, so that a change costs
 * what it touches. Used by the store thread.
 */
#ifndef GUARD_STORE_CONTENT_H
#define GUARD_STORE_CONTENT_H

#include "core/buffer.h"
#include "core/clients.h"
#include "core/revocations.h"
#include "core/shard_map.h"
#include "store/faults.h"
#include "store/keys.h"
#include "store/redis_reply.h"
#include "store/store.h"

/* Zero-initialised it is empty; guard_content_free releases. */
struct guard_content {
    struct guard_shard_map
        *sections; /* key: enum guard_key_kind (role, assign, default, jwks) as a byte, then the name */
    struct guard_clients *clients;
    struct guard_revocations *revocations;
    uint64_t version; /* guard:version; 0 = none */
    uint64_t confirm; /* digest of guard:confirm-empty; 0 = not there */
    uint64_t roles, rules;
    unsigned incomplete; /* bits 1 << kind: assign or default cannot be read and never could; not to be used */
};

/* References what from holds. */
void guard_content_copy(struct guard_content *to, const struct guard_content *from);
void guard_content_free(struct guard_content *content); /* and zeroes it */
/* Whether it holds no role, assignment, default and client. */
bool guard_content_is_empty(const struct guard_content *content);
/* Whether roles, assignments, defaults, key sets and clients are the same. */
bool guard_content_same_policy(const struct guard_content *a, const struct guard_content *b);

/* Sets roles and rules by counting. */
void guard_content_count(struct guard_content *content);

/*
 * A section's value: uint32 count, then count times field NUL value NUL, sorted by field. For key sets (jwks) the JSON
 * text. Splits it into lines; name and place are set in each, the rest points into the entry. lines has room for count.
 */
size_t guard_content_section_count(const struct guard_shard_entry *entry);
void guard_content_section_lines(const struct guard_shard_entry *entry, const char *place,
                                 struct guard_policy_line *lines);
enum guard_key_kind guard_content_section_kind(const struct guard_shard_entry *entry);

/* Where checks go and what they are told; everything is borrowed. */
struct guard_content_checks {
    const struct guard_store_callbacks *callbacks;
    const char *prefix;
    struct guard_faults *faults;
};

/* One change under way. Zero-initialise. */
struct guard_content_edit {
    const struct guard_content_checks *checks;
    const struct guard_content *good; /* last good versions, for what does not pass the check */
    struct guard_shard_builder *sections;
    struct guard_clients_builder *clients;
    struct guard_revocations_builder *revocations;
    uint64_t version, confirm, roles, rules;
    unsigned incomplete;
    bool whole;
    struct guard_policy_line *lines; /* scratch, like the buffers: kept from key to key */
    size_t lines_capacity;
    struct guard_buffer place, packed;
};

/*
 * Begins with what base holds, or with nothing (base NULL: everything is read anew). good may be empty, not NULL; it
 * must live as long as the edit. GUARD_OK or GUARD_ERR_NOMEM.
 */
int guard_content_edit_begin(struct guard_content_edit *edit, const struct guard_content *base,
                             const struct guard_content *good, const struct guard_content_checks *checks);

/*
 * Takes the reply to HGETALL or GET of a key (without prefix). What does not pass is reported (callbacks->problem) and
 * replaced as store.h says; that is no error here. GUARD_OK, GUARD_ERR_NOMEM.
 */
int guard_content_edit_take(struct guard_content_edit *edit, const char *key, const struct guard_reply *reply);

/* Makes the content (which must be zeroed) and ends the edit. GUARD_OK or GUARD_ERR_NOMEM. */
int guard_content_edit_finish(struct guard_content_edit *edit, struct guard_content *content);
void guard_content_edit_abandon(struct guard_content_edit *edit);

#endif
