#include "token_maker.h"

#include "core/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

char *test_read(const char *path)
{
    char *content = calloc(1, 65536);
    FILE *f = fopen(path, "rb");
    assert_non_null(content);
    assert_non_null(f);
    assert_true(fread(content, 1, 65535, f) > 0);
    fclose(f);
    return content;
}

void test_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

void test_key_make(struct test_key *key, enum auth_algorithm algorithm, const char *kid)
{
    struct guard_error err = {0};
    char *jwk;
    key->algorithm = algorithm;
    snprintf(key->path, sizeof key->path, P_tmpdir "/guard-test-key-XXXXXX");
    int fd = mkstemp(key->path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(auth_key_generate(algorithm, kid, &jwk, &err), GUARD_OK);
    test_write(key->path, jwk);
    guard_free_string(&jwk);
    if (auth_signing_key_load(key->path, &key->signing, &err) != GUARD_OK)
        fail_msg("%s", err.text);
    assert_int_equal(auth_jwks_load_file(key->path, NULL, &key->keys, &err), GUARD_OK);
}

void test_key_free(struct test_key *key)
{
    unlink(key->path);
    auth_signing_key_free(&key->signing);
    auth_jwks_unref(&key->keys);
}

char *test_token(const struct test_key *key, const char *kid, const char *claims)
{
    struct guard_error err = {0};
    char *token;
    if (auth_token_issue(key->signing, key->algorithm, kid, claims, &token, &err) != GUARD_OK)
        fail_msg("%s", err.text);
    return token;
}

struct auth_jwks *test_keys_of(const struct test_key *a, const struct test_key *b)
{
    struct auth_jwks *keys;
    char *first = test_read(a->path), *second = test_read(b->path), *both;
    assert_true(asprintf(&both, "{\"keys\":[%s,%s]}", first, second) > 0);
    assert_int_equal(auth_jwks_parse(both, strlen(both), "test", NULL, &keys, NULL), GUARD_OK);
    free(first);
    free(second);
    free(both);
    return keys;
}
