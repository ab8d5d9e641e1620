/*
 * tests/data/tokens/corpus.ndjson through the API: every case as the corpus says, OpenSSL's error queue empty after
 * each, and libjwt of one mind with us about what is JSON.
 */
#include "auth/jwks.h"
#include "auth/jws.h"
#include "auth/jwt_shim.h"
#include "auth/thumbprint.h"
#include "auth/token.h"
#include "core/json.h"
#include "core/memory.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER       GUARD_TEST_DATA "/tokens/"
#define CONFIGS_MAX  64
#define CASES_LEAST  300 /* fewer: the corpus was not found or not read */
#define REVOKED_MAX  8
#define AUDIENCE_MAX 8

struct config {
    const char *name;
    struct auth_token_verifier *verifier;
    const char *revoked[REVOKED_MAX];
    size_t revoked_count;
};

static struct guard_json *config_document;
static struct config configs[CONFIGS_MAX];
static size_t config_count;

static char *read_file(const char *path, size_t *length)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *length = (size_t)ftell(f);
    rewind(f);
    char *content = malloc(*length + 1);
    assert_non_null(content);
    assert_int_equal(fread(content, 1, *length, f), *length);
    content[*length] = '\0';
    fclose(f);
    return content;
}

static const char *text_of(const struct guard_json *object, const char *name)
{
    return guard_json_string(guard_json_get(object, name));
}

static int64_t number_of(const struct guard_json *object, const char *name)
{
    int64_t value = 0;
    guard_json_integer(guard_json_get(object, name), &value);
    return value;
}

static enum auth_binding required_if(const struct guard_json *c, const char *name, enum auth_binding otherwise)
{
    return guard_json_true(guard_json_get(c, name)) ? AUTH_BINDING_REQUIRED : otherwise;
}

static size_t list_of(const struct guard_json *c, const char *name, const char **out, size_t room)
{
    size_t count = 0;
    for (const struct guard_json *e = guard_json_first(guard_json_get(c, name)); e; e = guard_json_next(e)) {
        assert_true(count < room);
        out[count++] = guard_json_string(e);
    }
    return count;
}

static void load_config(const struct guard_json *c, struct config *out)
{
    struct guard_error err = {0};
    const char *audiences[AUDIENCE_MAX];
    char path[4096];
    struct auth_issuer issuer = {.issuer = text_of(c, "issuer"),
                                 .identity_claim = text_of(c, "identity_claim"),
                                 .roles_claim = text_of(c, "roles_claim"),
                                 .leeway = number_of(c, "leeway"),
                                 .max_lifetime = number_of(c, "max_lifetime"),
                                 .client_id = required_if(c, "bind_client_id", AUTH_BINDING_OFF),
                                 .username = required_if(c, "bind_username", AUTH_BINDING_OFF),
                                 .certificate = required_if(c, "require_certificate_binding", AUTH_BINDING_OPTIONAL)};
    issuer.audience_count = list_of(c, "audience", audiences, AUDIENCE_MAX);
    issuer.audiences = audiences;
    if (text_of(c, "algorithms"))
        assert_int_equal(auth_algorithms_parse(text_of(c, "algorithms"), &issuer.algorithms, &err), GUARD_OK);
    snprintf(path, sizeof path, FOLDER "%s", text_of(c, "jwks") ? text_of(c, "jwks") : text_of(c, "key"));
    if (auth_jwks_load_file(path, NULL, &issuer.keys, &err) != GUARD_OK)
        fail_msg("%s: %s", path, err.text);
    out->name = guard_json_name(c);
    assert_int_equal(auth_token_verifier_new(&issuer, 1, &out->verifier, &err), GUARD_OK);
    out->revoked_count = list_of(c, "revoked_jti", out->revoked, REVOKED_MAX);
    auth_jwks_unref(&issuer.keys);
}

static int load_configs(void **state)
{
    (void)state;
    size_t length;
    char *text = read_file(FOLDER "configs.json", &length);
    assert_int_equal(guard_json_parse(text, length, 8, &config_document, NULL), GUARD_OK);
    free(text);
    for (const struct guard_json *c = guard_json_first(config_document); c; c = guard_json_next(c)) {
        assert_true(config_count < CONFIGS_MAX);
        load_config(c, &configs[config_count++]);
    }
    return 0;
}

static int free_configs(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_count; i++)
        auth_token_verifier_unref(&configs[i].verifier);
    guard_json_free(&config_document);
    return 0;
}

static struct config *config_named(const char *name)
{
    for (size_t i = 0; i < config_count; i++)
        if (strcmp(configs[i].name, name) == 0)
            return &configs[i];
    fail_msg("no configuration %s", name);
    return NULL;
}

static enum guard_reason is_revoked(void *context, const struct auth_revocation_query *query)
{
    const struct config *config = context;
    assert_non_null(query->username);
    for (size_t i = 0; query->token_id && i < config->revoked_count; i++)
        if (strcmp(config->revoked[i], query->token_id) == 0)
            return GUARD_REASON_JWT_REVOKED;
    return GUARD_REASON_NONE;
}

/* The octets of the case's token: text, or hexadecimal where they are no text. Freed by the caller. */
static char *token_of(const struct guard_json *c, size_t *length)
{
    const char *text = text_of(c, "token"), *hex = text_of(c, "token_hex");
    *length = text ? strlen(text) : strlen(hex) / 2;
    char *octets = malloc(*length ? *length : 1); /* exactly as long, so that a sanitizer sees every step beyond */
    assert_non_null(octets);
    if (text)
        memcpy(octets, text, *length);
    for (size_t i = 0; !text && i < *length; i++) {
        unsigned octet;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &octet), 1);
        octets[i] = (char)octet;
    }
    return octets;
}

