/* Password hashes: vectors of the tools that write them, broken ones, and what we write ourselves. */
#include "auth/password.h"
#include "core/memory.h"
#include "tests/unit/password/vectors.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum auth_password_result verify(const char *stored, const char *password)
{
    struct guard_error err = {0};
    enum auth_password_result result = auth_password_verify(stored, password, strlen(password), &err);
    assert_int_equal(ERR_peek_error(), 0);
    assert_true((err.text[0] != '\0') == (result == AUTH_PASSWORD_ERROR));
    assert_true((auth_password_check(stored, NULL) == GUARD_OK) == (result != AUTH_PASSWORD_ERROR));
    return result;
}

static void expect(const char *what, const char *stored, const char *password, enum auth_password_result expected)
{
    enum auth_password_result result = verify(stored, password);
    if (result != expected)
        fail_msg("%s: %x instead of %x for %s", what, (unsigned)result, (unsigned)expected, stored);
}

static void check_vector(char *const column[VECTOR_COLUMNS])
{
    const char *tool = column[0], *password = column[1], *stored = column[2];
    char other[256];
    expect(tool, stored, password, AUTH_PASSWORD_MATCH);
    expect(tool, stored, "", AUTH_PASSWORD_MISMATCH);
    snprintf(other, sizeof other, "y%s", password);
    expect(tool, stored, other, AUTH_PASSWORD_MISMATCH);
    snprintf(other, sizeof other, "%s", password);
    other[strlen(other) / 2] ^= 1;
    expect(tool, stored, other, AUTH_PASSWORD_MISMATCH);
}

static void test_vectors(void **state)
{
    (void)state;
    assert_int_equal(vectors_each("vectors.tsv", 3, check_vector), 80);
}

/* Whatever is cut off or changed anywhere in a stored hash: it never matches, and never crashes. */
static void damage_vector(char *const column[VECTOR_COLUMNS])
{
    const char *password = column[1];
    char stored[1024];
    size_t length = strlen(column[2]);
    if (auth_password_estimate_us(column[2]) > 900)
        return;
    strcpy(stored, column[2]);
    for (size_t i = length; i-- > 0;) {
        stored[i] = '\0';
        if (verify(stored, password) == AUTH_PASSWORD_MATCH)
            fail_msg("matches when cut: %s", stored);
    }
    for (size_t i = 0; i < length; i++) {
        strcpy(stored, column[2]);
        stored[i] = stored[i] == 'A' ? 'B' : 'A';
        if (auth_password_estimate_us(stored) < 5000 && verify(stored, password) == AUTH_PASSWORD_MATCH)
            fail_msg("matches when changed: %s instead of %s", stored, column[2]);
    }
}

static void test_damaged(void **state)
{
    (void)state;
    assert_int_equal(vectors_each("vectors.tsv", 3, damage_vector), 80);
}

#define SALT12 "ekj/eMOOlRpkgGdl"
#define KEY64  "vMzc1w67N/FsjKh1ueJTvnTpKJsoVkqdxJnuxH4DGkccDOZMJ6Slnv4KqaKz+a5wgGnjlWvptQHiCQqrBVOKrw=="
#define KEY32  "H6EsdyS2vVrr0N+sFlANZIjvCo0reRZ3+X7jbKDFS1E="
#define RAW32  "H6EsdyS2vVrr0N+sFlANZIjvCo0reRZ3+X7jbKDFS1E"

