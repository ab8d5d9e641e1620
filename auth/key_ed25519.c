#include "auth/key_ed25519.h"

#include <openssl/bn.h>
#include <stdbool.h>
#include <string.h>

/* The numbers of curve25519, big-endian hexadecimal. */
#define PRIME      "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed"
#define D          "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3"
#define HALF_PRIME "3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff6" /* (p - 1) / 2 */

/* The y of every point whose order divides 8. -1 is PRIME - 1; the last two have order 8. */
static const char *const small_order_y[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000001",
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec",
    "05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826",
    "7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
};

struct numbers {
    BN_CTX *context;
    BIGNUM *p, *d, *half, *y, *u, *v, *t;
};

static bool is_small_order(const BIGNUM *y, BIGNUM *scratch)
{
    for (size_t i = 0; i < sizeof small_order_y / sizeof *small_order_y; i++)
        if (BN_hex2bn(&scratch, small_order_y[i]) && BN_cmp(y, scratch) == 0)
            return true;
    return false;
}

/* x^2 = (y^2 - 1) / (d y^2 + 1) has a root exactly if the product of the two is a square (Euler). -1: out of memory. */
static int has_x(const struct numbers *n)
{
    bool ok = BN_mod_sqr(n->t, n->y, n->p, n->context) && BN_copy(n->u, n->t) && BN_sub_word(n->u, 1) &&
              BN_mod_mul(n->v, n->t, n->d, n->p, n->context) && BN_add_word(n->v, 1) &&
              BN_mod_mul(n->t, n->u, n->v, n->p, n->context) && BN_mod_exp(n->t, n->t, n->half, n->p, n->context);
    if (!ok)
        return -1;
    return BN_is_zero(n->t) || BN_is_one(n->t);
}

static const char *examine(struct numbers *n, const unsigned char key[32])
{
    unsigned char little_endian[32];
    memcpy(little_endian, key, sizeof little_endian);
    little_endian[31] &= 0x7f; /* the sign of x */
    if (!n->t || !BN_hex2bn(&n->p, PRIME) || !BN_hex2bn(&n->d, D) || !BN_hex2bn(&n->half, HALF_PRIME) ||
        !BN_lebin2bn(little_endian, sizeof little_endian, n->y))
        return "cannot be examined: out of memory";
    if (BN_cmp(n->y, n->p) >= 0)
        return "is not in canonical form";
    if (is_small_order(n->y, n->t))
        return "is a point of small order";
    int on_curve = has_x(n);
    return on_curve < 0 ? "cannot be examined: out of memory" : on_curve ? NULL : "is not a point of the curve";
}

const char *auth_ed25519_fault(const unsigned char key[32])
{
    struct numbers n = {.context = BN_CTX_new()};
    if (!n.context)
        return "cannot be examined: out of memory";
    BN_CTX_start(n.context);
    BIGNUM **all[] = {&n.p, &n.d, &n.half, &n.y, &n.u, &n.v, &n.t};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        *all[i] = BN_CTX_get(n.context);
    const char *fault = examine(&n, key);
    BN_CTX_end(n.context);
    BN_CTX_free(n.context);
    return fault;
}
