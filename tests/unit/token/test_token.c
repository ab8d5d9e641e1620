/* Token verification: issuers, rotation, identities, bindings, revocation, threads. Single tokens: test_token_corpus.c.
 */
#include "core/identity.h"
#include "token_maker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW    1800000000
#define CLAIMS "\"sub\":\"sensor-7\",\"exp\":1800000600,\"iat\":1799999940"

static struct test_key key_a, key_b, key_rsa, key_secret;

static int make_keys(void **state)
{
    (void)state;
    test_key_make(&key_a, AUTH_ES256, "shared");
    test_key_make(&key_b, AUTH_ES256, "shared");
    test_key_make(&key_rsa, AUTH_RS256, "rsa");
    test_key_make(&key_secret, AUTH_HS256, "secret");
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    test_key_free(&key_a);
    test_key_free(&key_b);
    test_key_free(&key_rsa);
    test_key_free(&key_secret);
    return 0;
}

static struct auth_token_verifier *verifier_of(const struct auth_issuer *issuers, size_t count)
{
    struct auth_token_verifier *verifier;
    struct guard_error err = {0};
    if (auth_token_verifier_new(issuers, count, &verifier, &err) != GUARD_OK)
        fail_msg("%s", err.text);
    return verifier;
}

/* The reason; *out (may be NULL) gets the identity. */
static enum guard_reason verify(const struct auth_token_verifier *verifier, const char *token,
                                struct guard_identity **out)
{
    struct guard_identity *identity;
    struct auth_token_request request = {
        .token = token, .length = strlen(token), .client_id = "c1", .username = "u1", .now = NOW};
    enum guard_reason reason = auth_token_verify(verifier, &request, &identity);
    assert_int_equal(reason == GUARD_REASON_NONE, identity != NULL);
    if (out)
        *out = identity;
    else
        guard_identity_free(&identity);
    return reason;
}

/* Verifies a token of key with claims, once. */
static enum guard_reason try(const struct auth_token_verifier *verifier, const struct test_key *key, const char *kid,
                             const char *claims, struct guard_identity **out)
{
    char *token = test_token(key, kid, claims);
    enum guard_reason reason = verify(verifier, token, out);
    free(token);
    return reason;
}

static void issuers_keep_to_their_own_keys(void **state)
{
    (void)state;
    struct auth_issuer issuers[] = {{.issuer = "https://a", .keys = key_a.keys, .identity_claim = "device"},
                                    {.issuer = "https://b", .keys = key_b.keys},
                                    {.issuer = "https://c", .keys = key_b.keys, .algorithms = 1U << AUTH_RS256}};
    struct auth_token_verifier *v = verifier_of(issuers, 3);
    struct guard_identity *identity;
    assert_int_equal(try(v, &key_a, "shared", "{\"iss\":\"https://a\",\"device\":\"d1\"," CLAIMS "}", &identity), 0);
    assert_string_equal(identity->username, "d1");
    assert_string_equal(identity->subject, "sensor-7");
    guard_identity_free(&identity);
    assert_int_equal(try(v, &key_b, "shared", "{\"iss\":\"https://b\"," CLAIMS "}", &identity), 0);
    assert_string_equal(identity->username, "sensor-7");
    guard_identity_free(&identity);
    /* the key of b never speaks for a, nor for c, which does not allow its algorithm */
    assert_int_equal(try(v, &key_b, "shared", "{\"iss\":\"https://a\",\"device\":\"d1\"," CLAIMS "}", NULL),
                     GUARD_REASON_JWT_WRONG_ISSUER);
    assert_int_equal(try(v, &key_b, "shared", "{\"iss\":\"https://c\"," CLAIMS "}", NULL),
                     GUARD_REASON_JWT_WRONG_ISSUER);
    assert_int_equal(try(v, &key_rsa, "rsa", "{\"iss\":\"https://a\"," CLAIMS "}", NULL), GUARD_REASON_JWT_UNKNOWN_KEY);
    /* without kid: each issuer's only key that fits */
    assert_int_equal(try(v, &key_b, NULL, "{\"iss\":\"https://b\"," CLAIMS "}", NULL), 0);
    auth_token_verifier_unref(&v);
}

