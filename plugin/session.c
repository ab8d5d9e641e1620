#include "plugin/session.h"

#include "acl/acl.h"
#include "audit/audit.h"
#include "auth/certificate.h"
#include "core/apart.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/siphash.h"
#include "plugin/broker.h"
#include "plugin/session_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SPARSE        2 /* slots an entry, at least: most look-ups then end at the first one */
#define FIRST_SLOTS   256
#define FIRST_BUCKETS 256
#define NOT_QUICK     1 /* no entry has it as verified: they have 0 or a turn */

static bool index_init(struct index *index, size_t key, size_t link)
{
    *index = (struct index){calloc(FIRST_BUCKETS, sizeof *index->buckets), FIRST_BUCKETS - 1, key, link};
    return index->buckets != NULL;
}

#define LARGE_PAGE ((size_t)2 * 1024 * 1024)

/* Empty slots. Many are put on large pages where the system has them: looked at at random, they would miss the TLB. */
static struct slot *new_slots(size_t count)
{
    size_t size = count * sizeof(struct slot);
    bool large = size >= LARGE_PAGE;
    struct slot *slots = aligned_alloc(large ? LARGE_PAGE : sizeof *slots, size);
    if (!slots)
        return NULL;
    if (large)
        madvise(slots, size, MADV_HUGEPAGE); /* only advice */
    return memset(slots, 0, size);
}

/* count is a power of two. */
static void set_slots(struct guard_sessions *sessions, struct slot *slots, size_t count)
{
    sessions->slots = slots;
    sessions->mask = count - 1;
    sessions->byte_mask = sessions->mask * sizeof(struct slot);
    sessions->shift = (unsigned)__builtin_clzll(count * sizeof(struct slot)) + 1;
}

struct guard_sessions *guard_sessions_new(struct audit *audit)
{
    struct guard_sessions *sessions = calloc(1, sizeof *sessions);
    if (!sessions)
        return NULL;
    sessions->audit = audit;
    sessions->turn = NOT_QUICK + 1;
    sessions->quick_turn = NOT_QUICK;
    set_slots(sessions, new_slots(FIRST_SLOTS), FIRST_SLOTS);
    sessions->key = guard_siphash_random_key();
    bool indexed =
        index_init(&sessions->by_id, offsetof(struct guard_session, client_id), offsetof(struct guard_session, by_id));
    indexed = index_init(&sessions->by_user, offsetof(struct guard_session, username),
                         offsetof(struct guard_session, by_user)) &&
              indexed;
    if (!sessions->slots || !indexed)
        guard_sessions_free(&sessions);
    return sessions;
}

void guard_offer_free(struct guard_offer **offer)
{
    if (*offer)
        guard_free_string(&(*offer)->username); /* a token may stand there */
    free(*offer);
    *offer = NULL;
}

static void free_session(struct audit *audit, struct guard_session *session)
{
    guard_apart_drop(&session->client_id);
    guard_apart_drop(&session->username);
    guard_apart_drop(&session->address);
    guard_apart_drop(&session->stored_hash);
    guard_offer_free(&session->offer);
    auth_certificate_names_free(&session->certificate);
    guard_identity_free(&session->identity);
    acl_subject_free(&session->subject);
    if (session->peer)
        audit_peer_free(audit, &session->peer);
    guard_apart_drop(&session);
}

