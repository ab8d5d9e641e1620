/* From names to hashes, and which addresses are not watched. */
#include "audit/detect.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* An address in 16 octets (IPv4 as ::ffff:a.b.c.d). *bits: how many stand for one customer. */
static bool parse_address(const char *text, uint8_t octets[16], unsigned *bits)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET6, text, octets) == 1) {
        *bits = memcmp(octets, mapped, sizeof mapped) == 0 ? 128 : 64;
        return true;
    }
    memcpy(octets, mapped, sizeof mapped);
    *bits = 128;
    return inet_pton(AF_INET, text, octets + 12) == 1;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (!rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool parse_network(const char *text, struct detect_network *network)
{
    char copy[64];
    unsigned bits;
    size_t length = strlen(text);
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length + 1);
    char *slash = strchr(copy, '/');
    if (slash)
        *slash++ = '\0';
    if (!parse_address(copy, network->octets, &bits))
        return false;
    bool v4 = !strchr(copy, ':');
    unsigned long most = v4 ? 32 : 128, given = most;
    if (slash) {
        char *end;
        given = strtoul(slash, &end, 10);
        if (*slash < '0' || *slash > '9' || *end || given > most)
            return false;
    }
    network->bits = (uint8_t)(given + (v4 ? 96 : 0));
    return true;
}

bool detect_networks_parse(const char *text, struct detect_networks *networks, const char **wrong)
{
    networks->count = 0;
    while (*(text += strspn(text, ", \t"))) {
        char one[64];
        size_t length = strcspn(text, ", \t");
        *wrong = text;
        if (length >= sizeof one || networks->count == DETECT_NETWORKS_MAX)
            return false;
        memcpy(one, text, length);
        one[length] = '\0';
        if (!parse_network(one, &networks->item[networks->count++]))
            return false;
        text += length;
    }
    return true;
}

static bool is_allowed(const struct detect_networks *networks, const uint8_t octets[16])
{
    for (size_t i = 0; i < networks->count; i++)
        if (same_bits(networks->item[i].octets, octets, networks->item[i].bits))
            return true;
    return false;
}

static uint64_t not_zero(uint64_t hash)
{
    return hash ? hash : 1;
}

static uint64_t address_key(const struct guard_siphash_key *key, const struct detect_networks *allowed,
                            const char *address)
{
    uint8_t octets[16];
    unsigned bits;
    if (!address)
        return 0;
    if (!parse_address(address, octets, &bits))
        return not_zero(guard_siphash(key, address, strlen(address)));
    return is_allowed(allowed, octets) ? 0 : not_zero(guard_siphash(key, octets, bits / 8));
}

static uint64_t text_key(const struct guard_siphash_key *key, const char *text)
{
    return text && *text ? not_zero(guard_siphash(key, text, strlen(text))) : 0;
}

struct detect_keys detect_keys_of(const struct guard_siphash_key *key, const struct detect_networks *allowed,
                                  const char *address, const char *username, const char *client_id)
{
    return (struct detect_keys){
        .address = address_key(key, allowed, address),
        .user = text_key(key, username),
        .client = text_key(key, client_id),
    };
}
