/*
 * The inside of the session table, for session.c and for the look-up that each ACL_CHECK begins with, which is inlined
 * there: with a thousand subscribers it runs a thousand times for one message.
 */
#ifndef GUARD_PLUGIN_SESSION_TABLE_H
#define GUARD_PLUGIN_SESSION_TABLE_H

#include "acl/acl.h"
#include "core/siphash.h"
#include "plugin/session.h"

struct audit;

/*
 * Two lines of memory side by side, and of a client with short names a check reads the first alone: with ten thousand
 * clients every other one costs it a wait. What the quick look-up needs of the session is copied here by
 * guard_sessions_find, and holds while verified is the turn.
 */
struct slot {
    const struct mosquitto *client; /* NULL = empty */
    int64_t ends_at;
    uint32_t verified;    /* the turn when the id was last compared; 0: it is to be compared, the copies are not good */
    uint32_t messages_in; /* not a copy: counted here since session->messages_before */
    uint32_t next;        /* index of the slot of whoever published next, the last time: a guess */
    struct acl_face face;
    struct guard_session *session; /* where client is not NULL */
};
_Static_assert(sizeof(struct slot) == 128, "a slot is two cache lines");

/* Chained hash index over one text of a session, newest entry first. */
struct index {
    struct guard_session **buckets;
    size_t mask;
    size_t key;  /* offset of the text in struct guard_session; NULL texts are not indexed */
    size_t link; /* offset of the link */
};

struct guard_sessions {
    struct slot *slots; /* open addressing, linear probing, at most half full */
    size_t mask;
    size_t byte_mask; /* mask * sizeof(struct slot) */
    unsigned shift;   /* of a hash, so that its upper bits come to lie under byte_mask */
    uint32_t latest;  /* index of the slot of whoever published last. Indexes stay good: the table never shrinks */
    uint32_t turn;
    uint32_t quick_turn; /* turn, or 1, which no entry has, while the quick look-up is switched off */
    bool quick_held;     /* it would be switched on, but for guard_sessions_hold_quick */
    size_t count;
    const struct acl_policy *policy; /* that faces are made for; NULL: nothing is quick */
    struct index by_id, by_user;
    struct guard_session *all;  /* newest first */
    struct guard_session *walk; /* the next one of guard_sessions_walk_next */
    struct guard_siphash_key key;
    struct audit *audit;
    struct guard_session **heap; /* by ends_at, smallest first */
    size_t heap_count, heap_capacity;
};

/* Takes the entry out of the heap of ends, if it is there (session_expiry.c). */
void guard_sessions_heap_remove(struct guard_sessions *sessions, struct guard_session *session);

/*
 * The distance in bytes of the client's first slot from the table's start. The multiplier is 2^64 / golden ratio, and
 * the product's upper bits tell the slot: so pointers at regular distances, as an allocator gives them, spread evenly.
 */
static inline size_t home_bytes(const struct guard_sessions *sessions, const struct mosquitto *client)
{
    return (size_t)((uint64_t)(uintptr_t)client * UINT64_C(0x9e3779b97f4a7c15) >> sessions->shift) &
           sessions->byte_mask;
}

static inline size_t home(const struct guard_sessions *sessions, const struct mosquitto *client)
{
    return home_bytes(sessions, client) / sizeof(struct slot);
}

/* The slot the client is in, or the empty one where it would be. */
static inline size_t probe(const struct guard_sessions *sessions, const struct mosquitto *client)
{
    size_t i = home(sessions, client);
    while (sessions->slots[i].client != client && sessions->slots[i].client)
        i = (i + 1) & sessions->mask;
    return i;
}

/*
 * The slot of the entry if it is that of a connected client with a subject, whose id was compared since its
 * connection began; NULL: guard_sessions_find tells.
 */
static inline struct slot *guard_sessions_quick(const struct guard_sessions *sessions, const struct mosquitto *client)
{
    /* by its distance in bytes, which spares the multiplication of an index */
    struct slot *slot = (struct slot *)((char *)sessions->slots + home_bytes(sessions, client));
    while (__builtin_expect(slot->client != client, 0)) {
        if (!slot->client)
            return NULL;
        if (++slot > sessions->slots + sessions->mask)
            slot = sessions->slots;
    }
    /* only guard_sessions_find sets verified, and what makes an entry another one takes it back (0) or begins a new
     * turn */
    return __builtin_expect(slot->verified == sessions->quick_turn, 1) ? slot : NULL;
}

/*
 * Devices report in much the same order every minute. With thousands of them the next one's slot is in no cache when it
 * is needed, so it is fetched while the broker is still busy with this one.
 */
static inline void guard_expect_next(struct guard_sessions *sessions, struct slot *slot)
{
    uint32_t at = (uint32_t)(slot - sessions->slots);
    sessions->slots[sessions->latest].next = at;
    sessions->latest = at;
    __builtin_prefetch(&sessions->slots[slot->next], 1);
}

/* Whether any session has an end that has not come. */
static inline bool guard_sessions_some_end(const struct guard_sessions *sessions)
{
    return sessions->heap_count != 0;
}

/* A publish, or another message that came from the client. */
static inline void guard_count_message_in(struct slot *slot)
{
    if (__builtin_expect(++slot->messages_in == 0, 0))
        slot->session->messages_before += UINT64_C(1) << 32;
}

#endif