static void one_set_may_serve_two_issuers(void **state)
{
    (void)state;
    struct auth_issuer issuers[] = {{.issuer = "https://a", .keys = key_a.keys, .roles_claim = "ra"},
                                    {.issuer = "https://b", .keys = key_a.keys, .roles_claim = "rb"}};
    struct auth_token_verifier *v = verifier_of(issuers, 2);
    struct guard_identity *identity;
    assert_int_equal(
        try(v, &key_a, "shared", "{\"iss\":\"https://b\",\"ra\":\"x\",\"rb\":\"y\"," CLAIMS "}", &identity), 0);
    assert_int_equal(identity->role_count, 1);
    assert_string_equal(identity->roles[0].role, "y");
    guard_identity_free(&identity);
    auth_token_verifier_unref(&v);
}

static void keys_rotate_with_overlap(void **state)
{
    (void)state;
    struct auth_issuer issuer = {.keys = key_a.keys};
    struct auth_jwks *both = test_keys_of(&key_a, &key_rsa);
    struct auth_token_verifier *before = verifier_of(&issuer, 1), *overlap, *after;
    char *old = test_token(&key_a, "shared", "{" CLAIMS "}"), *new = test_token(&key_rsa, "rsa", "{" CLAIMS "}");
    assert_int_equal(auth_token_verifier_with_keys(before, 0, both, &overlap, NULL), GUARD_OK);
    assert_int_equal(auth_token_verifier_with_keys(overlap, 0, key_rsa.keys, &after, NULL), GUARD_OK);
    auth_jwks_unref(&both);
    assert_int_equal(verify(before, new, NULL), GUARD_REASON_JWT_UNKNOWN_KEY);
    assert_int_equal(verify(overlap, old, NULL), 0);
    assert_int_equal(verify(overlap, new, NULL), 0);
    assert_int_equal(verify(after, old, NULL), GUARD_REASON_JWT_UNKNOWN_KEY); /* withdrawn */
    assert_int_equal(verify(after, new, NULL), 0);
    assert_int_equal(verify(before, old, NULL), 0); /* who still holds the old snapshot goes on with it */
    auth_token_verifier_unref(&overlap);
    assert_int_equal(auth_token_verifier_with_keys(before, 1, key_rsa.keys, &overlap, NULL), GUARD_ERR_INVALID);
    assert_null(overlap);
    auth_token_verifier_unref(&before);
    auth_token_verifier_unref(&after);
    free(old);
    free(new);
}

static void hmac_needs_a_secret(void **state)
{
    (void)state;
    struct auth_issuer with = {.keys = key_secret.keys}, without = {.keys = key_rsa.keys};
    struct auth_token_verifier *v = verifier_of(&with, 1), *w = verifier_of(&without, 1);
    assert_int_equal(try(v, &key_secret, "secret", "{" CLAIMS "}", NULL), 0);
    assert_int_equal(try(w, &key_secret, "rsa", "{" CLAIMS "}", NULL), GUARD_REASON_JWT_ALG_NOT_ALLOWED);
    auth_token_verifier_unref(&v);
    auth_token_verifier_unref(&w);
}

static void expect_attribute(const struct guard_identity *identity, const char *name, size_t count, const char *first)
{
    const struct guard_attribute *attribute = guard_identity_attribute(identity, name);
    if (!attribute)
        fail_msg("no attribute %s", name);
    if (attribute->count != count)
        fail_msg("%s has %zu values", name, attribute->count);
    if (first)
        assert_string_equal(attribute->values[0], first);
}

