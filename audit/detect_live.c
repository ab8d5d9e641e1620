/*
 * Identities that may be connected once at a time: two clients with one credential at two addresses. A client that
 * comes back under its own id, whatever the address, is the same one: it takes its old connection over.
 */
#include "audit/detect_internal.h"

/* The entry of a user; if it is new, in the place of the one of its set that was used longest ago. */
static struct detect_live *entry_of(struct detect *detect, uint64_t user, bool make)
{
    struct detect_live *set = detect->live + (user & (DETECT_LIVE_SETS - 1)) * DETECT_WAYS, *oldest = set;
    for (unsigned i = 0; i < DETECT_WAYS; i++) {
        if (set[i].key == user)
            return &set[i];
        if (set[i].at_ns < oldest->at_ns)
            oldest = &set[i];
    }
    if (!make)
        return NULL;
    *oldest = (struct detect_live){.key = user};
    return oldest;
}

/* How many addresses are there besides that of slot. */
static unsigned elsewhere(const struct detect_live *entry, const struct detect_live_slot *slot)
{
    unsigned count = 0;
    for (unsigned i = 0; i < DETECT_LIVE_SLOTS; i++)
        count += entry->slot[i].connection && entry->slot[i].address != slot->address;
    return count;
}

/* The slot of that client, else a free one, else the first. */
static struct detect_live_slot *slot_for(struct detect_live *entry, uint32_t client)
{
    struct detect_live_slot *found = NULL;
    for (unsigned i = 0; i < DETECT_LIVE_SLOTS; i++) {
        struct detect_live_slot *slot = &entry->slot[i];
        if (slot->connection && slot->client == client)
            return slot;
        if (!slot->connection && !found)
            found = slot;
    }
    return found ? found : &entry->slot[0];
}

void detect_live_begin(struct detect *detect, const struct detect_keys *who, int64_t now_ns)
{
    struct detect_live *entry = entry_of(detect, who->user, true);
    struct detect_live_slot *slot = slot_for(entry, (uint32_t)who->client);
    *slot =
        (struct detect_live_slot){who->connection ? who->connection : 1, (uint32_t)who->client, (uint32_t)who->address};
    entry->at_ns = now_ns;
    unsigned others = elsewhere(entry, slot);
    if (!others)
        return;
    struct detect_alert alert = detect_alert_of(DETECT_TWICE, 0, now_ns);
    alert.observed = others + 1;
    alert.distinct_ips = others + 1;
    detect_say(detect, &alert, &entry->alerted_s, &entry->suppressed);
}

void detect_live_end(struct detect *detect, const struct detect_keys *who)
{
    struct detect_live *entry = entry_of(detect, who->user, false);
    uint32_t connection = who->connection ? who->connection : 1;
    for (unsigned i = 0; entry && i < DETECT_LIVE_SLOTS; i++)
        if (entry->slot[i].connection == connection)
            entry->slot[i].connection = 0;
}
