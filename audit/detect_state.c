/*
 * What took weeks to learn survives a restart: the pairs of users with addresses and countries, the hours of users, and
 * the key they are hashed with.
 */
#include "audit/detect_internal.h"

#include <string.h>

/* The file is this machine's own: octets as they lie in memory. The first version ended before countries_began_ns. */
struct state_head {
    char magic[16];
    struct guard_siphash_key key;
    int64_t began_ns, turned_ns;
    int64_t countries_began_ns;
    uint64_t hours; /* octets of them, behind the pairs; 0 = not watched */
};

static const char magic[16] = "guard-detect-2", old_magic[16] = "guard-detect-1";

#define OLD_HEAD  offsetof(struct state_head, countries_began_ns)
#define ALL_HOURS ((size_t)DETECT_HOURS_SETS * DETECT_WAYS * sizeof(struct detect_hours))
#define ALL_PAIRS (2 * DETECT_BLOOM_OCTETS)

static size_t hours_of(const struct detect *detect)
{
    return detect->learned.hours ? ALL_HOURS : 0;
}

size_t detect_state_size(const struct detect *detect)
{
    return sizeof(struct state_head) + ALL_PAIRS + hours_of(detect);
}

void detect_state_write(const struct detect *detect, char *out)
{
    const struct detect_learned *learned = &detect->learned;
    struct state_head head = {.key = learned->key,
                              .began_ns = learned->began_ns,
                              .turned_ns = learned->pairs.turned_ns,
                              .countries_began_ns = learned->countries_began_ns,
                              .hours = hours_of(detect)};
    memcpy(head.magic, magic, sizeof head.magic);
    memcpy(out, &head, sizeof head);
    out += sizeof head;
    for (size_t i = 0; i < 2; i++, out += DETECT_BLOOM_OCTETS)
        memcpy(out, learned->pairs.bits[i], DETECT_BLOOM_OCTETS);
    if (learned->hours)
        memcpy(out, learned->hours, ALL_HOURS);
}

/* Reads the head; its size, or 0 when it is none or the length does not fit. */
static size_t read_head(const char *in, size_t length, struct state_head *head)
{
    memset(head, 0, sizeof *head);
    if (length >= OLD_HEAD && memcmp(in, old_magic, sizeof old_magic) == 0) {
        memcpy(head, in, OLD_HEAD);
        return length == OLD_HEAD + ALL_PAIRS ? OLD_HEAD : 0;
    }
    if (length < sizeof *head || memcmp(in, magic, sizeof magic) != 0)
        return 0;
    memcpy(head, in, sizeof *head);
    bool fits = (!head->hours || head->hours == ALL_HOURS) && length == sizeof *head + ALL_PAIRS + head->hours;
    return fits ? sizeof *head : 0;
}

bool detect_state_read(struct detect *detect, const char *in, size_t length)
{
    struct detect_learned *learned = &detect->learned;
    struct state_head head;
    size_t size = read_head(in, length, &head);
    if (!size)
        return false;
    learned->key = head.key;
    learned->began_ns = head.began_ns;
    learned->countries_began_ns = head.countries_began_ns;
    learned->pairs.turned_ns = head.turned_ns;
    in += size;
    for (size_t i = 0; i < 2; i++, in += DETECT_BLOOM_OCTETS)
        memcpy(learned->pairs.bits[i], in, DETECT_BLOOM_OCTETS);
    if (learned->hours && head.hours)
        memcpy(learned->hours, in, ALL_HOURS);
    return true;
}

struct guard_siphash_key detect_key(const struct detect *detect)
{
    return detect->learned.key;
}