static void claims_become_attributes(void **state)
{
    (void)state;
    struct auth_issuer issuer = {.keys = key_a.keys, .roles_claim = "realm_access.roles", .leeway = 30};
    struct auth_token_verifier *v = verifier_of(&issuer, 1);
    struct guard_identity *id;
    const char *claims =
        "{" CLAIMS ",\"iss\":\"https://a\",\"jti\":\"t1\",\"n\":-42,\"f\":1.5,\"t\":true,\"z\":null,"
        "\"big\":9007199254740993,\"sites\":[\"a\",\"b\"],\"mixed\":[\"a\",1],\"none\":[],\"text\":\"\","
        "\"realm_access\":{\"roles\":[\"admin\",\"\",\"admin\",\"user\"],\"deep\":{\"x\":\"y\"}},"
        "\"a.b\":\"first\",\"a\":{\"b\":\"second\"},\"acl\":{\"pub\":[\"t/1\"]}}";
    assert_int_equal(try(v, &key_a, "shared", claims, &id), 0);
    assert_true(id->expires_at == 1800000600 && id->not_after == 1800000630 && id->issued_at == 1799999940);
    assert_string_equal(id->issuer, "https://a");
    assert_string_equal(id->token_id, "t1");
    assert_string_equal(id->key_id, "shared");
    assert_int_equal(id->role_count, 2);
    assert_string_equal(id->roles[0].role, "admin");
    assert_string_equal(id->roles[1].role, "user");
    assert_string_equal(id->acl_json, "{\"pub\":[\"t/1\"]}");
    expect_attribute(id, "jwt.n", 1, "-42");
    expect_attribute(id, "jwt.f", 0, NULL);
    expect_attribute(id, "jwt.t", 1, "true");
    expect_attribute(id, "jwt.z", 0, NULL);
    expect_attribute(id, "jwt.sites", 2, "a");
    expect_attribute(id, "jwt.mixed", 0, NULL);
    expect_attribute(id, "jwt.none", 0, NULL);
    expect_attribute(id, "jwt.text", 1, "");
    expect_attribute(id, "jwt.realm_access.deep.x", 1, "y");
    /* libjwt sorts members when it mints: whichever came first, the other did not join it */
    expect_attribute(id, "jwt.a.b", 1, NULL);
    assert_null(guard_identity_attribute(id, "jwt.acl"));
    assert_null(guard_identity_attribute(id, "jwt.acl.pub"));
    guard_identity_free(&id);
    auth_token_verifier_unref(&v);
}

static void scopes_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *path, *claims;
        size_t roles;
        enum guard_reason reason;
    } cases[] = {{"scope", "\"scope\":\"a b  c \"", 3, 0},
                 {"scp", "\"scp\":\"a b\"", 2, 0},
                 {"realm.scope", "\"realm\":{\"scope\":\"a b\"}", 2, 0},
                 {"roles", "\"roles\":\"a b\"", 1, 0},
                 {"scope", "\"scope\":[\"a b\",\"c\"]", 2, 0},
                 {"scope", "\"x\":1", 0, 0},
                 {"scope", "\"scope\":\"\"", 0, 0},
                 {"scope", "\"scope\":7", 0, GUARD_REASON_JWT_MISSING_CLAIM},
                 {"https://x.example/roles", "\"https://x.example/roles\":[\"a\"]", 1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_issuer issuer = {.keys = key_a.keys, .roles_claim = cases[i].path};
        struct auth_token_verifier *v = verifier_of(&issuer, 1);
        struct guard_identity *id;
        char claims[512];
        snprintf(claims, sizeof claims, "{" CLAIMS ",%s}", cases[i].claims);
        assert_int_equal(try(v, &key_a, "shared", claims, &id), cases[i].reason);
        if (id && id->role_count != cases[i].roles)
            fail_msg("%s: %zu roles", claims, id->role_count);
        guard_identity_free(&id);
        auth_token_verifier_unref(&v);
    }
}

static void too_many_claims_are_refused(void **state)
{
    (void)state;
    struct auth_issuer issuer = {.keys = key_a.keys, .roles_claim = "roles"};
    struct auth_token_verifier *v = verifier_of(&issuer, 1);
    char claims[6000];
    int at = snprintf(claims, sizeof claims, "{" CLAIMS);
    for (int i = 0; i < 130; i++)
        at += snprintf(claims + at, sizeof claims - (size_t)at, ",\"c%d\":1", i);
    snprintf(claims + at, sizeof claims - (size_t)at, "}");
    assert_int_equal(try(v, &key_a, "shared", claims, NULL), GUARD_REASON_JWT_MISSING_CLAIM);
    at = snprintf(claims, sizeof claims, "{" CLAIMS ",\"roles\":[\"r\"");
    for (int i = 0; i < 300; i++)
        at += snprintf(claims + at, sizeof claims - (size_t)at, ",\"r%d\"", i);
    snprintf(claims + at, sizeof claims - (size_t)at, "]}");
    assert_int_equal(try(v, &key_a, "shared", claims, NULL), GUARD_REASON_JWT_MISSING_CLAIM);
    auth_token_verifier_unref(&v);
}

