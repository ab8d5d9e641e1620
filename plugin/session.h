/*
 * What the plugin knows of each client the broker has: connected ones, and persistent sessions that went offline.
 *
 * The broker's struct mosquitto * is the key, because client ids are not unique at every moment (a takeover has two)
 * and events come with a pointer. A pointer alone proves nothing: the broker re-uses it at once for another client,
 * some events carry a struct on the stack, and a session may expire without an event. So every look-up compares the
 * client id as well, and for one that is not connected, the user name.
 *
 * Entries are never deleted when a client goes: a will may still be checked, a persistent session may get queued
 * messages, and the broker does not tell which will not. The entry is replaced when the pointer serves another client.
 * There are therefore never more entries than the broker had contexts at its peak.
 *
 * Broker thread only.
 */
#ifndef GUARD_PLUGIN_SESSION_H
#define GUARD_PLUGIN_SESSION_H

#include "auth/credential_cache.h"
#include "core/identity.h"
#include "core/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mosquitto;
struct acl_policy;
struct acl_subject;
struct auth_certificate_names;
struct audit;
struct audit_peer;

#define GUARD_NEVER INT64_MAX

/*
 * A token that a worker verifies: what is asked for again when the broker's struct may be gone. Until CONNECT the
 * broker has no user name for the client, because what the client offered as one is nobody's word.
 */
struct guard_offer {
    char *username; /* as the client sent it; NULL = none */
    int port, protocol_version;
    bool websocket;
};

enum guard_session_state {
    SESSION_DERIVED, /* never authenticated here: its identity is what the broker calls it */
    SESSION_WAITING, /* a worker verifies its password or token (2.1); nothing is allowed */
    SESSION_PENDING, /* authenticated, the broker's CONNECT event is still to come (2.1) */
    SESSION_ONLINE,  /* connected */
    SESSION_OFFLINE  /* its connection ended; the broker may keep the session */
};

/* Doubly linked, so that leaving a long chain (a user name that a whole fleet shares) takes one step. */
struct guard_session_link {
    struct guard_session *next;
    struct guard_session **back; /* what points here; NULL = in no chain */
};

struct guard_session {
    /* read at each ACL_CHECK, so together at the front */
    struct mosquitto *client;
    char *client_id;
    struct slot *slot;           /* where it stands in the table */
    struct acl_subject *subject; /* identity bound to the policy; NULL: nothing is allowed. Set by guard_session_bind */
    int64_t ends_at;             /* Unix seconds from which everything is denied; GUARD_NEVER. guard_sessions_set_end */
    uint64_t binding;            /* the policy's binding generation that subject was made for */
    enum guard_session_state state;

    struct guard_identity *identity;
    char *username; /* as the broker has it after authentication; NULL for none */
    char *address;  /* canonical text; NULL = not known */
    struct audit_peer *peer;
    struct auth_certificate_names *certificate; /* that the client showed, whatever it logged in with; NULL = none */
    struct auth_credential_mac mac; /* of user name, password and certificate: tells a re-check from another log-in */
    bool has_mac;
    bool mac_has_name; /* a token says by itself who it is, and its name may be known later than the MAC is made */
    struct auth_credential_mac cache_mac; /* while WAITING: what the credential cache will know it by */
    bool has_cache_mac;
    char *stored_hash;         /* the client record's password hash it was verified against, or NULL */
    uint64_t attempt;          /* of a worker's job while WAITING */
    struct guard_offer *offer; /* of a token at a worker, until the broker knows the user name; NULL = no such */
    uint64_t connection;       /* number of the connection, for mqtt.connection_id */
    int64_t connected_ns;      /* monotonic */
    uint64_t verdict_ns;       /* from the CONNECT to the verdict */
    bool cached;               /* the credential was not verified again */
    int port;
    uint64_t messages_denied;
    uint64_t messages_before;      /* that came, and are not in slot->messages_in */
    enum guard_reason kick_reason; /* why the plugin ended it; GUARD_REASON_NONE */
    bool will_after_kick;          /* its will may still be published although ends_at has passed */
    bool announced;                /* DERIVED, but the trail has its connect (2.1) */
    bool last_will;                /* DERIVED for the will of a connection that has ended: gone after that check */

    size_t heap_index;                        /* in the expiry heap; SIZE_MAX = not in it */
    struct guard_session_link by_id, by_user; /* in their buckets of the two indexes */
    struct guard_session_link all;            /* in the list of all, newest first */
};

struct guard_sessions;
struct slot;

/* audit (may be NULL) must outlive it: the peers of the entries are given back to it. NULL when out of memory. */
struct guard_sessions *guard_sessions_new(struct audit *audit);
void guard_sessions_free(struct guard_sessions **sessions);