void guard_sessions_free(struct guard_sessions **sessions_pointer)
{
    struct guard_sessions *sessions = *sessions_pointer;
    if (!sessions)
        return;
    for (size_t i = 0; sessions->slots && i <= sessions->mask; i++)
        if (sessions->slots[i].client)
            free_session(sessions->audit, sessions->slots[i].session);
    free(sessions->slots);
    free(sessions->by_id.buckets);
    free(sessions->by_user.buckets);
    free(sessions->heap);
    free(sessions);
    *sessions_pointer = NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The next turn is one that no slot was verified in. */
static void next_turn(struct guard_sessions *sessions)
{
    if (++sessions->turn != 0)
        return;
    for (size_t i = 0; i <= sessions->mask; i++)
        sessions->slots[i].verified = 0;
    sessions->turn = NOT_QUICK + 1;
}

void guard_sessions_doubt(struct guard_sessions *sessions, const struct mosquitto *client)
{
    sessions->slots[probe(sessions, client)].verified = 0; /* of an empty slot, too */
}

void guard_sessions_turn(struct guard_sessions *sessions)
{
    next_turn(sessions);
    if (sessions->quick_turn != NOT_QUICK)
        sessions->quick_turn = sessions->turn;
}

void guard_sessions_set_policy(struct guard_sessions *sessions, const struct acl_policy *policy)
{
    sessions->policy = policy;
    guard_sessions_turn(sessions);
}

void guard_sessions_set_quick(struct guard_sessions *sessions, bool quick)
{
    next_turn(sessions);
    sessions->quick_turn = quick ? sessions->turn : NOT_QUICK;
    sessions->quick_held = false;
}

void guard_sessions_hold_quick(struct guard_sessions *sessions, bool hold)
{
    if (hold && sessions->quick_turn != NOT_QUICK) {
        sessions->quick_turn = NOT_QUICK;
        sessions->quick_held = true;
    } else if (!hold && sessions->quick_held) {
        sessions->quick_turn = sessions->turn;
        sessions->quick_held = false;
    }
}

struct guard_session *guard_sessions_find(const struct guard_sessions *sessions, const struct mosquitto *client)
{
    struct slot *slot = &sessions->slots[probe(sessions, client)];
    const char *id = mosquitto_client_id(client);
    if (!slot->client || !id)
        return NULL;
    struct guard_session *session = slot->session;
    if (strcmp(session->client_id, id) != 0)
        return NULL;
    if (session->state != SESSION_ONLINE && !same_text(session->username, mosquitto_client_username(client)))
        return NULL;
    if (session->state == SESSION_ONLINE && session->subject && sessions->policy) {
        slot->ends_at = session->ends_at;
        acl_face_make(sessions->policy, session->subject, &slot->face);
        slot->verified = sessions->turn;
    }
    return session;
}

void guard_session_changed(struct guard_session *session)
{
    session->slot->verified = 0;
}

void guard_session_bind(struct guard_session *session, struct acl_subject *subject, uint64_t generation)
{
    guard_session_changed(session);
    acl_subject_free(&session->subject);
    session->subject = subject;
    session->binding = generation;
}

uint64_t guard_session_messages_in(const struct guard_session *session)
{
    return session->messages_before + session->slot->messages_in;
}

struct guard_session *guard_sessions_peek(const struct guard_sessions *sessions, const struct mosquitto *client)
{
    return sessions->slots[probe(sessions, client)].session;
}

static const char *key_of(const struct index *index, const struct guard_session *session)
{
    return *(char *const *)((const char *)session + index->key);
}

static struct guard_session_link *link_of(const struct index *index, struct guard_session *session)
{
    return (struct guard_session_link *)((char *)session + index->link);
}

static struct guard_session **bucket_of(const struct guard_sessions *sessions, const struct index *index,
                                        const char *key)
{
    return &index->buckets[guard_siphash(&sessions->key, key, strlen(key)) & index->mask];
}

struct guard_session *guard_sessions_by_id(const struct guard_sessions *sessions, const char *client_id)
{
    struct guard_session *session = *bucket_of(sessions, &sessions->by_id, client_id);
    while (session && strcmp(session->client_id, client_id) != 0)
        session = session->by_id.next;
    return session;
}

struct guard_session *guard_sessions_connected(const struct guard_sessions *sessions, const char *client_id,
                                               const struct mosquitto *except)
{
    struct guard_session *session = *bucket_of(sessions, &sessions->by_id, client_id);
    for (; session; session = session->by_id.next)
        if ((session->state == SESSION_ONLINE || session->state == SESSION_PENDING) && session->client != except &&
            strcmp(session->client_id, client_id) == 0)
            return session;
    return NULL;
}

void guard_sessions_of_user(const struct guard_sessions *sessions, const char *username,
                            void (*visit)(void *context, struct guard_session *session), void *context)
{
    struct guard_session *session = *bucket_of(sessions, &sessions->by_user, username);
    for (; session; session = session->by_user.next)
        if (strcmp(session->username, username) == 0)
            visit(context, session);
}

static void join_all(struct guard_sessions *sessions, struct guard_session *session)
{
    session->all = (struct guard_session_link){sessions->all, &sessions->all};
    if (sessions->all)
        sessions->all->all.back = &session->all.next;
    sessions->all = session;
}

static void leave_all(struct guard_sessions *sessions, struct guard_session *session)
{
    struct guard_session *next = session->all.next;
    if (sessions->walk == session)
        sessions->walk = next;
    *session->all.back = next;
    if (next)
        next->all.back = session->all.back;
}

static void unlink_from(struct index *index, struct guard_session *session)
{
    struct guard_session_link *link = link_of(index, session);
    if (!link->back)
        return;
    *link->back = link->next;
    if (link->next)
        link_of(index, link->next)->back = link->back;
    *link = (struct guard_session_link){0};
}

static void link_into(const struct guard_sessions *sessions, struct index *index, struct guard_session *session)
{
    const char *key = key_of(index, session);
    if (!key)
        return;
    struct guard_session **bucket = bucket_of(sessions, index, key);
    struct guard_session_link *link = link_of(index, session);
    *link = (struct guard_session_link){*bucket, bucket};
    if (link->next)
        link_of(index, link->next)->back = &link->next;
    *bucket = session;
}

/* Oldest first, so that the newest entry of a text ends up in front again. */
static void relink_chain(const struct guard_sessions *sessions, struct index *index, struct guard_session *session)
{
    struct guard_session *reversed = NULL;
    while (session) {
        struct guard_session *next = link_of(index, session)->next;
        link_of(index, session)->next = reversed;
        reversed = session;
        session = next;
    }
    while (reversed) {
        struct guard_session *next = link_of(index, reversed)->next;
        link_into(sessions, index, reversed);
        reversed = next;
    }
}

static void index_grow(const struct guard_sessions *sessions, struct index *index)
{
    size_t old_count = index->mask + 1;
    struct guard_session **old = index->buckets;
    struct guard_session **grown = calloc(old_count * 2, sizeof *grown);
    if (!grown)
        return; /* longer chains, still right */
    index->buckets = grown;
    index->mask = old_count * 2 - 1;
    for (size_t i = 0; i < old_count; i++)
        relink_chain(sessions, index, old[i]);
    free(old);
}

static void move(struct slot *to, const struct slot *from)
{
    *to = *from;
    to->session->slot = to;
}

static int grow_slots(struct guard_sessions *sessions)
{
    size_t old_count = sessions->mask + 1;
    struct slot *old = sessions->slots;
    struct slot *grown = new_slots(old_count * 2);
    if (!grown)
        return GUARD_ERR_NOMEM;
    set_slots(sessions, grown, old_count * 2);
    for (size_t i = 0; i < old_count; i++)
        if (old[i].client)
            move(&sessions->slots[probe(sessions, old[i].client)], &old[i]);
    free(old);
    if (sessions->count > sessions->by_id.mask) {
        index_grow(sessions, &sessions->by_id);
        index_grow(sessions, &sessions->by_user);
    }
    return GUARD_OK;
}

/* ---- entries ---- */

/* Closes the gap that an emptied slot leaves in the probe sequences that ran over it. */
static void close_gap(struct guard_sessions *sessions, size_t gap)
{
    size_t i = gap;
    for (;;) {
        i = (i + 1) & sessions->mask;
        if (!sessions->slots[i].client)
            break;
        size_t wanted = home(sessions, sessions->slots[i].client);
        if (((i - wanted) & sessions->mask) >= ((i - gap) & sessions->mask)) {
            move(&sessions->slots[gap], &sessions->slots[i]);
            gap = i;
        }
    }
    sessions->slots[gap] = (struct slot){0};
}

void guard_sessions_remove(struct guard_sessions *sessions, const struct mosquitto *client)
{
    size_t i = probe(sessions, client);
    struct guard_session *session = sessions->slots[i].session;
    if (!sessions->slots[i].client)
        return;
    close_gap(sessions, i);
    sessions->count--;
    unlink_from(&sessions->by_id, session);
    unlink_from(&sessions->by_user, session);
    leave_all(sessions, session);
    guard_sessions_heap_remove(sessions, session);
    free_session(sessions->audit, session);
}

static struct guard_session *new_session(struct mosquitto *client, const char *client_id, const char *username,
                                         struct guard_identity *identity)
{
    struct guard_session *session = guard_apart_alloc(sizeof *session);
    if (!session) {
        guard_identity_free(&identity);
        return NULL;
    }
    session->client = client;
    session->client_id = guard_apart_copy(client_id);
    session->username = username ? guard_apart_copy(username) : NULL;
    session->identity = identity;
    session->ends_at = GUARD_NEVER;
    session->heap_index = SIZE_MAX;
    if (!session->client_id || (username && !session->username)) {
        free_session(NULL, session);
        return NULL;
    }
    return session;
}

struct guard_session *guard_sessions_put(struct guard_sessions *sessions, struct mosquitto *client,
                                         const char *client_id, const char *username, struct guard_identity *identity)
{
    guard_sessions_remove(sessions, client);
    struct guard_session *session = new_session(client, client_id, username, identity);
    if (session && (sessions->count + 1) * SPARSE > sessions->mask + 1 && grow_slots(sessions) != GUARD_OK) {
        free_session(sessions->audit, session);
        return NULL;
    }
    if (!session)
        return NULL;
    session->slot = &sessions->slots[probe(sessions, client)];
    *session->slot = (struct slot){.client = client, .session = session};
    sessions->count++;
    link_into(sessions, &sessions->by_id, session);
    link_into(sessions, &sessions->by_user, session);
    join_all(sessions, session);
    return session;
}

int guard_sessions_rename(struct guard_sessions *sessions, struct guard_session *session, const char *username)
{
    char *copy = guard_apart_copy(username);
    if (!copy)
        return GUARD_ERR_NOMEM;
    unlink_from(&sessions->by_user, session);
    guard_apart_drop(&session->username);
    session->username = copy;
    link_into(sessions, &sessions->by_user, session);
    return GUARD_OK;
}

void guard_sessions_walk_begin(struct guard_sessions *sessions)
{
    sessions->walk = sessions->all;
}

struct guard_session *guard_sessions_walk_next(struct guard_sessions *sessions)
{
    struct guard_session *session = sessions->walk;
    if (session)
        sessions->walk = session->all.next;
    return session;
}