static void client_ids_are_bound(void **state)
{
    (void)state;
    static const struct {
        enum auth_binding binding;
        const char *claim, *pattern, *client_id;
        enum guard_reason reason;
    } cases[] = {
        {AUTH_BINDING_REQUIRED, NULL, NULL, "sensor-7", 0},
        {AUTH_BINDING_REQUIRED, NULL, NULL, "sensor-8", GUARD_REASON_CLIENT_ID_MISMATCH},
        {AUTH_BINDING_OPTIONAL, NULL, NULL, "sensor-8", GUARD_REASON_CLIENT_ID_MISMATCH},
        {AUTH_BINDING_REQUIRED, NULL, NULL, NULL, GUARD_REASON_CLIENT_ID_MISMATCH},
        {AUTH_BINDING_REQUIRED, "cid", NULL, "device-1", 0},
        {AUTH_BINDING_REQUIRED, "cid", NULL, "sensor-7", GUARD_REASON_CLIENT_ID_MISMATCH},
        {AUTH_BINDING_REQUIRED, "nothing", NULL, "sensor-7", GUARD_REASON_JWT_MISSING_CLAIM},
        {AUTH_BINDING_OPTIONAL, "nothing", NULL, "anything", 0},
        {AUTH_BINDING_OPTIONAL, "iat", NULL, "anything", GUARD_REASON_JWT_MISSING_CLAIM},
        {AUTH_BINDING_REQUIRED, NULL, "${identity}-*", "sensor-7-a", 0},
        {AUTH_BINDING_REQUIRED, NULL, "${identity}-*", "sensor-7-", GUARD_REASON_CLIENT_ID_MISMATCH},
        {AUTH_BINDING_REQUIRED, NULL, "${identity}-*", "sensor-77-a", GUARD_REASON_CLIENT_ID_MISMATCH},
        {AUTH_BINDING_REQUIRED, NULL, "x/${identity}", "x/sensor-7", 0},
        {AUTH_BINDING_REQUIRED, NULL, "x/${identity}", "x/sensor-7 ", GUARD_REASON_CLIENT_ID_MISMATCH},
        {AUTH_BINDING_REQUIRED, NULL, "x/${identity}", "x", GUARD_REASON_CLIENT_ID_MISMATCH},
        {AUTH_BINDING_REQUIRED, "cid", "${identity}*", "device-10", 0},
        {AUTH_BINDING_OFF, NULL, "${identity}", "whatever", 0},
    };
    char *token = test_token(&key_a, "shared", "{" CLAIMS ",\"cid\":\"device-1\"}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_issuer issuer = {.keys = key_a.keys,
                                     .client_id = cases[i].binding,
                                     .client_id_claim = cases[i].claim,
                                     .client_id_pattern = cases[i].pattern};
        struct auth_token_verifier *v = verifier_of(&issuer, 1);
        struct guard_identity *id;
        struct auth_token_request request = {
            .token = token, .length = strlen(token), .client_id = cases[i].client_id, .now = NOW};
        enum guard_reason reason = auth_token_verify(v, &request, &id);
        if (reason != cases[i].reason)
            fail_msg("case %zu: %s", i, guard_reason_name(reason));
        guard_identity_free(&id);
        auth_token_verifier_unref(&v);
    }
    free(token);
}

static void user_names_are_bound(void **state)
{
    (void)state;
    static const struct {
        enum auth_binding binding;
        const char *username;
        enum guard_reason reason;
    } cases[] = {{AUTH_BINDING_OFF, "x", 0},
                 {AUTH_BINDING_OPTIONAL, NULL, 0},
                 {AUTH_BINDING_OPTIONAL, "sensor-7", 0},
                 {AUTH_BINDING_OPTIONAL, "x", GUARD_REASON_CLIENT_ID_MISMATCH},
                 {AUTH_BINDING_REQUIRED, NULL, GUARD_REASON_CLIENT_ID_MISMATCH},
                 {AUTH_BINDING_REQUIRED, "sensor-7", 0}};
    char *token = test_token(&key_a, "shared", "{" CLAIMS "}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_issuer issuer = {.keys = key_a.keys, .username = cases[i].binding};
        struct auth_token_verifier *v = verifier_of(&issuer, 1);
        struct guard_identity *id;
        struct auth_token_request request = {
            .token = token, .length = strlen(token), .username = cases[i].username, .now = NOW};
        assert_int_equal(auth_token_verify(v, &request, &id), cases[i].reason);
        guard_identity_free(&id);
        auth_token_verifier_unref(&v);
    }
    free(token);
}

