#include "tests/unit/certificate/certificate_check.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <openssl/err.h>

struct auth_certificate_config *config_of(const char *text)
{
    struct auth_certificate_config *config;
    struct guard_error err = {0};
    if (auth_certificate_config_parse(text, &config, &err) != GUARD_OK)
        fail_msg("%s: %u: %s", text, err.column, err.text);
    return config;
}

struct guard_identity *verify(const char *text, const void *certificate, int64_t now, enum guard_reason *reason)
{
    struct auth_certificate_config *config = config_of(text);
    struct auth_certificate_request request = {.certificate = certificate, .now = now};
    struct guard_identity *identity;
    struct guard_error why = {0};
    *reason = auth_certificate_verify(config, &request, &identity, &why);
    assert_int_equal(ERR_peek_error(), 0);
    assert_true((identity != NULL) == (*reason == GUARD_REASON_NONE));
    assert_true((why.text[0] != '\0') == (*reason != GUARD_REASON_NONE));
    auth_certificate_config_free(&config);
    return identity;
}
