/* Key files, folders, watching them, and making keys and tokens. Single keys: keysets.ndjson in test_token_corpus.c. */
#include "auth/jwks_watch.h"
#include "auth/thumbprint.h"
#include "core/memory.h"
#include "tests/temporary.h"
#include "token_maker.h"

#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA GUARD_TEST_DATA "/tokens/keys/"

static char folder[TEMPORARY_MAX];

static int make_folder(void **state)
{
    (void)state;
    return temporary_folder(folder, "keys") ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[TEMPORARY_MAX + 20];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void copy_file(const char *from, const char *to)
{
    char *text = test_read(from);
    test_write(to, text);
    free(text);
}

struct lines {
    unsigned count;
    char last[1000];
};

static void note_line(void *context, enum guard_log_level level, const char *line)
{
    struct lines *lines = context;
    (void)level;
    lines->count++;
    snprintf(lines->last, sizeof lines->last, "%s", line);
}

static void files_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *file, *type;
        size_t count;
    } cases[] = {{"p256.pem", "P-256", 1}, {"rsa.pem", "RSA", 1},    {"device.crt", "P-256", 1},
                 {"secret.bin", "oct", 1}, {"secret.txt", "oct", 1}, {"main.jwks", "RSA", 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_jwks *keys;
        struct guard_error err = {0};
        char path[512];
        snprintf(path, sizeof path, DATA "%s", cases[i].file);
        if (auth_jwks_load_file(path, NULL, &keys, &err) != GUARD_OK)
            fail_msg("%s: %s", path, err.text);
        assert_int_equal(auth_jwks_count(keys), cases[i].count);
        assert_string_equal(auth_jwks_key(keys, 0).type, cases[i].type);
        auth_jwks_unref(&keys);
        assert_int_equal(ERR_peek_error(), 0);
    }
    struct auth_jwks *keys;
    struct guard_error err = {0};
    assert_int_equal(auth_jwks_load_file(DATA "absent", NULL, &keys, &err), GUARD_ERR_NOT_FOUND);
    assert_null(keys);
    assert_string_equal(err.place, DATA "absent");
    /* not asked for a secret by name: what is neither PEM nor JSON is an error */
    assert_int_equal(auth_jwks_load(DATA "secret.txt", NULL, &keys, &err), GUARD_ERR_INVALID);
}

static void secrets_that_others_may_read_are_warned_about(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct guard_log log = {note_line, &lines};
    struct auth_jwks *keys;
    const char *path = in_folder("mode.secret");
    test_write(path, "0123456789abcdef0123456789abcdef\n");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(auth_jwks_load(path, &log, &keys, NULL), GUARD_OK);
    assert_int_equal(auth_jwks_key(keys, 0).bits, 256);
    auth_jwks_unref(&keys);
    assert_int_equal(lines.count, 1);
    assert_non_null(strstr(lines.last, "chmod 640"));
    assert_null(strstr(lines.last, "0123456789"));
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(auth_jwks_load(path, &log, &keys, NULL), GUARD_OK);
    auth_jwks_unref(&keys);
    assert_int_equal(lines.count, 1);
    assert_int_equal(chmod(path, 0666), 0); /* anybody may write it */
    assert_int_equal(auth_jwks_load(path, &log, &keys, NULL), GUARD_ERR_PERMISSION);
    unlink(path);
}