struct asked {
    struct auth_revocation_query query;
    char username[64], token_id[64], key_id[64];
    unsigned times;
    enum guard_reason answer;
};

static enum guard_reason note_question(void *context, const struct auth_revocation_query *query)
{
    struct asked *asked = context;
    asked->query = *query;
    asked->times++;
    snprintf(asked->username, sizeof asked->username, "%s", query->username);
    snprintf(asked->token_id, sizeof asked->token_id, "%s", query->token_id ? query->token_id : "(none)");
    snprintf(asked->key_id, sizeof asked->key_id, "%s", query->key_id ? query->key_id : "(none)");
    return asked->answer;
}

static void revocation_is_asked_last(void **state)
{
    (void)state;
    static const enum guard_reason answers[] = {GUARD_REASON_NONE, GUARD_REASON_JWT_REVOKED,
                                                GUARD_REASON_STORE_UNAVAILABLE};
    struct auth_issuer issuer = {.keys = key_a.keys};
    struct auth_token_verifier *v = verifier_of(&issuer, 1);
    char *token = test_token(&key_a, "shared", "{" CLAIMS ",\"jti\":\"t-9\"}");
    for (size_t i = 0; i < 3; i++) {
        struct asked asked = {.answer = answers[i]};
        struct guard_identity *id;
        struct auth_token_request request = {
            .token = token, .length = strlen(token), .now = NOW, .revoked = note_question, .revoked_context = &asked};
        assert_int_equal(auth_token_verify(v, &request, &id), answers[i]);
        assert_int_equal(asked.times, 1);
        assert_string_equal(asked.username, "sensor-7");
        assert_string_equal(asked.token_id, "t-9");
        assert_string_equal(asked.key_id, "shared");
        assert_true(asked.query.has_issued_at && asked.query.issued_at == 1799999940);
        guard_identity_free(&id);
        request.now = 1800000600; /* expired: nobody is asked */
        assert_int_equal(auth_token_verify(v, &request, &id), GUARD_REASON_JWT_EXPIRED);
        assert_int_equal(asked.times, 1);
    }
    free(token);
    auth_token_verifier_unref(&v);
}

