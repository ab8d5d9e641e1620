/*
 * The issuers' file. Whatever it holds: either an error with its place, or issuers that are complete, and that are the
 * same again when they are written down and read a second time.
 */
#include "core/buffer.h"
#include "plugin/token_issuers.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "issuers.conf"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
    if (!condition)
        abort();
}

static struct guard_issuers *read_text(const void *text, size_t length)
{
    struct guard_issuers *issuers;
    struct guard_error err = {0};
    char *content = malloc(length + 1);
    expect(content != NULL);
    memcpy(content, text, length);
    content[length] = '\0';
    int rc = guard_issuers_parse(content, length, PLACE, &issuers, &err);
    expect((rc == GUARD_OK) == (issuers != NULL));
    expect(rc == GUARD_OK || (err.text[0] && strcmp(err.place, PLACE) == 0));
    return issuers;
}

static void is_complete(const struct guard_issuers *issuers)
{
    expect(issuers->count >= 1 && issuers->count <= AUTH_ISSUERS_MAX);
    for (size_t i = 0; i < issuers->count; i++) {
        const struct auth_issuer *config = &issuers->items[i].config;
        expect(config->issuer && config->issuer[0] && !config->keys);
        expect(config->leeway >= 0 && config->leeway <= 3600 && config->max_lifetime >= 0);
        expect(config->audience_count <= GUARD_AUDIENCES_MAX);
        expect(!config->client_id_pattern || !auth_client_id_pattern_fault(config->client_id_pattern));
        for (size_t k = 0; k < i; k++)
            expect(strcmp(issuers->items[k].config.issuer, config->issuer) != 0);
    }
}

static void put_text(struct guard_buffer *out, const char *name, const char *value)
{
    if (!value)
        return;
    guard_buffer_text(out, name);
    guard_buffer_text(out, "="); /* a ';' behind white space would begin a comment */
    guard_buffer_text(out, value);
    guard_buffer_text(out, "\n");
}

static void put_number(struct guard_buffer *out, const char *name, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    put_text(out, name, digits);
}

static void put_issuer(struct guard_buffer *out, const struct guard_issuer *issuer)
{
    static const char *const bindings[] = {"off", "optional", "required"};
    const struct auth_issuer *config = &issuer->config;
    guard_buffer_text(out, "[issuer ");
    guard_buffer_text(out, config->issuer);
    guard_buffer_text(out, "]\n");
    put_text(out, "keys", issuer->keys ? issuer->keys : "redis");
    for (size_t i = 0; i < config->audience_count; i++) {
        guard_buffer_text(out, i ? "" : "audience=");
        guard_buffer_text(out, config->audiences[i]);
        guard_buffer_text(out, ",");
    }
    guard_buffer_text(out, "\n");
    for (int a = 0, first = 1; a < AUTH_ALGORITHM_COUNT; a++)
        if (config->algorithms & AUTH_ALGORITHM_BIT(a)) {
            guard_buffer_text(out, first ? "algorithms = " : ",");
            guard_buffer_text(out, auth_algorithm_name((enum auth_algorithm)a));
            first = 0;
        }
    guard_buffer_text(out, "\n");
    put_text(out, "identity_claim", config->identity_claim);
    put_text(out, "roles_claim", config->roles_claim);
    put_number(out, "leeway", config->leeway);
    put_number(out, "max_lifetime", config->max_lifetime);
    put_text(out, "bind_client_id", bindings[config->client_id]);
    put_text(out, "client_id_claim", config->client_id_claim);
    put_text(out, "client_id_pattern", config->client_id_pattern);
    put_text(out, "bind_username", bindings[config->username]);
    put_text(out, "bind_certificate", bindings[config->certificate]);
}

static void put_all(struct guard_buffer *out, const struct guard_issuers *issuers)
{
    for (size_t i = 0; i < issuers->count; i++)
        put_issuer(out, &issuers->items[i]);
    expect(!out->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard_issuers *first = read_text(data, size), *second;
    struct guard_buffer once = {0}, twice = {0};
    if (!first)
        return 0;
    is_complete(first);
    put_all(&once, first);
    second = read_text(once.data, once.length);
    expect(second != NULL && second->count == first->count);
    put_all(&twice, second);
    expect(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
    guard_issuers_free(&first);
    guard_issuers_free(&second);
    guard_buffer_free(&once);
    guard_buffer_free(&twice);
    return 0;
}
