/* What took weeks to learn survives a restart: the pairs of users and addresses, and the key they are hashed with. */
#include "audit/detect_internal.h"

#include <string.h>

/* The file is this machine's own: octets as they lie in memory. */
struct state_head {
    char magic[16];
    struct guard_siphash_key key;
    int64_t began_ns, turned_ns;
};

static const char magic[16] = "guard-detect-1";

size_t detect_state_size(void)
{
    return sizeof(struct state_head) + 2 * DETECT_BLOOM_OCTETS;
}

void detect_state_write(const struct detect *detect, char *out)
{
    const struct detect_learned *learned = detect_learned_of(detect);
    struct state_head head = {
        .key = learned->key, .began_ns = learned->began_ns, .turned_ns = learned->pairs.turned_ns};
    memcpy(head.magic, magic, sizeof head.magic);
    memcpy(out, &head, sizeof head);
    for (size_t i = 0; i < 2; i++)
        memcpy(out + sizeof head + i * DETECT_BLOOM_OCTETS, learned->pairs.bits[i], DETECT_BLOOM_OCTETS);
}

bool detect_state_read(struct detect *detect, const char *in, size_t length)
{
    struct detect_learned *learned = detect_learned_to_fill(detect);
    struct state_head head;
    if (length != detect_state_size())
        return false;
    memcpy(&head, in, sizeof head);
    if (memcmp(head.magic, magic, sizeof head.magic) != 0)
        return false;
    learned->key = head.key;
    learned->began_ns = head.began_ns;
    learned->pairs.turned_ns = head.turned_ns;
    for (size_t i = 0; i < 2; i++)
        memcpy(learned->pairs.bits[i], in + sizeof head + i * DETECT_BLOOM_OCTETS, DETECT_BLOOM_OCTETS);
    return true;
}

struct guard_siphash_key detect_key(const struct detect *detect)
{
    return detect_learned_of(detect)->key;
}