static void configurations_are_examined(void **state)
{
    (void)state;
    struct auth_issuer many[AUTH_ISSUERS_MAX + 1];
    const struct {
        struct auth_issuer issuers[2];
        size_t count;
        const char *word; /* in the error */
    } cases[] = {
        {{{0}}, 0, "0 issuers"},
        {{{.issuer = "a"}}, 1, "no keys"},
        {{{.issuer = "a", .keys = key_a.keys}, {.issuer = "a", .keys = key_b.keys}}, 2, "twice"},
        {{{.issuer = "a", .keys = key_a.keys}, {.keys = key_b.keys}}, 2, "name"},
        {{{.keys = key_a.keys, .leeway = -1}}, 1, "leeway"},
        {{{.keys = key_a.keys, .leeway = 3601}}, 1, "leeway"},
        {{{.keys = key_a.keys, .max_lifetime = -1}}, 1, "lifetime"},
        {{{.keys = key_a.keys, .identity_claim = ""}}, 1, "claim"},
        {{{.keys = key_a.keys, .client_id_pattern = "fixed"}}, 1, "pattern"},
        {{{.keys = key_a.keys, .client_id_pattern = "${user}"}}, 1, "placeholder"},
        {{{.keys = key_a.keys, .client_id_pattern = "*${identity}"}}, 1, "end only"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_token_verifier *v;
        struct guard_error err = {0};
        assert_int_equal(auth_token_verifier_new(cases[i].issuers, cases[i].count, &v, &err), GUARD_ERR_INVALID);
        assert_null(v);
        if (!strstr(err.text, cases[i].word))
            fail_msg("case %zu: %s", i, err.text);
    }
    for (size_t i = 0; i < AUTH_ISSUERS_MAX + 1; i++)
        many[i] = (struct auth_issuer){.issuer = "x", .keys = key_a.keys};
    struct auth_token_verifier *v;
    assert_int_equal(auth_token_verifier_new(many, AUTH_ISSUERS_MAX + 1, &v, NULL), GUARD_ERR_INVALID);
}

static void algorithm_lists_are_read(void **state)
{
    (void)state;
    uint32_t mask;
    struct guard_error err;
    assert_int_equal(auth_algorithms_parse(" RS256, Ed25519\tES512,,", &mask, &err), GUARD_OK);
    assert_int_equal(mask, 1U << AUTH_RS256 | 1U << AUTH_EDDSA | 1U << AUTH_ES512);
    for (int i = 0; i < AUTH_ALGORITHM_COUNT; i++) {
        const char *name = auth_algorithm_name((enum auth_algorithm)i);
        assert_int_equal(auth_algorithm_parse(name, strlen(name)), i);
    }
    static const char *const bad[] = {"", " , ", "none", "rs256", "RS256;ES256", "RS256 none", "HS1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(auth_algorithms_parse(bad[i], &mask, &err), GUARD_ERR_INVALID);
        assert_int_equal(mask, 0);
    }
}

static void tokens_are_told_from_passwords(void **state)
{
    (void)state;
    static const char *const tokens[] = {"eyJh.eyJz.abc", "ewog.e.f", "eyJhbGciOiJub25lIn0.e30.A"};
    static const char *const passwords[] = {
        "",        "e",         "ey",         "secret",     "eyJh.eyJz",    "eyJh.eyJz.",   "eyJh..abc",
        ".eyJ.ab", "eyJ.a.b.c", "eyJh.e z.a", "eyJh.e+z.a", "my.pass.word", "eyJh.eyJz.a=", "$7$101$abc$def"};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        assert_true(auth_token_looks_like(tokens[i], strlen(tokens[i])));
    for (size_t i = 0; i < sizeof passwords / sizeof *passwords; i++)
        if (auth_token_looks_like(passwords[i], strlen(passwords[i])))
            fail_msg("%s is no token", passwords[i]);
    assert_false(auth_token_looks_like("eyJh.eyJz.a\0b", 13));
}

#define THREADS 4
#define ROUNDS  150

struct work {
    struct auth_token_verifier *verifier;
    const char *good[3], *bad;
    unsigned wrong;
};

static void *verify_many(void *argument)
{
    struct work *work = argument;
    for (int i = 0; i < ROUNDS; i++) {
        work->wrong += verify(work->verifier, work->good[i % 3], NULL) != GUARD_REASON_NONE;
        work->wrong += verify(work->verifier, work->bad, NULL) != GUARD_REASON_JWT_BAD_SIGNATURE;
    }
    auth_token_verifier_unref(&work->verifier);
    return NULL;
}

static void threads_share_a_verifier(void **state)
{
    (void)state;
    struct auth_jwks *both = test_keys_of(&key_a, &key_rsa);
    struct auth_issuer issuer = {.keys = both};
    struct auth_token_verifier *v = verifier_of(&issuer, 1);
    char *tokens[] = {test_token(&key_a, "shared", "{" CLAIMS "}"), test_token(&key_rsa, "rsa", "{" CLAIMS "}"),
                      test_token(&key_a, NULL, "{" CLAIMS "}"), test_token(&key_b, "shared", "{" CLAIMS "}")};
    struct work work[THREADS];
    pthread_t threads[THREADS];
    auth_jwks_unref(&both);
    for (int i = 0; i < THREADS; i++) {
        work[i] = (struct work){auth_token_verifier_ref(v), {tokens[0], tokens[1], tokens[2]}, tokens[3], 0};
        assert_int_equal(pthread_create(&threads[i], NULL, verify_many, &work[i]), 0);
    }
    auth_token_verifier_unref(&v); /* the threads hold it */
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(work[i].wrong, 0);
    }
    for (int i = 0; i < 4; i++)
        free(tokens[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issuers_keep_to_their_own_keys), cmocka_unit_test(one_set_may_serve_two_issuers),
        cmocka_unit_test(keys_rotate_with_overlap),       cmocka_unit_test(hmac_needs_a_secret),
        cmocka_unit_test(claims_become_attributes),       cmocka_unit_test(scopes_are_split),
        cmocka_unit_test(too_many_claims_are_refused),    cmocka_unit_test(client_ids_are_bound),
        cmocka_unit_test(user_names_are_bound),           cmocka_unit_test(revocation_is_asked_last),
        cmocka_unit_test(configurations_are_examined),    cmocka_unit_test(algorithm_lists_are_read),
        cmocka_unit_test(tokens_are_told_from_passwords), cmocka_unit_test(threads_share_a_verifier),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
