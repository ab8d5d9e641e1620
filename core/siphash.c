#include "core/siphash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct guard_siphash_key guard_siphash_random_key(void)
{
    struct guard_siphash_key key;
    if (getrandom(&key, sizeof key, 0) != sizeof key) /* never short below 256 bytes once the pool is ready */
        abort();
    return key;
}

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline void round_of(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

uint64_t guard_siphash(const struct guard_siphash_key *key, const void *bytes, size_t length)
{
    const unsigned char *from = bytes;
    struct state s = {key->k0 ^ 0x736f6d6570736575U, key->k1 ^ 0x646f72616e646f6dU, key->k0 ^ 0x6c7967656e657261U,
                      key->k1 ^ 0x7465646279746573U};
    uint64_t word, last = (uint64_t)length << 56;
    size_t i;
    for (i = 0; i + 8 <= length; i += 8) {
        memcpy(&word, from + i, 8);
        s.v3 ^= word;
        round_of(&s);
        round_of(&s);
        s.v0 ^= word;
    }
    for (unsigned shift = 0; i < length; i++, shift += 8)
        last |= (uint64_t)from[i] << shift;
    s.v3 ^= last;
    round_of(&s);
    round_of(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    for (int r = 0; r < 4; r++)
        round_of(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
