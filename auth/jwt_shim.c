#include "auth/jwt_shim.h"

#include <jwt.h>

/* The API of libjwt 1.x (1.10 in Debian 12, 1.17 in Debian 13). */

static jwt_alg_t alg_of(enum auth_algorithm algorithm)
{
    switch (algorithm) {
    case AUTH_RS256:
        return JWT_ALG_RS256;
    case AUTH_RS384:
        return JWT_ALG_RS384;
    case AUTH_RS512:
        return JWT_ALG_RS512;
    case AUTH_ES256:
        return JWT_ALG_ES256;
    case AUTH_ES384:
        return JWT_ALG_ES384;
    case AUTH_ES512:
        return JWT_ALG_ES512;
    case AUTH_HS256:
        return JWT_ALG_HS256;
    case AUTH_HS384:
        return JWT_ALG_HS384;
    case AUTH_HS512:
        return JWT_ALG_HS512;
    default:
        return JWT_ALG_NONE;
    }
}

bool auth_jwt_can_sign(enum auth_algorithm algorithm)
{
    return alg_of(algorithm) != JWT_ALG_NONE;
}

char *auth_jwt_sign(enum auth_algorithm algorithm, const unsigned char *key, int key_length, const char *kid,
                    const char *claims_json)
{
    jwt_t *jwt = NULL;
    char *token = NULL;
    if (!auth_jwt_can_sign(algorithm) || jwt_new(&jwt) != 0)
        return NULL;
    if (jwt_add_grants_json(jwt, claims_json) == 0 && (!kid || jwt_add_header(jwt, "kid", kid) == 0) &&
        jwt_set_alg(jwt, alg_of(algorithm), key, key_length) == 0)
        token = jwt_encode_str(jwt);
    jwt_free(jwt); /* wipes its copy of the key */
    return token;
}

bool auth_jwt_accepts(const char *claims_json)
{
    jwt_t *jwt = NULL;
    if (jwt_new(&jwt) != 0)
        return false;
    bool accepted = jwt_add_grants_json(jwt, claims_json) == 0;
    jwt_free(jwt);
    return accepted;
}