static void folders_are_one_set(void **state)
{
    (void)state;
    struct auth_jwks *keys;
    struct guard_error err = {0};
    assert_int_equal(mkdir(in_folder("set"), 0755), 0);
    assert_int_equal(auth_jwks_load(in_folder("set"), NULL, &keys, &err), GUARD_ERR_INVALID); /* empty */
    copy_file(DATA "p256.pem", in_folder("set/line-2.pem"));
    copy_file(DATA "rsa.pem", in_folder("set/line-1.pem"));
    test_write(in_folder("set/shared.secret"), "0123456789abcdef0123456789abcdef");
    test_write(in_folder("set/README"), "no key");
    test_write(in_folder("set/.hidden.pem"), "no key either");
    if (auth_jwks_load(in_folder("set"), NULL, &keys, &err) != GUARD_OK)
        fail_msg("%s", err.text);
    assert_int_equal(auth_jwks_count(keys), 3);
    assert_string_equal(auth_jwks_key(keys, 0).kid, "line-1");
    assert_string_equal(auth_jwks_key(keys, 1).kid, "line-2");
    assert_string_equal(auth_jwks_key(keys, 2).kid, "shared");
    auth_jwks_unref(&keys);
    test_write(in_folder("set/broken.pem"), "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n");
    assert_int_equal(auth_jwks_load(in_folder("set"), NULL, &keys, &err), GUARD_ERR_INVALID);
    assert_non_null(strstr(err.place, "broken.pem"));
    assert_int_equal(auth_jwks_load_directory(in_folder("none"), NULL, &keys, &err), GUARD_ERR_NOT_FOUND);
}

static void sets_are_compared(void **state)
{
    (void)state;
    struct auth_jwks *a, *b, *c;
    assert_int_equal(auth_jwks_load(DATA "main.jwks", NULL, &a, NULL), GUARD_OK);
    assert_int_equal(auth_jwks_load(DATA "main.jwks", NULL, &b, NULL), GUARD_OK);
    assert_int_equal(auth_jwks_load(DATA "all.jwks", NULL, &c, NULL), GUARD_OK);
    assert_true(auth_jwks_equal(a, b));
    assert_false(auth_jwks_equal(a, c));
    auth_jwks_unref(&a);
    auth_jwks_unref(&b);
    auth_jwks_unref(&c);
}

/* Puts text in place of a file as deployments do: another file, renamed over it. */
static void replace(const char *path, const char *text)
{
    char other[300];
    snprintf(other, sizeof other, "%s.new", path);
    test_write(other, text);
    assert_int_equal(rename(other, path), 0);
}

static enum auth_jwks_poll poll_keys(struct auth_jwks_watch *watch, size_t expected)
{
    struct auth_jwks *keys;
    struct guard_error err;
    const struct timespec step = {0, 20000000};
    enum auth_jwks_poll result = auth_jwks_watch_poll(watch, &keys, &err);
    for (int i = 0; i < 150 && result == AUTH_JWKS_SAME; i++) {
        nanosleep(&step, NULL);
        result = auth_jwks_watch_poll(watch, &keys, &err);
    }
    assert_int_equal(result == AUTH_JWKS_CHANGED, keys != NULL);
    auth_jwks_unref(&keys);
    keys = auth_jwks_watch_keys(watch);
    assert_int_equal(auth_jwks_count(keys), expected);
    auth_jwks_unref(&keys);
    return result;
}

static void changes_are_noticed_and_failures_keep_the_old_set(void **state)
{
    (void)state;
    struct auth_jwks_watch *watch;
    struct guard_error err = {0};
    struct lines lines = {0};
    struct guard_log log = {note_line, &lines};
    const char *path = in_folder("watched.jwks");
    char *small = test_read(DATA "no-kid.jwks"), *large = test_read(DATA "main.jwks");
    assert_int_equal(auth_jwks_watch_new(path, &log, &watch, &err), GUARD_ERR_NOT_FOUND);
    assert_null(watch);
    test_write(path, small);
    assert_int_equal(auth_jwks_watch_new(path, &log, &watch, &err), GUARD_OK);
    struct auth_jwks *none;
    assert_int_equal(auth_jwks_watch_poll(watch, &none, NULL), AUTH_JWKS_SAME);
    lines.count = 0;
    replace(path, large);
    assert_int_equal(poll_keys(watch, 7), AUTH_JWKS_CHANGED);
    assert_int_equal(lines.count, 2); /* two keys of the set are of no use, and said to be */
    replace(path, "{\"keys\":[]}");
    lines.count = 0;
    assert_int_equal(poll_keys(watch, 7), AUTH_JWKS_FAILED);
    assert_non_null(strstr(lines.last, "the old ones stay"));
    assert_int_equal(poll_keys(watch, 7), AUTH_JWKS_FAILED); /* tried again by itself … */
    assert_int_equal(lines.count, 1);                        /* … and not said again */
    unlink(path);
    assert_int_equal(poll_keys(watch, 7), AUTH_JWKS_FAILED);
    test_write(path, small); /* written in place */
    assert_int_equal(poll_keys(watch, 3), AUTH_JWKS_CHANGED);
    replace(path, small);
    assert_int_equal(auth_jwks_watch_poll(watch, &none, NULL), AUTH_JWKS_SAME); /* another file, the same keys */
    auth_jwks_watch_reload(watch);
    assert_int_equal(auth_jwks_watch_poll(watch, &none, NULL), AUTH_JWKS_SAME);
    auth_jwks_watch_free(&watch);
    free(small);
    free(large);
}

