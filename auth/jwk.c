#include "auth/jwk.h"

#include "core/base64.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

/* A decoded member, kept until the key is built. */
struct member {
    unsigned char *data;
    size_t length;
};

static struct auth_octets view(const struct member *m)
{
    return (struct auth_octets){m->data, m->length};
}

static void drop(struct member *m)
{
    guard_free_secret(&m->data, m->length);
}

int auth_jwk_octets(const struct guard_json *jwk, const char *member, unsigned char **octets, size_t *length,
                    struct guard_error *err)
{
    const char *text = guard_json_string(guard_json_get(jwk, member));
    *octets = NULL;
    if (!text || !*text)
        return guard_fail(err, GUARD_ERR_INVALID, "the member \"%s\" is missing or no text", member);
    size_t text_length = strlen(text);
    *octets = malloc(GUARD_BASE64_DECODED(text_length));
    if (!*octets)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    ssize_t decoded = guard_base64url_decode(text, text_length, *octets);
    if (decoded < 0) {
        guard_free_secret(octets, text_length / 4 * 3);
        return guard_fail(err, GUARD_ERR_INVALID, "the member \"%s\" is not base64url without padding", member);
    }
    *length = (size_t)decoded;
    return GUARD_OK;
}

static int get(const struct guard_json *jwk, const char *name, struct member *m, struct guard_error *err)
{
    return auth_jwk_octets(jwk, name, &m->data, &m->length, err);
}

static int rsa_key(const struct guard_json *jwk, struct auth_key **out, struct guard_error *err)
{
    struct member n = {0}, e = {0};
    int rc = get(jwk, "n", &n, err);
    if (rc == GUARD_OK)
        rc = get(jwk, "e", &e, err);
    if (rc == GUARD_OK)
        rc = auth_key_new_rsa(view(&n), view(&e), out, err);
    drop(&n);
    drop(&e);
    return rc;
}

static int ec_key(const struct guard_json *jwk, struct auth_key **out, struct guard_error *err)
{
    struct member x = {0}, y = {0};
    const char *curve = guard_json_string(guard_json_get(jwk, "crv"));
    if (!curve)
        return guard_fail(err, GUARD_ERR_INVALID, "the member \"crv\" is missing or no text");
    enum auth_key_type type = AUTH_KEY_P256;
    while (type <= AUTH_KEY_P521 && strcmp(curve, auth_key_type_name(type)) != 0)
        type++;
    if (type > AUTH_KEY_P521)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "its curve is none of P-256, P-384 and P-521");
    int rc = get(jwk, "x", &x, err);
    if (rc == GUARD_OK)
        rc = get(jwk, "y", &y, err);
    if (rc == GUARD_OK)
        rc = auth_key_new_ec(type, view(&x), view(&y), out, err);
    drop(&x);
    drop(&y);
    return rc;
}

static int okp_key(const struct guard_json *jwk, struct auth_key **out, struct guard_error *err)
{
    struct member x = {0};
    const char *curve = guard_json_string(guard_json_get(jwk, "crv"));
    if (!curve)
        return guard_fail(err, GUARD_ERR_INVALID, "the member \"crv\" is missing or no text");
    if (strcmp(curve, "Ed25519") != 0)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "its curve is not Ed25519");
    int rc = get(jwk, "x", &x, err);
    if (rc == GUARD_OK)
        rc = auth_key_new_ed25519(view(&x), out, err);
    drop(&x);
    return rc;
}

static int oct_key(const struct guard_json *jwk, struct auth_key **out, struct guard_error *err)
{
    struct member k = {0};
    int rc = get(jwk, "k", &k, err);
    if (rc == GUARD_OK)
        rc = auth_key_new_secret(view(&k), out, err);
    drop(&k);
    return rc;
}

static const struct {
    const char *kty;
    int (*make)(const struct guard_json *jwk, struct auth_key **out, struct guard_error *err);
} makers[] = {{"RSA", rsa_key}, {"EC", ec_key}, {"OKP", okp_key}, {"oct", oct_key}};

bool auth_jwk_is_secret(const struct guard_json *jwk)
{
    return guard_json_get(jwk, "d") || guard_json_get(jwk, "k");
}

/* RFC 7517 §4.3. A private JWK of a signer says "sign" only. */
static int check_operations(const struct guard_json *jwk, struct guard_error *err)
{
    const struct guard_json *operations = guard_json_get(jwk, "key_ops");
    bool signs = false;
    if (!operations)
        return GUARD_OK;
    if (!guard_json_is(operations, GUARD_JSON_ARRAY))
        return guard_fail(err, GUARD_ERR_INVALID, "the member \"key_ops\" is no list");
    for (const struct guard_json *o = guard_json_first(operations); o; o = guard_json_next(o)) {
        const char *text = guard_json_string(o);
        if (!text)
            return guard_fail(err, GUARD_ERR_INVALID, "the member \"key_ops\" holds something that is no text");
        signs |= strcmp(text, "verify") == 0 || (strcmp(text, "sign") == 0 && auth_jwk_is_secret(jwk));
    }
    return signs ? GUARD_OK : guard_fail(err, GUARD_ERR_UNSUPPORTED, "\"key_ops\" does not hold \"verify\"");
}

/* What the JWK is for. *algorithm: the pinned one, or -1. */
static int check_purpose(const struct guard_json *jwk, int *algorithm, struct guard_error *err)
{
    const struct guard_json *use = guard_json_get(jwk, "use"), *alg = guard_json_get(jwk, "alg");
    const struct guard_json *kid = guard_json_get(jwk, "kid");
    *algorithm = -1;
    if ((use && !guard_json_string(use)) || (alg && !guard_json_string(alg)) || (kid && !guard_json_string(kid)))
        return guard_fail(err, GUARD_ERR_INVALID, "one of the members \"use\", \"alg\" and \"kid\" is no text");
    if (use && strcmp(guard_json_string(use), "sig") != 0)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "\"use\" is not \"sig\"");
    if (alg) {
        const char *name = guard_json_string(alg);
        *algorithm = auth_algorithm_parse(name, strlen(name));
        if (*algorithm < 0)
            return guard_fail(err, GUARD_ERR_UNSUPPORTED, "\"alg\" is none of the guard's signature algorithms");
    }
    return check_operations(jwk, err);
}

int auth_jwk_to_key(const struct guard_json *jwk, struct auth_key **out, struct guard_error *err)
{
    int algorithm;
    *out = NULL;
    if (!guard_json_is(jwk, GUARD_JSON_OBJECT))
        return guard_fail(err, GUARD_ERR_INVALID, "not a JSON object");
    const char *kty = guard_json_string(guard_json_get(jwk, "kty"));
    if (!kty)
        return guard_fail(err, GUARD_ERR_INVALID, "the member \"kty\" is missing or no text");
    int rc = check_purpose(jwk, &algorithm, err);
    if (rc != GUARD_OK)
        return rc;
    rc = guard_fail(err, GUARD_ERR_UNSUPPORTED, "\"kty\" is none of RSA, EC, OKP and oct");
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (strcmp(kty, makers[i].kty) == 0)
            rc = makers[i].make(jwk, out, err);
    if (rc == GUARD_OK && algorithm >= 0)
        rc = auth_key_pin(*out, (enum auth_algorithm)algorithm, err);
    const char *kid = guard_json_string(guard_json_get(jwk, "kid"));
    if (rc == GUARD_OK && kid && auth_key_set_id(*out, kid) != GUARD_OK)
        rc = guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    if (rc != GUARD_OK)
        auth_key_free(out);
    return rc;
}
