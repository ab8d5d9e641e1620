#include "auth/throttle.h"

#include "auth/throttle_table.h"
#include "core/siphash.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_FACTOR 4U  /* known clients outnumber failing ones */
#define REPEATED     3.0 /* failures of one user from an address that count against the address */

struct auth_throttle {
    struct auth_throttle_settings settings;
    struct guard_siphash_key key;
    struct throttle_table *addresses;
    struct throttle_table *users; /* (address, user) */
    struct throttle_table *known; /* (address, user, client id) that logged in before; score = failures since */
    struct throttle_score budget; /* microseconds spent on failures */
    struct auth_throttle_counts counts;
    int64_t blocked_until_ms; /* after that nobody is, unless another block begins */
};

struct auth_throttle_settings auth_throttle_defaults(void)
{
    return (struct auth_throttle_settings){
        .address = {30, 60000},
        .user = {10, 60000},
        .block_ms = INT64_C(10) * 60 * 1000,
        .block_max_ms = INT64_C(24) * 3600 * 1000,
        .budget_us = 40000,
        .budget_burst_us = 1000000,
        .entries = 16384,
    };
}

struct auth_throttle *auth_throttle_new(const struct auth_throttle_settings *settings)
{
    struct auth_throttle *throttle = calloc(1, sizeof *throttle);
    if (!throttle)
        return NULL;
    throttle->settings = settings ? *settings : auth_throttle_defaults();
    throttle->key = guard_siphash_random_key();
    throttle->addresses = throttle_table_new(throttle->settings.entries);
    throttle->users = throttle_table_new(throttle->settings.entries);
    throttle->known = throttle_table_new(throttle->settings.entries * KNOWN_FACTOR);
    if (!throttle->addresses || !throttle->users || !throttle->known)
        auth_throttle_free(&throttle);
    return throttle;
}

void auth_throttle_free(struct auth_throttle **throttle)
{
    if (!*throttle)
        return;
    throttle_table_free(&(*throttle)->addresses);
    throttle_table_free(&(*throttle)->users);
    throttle_table_free(&(*throttle)->known);
    free(*throttle);
    *throttle = NULL;
}

void auth_throttle_configure(struct auth_throttle *throttle, const struct auth_throttle_settings *settings)
{
    size_t entries = throttle->settings.entries;
    throttle->settings = *settings;
    throttle->settings.entries = entries;
}

static bool is_mapped_ipv4(const struct in6_addr *address)
{
    return IN6_IS_ADDR_V4MAPPED(address);
}

/* One IPv4 address, one IPv6 network of 64 bits (what a customer is given at least), else the text. */
static uint64_t address_key(const struct auth_throttle *throttle, const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (!address)
        address = "";
    if (inet_pton(AF_INET, address, &v4) == 1)
        return guard_siphash(&throttle->key, &v4, sizeof v4);
    char bare[INET6_ADDRSTRLEN]; /* without a %zone */
    size_t length = strcspn(address, "%");
    if (length < sizeof bare) {
        memcpy(bare, address, length);
        bare[length] = '\0';
        if (inet_pton(AF_INET6, bare, &v6) == 1) {
            const uint8_t *bytes = v6.s6_addr;
            return is_mapped_ipv4(&v6) ? guard_siphash(&throttle->key, bytes + 12, 4)
                                       : guard_siphash(&throttle->key, bytes, 8);
        }
    }
    return guard_siphash(&throttle->key, address, strlen(address));
}

/* A key made of another and a name; NULL differs from "". */
static uint64_t combine(const struct auth_throttle *throttle, uint64_t first, const char *name)
{
    uint64_t parts[2] = {first, name ? guard_siphash(&throttle->key, name, strlen(name)) : 1};
    return guard_siphash(&throttle->key, parts, sizeof parts);
}

struct keys {
    uint64_t address, user, known;
};

static struct keys keys_of(const struct auth_throttle *throttle, const struct auth_throttle_client *client)
{
    struct keys keys;
    keys.address = address_key(throttle, client->address);
    keys.user = combine(throttle, keys.address, client->username);
    keys.known = combine(throttle, keys.user, client->client_id);
    return keys;
}

/* Known from an earlier login, and not failing since. */
static bool is_known(struct auth_throttle *throttle, uint64_t key, int64_t now_ms)
{
    struct throttle_entry *entry = throttle_table_find(throttle->known, key);
    return entry && !throttle_score_over(&entry->score, &throttle->settings.user, now_ms);
}

static bool is_blocked(const struct throttle_entry *entry, int64_t now_ms, int64_t *until_ms)
{
    if (!entry || entry->blocked_until_ms <= now_ms)
        return false;
    *until_ms = entry->blocked_until_ms;
    return true;
}

int64_t auth_throttle_blocked_ms(const struct auth_throttle *throttle, const char *address, int64_t now_ms)
{
    int64_t until = now_ms;
    is_blocked(throttle_table_find(throttle->addresses, address_key(throttle, address)), now_ms, &until);
    return until - now_ms;
}

static struct auth_throttle_bucket budget_bucket(const struct auth_throttle_settings *settings)
{
    /* leaks budget_us a second: the whole burst in burst / budget seconds */
    uint64_t period = settings->budget_us ? (uint64_t)settings->budget_burst_us * 1000 / settings->budget_us : 0;
    return (struct auth_throttle_bucket){settings->budget_us ? settings->budget_burst_us : 0,
                                         period > UINT32_MAX ? UINT32_MAX : (uint32_t)period};
}

/*
 * Whether the common budget is spent. Who failed lately may use its first half only, so that devices with an old
 * password, trying again and again, leave the other half to those that come for the first time.
 */
