/* Stored hashes of any content: the first line is the hash, the rest the password. */
#include "auth/password.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = memchr(data, '\n', size);
    size_t length = line ? (size_t)(line - data) : size;
    char *stored = strndup((const char *)data, length), *decoy;
    const char *password = line ? (const char *)line + 1 : "";
    size_t password_length = line ? size - length - 1 : 0;
    struct guard_error err = {0};
    if (!stored)
        return 0;
    int usable = auth_password_check(stored, &err) == GUARD_OK;
    uint64_t cost = auth_password_estimate_us(stored);
    expect(usable == (cost != 0) && usable != (err.text[0] != '\0'));
    expect(usable || auth_password_outdated(stored));
    if (cost < 2000) {
        enum auth_password_result result = auth_password_verify(stored, password, password_length, NULL);
        expect(usable || result == AUTH_PASSWORD_ERROR);
        if (usable && (decoy = auth_password_decoy(stored))) {
            expect(auth_password_estimate_us(decoy) == cost);
            expect(auth_password_verify(decoy, password, password_length, NULL) != AUTH_PASSWORD_MATCH);
            free(decoy);
        }
    }
    struct auth_password_usual usual = {0};
    auth_password_usual_add(&usual, stored);
    expect(ERR_peek_error() == 0);
    free(stored);
    return 0;
}