/* A mounted secret (Kubernetes): the file is a link into a folder that is exchanged as a whole. */
static void exchanged_links_are_noticed(void **state)
{
    (void)state;
    struct auth_jwks_watch *watch;
    struct guard_error err = {0};
    assert_int_equal(mkdir(in_folder("v1"), 0755), 0);
    assert_int_equal(mkdir(in_folder("v2"), 0755), 0);
    assert_int_equal(mkdir(in_folder("mount"), 0755), 0);
    copy_file(DATA "no-kid.jwks", in_folder("v1/keys.jwks"));
    copy_file(DATA "main.jwks", in_folder("v2/keys.jwks"));
    assert_int_equal(symlink("../v1", in_folder("mount/data")), 0);
    assert_int_equal(symlink("data/keys.jwks", in_folder("mount/keys.jwks")), 0);
    if (auth_jwks_watch_new(in_folder("mount/keys.jwks"), NULL, &watch, &err) != GUARD_OK)
        fail_msg("%s", err.text);
    assert_int_equal(symlink("../v2", in_folder("mount/data.new")), 0);
    assert_int_equal(rename(in_folder("mount/data.new"), in_folder("mount/data")), 0);
    assert_int_equal(poll_keys(watch, 7), AUTH_JWKS_CHANGED);
    auth_jwks_watch_free(&watch);
}

/* While it is true the linker's --wrap=stat gives the time stamps of a file system that has whole seconds. */
static bool whole_seconds;
int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);

int __wrap_stat(const char *path, struct stat *st)
{
    int rc = __real_stat(path, st);
    if (rc == 0 && whole_seconds)
        st->st_mtim.tv_nsec = st->st_ctim.tv_nsec = 0;
    return rc;
}

/* A second change within the same second leaves no trace in the time stamps of some file systems. */
static void a_change_without_a_trace_is_noticed(void **state)
{
    (void)state;
    struct auth_jwks_watch *watch;
    struct guard_error err;
    struct lines lines = {0};
    struct guard_log log = {note_line, &lines};
    struct stat before, after;
    const char *path = in_folder("tick.secret");
    whole_seconds = true;
    for (int tries = 0;; tries++) {
        test_write(path, "0123456789abcdef0123456789abcdef");
        assert_int_equal(auth_jwks_watch_new(path, &log, &watch, &err), GUARD_OK);
        assert_int_equal(stat(path, &before), 0);
        test_write(path, "fedcba9876543210fedcba9876543210");
        assert_int_equal(stat(path, &after), 0);
        if (memcmp(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim) == 0)
            break;
        auth_jwks_watch_free(&watch);
        assert_true(tries < 10); /* the second has turned */
    }
    struct auth_jwks *first = auth_jwks_watch_keys(watch);
    lines.count = 0;
    const struct timespec step = {0, 100000000};
    struct auth_jwks *second = NULL;
    for (int i = 0; i < 60 && !second; i++) {
        nanosleep(&step, NULL);
        auth_jwks_watch_poll(watch, &second, &err);
    }
    assert_non_null(second);
    assert_false(auth_jwks_equal(first, second));
    unsigned said = lines.count;
    for (int i = 0; i < 40; i++) { /* read again, and nothing said again */
        struct auth_jwks *none;
        nanosleep(&step, NULL);
        assert_int_equal(auth_jwks_watch_poll(watch, &none, &err), AUTH_JWKS_SAME);
    }
    assert_int_equal(lines.count, said);
    whole_seconds = false;
    auth_jwks_unref(&first);
    auth_jwks_unref(&second);
    auth_jwks_watch_free(&watch);
}

