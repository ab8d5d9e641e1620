/* Keys and tokens for the unit tests, made by the project's own issuer (the corpus has independent ones). */
#ifndef GUARD_TESTS_TOKEN_MAKER_H
#define GUARD_TESTS_TOKEN_MAKER_H

#include "auth/jwks.h"
#include "auth/token.h"
#include "auth/token_issue.h"

struct test_key {
    char path[64]; /* a private JWK in a temporary file, removed by test_key_free */
    struct auth_signing_key *signing;
    struct auth_jwks *keys; /* a set of this key alone; public, or the secret */
    enum auth_algorithm algorithm;
};

void test_key_make(struct test_key *key, enum auth_algorithm algorithm, const char *kid);
void test_key_free(struct test_key *key);

/* A token with these claims (JSON text); kid NULL = none. Freed by free. */
char *test_token(const struct test_key *key, const char *kid, const char *claims);

/* One set with the keys of both. */
struct auth_jwks *test_keys_of(const struct test_key *a, const struct test_key *b);

/* The whole file; freed by free. */
char *test_read(const char *path);
void test_write(const char *path, const char *text);

#endif
