#include "auth/algorithm.h"

#include <string.h>

static const struct {
    const char *name;
    unsigned hash_size;
} algorithms[AUTH_ALGORITHM_COUNT] = {
    [AUTH_RS256] = {"RS256", 32}, [AUTH_RS384] = {"RS384", 48}, [AUTH_RS512] = {"RS512", 64},
    [AUTH_PS256] = {"PS256", 32}, [AUTH_PS384] = {"PS384", 48}, [AUTH_PS512] = {"PS512", 64},
    [AUTH_ES256] = {"ES256", 32}, [AUTH_ES384] = {"ES384", 48}, [AUTH_ES512] = {"ES512", 64},
    [AUTH_EDDSA] = {"EdDSA", 0},  [AUTH_HS256] = {"HS256", 32}, [AUTH_HS384] = {"HS384", 48},
    [AUTH_HS512] = {"HS512", 64},
};

int auth_algorithm_parse(const char *text, size_t length)
{
    for (int i = 0; i < AUTH_ALGORITHM_COUNT; i++)
        if (strlen(algorithms[i].name) == length && memcmp(algorithms[i].name, text, length) == 0)
            return i;
    return length == 7 && memcmp(text, "Ed25519", 7) == 0 ? AUTH_EDDSA : -1;
}

const char *auth_algorithm_name(enum auth_algorithm algorithm)
{
    return (unsigned)algorithm < AUTH_ALGORITHM_COUNT ? algorithms[algorithm].name : "?";
}

unsigned auth_algorithm_hash_size(enum auth_algorithm algorithm)
{
    return (unsigned)algorithm < AUTH_ALGORITHM_COUNT ? algorithms[algorithm].hash_size : 0;
}

int auth_algorithms_parse(const char *list, uint32_t *mask, struct guard_error *err)
{
    static const char separators[] = ", \t";
    *mask = 0;
    for (const char *at = list + strspn(list, separators); *at;) {
        size_t length = strcspn(at, separators);
        int algorithm = auth_algorithm_parse(at, length);
        if (algorithm < 0) {
            *mask = 0;
            return guard_fail(err, GUARD_ERR_INVALID,
                              "'%.*s' is not an algorithm; there are RS256, RS384, RS512, PS256, PS384, PS512, ES256, "
                              "ES384, ES512, EdDSA (Ed25519), HS256, HS384 and HS512",
                              (int)(length < 40 ? length : 40), at);
        }
        *mask |= AUTH_ALGORITHM_BIT(algorithm);
        at += length;
        at += strspn(at, separators);
    }
    return *mask ? GUARD_OK : guard_fail(err, GUARD_ERR_INVALID, "an empty list of algorithms");
}