static const struct {
    const char *stored;
    enum guard_code code;
    const char *text; /* part of the reason */
} refused[] = {
    {"", GUARD_ERR_SYNTAX, "empty"},
    {"$", GUARD_ERR_UNSUPPORTED, "known formats"},
    {"secret", GUARD_ERR_UNSUPPORTED, "plain text"},
    {"$1$salt$abcdefghijklmnopqrstuv", GUARD_ERR_UNSUPPORTED, "known formats"},
    {"$7$", GUARD_ERR_SYNTAX, "truncated"},
    {"$7$101$" SALT12, GUARD_ERR_SYNTAX, "truncated"},
    {"$7$0$" SALT12 "$" KEY64, GUARD_ERR_INVALID, "iteration count of the stored hash is below 1"},
    {"$7$-1$" SALT12 "$" KEY64, GUARD_ERR_SYNTAX, "decimal"},
    {"$7$+1$" SALT12 "$" KEY64, GUARD_ERR_SYNTAX, "decimal"},
    {"$7$ 1$" SALT12 "$" KEY64, GUARD_ERR_SYNTAX, "decimal"},
    {"$7$1e3$" SALT12 "$" KEY64, GUARD_ERR_SYNTAX, "decimal"},
    {"$7$0101$" SALT12 "$" KEY64, GUARD_ERR_SYNTAX, "decimal"},
    {"$7$$" SALT12 "$" KEY64, GUARD_ERR_SYNTAX, "decimal"},
    {"$7$2000001$" SALT12 "$" KEY64, GUARD_ERR_LIMIT, "above the limit"},
    {"$7$4294967397$" SALT12 "$" KEY64, GUARD_ERR_LIMIT, "above the limit"},
    {"$7$99999999999999999999999999$" SALT12 "$" KEY64, GUARD_ERR_LIMIT, "above the limit"},
    {"$7$101$$" KEY64, GUARD_ERR_INVALID, "salt of the stored hash is empty"},
    {"$7$101$ekj/eMOO*Rpk$" KEY64, GUARD_ERR_SYNTAX, "salt of the stored hash is not base64"},
    {"$7$101$" SALT12 "$", GUARD_ERR_INVALID, "0 octets"},
    {"$7$101$" SALT12 "$" KEY32, GUARD_ERR_INVALID, "32 octets instead of 64"},
    {"$7$101$" SALT12 "$" KEY64 "$", GUARD_ERR_SYNTAX, "5 fields"},
    {"7$101$" SALT12 "$" KEY64, GUARD_ERR_UNSUPPORTED, "known formats"},
    {" $7$101$" SALT12 "$" KEY64, GUARD_ERR_UNSUPPORTED, "known formats"},
    {"$7$101$" SALT12 "$" KEY64 " ", GUARD_ERR_SYNTAX, "not whole base64"},
    {"$6$$" KEY64, GUARD_ERR_INVALID, "salt of the stored hash is empty"},
    {"$6$" SALT12, GUARD_ERR_SYNTAX, "truncated"},
    {"$6$" SALT12 "$" RAW32, GUARD_ERR_SYNTAX, "whole base64"},
    {"$6$" SALT12 "$" KEY32, GUARD_ERR_INVALID, "32 octets"},
    {"$argon2id$v=19$m=65536,t=1,p=1$c2FsdHNhbHQ", GUARD_ERR_SYNTAX, "truncated"},
    {"$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_UNSUPPORTED, "version 19"},
    {"$argon2id$m=64,t=1,p=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_SYNTAX, "truncated"},
    {"$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_UNSUPPORTED, "known formats"},
    {"$argon2id$v=19$m=0,t=1,p=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_INVALID, "memory of the stored hash is below 8"},
    {"$argon2id$v=19$m=31,t=1,p=4$c2FsdHNhbHQ$" RAW32, GUARD_ERR_INVALID, "below 32"},
    {"$argon2id$v=19$m=262145,t=1,p=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_LIMIT, "memory"},
    {"$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_LIMIT, "memory"},
    {"$argon2id$v=19$m=262144,t=5,p=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_LIMIT, "passes"},
    {"$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_INVALID, "passes"},
    {"$argon2id$v=19$m=64,t=1,p=0$c2FsdHNhbHQ$" RAW32, GUARD_ERR_INVALID, "parallelism"},
    {"$argon2id$v=19$m=1024,t=1,p=17$c2FsdHNhbHQ$" RAW32, GUARD_ERR_LIMIT, "parallelism"},
    {"$argon2id$v=19$t=1,m=64,p=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_SYNTAX, "'m='"},
    {"$argon2id$v=19$m=64,t=1$c2FsdHNhbHQ$" RAW32, GUARD_ERR_SYNTAX, "parameter"},
    {"$argon2id$v=19$m=64,t=1,p=1,keyid=x$c2FsdHNhbHQ$" RAW32, GUARD_ERR_SYNTAX, "parameters"},
    {"$argon2id$v=19$m=64,t=1,p=1$$" RAW32, GUARD_ERR_INVALID, "salt of the stored hash is empty"},
    {"$argon2id$v=19$m=64,t=1,p=1$c2FsdA$" RAW32, GUARD_ERR_INVALID, "8 octets"},
    {"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAA", GUARD_ERR_INVALID, "3 octets"},
    {"$2b$03$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pfm", GUARD_ERR_INVALID, "below 4"},
    {"$2b$15$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pfm", GUARD_ERR_LIMIT, "above the limit of 14"},
    {"$2b$31$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pfm", GUARD_ERR_LIMIT, "above the limit"},
    {"$2b$4$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pfm", GUARD_ERR_SYNTAX, "two digits"},
    {"$2b$04$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pf", GUARD_ERR_SYNTAX, "52 characters"},
    {"$2x$04$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pfm", GUARD_ERR_UNSUPPORTED, "known formats"},
    {"$y$jFT$nQStueOsCVBtNdCkGmK4a.$0ihmP1swBU0eTSo9cIqEPFMd0eNUBUHFNoFJMHI6JH6", GUARD_ERR_LIMIT, "cost"},
    {"$y$j9T$$0ihmP1swBU0eTSo9cIqEPFMd0eNUBUHFNoFJMHI6JH6", GUARD_ERR_SYNTAX, "salt"},
    {"$y$j9Tx$nQStueOsCVBtNdCkGmK4a.$0ihmP1swBU0eTSo9cIqEPFMd0eNUBUHFNoFJMHI6JH6", GUARD_ERR_UNSUPPORTED, "unusual"},
    {"$6$rounds=999999999$sex5MSokAa404psV$mPeMovUBVn0VUvg0TeB3F/"
     "wDzkIPm8w0FPRxKbzm3XGnZZNDPsIbB4BEnteh9m.uxukvH8lsVYIb5/eWYAuHc0",
     GUARD_ERR_LIMIT, "rounds"},
    {"PBKDF2$sha512$1000$salt", GUARD_ERR_SYNTAX, "truncated"},
    {"PBKDF2$md5$1000$c2FsdA==$" KEY32, GUARD_ERR_UNSUPPORTED, "digest"},
    {"PBKDF2$sha256$0$c2FsdA==$" KEY32, GUARD_ERR_INVALID, "iteration"},
    {"PBKDF2$sha256$1000$$" KEY32, GUARD_ERR_INVALID, "salt"},
    {"PBKDF2$sha256$1000$c2FsdA==$H6EsdyS2vVrr0N+sFlANZIjvCo0reRZ3+X7jbKDF", GUARD_ERR_SYNTAX, "truncated"},
    {"pbkdf2-sha256$i=1000,l=33$c2FsdA$" RAW32, GUARD_ERR_INVALID, "32 octets instead of 33"},
    {"pbkdf2-sha256$i=1000$c2FsdA$" RAW32, GUARD_ERR_SYNTAX, "parameter"},
    {"pbkdf2-sha256$i=1000,l=4$c2FsdA$AAAAAA", GUARD_ERR_INVALID, "key length"},
    {"pbkdf2_sha256$1000$salt$" KEY64, GUARD_ERR_INVALID, "64 octets instead of 32"},
    {"$sha256-prefix$c2FsdA", GUARD_ERR_SYNTAX, "truncated"},
    {"$sha256-middle$c2FsdA$" RAW32, GUARD_ERR_UNSUPPORTED, "known formats"},
    {"$sha512-plain$" RAW32, GUARD_ERR_INVALID, "instead of 64"},
    {"$$$$$$$$$$$$", GUARD_ERR_SYNTAX, "too many"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct guard_error err = {0};
        expect("refused", refused[i].stored, "secret", AUTH_PASSWORD_ERROR);
        auth_password_verify(refused[i].stored, "secret", 6, &err);
        if (err.code != refused[i].code || !strstr(err.text, refused[i].text))
            fail_msg("%s: %d %s", refused[i].stored, err.code, err.text);
        assert_int_equal(auth_password_cost(refused[i].stored), AUTH_PASSWORD_CHEAP);
        assert_int_equal(auth_password_estimate_us(refused[i].stored), 0);
    }
    char longer[AUTH_PASSWORD_MAX_STORED + 2];
    memset(longer, 'A', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    memcpy(longer, "$7$1$", 5);
    expect("too long", longer, "secret", AUTH_PASSWORD_ERROR);
}

/* NULs and long passwords reach the hashes whole, or match nothing. */
static void test_octets(void **state)
{
    (void)state;
    static const struct auth_password_params quick = {AUTH_PASSWORD_PBKDF2, 10, 0, 0};
    char *stored, *lengthy = malloc(AUTH_PASSWORD_MAX_LENGTH + 1);
    assert_int_equal(auth_password_make(&quick, "a\0b", 3, &stored, NULL), GUARD_OK);
    assert_int_equal(auth_password_verify(stored, "a\0b", 3, NULL), AUTH_PASSWORD_MATCH);
    assert_int_equal(auth_password_verify(stored, "a\0c", 3, NULL), AUTH_PASSWORD_MISMATCH);
    assert_int_equal(auth_password_verify(stored, "a", 1, NULL), AUTH_PASSWORD_MISMATCH);
    memset(lengthy, 'x', AUTH_PASSWORD_MAX_LENGTH + 1);
    assert_int_equal(auth_password_verify(stored, lengthy, AUTH_PASSWORD_MAX_LENGTH + 1, NULL), AUTH_PASSWORD_MISMATCH);
    guard_free_string(&stored);
    assert_int_equal(auth_password_make(&quick, lengthy, AUTH_PASSWORD_MAX_LENGTH, &stored, NULL), GUARD_OK);
    assert_int_equal(auth_password_verify(stored, lengthy, AUTH_PASSWORD_MAX_LENGTH, NULL), AUTH_PASSWORD_MATCH);
    guard_free_string(&stored);
    static const char crypted[] = "$2b$04$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pfm";
    assert_int_equal(auth_password_verify(crypted, "secret", 6, NULL), AUTH_PASSWORD_MATCH);
    assert_int_equal(auth_password_verify(crypted, "secret\0x", 8, NULL), AUTH_PASSWORD_MISMATCH);
    assert_int_equal(auth_password_verify(crypted, lengthy, AUTH_PASSWORD_MAX_LENGTH, NULL), AUTH_PASSWORD_MISMATCH);
    free(lengthy);
}

static void test_make(void **state)
{
    (void)state;
    static const struct {
        struct auth_password_params params;
        const char *begins;
    } rows[] = {
        {{AUTH_PASSWORD_DEFAULT, 0, 0, 0}, "$argon2id$v=19$m=19456,t=2,p=1$"},
        {{AUTH_PASSWORD_ARGON2ID, 3, 64, 2}, "$argon2id$v=19$m=64,t=3,p=2$"},
        {{AUTH_PASSWORD_PBKDF2, 0, 0, 0}, "$7$210000$"},
        {{AUTH_PASSWORD_PBKDF2, 101, 0, 0}, "$7$101$"},
        {{AUTH_PASSWORD_BCRYPT, 0, 0, 0}, "$2b$12$"},
        {{AUTH_PASSWORD_BCRYPT, 4, 0, 0}, "$2b$04$"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *first, *second;
        assert_int_equal(auth_password_make(&rows[i].params, "secret", 6, &first, NULL), GUARD_OK);
        assert_int_equal(auth_password_make(&rows[i].params, "secret", 6, &second, NULL), GUARD_OK);
        assert_int_equal(strncmp(first, rows[i].begins, strlen(rows[i].begins)), 0);
        assert_string_not_equal(first, second);
        expect("made", first, "secret", AUTH_PASSWORD_MATCH);
        expect("made", second, "Secret", AUTH_PASSWORD_MISMATCH);
        assert_int_equal(auth_password_outdated(first), rows[i].params.iterations != 0);
        guard_free_string(&first);
        guard_free_string(&second);
    }
}

static void test_make_refused(void **state)
{
    (void)state;
    static const struct auth_password_params rows[] = {
        {AUTH_PASSWORD_ARGON2ID, 0, 7, 1},       {AUTH_PASSWORD_ARGON2ID, 0, 262145, 1},
        {AUTH_PASSWORD_ARGON2ID, 99, 262144, 1}, {AUTH_PASSWORD_ARGON2ID, 1, 1024, 17},
        {AUTH_PASSWORD_ARGON2ID, 1, 31, 4},      {AUTH_PASSWORD_PBKDF2, 2000001, 0, 0},
        {AUTH_PASSWORD_BCRYPT, 3, 0, 0},         {AUTH_PASSWORD_BCRYPT, 15, 0, 0},
    };
    char *stored, long_one[80] = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct guard_error err = {0};
        assert_int_equal(auth_password_make(&rows[i], "secret", 6, &stored, &err), GUARD_ERR_INVALID);
        assert_null(stored);
        assert_true(err.text[0]);
    }
    memset(long_one, 'x', 73);
    struct auth_password_params bcrypt = {AUTH_PASSWORD_BCRYPT, 4, 0, 0};
    assert_int_equal(auth_password_make(&bcrypt, long_one, 73, &stored, NULL), GUARD_ERR_INVALID);
    assert_int_equal(auth_password_make(&bcrypt, "a\0b", 3, &stored, NULL), GUARD_ERR_INVALID);
}

static void check_decoy(char *const column[VECTOR_COLUMNS])
{
    char *decoy = auth_password_decoy(column[2]);
    assert_non_null(decoy);
    if (auth_password_estimate_us(decoy) != auth_password_estimate_us(column[2]))
        fail_msg("the decoy %s costs other than %s", decoy, column[2]);
    assert_string_not_equal(decoy, column[2]);
    expect("decoy", decoy, column[1], AUTH_PASSWORD_MISMATCH);
    auth_password_dummy(decoy, "any", 3);
    assert_int_equal(ERR_peek_error(), 0);
    free(decoy);
}

static void test_decoy(void **state)
{
    (void)state;
    assert_int_equal(vectors_each("vectors.tsv", 3, check_decoy), 80);
    char *decoy = auth_password_decoy(NULL), *other = auth_password_decoy("rubbish");
    assert_int_equal(strncmp(decoy, "$argon2id$", 10), 0);
    assert_int_equal(strncmp(other, "$argon2id$", 10), 0);
    expect("decoy", decoy, "decoy", AUTH_PASSWORD_MISMATCH);
    free(decoy);
    free(other);
}

static void test_usual(void **state)
{
    (void)state;
    static const char *const hashes[] = {"$7$101$" SALT12 "$" KEY64, "$6$" SALT12 "$" KEY64,
                                         "$7$210000$" SALT12 "$" KEY64, "$7$101$jz7PSlqmIVFbo/va$" KEY64,
                                         "$7$101$AAAASlqmIVFbo/va$" KEY64};
    struct auth_password_usual usual = {0};
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        auth_password_usual_add(&usual, hashes[i]);
    assert_int_equal(strncmp(usual.example, "$7$101$", 7), 0);
    auth_password_usual_add(&usual, "");
    auth_password_usual_add(&usual, "x");
}

static void test_cost(void **state)
{
    (void)state;
    static const struct {
        const char *stored;
        enum auth_password_cost cost;
        bool outdated;
    } rows[] = {
        {"$6$" SALT12 "$" KEY64, AUTH_PASSWORD_CHEAP, true},
        {"$7$101$" SALT12 "$" KEY64, AUTH_PASSWORD_CHEAP, true},
        {"$7$1000$" SALT12 "$" KEY64, AUTH_PASSWORD_CHEAP, true},
        {"$7$210000$" SALT12 "$" KEY64, AUTH_PASSWORD_SLOW, false},
        {"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$" RAW32, AUTH_PASSWORD_SLOW, false},
        {"$argon2id$v=19$m=47104,t=1,p=1$c2FsdHNhbHQ$" RAW32, AUTH_PASSWORD_SLOW, false},
        {"$argon2id$v=19$m=4096,t=3,p=2$c2FsdHNhbHQ$" RAW32, AUTH_PASSWORD_SLOW, true},
        {"$2b$10$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pfm", AUTH_PASSWORD_SLOW, false},
        {"$2b$09$MDMbojSBWrekOLSnc6dh/en/dxXIrsvsIByXsBf24zThePeT21Pfm", AUTH_PASSWORD_SLOW, true},
        {"PBKDF2$sha256$901$7s6K8ll3Pzdmhw8k$SM/oIGmRLVn6OqrW3syM14lQeiJ48nCT", AUTH_PASSWORD_CHEAP, true},
        {"PBKDF2$sha256$600000$c2FsdA==$" KEY32, AUTH_PASSWORD_SLOW, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (auth_password_cost(rows[i].stored) != rows[i].cost)
            fail_msg("cost of %s", rows[i].stored);
        if (auth_password_outdated(rows[i].stored) != rows[i].outdated)
            fail_msg("age of %s", rows[i].stored);
    }
}

static const char *unless_dash(const char *text)
{
    return strcmp(text, "-") == 0 ? NULL : text;
}

static void check_emqx(char *const column[VECTOR_COLUMNS])
{
    struct auth_password_emqx scheme = {.algorithm = column[0],
                                        .salt_position = unless_dash(column[1]),
                                        .mac = unless_dash(column[2]),
                                        .iterations = (uint32_t)strtoul(column[3], NULL, 10)};
    struct guard_error err = {0};
    char *stored;
    if (auth_password_from_emqx(&scheme, column[5], unless_dash(column[6]), &stored, &err) != GUARD_OK)
        fail_msg("%s %s: %s", column[0], column[1], err.text);
    expect(column[0], stored, column[4], AUTH_PASSWORD_MATCH);
    expect(column[0], stored, "other", AUTH_PASSWORD_MISMATCH);
    guard_free_string(&stored);
}

static void test_emqx(void **state)
{
    (void)state;
    assert_int_equal(vectors_each("emqx.tsv", 7, check_emqx), 68);
    static const struct {
        struct auth_password_emqx scheme;
        const char *hash, *salt;
    } rows[] = {
        {{"sha3", NULL, NULL, 0}, "00", "s"},
        {{"sha256", "middle", NULL, 0}, "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "s"},
        {{"sha256", "prefix", NULL, 0}, "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542", "s"},
        {{"sha256", "prefix", NULL, 0}, "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542dx", "s"},
        {{"pbkdf2", NULL, "md4", 1000}, "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "s"},
        {{"pbkdf2", NULL, NULL, 0}, "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "s"},
        {{"pbkdf2", NULL, NULL, 1000}, "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", NULL},
        {{"bcrypt", NULL, NULL, 0}, "$2b$04$short", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct guard_error err = {0};
        char *stored;
        assert_int_not_equal(auth_password_from_emqx(&rows[i].scheme, rows[i].hash, rows[i].salt, &stored, &err),
                             GUARD_OK);
        assert_null(stored);
        assert_true(err.text[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_damaged), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_octets),  cmocka_unit_test(test_make),    cmocka_unit_test(test_make_refused),
        cmocka_unit_test(test_decoy),   cmocka_unit_test(test_usual),   cmocka_unit_test(test_cost),
        cmocka_unit_test(test_emqx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
