/*
 * The brake in front of password hashing: who failed too often is refused before a hash is spent on them.
 *
 * Counted are failures of (a) an address (IPv4 /32, IPv6 /64), (b) a user name from an address, (c) everybody together,
 * by the processor time they cost. (a) and (b) are leaky buckets that end in a block, doubled each time; (c) only
 * admits as much as may be spent. A user name is never blocked as such: nobody can lock a device out from elsewhere.
 * And a client that logged in from there before (address, user name and client id) is let through (a), (b) and (c)
 * until it fails itself, so that neither a neighbour behind the same NAT nor a flood locks it out.
 *
 * Memory is bounded: hashed set-associative tables; a full set gives up what weighs least. Keys are hashed with a
 * random key, nothing of a name is kept. Not thread-safe: the broker thread owns it. Times are milliseconds of a clock
 * that never jumps.
 */
#ifndef GUARD_AUTH_THROTTLE_H
#define GUARD_AUTH_THROTTLE_H

#include "core/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Holds `burst` failures and leaks as many in `period_ms`; when it is full, the key is blocked. burst 0 = no limit. */
struct auth_throttle_bucket {
    uint32_t burst;
    uint32_t period_ms;
};

struct auth_throttle_settings {
    struct auth_throttle_bucket address;
    struct auth_throttle_bucket user; /* one user name from one address */
    int64_t block_ms;                 /* the first block; every further one is twice as long … */
    int64_t block_max_ms;             /* … up to this; a key quiet for that long after a block begins anew */
    uint32_t budget_us;               /* processor time a second for failing hashes; 0 = no limit */
    uint32_t budget_burst_us;         /* how much may be spent at once */
    size_t entries; /* of each table, rounded up to a power of two; known clients: four times as many */
};

/*
 * 30 failures a minute from an address, 10 a minute of a user there; blocks of 10 min up to 24 h; 4 % of a core, 1 s at
 * once, of which half for those who failed within block_ms; 16,384 entries.
 */
struct auth_throttle_settings auth_throttle_defaults(void);

struct auth_throttle; /* about 240 octets for each of `entries` */

/* NULL when out of memory. settings NULL = defaults. */
struct auth_throttle *auth_throttle_new(const struct auth_throttle_settings *settings);
void auth_throttle_free(struct auth_throttle **throttle);

/* Takes new limits (not `entries`) and keeps what was counted. */
void auth_throttle_configure(struct auth_throttle *throttle, const struct auth_throttle_settings *settings);

/* Who is trying. Each may be NULL. address: as the broker gives it; not an IP address (a unix socket): counted by its
 * text. */
struct auth_throttle_client {
    const char *address;
    const char *username;
    const char *client_id;
};

/*
 * Before hashing. GUARD_REASON_NONE = go on; GUARD_REASON_IP_BLOCKED (the address) or GUARD_REASON_RATE_LIMITED (this
 * user from there, or the common budget is spent) = refuse without hashing; refusals are not counted. retry_ms (may be
 * NULL): how long the refusal will last.
 */
enum guard_reason auth_throttle_allow(struct auth_throttle *throttle, const struct auth_throttle_client *client,
                                      int64_t now_ms, int64_t *retry_ms);

/*
 * After a wrong password, an unknown user or a bad signature; cost_us = processor time it took (0 = negligible).
 * Returns the reason if this very failure began a block (for the audit), else GUARD_REASON_NONE.
 */
enum guard_reason auth_throttle_failure(struct auth_throttle *throttle, const struct auth_throttle_client *client,
                                        uint32_t cost_us, int64_t now_ms);

/* How long the address is blocked yet; 0 = it is not. */
int64_t auth_throttle_blocked_ms(const struct auth_throttle *throttle, const char *address, int64_t now_ms);

/* After a success: forgets the user's failures from there (not the address's) and knows the client from now on. */
void auth_throttle_success(struct auth_throttle *throttle, const struct auth_throttle_client *client, int64_t now_ms);

/* Lifts every block and forgets all failures; known clients stay known. */
void auth_throttle_reset(struct auth_throttle *throttle);

/* A number for the address as (a) counts it, e.g. to group an address's jobs in the worker pool. */
uint64_t auth_throttle_address_key(const struct auth_throttle *throttle, const char *address);

/* For metrics: addresses and users blocked since the start, attempts refused since the start. */
struct auth_throttle_counts {
    uint64_t addresses_blocked, users_blocked;
    uint64_t refused_address, refused_user, refused_budget;
};
struct auth_throttle_counts auth_throttle_counts(const struct auth_throttle *throttle);

/* How many addresses, and users at one address, are blocked at now_ms. While some may be it looks through both tables
 * (a millisecond at most): for every few seconds. */
void auth_throttle_blocked(const struct auth_throttle *throttle, int64_t now_ms, size_t *addresses, size_t *users);

#endif