static void only_key_files_of_a_folder_count(void **state)
{
    (void)state;
    struct auth_jwks_watch *watch;
    struct guard_error err;
    struct lines lines = {0};
    struct guard_log log = {note_line, &lines};
    struct auth_jwks *none;
    assert_int_equal(mkdir(in_folder("several"), 0755), 0);
    test_write(in_folder("several/a.secret"), "0123456789abcdef0123456789abcdef");
    assert_int_equal(auth_jwks_watch_new(in_folder("several"), &log, &watch, &err), GUARD_OK);
    lines.count = 0;
    test_write(in_folder("several/NOTES.log"), "x");
    assert_int_equal(auth_jwks_watch_poll(watch, &none, &err), AUTH_JWKS_SAME);
    assert_int_equal(lines.count, 0); /* a load says that others may read the secret */
    test_write(in_folder("several/b.secret"), "fedcba9876543210fedcba9876543210");
    assert_int_equal(poll_keys(watch, 2), AUTH_JWKS_CHANGED);
    assert_true(lines.count > 0);
    unlink(in_folder("several/a.secret"));
    assert_int_equal(poll_keys(watch, 1), AUTH_JWKS_CHANGED);
    auth_jwks_watch_free(&watch);
}

static void every_algorithm_signs_and_verifies(void **state)
{
    (void)state;
    for (int i = 0; i < AUTH_ALGORITHM_COUNT; i++) {
        struct test_key key;
        struct guard_identity *identity;
        struct auth_token_verifier *verifier;
        enum auth_algorithm algorithm = (enum auth_algorithm)i;
        test_key_make(&key, algorithm, i % 2 ? "k1" : NULL);
        assert_true(auth_signing_key_algorithms(key.signing) == AUTH_ALGORITHM_BIT(i));
        assert_int_equal(auth_signing_key_preferred(key.signing), algorithm);
        struct auth_issuer issuer = {.keys = key.keys, .algorithms = AUTH_ALGORITHM_BIT(i)};
        assert_int_equal(auth_token_verifier_new(&issuer, 1, &verifier, NULL), GUARD_OK);
        char *token = test_token(&key, auth_signing_key_id(key.signing), "{\"sub\":\"d\",\"exp\":2000000000}");
        struct auth_token_request request = {.token = token, .length = strlen(token), .now = 1800000000};
        if (auth_token_verify(verifier, &request, &identity) != GUARD_REASON_NONE)
            fail_msg("%s does not verify", auth_algorithm_name(algorithm));
        assert_string_equal(identity->key_id, auth_signing_key_id(key.signing));
        guard_identity_free(&identity);
        free(token);
        assert_int_equal(auth_token_issue(key.signing, algorithm, NULL, "[1]", &token, NULL), GUARD_ERR_INVALID);
        assert_int_equal(auth_token_issue(key.signing, algorithm, NULL, "{\"a\":1,\"a\":2}", &token, NULL),
                         GUARD_ERR_INVALID);
        auth_token_verifier_unref(&verifier);
        test_key_free(&key);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void public_halves_hold_no_secret(void **state)
{
    (void)state;
    static const enum auth_algorithm algorithms[] = {AUTH_ES256, AUTH_EDDSA, AUTH_RS256, AUTH_ES512};
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        struct test_key key;
        struct auth_jwks *again;
        char *text;
        test_key_make(&key, algorithms[i], NULL);
        assert_int_equal(auth_jwks_public(key.keys, &text, NULL), GUARD_OK);
        assert_null(strstr(text, "\"d\""));
        assert_null(strstr(text, "\"p\""));
        assert_int_equal(auth_jwks_parse(text, strlen(text), "test", NULL, &again, NULL), GUARD_OK);
        assert_true(auth_jwks_equal(key.keys, again));
        auth_jwks_unref(&again);
        guard_free_string(&text);
        test_key_free(&key);
    }
    struct test_key secret;
    char *text;
    struct guard_error err = {0};
    test_key_make(&secret, AUTH_HS256, NULL);
    assert_int_equal(auth_jwks_public(secret.keys, &text, &err), GUARD_ERR_INVALID);
    assert_null(text);
    test_key_free(&secret);
}

/* RFC 7638 §3.1: the key of its example and the thumbprint it gives. */
static void thumbprints_are_those_of_the_standard(void **state)
{
    (void)state;
    static const char jwk[] =
        "{\"kty\":\"RSA\",\"n\":"
        "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc"
        "_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAta"
        "Sqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBni"
        "Iqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\"}";
    struct auth_jwks *keys;
    char *text;
    assert_int_equal(auth_jwks_parse(jwk, strlen(jwk), "test", NULL, &keys, NULL), GUARD_OK);
    assert_int_equal(auth_jwks_public(keys, &text, NULL), GUARD_OK);
    assert_non_null(strstr(text, "\"kid\":\"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs\""));
    guard_free_string(&text);
    auth_jwks_unref(&keys);
}

static void unusable_signing_keys_are_refused(void **state)
{
    (void)state;
    struct auth_signing_key *key;
    struct guard_error err = {0};
    const char *path = in_folder("sign.jwk");
    struct test_key a, b;
    test_key_make(&a, AUTH_ES256, NULL);
    test_key_make(&b, AUTH_ES256, NULL);
    assert_int_equal(auth_signing_key_load(DATA "p256.pem", &key, &err), GUARD_ERR_INVALID); /* public */
    assert_int_equal(auth_signing_key_load(DATA "main.jwks", &key, &err), GUARD_ERR_INVALID);
    assert_non_null(strstr(err.text, "set of keys"));
    /* the private half of another key */
    char *mine = test_read(a.path), *other = test_read(b.path), *mixed = strdup(mine);
    memcpy(strstr(mixed, "\"d\":\""), strstr(other, "\"d\":\""), 48);
    test_write(path, mixed);
    assert_int_equal(auth_signing_key_load(path, &key, &err), GUARD_ERR_INVALID);
    assert_non_null(strstr(err.text, "does not belong"));
    assert_null(key);
    free(mine);
    free(other);
    free(mixed);
    test_key_free(&a);
    test_key_free(&b);
}

static void thumbprint_files_are_read(void **state)
{
    (void)state;
    uint8_t print[32];
    assert_int_equal(auth_thumbprint_file(DATA "device.crt", print, NULL), GUARD_OK);
    assert_int_equal(auth_thumbprint_file(DATA "p256.pem", print, NULL), GUARD_ERR_INVALID);
    assert_int_equal(auth_thumbprint_file(DATA "absent", print, NULL), GUARD_ERR_NOT_FOUND);
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_told_apart),
        cmocka_unit_test(secrets_that_others_may_read_are_warned_about),
        cmocka_unit_test(folders_are_one_set),
        cmocka_unit_test(sets_are_compared),
        cmocka_unit_test(changes_are_noticed_and_failures_keep_the_old_set),
        cmocka_unit_test(exchanged_links_are_noticed),
        cmocka_unit_test(a_change_without_a_trace_is_noticed),
        cmocka_unit_test(only_key_files_of_a_folder_count),
        cmocka_unit_test(every_algorithm_signs_and_verifies),
        cmocka_unit_test(public_halves_hold_no_secret),
        cmocka_unit_test(thumbprints_are_those_of_the_standard),
        cmocka_unit_test(unusable_signing_keys_are_refused),
        cmocka_unit_test(thumbprint_files_are_read),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