/*
 * The entry of that pointer if its client id is the same text, else NULL. For an entry that is not connected the user
 * name must be the same as well (both may be NULL).
 */
struct guard_session *guard_sessions_find(const struct guard_sessions *sessions, const struct mosquitto *client);

/*
 * Call it when a connection of that pointer begins or ends: from then on the client id of its entry is compared anew
 * before it is trusted. Between two such events the broker cannot have given a connected client's struct to another
 * one: every version frees it only after it has told the end (context__disconnect), or after the session went offline.
 * A plugin of 2.1 may give a connected client another id: it stays the connection, and the identity, that was let in.
 */
void guard_sessions_doubt(struct guard_sessions *sessions, const struct mosquitto *client);

/* From then on every entry is compared anew before it is trusted. */
void guard_sessions_turn(struct guard_sessions *sessions);

/* The policy in use from here on; it must stay until the next call. What was verified before is verified anew. */
void guard_sessions_set_policy(struct guard_sessions *sessions, const struct acl_policy *policy);

/* Whether guard_sessions_quick may find anything at all; at the beginning it may not. */
void guard_sessions_set_quick(struct guard_sessions *sessions, bool quick);

/*
 * Holds the quick look-up back until it is released, or switched: whoever is looked up meanwhile takes the long way
 * once. Nothing has to be compared anew afterwards.
 */
void guard_sessions_hold_quick(struct guard_sessions *sessions, bool hold);

/*
 * The entry of that pointer, whatever it is now: without touching the broker's struct, which may be gone. For answers
 * that come late; the caller compares more than the pointer.
 */
struct guard_session *guard_sessions_peek(const struct guard_sessions *sessions, const struct mosquitto *client);

/* The newest entry with that client id, connected or not, or NULL. */
struct guard_session *guard_sessions_by_id(const struct guard_sessions *sessions, const char *client_id);

/*
 * The newest entry with that client id that is connected (PENDING or ONLINE) and not of the pointer `except` (NULL:
 * of any), or NULL. A log-in that waits for its worker may be newer than the connection it would take over.
 */
struct guard_session *guard_sessions_connected(const struct guard_sessions *sessions, const char *client_id,
                                               const struct mosquitto *except);

/* Calls visit for every entry of that user name; visit must not add or remove entries. */
void guard_sessions_of_user(const struct guard_sessions *sessions, const char *username,
                            void (*visit)(void *context, struct guard_session *session), void *context);

/*
 * A fresh entry for the pointer; one that was there before is released first. The strings are copied, identity is taken
 * over (also on failure, then it is freed). NULL when out of memory: then the pointer has no entry.
 */
struct guard_session *guard_sessions_put(struct guard_sessions *sessions, struct mosquitto *client,
                                         const char *client_id, const char *username, struct guard_identity *identity);

/* Removes and frees the entry of that pointer, if there is one. */
void guard_sessions_remove(struct guard_sessions *sessions, const struct mosquitto *client);

/*
 * Gives the session another subject, made for that generation, in place of the one it has, which is freed. NULL:
 * nothing is allowed.
 */
void guard_session_bind(struct guard_session *session, struct acl_subject *subject, uint64_t generation);

/* The user name the broker has from now on; copied. GUARD_OK, or GUARD_ERR_NOMEM and nothing has changed. */
int guard_sessions_rename(struct guard_sessions *sessions, struct guard_session *session, const char *username);

void guard_offer_free(struct guard_offer **offer); /* *offer may be NULL */

/* From here on the quick look-up does not find it before guard_sessions_find did: a state that it copied has changed.
 */
void guard_session_changed(struct guard_session *session);

/* Publishes that were allowed, without wills. */
uint64_t guard_session_messages_in(const struct guard_session *session);

/* Sets when the session ends; keeps the expiry heap in order. GUARD_OK or GUARD_ERR_NOMEM. */
int guard_sessions_set_end(struct guard_sessions *sessions, struct guard_session *session, int64_t ends_at);

/* Ends the session now: everything is denied, and it is not waited for any more. */
void guard_sessions_end(struct guard_sessions *sessions, struct guard_session *session);

/* A session whose end is at or before now, taken out of the heap, or NULL. Call until NULL. */
struct guard_session *guard_sessions_expired(struct guard_sessions *sessions, int64_t now);

/*
 * A walk over all entries that are there when it begins and are not removed meanwhile, each of them once, in as many
 * portions as wanted. Entries put later are not met. guard_sessions_walk_next returns NULL at the end. There is one
 * walk at a time: another one ends it.
 */
void guard_sessions_walk_begin(struct guard_sessions *sessions);
struct guard_session *guard_sessions_walk_next(struct guard_sessions *sessions);

#endif