/* The audit's name for a token: the first octets of its SHA-256, on whichever way they were computed. */
static void check_hash(const struct guard_identity *identity, const char *token, size_t length)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    assert_int_equal(EVP_Digest(token, length, hash, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(identity->token_hash, hash, sizeof identity->token_hash);
}

/* libjwt is a second judge of what is JSON: claims that are good for us are good for it. */
static void compare_with_libjwt(const char *name, const char *token, size_t length)
{
    struct auth_jws jws;
    assert_int_equal(auth_jws_parse(token, length, UINT32_MAX, NULL, &jws), GUARD_REASON_NONE);
    char *payload = strndup(jws.payload, jws.payload_length);
    assert_non_null(payload);
    assert_int_equal(strlen(payload), jws.payload_length);
    if (!auth_jwt_accepts(payload))
        fail_msg("%s: libjwt does not read the claims, we do", name);
    free(payload);
    auth_jws_clear(&jws);
}

static void check_answer(const struct guard_json *c, enum guard_reason reason, const struct guard_identity *identity)
{
    const char *name = text_of(c, "name"), *expected = text_of(c, "reason");
    if (!guard_json_true(guard_json_get(c, "valid"))) {
        assert_null(identity);
        if (strcmp(guard_reason_name(reason), expected) != 0)
            fail_msg("%s: expected %s, got '%s'", name, expected, guard_reason_name(reason));
        return;
    }
    if (reason != GUARD_REASON_NONE)
        fail_msg("%s: expected valid, got %s", name, guard_reason_name(reason));
    assert_non_null(identity);
    assert_string_equal(identity->username, text_of(c, "identity"));
    assert_true(identity->expires_at == number_of(c, "expires"));
    assert_true(identity->not_after >= identity->expires_at);
    assert_int_equal(identity->method, GUARD_AUTH_TOKEN);
    assert_true(identity->has_token_hash);
}

static void run_case(const struct guard_json *c)
{
    struct config *config = config_named(text_of(c, "config"));
    struct guard_identity *identity = NULL;
    uint8_t thumbprint[32];
    char path[4096];
    size_t length;
    char *token = token_of(c, &length);
    struct auth_token_request request = {.token = token,
                                         .length = length,
                                         .client_id = text_of(c, "client_id"),
                                         .username = text_of(c, "username"),
                                         .now = number_of(c, "now"),
                                         .revoked = is_revoked,
                                         .revoked_context = config};
    if (text_of(c, "certificate")) {
        snprintf(path, sizeof path, FOLDER "%s", text_of(c, "certificate"));
        assert_int_equal(auth_thumbprint_file(path, thumbprint, NULL), GUARD_OK);
        request.certificate_sha256 = thumbprint;
    }
    enum guard_reason reason = auth_token_verify(config->verifier, &request, &identity);
    assert_int_equal(ERR_peek_error(), 0);
    check_answer(c, reason, identity);
    if (reason == GUARD_REASON_NONE) {
        check_hash(identity, token, length);
        compare_with_libjwt(text_of(c, "name"), token, length);
    }
    guard_identity_free(&identity);
    guard_free_secret(&token, length);
}

static void test_corpus(void **state)
{
    (void)state;
    size_t length, count = 0, valid = 0;
    char *text = read_file(FOLDER "corpus.ndjson", &length);
    for (char *line = text, *end; line < text + length; line = end + 1) {
        struct guard_json *c;
        end = strchr(line, '\n');
        assert_non_null(end);
        assert_int_equal(guard_json_parse(line, (size_t)(end - line), 8, &c, NULL), GUARD_OK);
        run_case(c);
        count++;
        valid += guard_json_true(guard_json_get(c, "valid"));
        guard_json_free(&c);
    }
    free(text);
    assert_true(count >= CASES_LEAST && valid >= 50);
    print_message("%zu cases, %zu of them valid\n", count, valid);
}

static void test_key_sets(void **state)
{
    (void)state;
    size_t length, count = 0, refused = 0;
    char *text = read_file(FOLDER "keysets.ndjson", &length);
    for (char *line = text, *end; line < text + length; line = end + 1) {
        struct guard_json *c;
        struct auth_jwks *keys;
        struct guard_error err = {0};
        end = strchr(line, '\n');
        assert_non_null(end);
        assert_int_equal(guard_json_parse(line, (size_t)(end - line), 8, &c, NULL), GUARD_OK);
        const char *content = text_of(c, "content");
        bool json = content[0] == '{' || content[0] == ' ';
        int rc = auth_jwks_parse(content, strlen(content), "test", NULL, &keys, &err);
        assert_int_equal(ERR_peek_error(), 0);
        size_t expected = json ? (size_t)number_of(c, "keys") : 0;
        if ((rc == GUARD_OK ? auth_jwks_count(keys) : 0) != expected)
            fail_msg("key set %s: expected %zu keys: %s", text_of(c, "name"), expected, err.text);
        assert_true((rc == GUARD_OK) == (keys != NULL));
        assert_true(rc == GUARD_OK || (err.text[0] && strcmp(err.place, "test") == 0));
        refused += rc != GUARD_OK;
        auth_jwks_unref(&keys);
        guard_json_free(&c);
        count++;
    }
    free(text);
    assert_true(count >= 100 && refused >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus), cmocka_unit_test(test_key_sets)};
    return cmocka_run_group_tests(tests, load_configs, free_configs);
}
