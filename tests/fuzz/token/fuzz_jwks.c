/* Key sets: any text. What loads must be usable, and must survive being written out as public keys. */
#include "auth/jwks.h"
#include "auth/token_issue.h"
#include "core/memory.h"

#include <openssl/err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
    if (!condition)
        abort();
}

static void write_and_read(const struct auth_jwks *keys)
{
    char *text;
    struct auth_jwks *again;
    if (auth_jwks_public(keys, &text, NULL) != GUARD_OK)
        return; /* a secret among them */
    expect(auth_jwks_parse(text, strlen(text), "fuzz", NULL, &again, NULL) == GUARD_OK);
    auth_jwks_unref(&again);
    guard_free_string(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_jwks *keys;
    struct guard_error err = {0};
    int rc = auth_jwks_parse((const char *)data, size, "fuzz", NULL, &keys, &err);
    expect(ERR_peek_error() == 0);
    expect((rc == GUARD_OK) == (keys != NULL));
    if (!keys) {
        expect(err.text[0] != '\0');
        return 0;
    }
    expect(auth_jwks_count(keys) > 0 && auth_jwks_equal(keys, keys));
    for (size_t i = 0; i < auth_jwks_count(keys); i++) {
        struct auth_key_info key = auth_jwks_key(keys, i);
        expect(key.algorithms != 0 && key.bits >= 255);
    }
    write_and_read(keys);
    auth_jwks_unref(&keys);
    return 0;
}