static bool budget_is_spent(const struct auth_throttle *throttle, const struct throttle_entry *user, int64_t now_ms)
{
    struct auth_throttle_bucket budget = budget_bucket(&throttle->settings);
    double level = throttle_score_level(&throttle->budget, &budget, now_ms);
    bool repeats = user && now_ms - user->score.at_ms < throttle->settings.block_ms;
    return budget.burst && level >= (repeats ? budget.burst / 2 : budget.burst);
}

enum guard_reason auth_throttle_allow(struct auth_throttle *throttle, const struct auth_throttle_client *client,
                                      int64_t now_ms, int64_t *retry_ms)
{
    int64_t until = now_ms;
    struct keys keys = keys_of(throttle, client);
    struct throttle_entry *user = throttle_table_find(throttle->users, keys.user);
    enum guard_reason reason = GUARD_REASON_NONE;
    if (is_known(throttle, keys.known, now_ms)) {
        /* neither neighbours nor floods keep a known client out */
    } else if (is_blocked(user, now_ms, &until)) {
        throttle->counts.refused_user++;
        reason = GUARD_REASON_RATE_LIMITED;
    } else if (is_blocked(throttle_table_find(throttle->addresses, keys.address), now_ms, &until)) {
        throttle->counts.refused_address++;
        reason = GUARD_REASON_IP_BLOCKED;
    } else if (budget_is_spent(throttle, user, now_ms)) {
        throttle->counts.refused_budget++;
        until = now_ms + 1000;
        reason = GUARD_REASON_RATE_LIMITED;
    }
    if (retry_ms)
        *retry_ms = until - now_ms;
    return reason;
}

/* Counts a failure; true if it begins a block. */
static bool count_failure(struct auth_throttle *throttle, struct throttle_table *table, uint64_t key,
                          const struct auth_throttle_bucket *bucket, int64_t now_ms)
{
    const struct auth_throttle_settings *settings = &throttle->settings;
    if (!bucket->burst)
        return false;
    struct throttle_entry *entry = throttle_table_get(table, key, bucket, now_ms);
    if (entry->blocked_until_ms > now_ms)
        return false; /* a hash that was under way when the block began */
    if (entry->blocks && now_ms - entry->blocked_until_ms > settings->block_max_ms)
        entry->blocks = 0;
    throttle_score_add(&entry->score, bucket, 1, now_ms);
    if (!throttle_score_over(&entry->score, bucket, now_ms))
        return false;
    int64_t length = settings->block_ms;
    for (unsigned i = 0; i < entry->blocks && length < settings->block_max_ms; i++)
        length *= 2;
    entry->blocked_until_ms = now_ms + (length < settings->block_max_ms ? length : settings->block_max_ms);
    if (entry->blocked_until_ms > throttle->blocked_until_ms)
        throttle->blocked_until_ms = entry->blocked_until_ms;
    if (entry->blocks < UINT8_MAX)
        entry->blocks++;
    entry->score = (struct throttle_score){.at_ms = now_ms};
    return true;
}

enum guard_reason auth_throttle_failure(struct auth_throttle *throttle, const struct auth_throttle_client *client,
                                        uint32_t cost_us, int64_t now_ms)
{
    struct keys keys = keys_of(throttle, client);
    struct auth_throttle_bucket budget = budget_bucket(&throttle->settings);
    if (budget.burst && cost_us)
        throttle_score_add(&throttle->budget, &budget, cost_us, now_ms);
    struct throttle_entry *known = throttle_table_find(throttle->known, keys.known);
    if (known && !throttle_score_over(&known->score, &throttle->settings.user, now_ms)) {
        /* its own mistakes first cost it the privilege, and count against the others only then */
        throttle_score_add(&known->score, &throttle->settings.user, 1, now_ms);
        return GUARD_REASON_NONE;
    }
    /* one device with a wrong password, trying again and again, is not an attack of its whole site */
    const struct throttle_entry *user = throttle_table_find(throttle->users, keys.user);
    bool repeated = user && throttle_score_level(&user->score, &throttle->settings.user, now_ms) >= REPEATED;
    if (count_failure(throttle, throttle->users, keys.user, &throttle->settings.user, now_ms)) {
        throttle->counts.users_blocked++;
        return GUARD_REASON_RATE_LIMITED;
    }
    if (!repeated && count_failure(throttle, throttle->addresses, keys.address, &throttle->settings.address, now_ms)) {
        throttle->counts.addresses_blocked++;
        return GUARD_REASON_IP_BLOCKED;
    }
    return GUARD_REASON_NONE;
}

void auth_throttle_success(struct auth_throttle *throttle, const struct auth_throttle_client *client, int64_t now_ms)
{
    struct keys keys = keys_of(throttle, client);
    throttle_table_remove(throttle->users, keys.user);
    struct throttle_entry *known = throttle_table_get(throttle->known, keys.known, &throttle->settings.user, now_ms);
    known->score = (struct throttle_score){.at_ms = now_ms};
}

void auth_throttle_reset(struct auth_throttle *throttle)
{
    throttle_table_clear(throttle->addresses);
    throttle_table_clear(throttle->users);
    throttle->budget = (struct throttle_score){0};
}

uint64_t auth_throttle_address_key(const struct auth_throttle *throttle, const char *address)
{
    return address_key(throttle, address);
}

struct auth_throttle_counts auth_throttle_counts(const struct auth_throttle *throttle)
{
    return throttle->counts;
}

void auth_throttle_blocked(const struct auth_throttle *throttle, int64_t now_ms, size_t *addresses, size_t *users)
{
    bool some = throttle->blocked_until_ms > now_ms;
    *addresses = some ? throttle_table_blocked(throttle->addresses, now_ms) : 0;
    *users = some ? throttle_table_blocked(throttle->users, now_ms) : 0;
}
